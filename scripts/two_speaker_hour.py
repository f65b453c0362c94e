"""An hour of two speakers: what `earnest predict` and `earnest timeline` say of it, and what they use.

EARNEST_DATA=… python scripts/two_speaker_hour.py FOLDER [--model base] [--minutes 60] [--before CHECKOUT]

Writes FOLDER/hour.flac and FOLDER/hour.json (the truth): a woman and a man of CREMA-D take turns of 1 to 4 recordings
of one emotion, with pauses of 0.3 to 1.5 s, in faint noise at −60 dBFS. 70 % of the turns are neutral; two stretches of
a twelfth of the recording each (5 minutes of an hour) are only neutral, and in two as long four turns of five are
angry. The stretches lie beside it as recordings of their own. The same seed (0) gives the same samples; a recording is
heard more than once, as nobody in CREMA-D has said an hour.

Then the two commands hear all of it, each in a process of its own: CPU seconds and peak memory are the process'. With
--before the same is done with another checkout of the package, put first on PYTHONPATH. What the timeline calls each
stretch is counted by time, "predict alone" is asked about the stretch as a recording. Writes
docs/results/two-speaker-hour-NAME.md and prints it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance

ROOT = Path(__file__).parent.parent
RATE_HZ, SEED = 16_000, 0
NOISE_DBFS = -60.0
NEUTRAL_SHARE = 0.7
ANGRY_SHARE = 0.8  # of the turns in an angry stretch; the others are neutral
STRETCH = 1 / 12  # of the recording
NEUTRAL_FROM, ANGRY_FROM = (2 / 12, 8 / 12), (5 / 12, 10 / 12)
# Outside the stretches, so that all in all NEUTRAL_SHARE are neutral: 2 s + 2 (1 − a) s + (1 − 4 s) x = 0.7.
NEUTRAL_ELSEWHERE = (NEUTRAL_SHARE - 2 * STRETCH * (2 - ANGRY_SHARE)) / (1 - 4 * STRETCH)
MIB = 2**20


@dataclass(frozen=True)
class Turn:
    """Recordings of one speaker and one emotion, one after the other."""

    start_s: float
    end_s: float
    speaker: str
    emotion: str


@dataclass(frozen=True)
class Stretch:
    """A part of the recording of one kind, "neutral" or "angry"."""

    kind: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Cost:
    """Time and memory of a command."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def main() -> None:
    """Make, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="base", help="a shipped bundle's name")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--before", type=Path, help="another checkout of the package")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    # In a process of its own: the peak of what starts a command would count as the command's.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        turns, stretches = pool.submit(make, asked.folder, 60 * asked.minutes).result()
    checkouts = {"before": asked.before, "now": ROOT} if asked.before else {"now": ROOT}
    measured = {name: Measured.of(asked.folder, stretches, asked.model, path) for name, path in checkouts.items()}
    text = "\n".join(report(asked.model, asked.minutes, turns, measured)) + "\n"
    (ROOT / "docs" / "results" / f"two-speaker-hour-{asked.model}.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def make(folder: Path, seconds: float) -> tuple[list[Turn], list[Stretch]]:
    """Write the recording, its stretches and the truth."""
    rng = np.random.default_rng(SEED)
    stretches = [
        Stretch(kind, place * seconds, (place + STRETCH) * seconds)
        for kind, places in (("neutral", NEUTRAL_FROM), ("angry", ANGRY_FROM))
        for place in places
    ]
    waveform, turns = spoken(rng, seconds, stretches)
    stretches = [fitted(stretch, turns) for stretch in stretches]
    noise = 10 ** (NOISE_DBFS / 20) * rng.normal(size=len(waveform)).astype(np.float32)
    waveform += noise
    soundfile.write(folder / "hour.flac", waveform, RATE_HZ, subtype="PCM_16")
    for number, stretch in enumerate(stretches):
        part = waveform[round(stretch.start_s * RATE_HZ) : round(stretch.end_s * RATE_HZ)]
        soundfile.write(folder / f"stretch-{number}.flac", part, RATE_HZ, subtype="PCM_16")
    truth = {"turns": [asdict(turn) for turn in turns], "stretches": [asdict(stretch) for stretch in stretches]}
    (folder / "hour.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return turns, stretches


def spoken(rng: np.random.Generator, seconds: float, stretches: Sequence[Stretch]) -> tuple[Waveform, list[Turn]]:
    """Return the conversation without noise, and its turns."""
    speakers = [by_emotion(rows) for rows in chosen_speakers(rng)]
    waveform = np.zeros(round(seconds * RATE_HZ), np.float32)
    turns: list[Turn] = []
    now = rng.integers(RATE_HZ)
    while now < len(waveform):
        clips = speakers[len(turns) % 2]
        emotion = drawn_emotion(rng, now / RATE_HZ, stretches, sorted(clips))
        start = end = now
        for row in rng.choice(len(clips[emotion]), int(rng.integers(1, 5)), replace=False):
            clip = load_waveform(clips[emotion][row].path, RATE_HZ)[: len(waveform) - now]
            waveform[now : now + len(clip)] = clip
            end = now + len(clip)
            now = end + round(rng.uniform(0.3, 1.5) * RATE_HZ)
            if now >= len(waveform):
                break
        turns.append(Turn(start / RATE_HZ, end / RATE_HZ, clips[emotion][0].speaker, emotion))
    return waveform, turns


def fitted(stretch: Stretch, turns: Sequence[Turn]) -> Stretch:
    """Return the stretch from the first to the last turn that begins in it: a turn before it may reach into it."""
    inside = [turn for turn in turns if stretch.start_s <= turn.start_s < stretch.end_s]
    return Stretch(stretch.kind, inside[0].start_s, inside[-1].end_s) if inside else stretch


def chosen_speakers(rng: np.random.Generator) -> Iterator[list[Utterance]]:
    """Yield the recordings of a woman, then of a man."""
    rows = load_utterances(["crema-d"], {})
    for gender in ("female", "male"):
        speaker = rng.choice(sorted({row.speaker for row in rows if row.gender == gender}))
        yield [row for row in rows if row.speaker == speaker]


def by_emotion(rows: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Group recordings."""
    return {emotion: [row for row in rows if row.emotion == emotion] for emotion in {row.emotion for row in rows}}


