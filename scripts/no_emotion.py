"""Sound without an emotion: how often each face of a model tells one; and how much speech it refuses.

EARNEST_DATA=… python scripts/no_emotion.py [--model base] [--faces predict,browser] [--sounds 24]
    [--clips 200] [--speech 0] [--bursts 0]

1. Recordings of no speech, of classes that no fitting saw: ESC-10's baby-cry, helicopter, person-sneeze and sea-waves
   (as they are, 5 s, and the loudest 2.5 s of each, which are heard at once) and what scripts/unheard_sounds.py makes,
   --sounds of each class; all of them as they are, as MP3 and as Opus of low rate.
2. Speech that is refused: all recordings of RAVDESS, CREMA-D, EmoDB and nEMO (--speech bounds their number) by
   `predict`, and --clips of each by the other faces.
3. Vocal bursts of EmoGator's contributors that no fitting saw, by `predict` (--bursts bounds their number).

Draws have seed 0. Writes docs/results/no-emotion-NAME.md and prints it.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import unheard_sounds
from faces import ROOT, SEED, Faces, same_answer, say
from fit_heads import TEST_EVERY, kept_for_tests

from earnest.audio.io import decode
from earnest.corpora.load import corpus_root, load_utterances
from earnest.corpora.manifest import Utterance
from earnest.runtime.prediction import Prediction

CORPORA = ("ravdess", "crema-d", "emodb", "nemo")
ESC_CLASSES = ("baby-cry", "helicopter", "person-sneeze", "sea-waves")  # see scripts/fit_heads.py
FACES = ("predict", "timeline", "http", "browser", "browser-file")
SHORT_S = 2.5  # below a window, so that it is heard at once
Item = TypeVar("Item")
REFUSED = ("no-speech", "vocal-burst")
SURE_FROM = 0.7
CODINGS: dict[str, dict[str, Any]] = {
    "flac": {},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": 0.9},
    "opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 0.9},
}
NO_SPEECH_NOTE = """\
## No speech

Per cent of recordings without an emotion, whatever the status is; "same" is the share on which all
of them say what `predict` says (status and emotion); the last column counts the statuses of `predict`.

| class | coding | recordings | {faces} | same | `predict` |
|---|---|---:|{marks}---:|---|
"""
SPEECH_NOTE = """\

## Speech that is refused

Per cent of clips that are called "no-speech" or "vocal-burst": all clips by `predict`, then {count} of each corpus,
drawn with seed {seed}, by each of them; "same" is the share of those on which all say what `predict` says.

| corpus | clips | refused | {faces} | same | `predict` on all |
|---|---:|---:|{marks}---:|---|
"""
# What a burst of a category is most likely to be. The corpus labels emotions, not sounds, and no one has labelled the
# sounds: an amused hum is "laughter" here, a gasp of fear a "scream". What is not in this table is "other".
KINDS = {
    "amusement": "laughter",
    "sadness": "crying",
    "fear": "scream",
    "relief": "sigh",
    "disappointment": "sigh",
}
BURST_NOTE = """\

## Vocal bursts

Contributors of EmoGator (a corpus of vocal bursts) that were not used for fitting, every {every}th of their sorted
names, by `predict`, per cent. Kinds are guesses from the emotion that was asked for (`KINDS` in scripts/no_emotion.py).

| kind | bursts | an emotion | at ≥ {sure} % | called vocal burst | called no speech |
|---|---:|---:|---:|---:|---:|
"""


def burst_kind(native_emotion: str) -> str:
    """The likely sound of a category's bursts: laughter, crying, scream, sigh or other (see `KINDS`)."""
    return KINDS.get(native_emotion, "other")


@dataclass(frozen=True)
class Sound:
    """A recording of no speech."""

    name: str
    coding: str
    path: Path


def sounds(folder: Path, count: int) -> Iterator[Sound]:
    """Write all recordings of no speech, in each coding."""
    for name, number, waveform, rate_hz in originals(count):
        for coding, options in CODINGS.items():
            path = folder / f"{name.replace(' ', '-').replace(',', '')}-{number:03d}.{coding}"
            soundfile.write(path, waveform, rate_hz, **options)
            yield Sound(name, coding, path)


def originals(count: int) -> Iterator[tuple[str, int, npt.NDArray[np.float32], int]]:
    """Yield class, number, samples and sample rate in Hz."""
    for name in ESC_CLASSES:
        folder = corpus_root("noise-esc10", {}) / name
        for number, path in enumerate(sorted(path for path in folder.iterdir() if path.suffix != ".md")[:count]):
            recording = decode(path)
            yield name, number, recording.waveform, recording.sample_rate_hz
            part = loudest(recording.waveform, round(SHORT_S * recording.sample_rate_hz))
            yield f"{name}, {SHORT_S:g} s", number, part, recording.sample_rate_hz
    for name in unheard_sounds.makers():
        for number in range(count):
            yield name, number, unheard_sounds.make(name, number), unheard_sounds.RATE_HZ


def loudest(waveform: npt.NDArray[np.float32], n_samples: int) -> npt.NDArray[np.float32]:
    """Return the part of most energy."""
    if len(waveform) <= n_samples:
        return waveform
    energy = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    start = int(np.argmax(energy[n_samples:] - energy[:-n_samples]))
    return waveform[start : start + n_samples]


