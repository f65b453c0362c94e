"""Spectrogram images: a network's input drawn as a picture, and predicted from one.

A recording of up to 4 s is one spectrogram. A longer one is heard in windows (`earnest.runtime.windows`), each with its
own level and its own silence cut off at the ends, so the spectrogram of the whole would be something that the network
never sees. Its picture holds the windows side by side.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from earnest.audio.activity import Extent
from earnest.audio.io import AudioStream, tolerated_s
from earnest.audio.source import Part, Source, path_of, source_name, whole_and_channel
from earnest.bundle import BundleInfo
from earnest.errors import AudioError, NoPicturesError, RecordingTooLongError, counted
from earnest.runtime.adaptation import Listener
from earnest.runtime.answers import AnswerBuilder
from earnest.runtime.graph import Graph, LogMel, PictureNetwork, WindowNetwork
from earnest.runtime.picture import Picture, SeenSegment, SeenWindow
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.windows import Job, Over, Windower, Windowing, WindowSound
from earnest.settings.front_end import FrontEnd
from earnest.settings.limits import from_mapping

_NOTHING = np.empty(0, np.float32)


def draw(graph: Graph, info: BundleInfo, audio: AudioStream, windowing: Windowing) -> Picture:
    """Draw the log-mel spectrogram of one recording, as the network sees it.

    Raises `AudioError` when the recording is silent, without speech, too short, or longer than the bundle's
    ``longest_s``, `BundleError` when the model works on raw samples.
    """
    windower = Windower(info.sample_rate_hz, audio.sample_rate_hz, windowing, not info.sounds, live=False)
    jobs: list[Job] = []
    n_samples = 0
    for block in audio.blocks:
        n_samples += len(block)
        if n_samples > tolerated_s(info.longest_s) * audio.sample_rate_hz:
            cut = f"ffmpeg -i long.wav -ss 0 -t {info.longest_s:g} part.wav"
            told = f"longer than {info.longest_s:g} s, the most that a spectrogram shows"
            raise RecordingTooLongError(f"{audio.name}: {told}. Cut out the part to see, such as with: {cut}")
        jobs += windower.accept(block)
    jobs += windower.finish()
    seconds = n_samples / audio.sample_rate_hz
    log_mels: list[LogMel] = []
    segments: list[SeenSegment] = []
    windows: list[SeenWindow] = []
    for job in jobs:
        if isinstance(job, Over):
            if windows:
                segments.append(SeenSegment(job.extent.start, job.extent.end, tuple(windows)))
            windows = []
        elif len(job.sound) >= info.shortest_s * info.sample_rate_hz:
            log_mels.append(graph.log_mel(job.sound))
            windows.append(SeenWindow(job.extent.start, job.extent.end, log_mels[-1].shape[1]))
    if not log_mels:
        told = f"silent, without speech, or shorter than {info.shortest_s:g} s"
        raise AudioError(f"{audio.name}: {told}. There is nothing to see.")
    side_by_side = np.concatenate(log_mels, axis=1)  # (rows, frames of all windows)
    return Picture(side_by_side, info.front_end, seconds, () if windower.is_whole else tuple(segments))


def answer_picture(
    network: WindowNetwork,
    info: BundleInfo,
    source: Source,
    options: Options,
    read: Callable[[Source], Picture],
    adapter: Listener | None = None,
) -> Prediction:
    """Predict from a picture; it hears no level, bandwidth or noise, so there are no quality words.

    Raises `AudioError` when it can't be read, is a channel or a part of a picture, or was made for another front end;
    `NoPicturesError` when several answers are averaged, or the model works on raw samples.

    Parameters
    ----------
    read : what decodes it, see `earnest.runtime.decoders`
    adapter : of its speaker, None for the model as it is
    """
    if not isinstance(network, PictureNetwork):
        raise NoPicturesError(f"'{info.name}' can't answer about pictures. Name one model, without variants.")
    name, (_, channel) = source_name(source), whole_and_channel(source)
    if channel or isinstance(source, Part):
        lacking = f"a spectrogram's picture has no {'channels' if channel else 'parts'}"
        raise AudioError(f"{name}: {lacking}. Answer it as a whole, or predict the recording itself.")
    picture = read(source)
    _check(picture, info, name)
    rate_hz = info.sample_rate_hz
    answers = AnswerBuilder(info, rate_hz, Windowing(), options, adapter)
    answers.tally.n_samples = round(picture.duration_s * rate_hz)
    first = 0
    for segment in _segments(picture, rate_hz):
        for start, end, n_frames in segment.windows:
            answer = network.run_log_mel(picture.log_mel[:, first : first + n_frames])
            first += n_frames
            heard = WindowSound(Extent(start, end), segment.start, _NOTHING)
            deque(answers.window(heard, {output: values[0] for output, values in answer.items()}), maxlen=0)
        deque(answers.segment(Over(Extent(segment.start, segment.end))), maxlen=0)
    told = answers.prediction(path_of(source), is_whole=not picture.segments)
    return replace(told, duration_s=picture.duration_s, speech_s=None, quality=())


def _segments(picture: Picture, rate_hz: int) -> tuple[SeenSegment, ...]:
    """Return a picture's segments; one that shows a recording whole has one, of one window."""
    if picture.segments:
        return picture.segments
    end = round(picture.duration_s * rate_hz)
    return (SeenSegment(0, end, (SeenWindow(0, end, picture.log_mel.shape[1]),)),)


def _check(picture: Picture, info: BundleInfo, name: str) -> None:
    """Refuse a picture that this model's front end didn't make."""
    # A setting that is gone says nothing: pictures and bundles of earlier versions have it.
    own, drawn = (
        {key: value for key, value in one.items() if key not in FrontEnd.removed}
        for one in (info.front_end, picture.front_end)
    )
    if drawn != own:
        raise AudioError(f"{name}: was made for another front end. Make it again: earnest spectrogram --model …")
    settings = from_mapping(FrontEnd, info.front_end, info.name)
    ends_s = max([picture.duration_s, *((segment.end - 1) / info.sample_rate_hz for segment in picture.segments)])
    if ends_s > tolerated_s(info.longest_s):  # each half second is a step of the answer
        told = f"shows {ends_s:,.0f} s, and at most {info.longest_s:g} s are heard in a picture"
        raise AudioError(f"{name}: {told}. Predict the recording itself.")
    n_rows = picture.log_mel.shape[0]
    n_frames = max(window.n_frames for segment in _segments(picture, 1) for window in segment.windows)
    # ⌊samples / hop⌋ + 1 frames, as the front end has them of the longest recording.
    n_most = int(info.longest_s * settings.sample_rate_hz) // settings.hop_length + 1
    if n_rows % settings.n_bands or n_frames > n_most:  # networks on several versions of a recording see more bands
        expected = f"{counted(settings.n_bands, 'row')} and at most {counted(n_most, 'column')}"
        raise AudioError(
            f"{name}: {counted(n_rows, 'row')} and {counted(n_frames, 'column')}, the model takes {expected}."
        )
