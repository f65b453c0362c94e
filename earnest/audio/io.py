"""Recordings of any format, rate and number of channels → float32 mono at the rate that is asked for.

Everything is decoded block by block and checked on the way, so a small file that unpacks to days of silence costs no
more memory than it is allowed to. Samples of float files that lie outside [-1, 1] are kept as they are: scaling would
change the level of the rest, clipping would distort it. Channels are averaged, unless a `Channel` is asked for; those
that cancel each other are refused.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.deadline import check_deadline
from earnest.audio.media_file import HEAD_BYTES, MediaReader, media_format
from earnest.audio.quality import Mixer
from earnest.audio.sound_file import LONGEST_BLOCK_S, SoundFileReader, check_end
from earnest.audio.source import MAX_CHANNELS, RAW, Part, Source, opened, source_name, source_of, whole_and_channel
from earnest.audio.waveform import Waveform
from earnest.errors import AudioError, RecordingTooLongError, counted, first_line

MAX_SECONDS = 4 * 3600.0
VALUES_PER_S = 2 * 192_000  # channels × sample rate that may be decoded for each second of the longest recording
# Where channels × sample rate is above DENSE_PER_S, no more is decoded than if the longest recording had DENSE_S s,
# so that 8 channels at 1 MHz are refused where four hours may be read.
DENSE_PER_S, DENSE_S = 32 * 48_000, 300.0
UNPROMISED = 0.25  # share of this for what lies beyond the length that the header promises, if it does
LOWEST_HZ, HIGHEST_HZ = 1_000, 1_000_000
BLOCK_S = 10.0  # of an array that is read: what works on blocks needs memory for some of them
# An array (1 or 2, more than 8) is (channels, samples): nobody hands over one or two samples of so many channels.
CHANNELS_FIRST, FEW_CHANNELS = 2, 8
MOST_BYTES = 4  # of an integer sample: no recorder writes longer ones
FROM_16_BITS = 2.0**-16  # the peak that 16-bit samples have at most, unscaled in 32 bits
SCALED = "Give samples in the type that they were recorded in (array.astype(np.int16)), or floats in [-1, 1]."
LARGEST_SAMPLE = 2.0**31  # floats that hold unscaled 32-bit integers; beyond, powers overflow
SILENT_PEAK = 1e-3  # -60 dBFS; the quietest recording of four corpora peaks at 4.5e-3
NOTES = SEPARATE, OTHER_TRACKS = "separate-channels", "other-tracks"


@dataclass(frozen=True)
class Recording:
    """One decoded recording at its own rate.

    Attributes
    ----------
    waveform : shape (samples,), float32, mean over channels, or the one that was asked for
    n_channels : of the file
    encoding : what it was ("WAV PCM_16")
    """

    waveform: Waveform
    sample_rate_hz: int
    n_channels: int
    encoding: str

    @property
    def duration_s(self) -> float:
        """Seconds."""
        return len(self.waveform) / self.sample_rate_hz


@dataclass(frozen=True)
class AudioStream:
    """A recording that is being read.

    Attributes
    ----------
    blocks : mono blocks, shape (samples,), float32, finite, at ``sample_rate_hz``; to be read once
    notes : what was heard of a whole, of what was read so far, in words of `NOTES`: "separate-channels" where channels
        take turns, like two sides of a call, unless one was asked for; "other-tracks" where the file has more sound
        tracks than the first
    """

    name: str
    sample_rate_hz: int
    n_channels: int
    encoding: str
    blocks: Iterator[Waveform]
    notes: Callable[[], tuple[str, ...]]


@dataclass(frozen=True)
class Frames:
    """A recording that is being read, all of its channels.

    Attributes
    ----------
    blocks : shape (frames, channels), float32; to be read once; at the end, what was cut off is refused
    first : number of the first frame of the first block
    is_exact : whether reading can begin at any frame, with the same samples as reading up to it
    has_other_tracks : whether the file has more sound tracks than this first one
    """

    name: str
    sample_rate_hz: int
    n_channels: int
    encoding: str
    blocks: Iterator[npt.NDArray[np.float32]]
    first: int = 0
    is_exact: bool = True
    has_other_tracks: bool = False


OpenAudio: TypeAlias = Callable[[Source, float], AbstractContextManager[AudioStream]]
"""`open_audio`, or what does the same in another way: it is told the recording and the most seconds."""


def decode(source: Source, max_seconds: float = MAX_SECONDS, opener: OpenAudio | None = None) -> Recording:
    """Decode a recording at its own sample rate.

    Raises `AudioError` when it is missing, no sound, empty, cut off, damaged, longer than ``max_seconds``, has more
    channels or a higher rate than may be decoded for so long, or holds NaN or infinity; `MissingExtraError` for the
    containers of `earnest.audio.media_file` without PyAV.

    Parameters
    ----------
    opener : as in `load_waveform`
    """
    with (opener or open_audio)(source, max_seconds) as stream:
        waveform = np.concatenate(list(stream.blocks))
        return Recording(waveform, stream.sample_rate_hz, stream.n_channels, stream.encoding)


def load_waveform(
    source: Source, sample_rate_hz: int, max_seconds: float = MAX_SECONDS, opener: OpenAudio | None = None
) -> Waveform:
    """Decode a recording and resample it; a `Part` is cut out before.

    Parameters
    ----------
    sample_rate_hz : of the result
    opener : what opens it, such as a `earnest.audio.parts.PartReader`; None for `open_audio`

    Returns
    -------
    shape (samples,), float32, mono
    """
    with (opener or open_audio)(source, max_seconds) as stream:
        return np.concatenate(list(resampled(stream.blocks, stream.sample_rate_hz, sample_rate_hz)))


def digest_of_sound(waveform: Waveform, sample_rate_hz: int) -> str:
    """Return a digest of samples (samples,) and their rate."""
    return hashlib.sha256(waveform.tobytes() + sample_rate_hz.to_bytes(4, "little")).hexdigest()


def is_blank(waveform: Waveform) -> bool:
    """Whether samples (samples,) hold no sound, so that equality with others means nothing."""
    return not waveform.size or float(np.abs(waveform).max()) < SILENT_PEAK


def resampled(blocks: Iterator[Waveform], from_hz: int, to_hz: int) -> Iterator[Waveform]:
    """Resample block by block (soxr HQ); where the blocks end changes nothing."""
    first, second = next(blocks, None), next(blocks, None)
    if first is None:
        return
    if second is None and from_hz != to_hz:  # a short recording, all there: the same samples in less time
        import soxr

        yield np.asarray(soxr.resample(first, from_hz, to_hz, quality="HQ"), np.float32)
        return
    resampler = Resampler(from_hz, to_hz)
    for block in chain([first], [] if second is None else [second], blocks):
        yield resampler.accept(block)
    if len(rest := resampler.finish()):
        yield rest


class Resampler:
    """Resamples what it is given piece by piece (soxr HQ); sample 0 of the result is sample 0 of the input."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        # soxr's linear-phase low-pass has a delay, which it takes off again: results come later, not shifted.
        self._stream: Any = None
        if from_hz != to_hz:
            import soxr

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        self._is_empty = True

    def accept(self, block: Waveform) -> Waveform:
        """Return the samples that are certain by now, any number of them."""
        self._is_empty = self._is_empty and not len(block)
        return block if self._stream is None else np.asarray(self._stream.resample_chunk(block), np.float32)

    def finish(self) -> Waveform:
        """Return the rest."""
        rest = np.empty(0, np.float32)
        if self._stream is None or self._is_empty:
            return rest
        return np.asarray(self._stream.resample_chunk(rest, last=True), np.float32)