def drawn_emotion(rng: np.random.Generator, at_s: float, stretches: Sequence[Stretch], emotions: Sequence[str]) -> str:
    """Draw the emotion of the turn that begins now."""
    kind = next((stretch.kind for stretch in stretches if stretch.start_s <= at_s < stretch.end_s), "")
    others = [emotion for emotion in emotions if emotion != "neutral"]
    if kind:
        return "angry" if kind == "angry" and rng.random() < ANGRY_SHARE else "neutral"
    return "neutral" if rng.random() < NEUTRAL_ELSEWHERE else str(rng.choice(others))


@dataclass(frozen=True)
class Measured:
    """One checkout's answers to the hour and to each stretch alone, and the cost of the hour."""

    prediction: Mapping[str, Any]
    timeline: Mapping[str, Any]
    stretches: Sequence[tuple[Stretch, Mapping[str, Any]]]
    predict_cost: Cost
    timeline_cost: Cost

    @classmethod
    def of(cls, folder: Path, stretches: Sequence[Stretch], model: str, checkout: Path) -> "Measured":
        """Run both commands."""
        hour = str(folder.resolve() / "hour.flac")
        prediction, predict_cost = run(("predict", hour, "--json", "--model", model), checkout)
        timeline, timeline_cost = run(("timeline", hour, "--json", "--model", model), checkout)
        alone = [
            (
                stretch,
                run(
                    ("predict", str(folder.resolve() / f"stretch-{number}.flac"), "--json", "--model", model), checkout
                )[0],
            )
            for number, stretch in enumerate(stretches)
        ]
        return cls(prediction, timeline, alone, predict_cost, timeline_cost)