def no_speech_table(made: Sequence[Sound], answers: dict[str, list[Prediction]]) -> Iterator[str]:
    """Yield one line for each class and coding, then for all."""
    yield NO_SPEECH_NOTE.format(faces=" | ".join(answers), marks="---:|" * len(answers)).rstrip("\n")
    groups = [(name, coding) for name in dict.fromkeys(sound.name for sound in made) for coding in CODINGS]
    for name, coding in [*groups, *(("all", coding) for coding in CODINGS)]:
        chosen = [number for number, sound in enumerate(made) if sound.coding == coding and name in (sound.name, "all")]
        parts = [[found[number] for number in chosen] for found in answers.values()]
        shares = " | ".join(percent(answer.emotion is None for answer in part) for part in parts)
        yield f"| {name} | {coding} | {len(chosen)} | {shares} | {agreeing(parts)} | {counted(parts[0])} |"


def speech_lines(faces: Faces, names: Sequence[str], n_clips: int, n_speech: int) -> Iterator[str]:
    """Ask about real speech; yield one line a corpus."""
    columns, marks = " | ".join(f"{name}, {n_clips}" for name in names), "---:|" * len(names)
    yield SPEECH_NOTE.format(count=n_clips, seed=SEED, faces=columns, marks=marks).rstrip("\n")
    for corpus in CORPORA:
        rows = drawn(load_utterances([corpus], {}), n_speech)
        every = faces.ask("predict", [row.path for row in rows])
        some = drawn(every, n_clips)
        found = {
            name: some if name == "predict" else faces.ask(name, [Path(one.path) for one in some]) for name in names
        }
        shares = " | ".join(percent(answer.status in REFUSED for answer in part) for part in found.values())
        same = agreeing([some, *found.values()])
        refused = percent(answer.status in REFUSED for answer in every)
        yield f"| {corpus} | {len(rows)} | {refused} | {shares} | {same} | {counted(every)} |"


def unfitted_bursts() -> list[Utterance]:
    """Return the vocal bursts of EmoGator's contributors that nothing was fitted on."""
    rows = load_utterances(["emogator"], {})
    tested = kept_for_tests(row.speaker for row in rows)
    return [row for row in rows if row.speaker in tested]


def burst_lines(faces: Faces, n_bursts: int) -> Iterator[str]:
    """Ask about vocal bursts; yield one line a kind, then of all."""
    yield BURST_NOTE.format(every=TEST_EVERY, sure=round(100 * SURE_FROM)).rstrip("\n")
    chosen = drawn(unfitted_bursts(), n_bursts)
    answers = faces.ask("predict", [row.path for row in chosen])
    kinds = [burst_kind(row.native_emotion) for row in chosen]
    for kind in (*sorted(set(kinds)), "all"):
        part = [answer for answer, own in zip(answers, kinds, strict=True) if kind in (own, "all")]
        cells = [
            percent(answer.emotion is not None for answer in part),
            percent(answer.emotion is not None and (answer.confidence or 0) >= SURE_FROM for answer in part),
            percent(answer.status == "vocal-burst" for answer in part),
            percent(answer.status == "no-speech" for answer in part),
        ]
        yield f"| {kind} | {len(part)} | {' | '.join(cells)} |"


def drawn(items: Sequence[Item], count: int) -> list[Item]:
    """Draw so many, in their order; 0 takes all."""
    if not count or count >= len(items):
        return list(items)
    chosen = np.random.default_rng(SEED).choice(len(items), count, replace=False)
    return [items[number] for number in sorted(chosen)]


def percent(are: Iterable[bool]) -> str:
    """Return how many are true."""
    return f"{100 * np.mean(list(are)):.1f}"


def agreeing(faces: Sequence[Sequence[Prediction]]) -> str:
    """Return on how many recordings all faces say what the first one says, per cent."""
    return percent(all(same_answer(first, other) for other in others) for first, *others in zip(*faces, strict=True))


def counted(answers: Sequence[Prediction]) -> str:
    """Return how often each status came, the most frequent first."""
    return ", ".join(f"{count} {status}" for status, count in Counter(one.status for one in answers).most_common())


def main() -> None:
    """Ask and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="a shipped bundle's name, or a folder")
    parser.add_argument("--faces", default=",".join(FACES), help="names with commas between them")
    parser.add_argument("--sounds", type=int, default=24, help="of each class")
    parser.add_argument("--clips", type=int, default=200, help="of each corpus, asked of each face")
    parser.add_argument("--speech", type=int, default=0, help="clips of each corpus by predict; 0 for all")
    parser.add_argument("--bursts", type=int, default=0, help="vocal bursts; 0 for all")
    asked = parser.parse_args()
    faces, names, name = Faces(asked.model), asked.faces.split(","), Path(asked.model).name
    lines = [
        f"# Sound without an emotion: `{name}`",
        "",
        f"Written by `python scripts/no_emotion.py --model {name} --sounds {asked.sounds} --clips {asked.clips}`. The",
        "script says what is asked, and how. `predict`, `timeline`, a server (`http`) and a browser are asked.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = list(sounds(Path(folder), asked.sounds))
        paths = [sound.path for sound in made]
        answers = {face: faces.ask(face, paths) for face in dict.fromkeys(("predict", *names))}
        lines += no_speech_table(made, answers)
    lines += speech_lines(faces, names, asked.clips, asked.speech)
    lines += burst_lines(faces, asked.bursts)
    text = "\n".join(lines) + "\n"
    (ROOT / "docs" / "results" / f"no-emotion-{name}.md").write_text(text, encoding="utf-8")
    say(text)


if __name__ == "__main__":
    main()