@contextmanager
def open_audio(source: Source, max_seconds: float = MAX_SECONDS) -> Iterator[AudioStream]:
    """Open a recording for reading block by block; see `decode` for what is refused.

    Of several parts of one recording, see `earnest.audio.parts`.
    """
    name, (whole, channel) = source_name(source), whole_and_channel(source)
    if isinstance(source, Part):
        with open_frames(source_of(source.source), most_before_end(source, max_seconds), source.start_s) as frames:
            yield part_of(frames, source, max_seconds)
        return
    if isinstance(whole, tuple):
        yield _array_stream(*whole, max_seconds, name, channel)
        return
    with opened(whole, name) as file, open_audio_file(file, name, max_seconds, channel) as stream:
        yield stream


@contextmanager
def open_audio_file(file: BinaryIO, name: str, max_seconds: float, channel: int | None = None) -> Iterator[AudioStream]:
    """Open a recording whose file is open, or one channel of it, from 1; see `open_audio`."""
    with open_file_frames(file, name, max_seconds) as frames:
        yield mono(frames, frames.blocks, name, max_seconds, channel)


@contextmanager
def open_frames(source: Source, max_seconds: float, from_s: float) -> Iterator[Frames]:
    """Open all channels of a recording, also where one is named, for parts that begin at ``from_s`` or later.

    Parameters
    ----------
    max_seconds : may be read of it, from its start on; its header may promise more
    """
    name, (whole, _) = source_name(source), whole_and_channel(source)
    if isinstance(whole, tuple):
        yield _array_frames(*whole, name)
        return
    with opened(whole, name) as file, open_file_frames(file, name, max_seconds, from_s) as frames:
        yield frames