def run(words: Sequence[str], checkout: Path) -> tuple[Any, Cost]:
    """Run a command of a checkout; return the JSON that it wrote, and what it used.

    It runs in the checkout's folder, for Python takes what lies in the working folder first.
    """
    environ = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    start = time.monotonic()
    command = [sys.executable, "-m", "earnest", *words]
    process = subprocess.Popen(command, env=environ, cwd=checkout.resolve(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"earnest {' '.join(words)} of {checkout} failed: what it said is above.")
    kib = usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss
    return json.loads(said), Cost(time.monotonic() - start, usage.ru_utime + usage.ru_stime, kib * 1024 / MIB)


def shares_of(spans: Sequence[Mapping[str, Any]], start_s: float = 0.0, end_s: float = np.inf) -> dict[str, float]:
    """Return emotion → share of the spans' time between two moments, the largest first."""
    seconds: dict[str, float] = {}
    for span in spans:
        held_s = min(span["end_s"], end_s) - max(span["start_s"], start_s)
        if held_s > 0:
            seconds[span["emotion"]] = seconds.get(span["emotion"], 0.0) + held_s
    total_s = sum(seconds.values())
    return {name: held_s / total_s for name, held_s in sorted(seconds.items(), key=lambda item: -item[1])}


def true_shares(turns: Sequence[Turn]) -> dict[str, float]:
    """Return emotion → share of the turns' time."""
    return shares_of([asdict(turn) for turn in turns])


def named(shares: Mapping[str, float] | None) -> str:
    """Return shares as words."""
    return ", ".join(f"{name} {100 * share:.1f}" for name, share in (shares or {}).items()) or "–"


def calm_share(shares: Mapping[str, float]) -> float:
    """Return the share of neutral and unsure."""
    return shares.get("neutral", 0.0) + shares.get("unsure", 0.0)


def report(model: str, minutes: float, turns: Sequence[Turn], measured: Mapping[str, Measured]) -> Iterator[str]:
    """Yield the page's lines."""
    yield f"# An hour of two speakers: `{model}`"
    yield ""
    command = f"python scripts/two_speaker_hour.py FOLDER --model {model} --minutes {minutes:g}"
    yield f"Written by `{command}`, which says how it is made:"
    yield f"{len(turns)} turns of two speakers of CREMA-D. Shares of time in per cent."
    yield ""
    yield f"Turns: {100 * np.mean([turn.emotion == 'neutral' for turn in turns]):.1f} % neutral; of their time, pauses"
    yield f"within a turn included: {named(true_shares(turns))}."
    yield ""
    yield "| | status | emotion | confidence | shares | CPU s | wall s | peak MiB |"
    yield "|---|---|---|---:|---|---:|---:|---:|"
    for name, one in measured.items():
        answers = (
            ("predict", one.prediction, one.prediction.get("shares"), one.predict_cost),
            ("timeline", one.timeline, shares_of(one.timeline["spans"]), one.timeline_cost),
        )
        for command, answer, shares, cost in answers:
            confidence = "–" if answer["confidence"] is None else f"{100 * answer['confidence']:.1f}"
            spent = f"{cost.cpu_s:.1f} | {cost.wall_s:.1f} | {cost.peak_mib:.0f}"
            told = f"{answer['status']} | {answer['emotion'] or '–'} | {confidence} | {named(shares)}"
            yield f"| `{command}`, {name} | {told} | {spent} |"
    yield ""
    yield "`predict` alone: the stretch is answered as a recording. Neutral or unsure: the share of time, by `predict`,"
    yield "and in the timeline of the whole hour within the stretch."
    yield ""
    yield "| stretch | | `predict` alone | its shares | neutral or unsure | timeline's shares | neutral or unsure |"
    yield "|---|---|---|---|---:|---|---:|"
    for name, one in measured.items():
        for stretch, alone in one.stretches:
            within = shares_of(one.timeline["spans"], stretch.start_s, stretch.end_s)
            own = alone.get("shares")
            cells = (
                f"{stretch.kind}, {stretch.start_s / 60:.1f}–{stretch.end_s / 60:.1f} min",
                name,
                f"{alone['status']} {alone['emotion'] or ''}".strip(),
                named(own),
                f"{100 * calm_share(own):.1f}" if own else "–",
                named(within),
                f"{100 * calm_share(within):.1f}",
            )
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