@contextmanager
def open_file_frames(file: BinaryIO, name: str, max_seconds: float, from_s: float | None = None) -> Iterator[Frames]:
    """Open all channels of a recording whose file is open; None as ``from_s`` to read the whole; see `open_frames`."""
    container = media_format(file.read(HEAD_BYTES))
    file.seek(0)
    reader = MediaReader(file, container, name) if container else SoundFileReader(file, name)
    try:
        check_form(name, reader.sample_rate_hz, reader.n_channels)
        if from_s is None:
            _check_promise(name, reader, max_seconds)
        first = 0 if from_s is None else reader.go_to(round(from_s * reader.sample_rate_hz))
        blocks = _counted(reader.blocks(), name, reader, first, max_seconds)
        form = name, reader.sample_rate_hz, reader.n_channels, reader.encoding
        yield Frames(*form, blocks, first, reader.is_exact, reader.has_other_tracks)
    finally:
        reader.close()


def mono(
    frames: Frames,
    blocks: Iterator[npt.NDArray[np.float32]],
    name: str,
    max_seconds: float,
    channel: int | None,
) -> AudioStream:
    """Return what is read of a recording as one channel, from 1, or the mean of all."""
    check_channel(name, frames.n_channels, channel)
    mixer = Mixer(frames.sample_rate_hz)
    heard = checked(_mono(blocks, mixer, name, channel), name, frames.sample_rate_hz, max_seconds)
    form = name, frames.sample_rate_hz, frames.n_channels, frames.encoding
    return AudioStream(*form, heard, lambda: notes_of(mixer, frames.has_other_tracks))


def most_before_end(part: Part, max_seconds: float) -> float:
    """Return how many seconds of a recording may be read for a part of it: up to its end, and all of that block."""
    return part.start_s + max_seconds + LONGEST_BLOCK_S


def part_of(frames: Frames, part: Part, max_seconds: float) -> AudioStream:
    """Return a part of a recording that is being read and has not passed the part's start."""
    name, (first, last) = source_name(part), bounds_of(part, frames.sample_rate_hz)

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        position = frames.first
        for block in frames.blocks:
            wanted = block[max(first - position, 0) : max(last - position, 0)]
            position += len(block)
            if len(wanted):
                yield wanted
            if position >= last:
                return
        if position <= first:
            raise AudioError(f"{name}: the recording has ended before this part begins.")

    return mono(frames, blocks(), name, max_seconds, whole_and_channel(part)[1])


def bounds_of(part: Part, sample_rate_hz: int) -> tuple[int, int]:
    """Return the numbers of a part's first sample and of the one behind its last; it has one at least."""
    first = round(part.start_s * sample_rate_hz)
    return first, sys.maxsize if part.end_s is None else max(round(part.end_s * sample_rate_hz), first + 1)


def notes_of(mixer: Mixer, has_other_tracks: bool = False) -> tuple[str, ...]:
    """Return the words for what was heard of a whole; see `AudioStream`."""
    applies = (mixer.has_separate_channels(), has_other_tracks)
    return tuple(word for word, is_so in zip(NOTES, applies, strict=True) if is_so)


def check_form(name: str, sample_rate_hz: int, n_channels: int) -> None:
    """Refuse rates and numbers of channels that no recording has."""
    if not LOWEST_HZ <= sample_rate_hz <= HIGHEST_HZ:
        expected = f"expected {LOWEST_HZ} to {HIGHEST_HZ}"
        raise AudioError(f"{name}: the sample rate is {sample_rate_hz} Hz, {expected}. Is the header right?")
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise AudioError(f"{name}: has {n_channels} channels, expected 1 to {MAX_CHANNELS}. Is the header right?")


def check_channel(name: str, n_channels: int, channel: int | None) -> None:
    """Refuse a channel, from 1, that a recording doesn't have."""
    if channel is not None and channel > n_channels:
        has = "one channel" if n_channels == 1 else f"{n_channels} channels"
        raise AudioError(f"{name}: there is no channel {channel}, only {has}.")


def _check_promise(name: str, reader: SoundFileReader | MediaReader, max_seconds: float) -> None:
    """Refuse, before anything is decoded, what the header promises too much of."""
    promised_s = reader.promised_s or 0.0
    if promised_s > tolerated_s(max_seconds):
        raise _too_long(name, max_seconds)
    most = _affordable(reader, max_seconds)
    if promised_s * reader.sample_rate_hz * reader.n_channels > most:
        form = f"{promised_s:.4g} s of {counted(reader.n_channels, 'channel')} at {reader.sample_rate_hz} Hz"
        raise RecordingTooLongError(f"{name}: its header promises {form}, {_too_many(most)}")


def tolerated_s(max_seconds: float) -> float:
    """Seconds from which on a recording is too long; headers round, and what one lets pass is read to its end."""
    return 1.01 * max_seconds + 0.1


def _affordable(reader: SoundFileReader | MediaReader, max_seconds: float) -> float:
    """Highest number of samples, of all channels, that may be decoded."""
    is_dense = reader.sample_rate_hz * reader.n_channels > DENSE_PER_S
    return VALUES_PER_S * (min(max_seconds, DENSE_S) if is_dense else max_seconds)


def _most_values(reader: SoundFileReader | MediaReader, max_seconds: float) -> float:
    """Highest number of samples that are decoded; fewer where the header promises no such length."""
    most = _affordable(reader, max_seconds)
    # Headers round: a tenth and a second more than they say.
    promised = 1.1 * ((reader.promised_s or 0.0) + 1) * reader.sample_rate_hz * reader.n_channels
    return min(max(promised, UNPROMISED * most), most)


def _counted(
    blocks: Iterator[npt.NDArray[np.float32]],
    name: str,
    reader: SoundFileReader | MediaReader,
    first: int,
    max_seconds: float,
) -> Iterator[npt.NDArray[np.float32]]:
    """Pass on blocks that begin at frame ``first``, neither too many nor fewer than promised."""
    n_frames, most = first, _most_values(reader, max_seconds)
    for block in blocks:
        n_frames += len(block)
        if n_frames * reader.n_channels > most:
            raise RecordingTooLongError(f"{name}: holds more sound than its header promises, {_too_many(most)}")
        yield block
    if n_frames == 0:
        raise AudioError(f"{name}: has a header, but no sound. Record or copy it again.")
    if reader.least_s is not None:
        check_end(name, n_frames / reader.sample_rate_hz, reader.least_s)


def _too_many(most: float) -> str:
    return (
        f"at most {most:,.0f} samples of all channels together are decoded. "
        "Cut it into parts, or convert it to one channel at 48 kHz or less."
    )


def _too_long(name: str, max_seconds: float) -> RecordingTooLongError:
    return RecordingTooLongError(f"{name}: longer than {max_seconds:g} s, the most that is read. Cut it into parts.")


def _mono(
    blocks: Iterator[npt.NDArray[np.float32]], mixer: Mixer, name: str, channel: int | None
) -> Iterator[Waveform]:
    """Yield one channel, from 1, or the mean of all; at the end, channels that cancelled each other are refused."""
    for block in blocks:
        yield mixer.mean(block) if channel is None else np.ascontiguousarray(block[:, channel - 1])
    mixer.check(name)


def checked(blocks: Iterator[Waveform], name: str, sample_rate_hz: int, max_seconds: float) -> Iterator[Waveform]:
    """Pass on mono blocks that are sound: finite, in bounds, not too many."""
    n_samples = 0
    for block in blocks:
        check_deadline()
        n_samples += len(block)
        if n_samples > tolerated_s(max_seconds) * sample_rate_hz:
            raise _too_long(name, max_seconds)
        # Where all together lie within bounds, none lies outside; NaN and infinity don't.
        with np.errstate(all="ignore"):
            power = float(np.dot(block, block))
        if not power <= LARGEST_SAMPLE**2:
            peak = max(float(block.max()), -float(block.min()))  # NaN if any sample is
            if not math.isfinite(peak):
                raise AudioError(f"{name}: holds NaN or infinite samples. Export it again from what made it.")
            if peak > LARGEST_SAMPLE:
                raise AudioError(f"{name}: samples reach {peak:.1e}, sound lies in [-1, 1]. Scale it.")
        yield block


def _array_stream(
    array: npt.ArrayLike, sample_rate_hz: int, max_seconds: float, name: str, channel: int | None
) -> AudioStream:
    frames = _array_frames(array, sample_rate_hz, name)
    return mono(frames, frames.blocks, name, max_seconds, channel)


def _array_frames(array: npt.ArrayLike, sample_rate_hz: int, name: str) -> Frames:
    frames = array_frames(array, name)
    if not frames.size:
        raise AudioError(f"{name}: an empty array, no samples. Record it again.")
    check_form(name, sample_rate_hz, frames.shape[1])
    n_block = max(round(BLOCK_S * sample_rate_hz), 1)
    blocks = (frames[start : start + n_block] for start in range(0, len(frames), n_block))
    dtype = np.asarray(array).dtype
    if dtype == np.int32 and 0 < max(frames.max(initial=0), -frames.min(initial=0)) <= FROM_16_BITS:
        raise AudioError(f"{name}: int32 that holds no more than 16 bits would be next to silence. {SCALED}")
    return Frames(name, sample_rate_hz, frames.shape[1], f"array {dtype}", blocks)


def mono_chunk(array: npt.ArrayLike, mixer: Mixer, *, are_frames: bool = False) -> Waveform:
    """Return one piece of a stream as float32 mono; it may be empty.

    Raises `AudioError` when it has another shape or type, or holds NaN, infinity or samples beyond 32-bit integers.

    Parameters
    ----------
    array : shape (samples,), (samples, channels), or (1 or 2 channels, samples); finite; integers are scaled by their
        type's range
    mixer : of the stream
    are_frames : whether it is (samples, channels) for certain: one sample of 16 channels looks like one channel
    """
    frames = array_frames(array, "stream", are_frames)
    if not frames.size:
        return np.zeros(0, np.float32)
    return next(checked(iter([mixer.mean(frames)]), "stream", HIGHEST_HZ, np.inf))


def array_frames(array: npt.ArrayLike, name: str, are_frames: bool = False) -> npt.NDArray[np.float32]:
    """Return an array as frames, shape (samples, channels)."""
    if np.ma.isMaskedArray(array):
        raise AudioError(f"{name}: a masked array doesn't say what masked samples are. Give array.filled(0).")
    values = _numbers(array, name)
    if not are_frames and values.ndim == 2 and 1 <= len(values) <= CHANNELS_FIRST and values.shape[1] > FEW_CHANNELS:
        values = values.T  # (channels, samples), as torchaudio gives it
    if values.ndim not in (1, 2) or (values.ndim == 2 and values.shape[1] > MAX_CHANNELS):
        expected = "(samples,) or (samples, channels)"
        several = "Several recordings of one length go to model.predict_many([(one, rate) for one in array])."
        raise AudioError(
            f"{name}: expected shape {expected}, got {values.shape}. Are its dimensions in another order? {several}"
        )
    if np.issubdtype(values.dtype, np.integer):
        if values.dtype.itemsize > MOST_BYTES and values.any():  # 16-bit samples in 64 bits would be silence
            raise AudioError(f"{name}: {values.dtype} has no full scale in audio. {SCALED}")
        # int16 by 32,768; uint8 less 128, then by 128.
        bits = np.iinfo(values.dtype)
        values = (values.astype(np.float64) - (bits.max + 1) / 2 * (bits.min == 0)) / ((bits.max - bits.min + 1) / 2)
    with np.errstate(all="ignore"):
        return values.astype(np.float32).reshape(len(values), -1 if values.size else max(values.shape[1:], default=1))


def _is_raw(array: object) -> bool:
    """Whether it is a bytearray, or a view of bytes as sound cards give it: numpy takes each byte for a sample."""
    return not hasattr(array, "dtype") and not isinstance(array, list | tuple)


def _numbers(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return an array of integers or floats."""
    try:
        values = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists; tensors on a GPU or with gradients
        why = first_line(error)[:200].rstrip(".")
        raise AudioError(f"{name}: not an array of numbers ({why}). Give samples, such as a numpy array.") from None
    if values.dtype.kind == "S" or (values.dtype in (np.uint8, np.int8) and _is_raw(array)):
        raise AudioError(f"{name}: {RAW}")
    if np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating):
        return values
    raise AudioError(f"{name}: expected numbers, got {values.dtype}.")
