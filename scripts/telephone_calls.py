"""Calls over a telephone: is every sentence heard as speech, and is what is told right? By emotion.

Usage: python scripts/telephone_calls.py [MODEL ...]

A speaker's recordings of four emotions (all of RAVDESS' speech; of nEMO so many a speaker, seed 0) follow each other in
drawn order, with 0.7 s of line noise between them, as they are and over a telephone. `timeline` hears each such call.
An utterance is heard where a span covers three tenths of it, and has the answer of the span that covers most. Writes
docs/results/telephone-calls.md. Corpora come from $EARNEST_DATA.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.telephone import over_telephone
from earnest.corpora.load import load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "telephone-calls.md"
CORPORA, EMOTIONS = ("ravdess", "nemo"), ("neutral", "happy", "sad", "angry")
RATE_HZ, SEED, MOST_OF_SPEAKER = 16_000, 0, 40
PAUSE_S, LINE_DBFS = 0.7, -60.0
HEARD_FROM = 0.3  # of an utterance covered by one span
HEAD = """# Calls over a telephone

Written by `python scripts/telephone_calls.py {words}`: recordings of a speaker of two corpora that these models never
heard, one after the other, as they are and over a telephone (300 to 3,400 Hz, µ-law); `timeline` hears each call. Per
cent of the utterances: *not heard* are those of which no span covers three tenths; *told* those that get an emotion;
*right*, of the told.

| model | corpus | emotion | utterances | not heard | told | right | telephone: not heard | told | right |
|---|---|---|---:|---:|---:|---:|---:|---:|---:|
"""


def calls(corpus: str) -> Iterator[list[tuple[Utterance, Waveform]]]:
    """Yield the utterances of each speaker in drawn order, with their samples."""
    rng = np.random.default_rng(SEED)
    rows = defaultdict(list)
    for row in usable(load_utterances([corpus], {})).utterances:
        if row.emotion in EMOTIONS:
            rows[row.speaker].append(row)
    for speaker in sorted(rows):
        drawn = [rows[speaker][at] for at in rng.permutation(len(rows[speaker]))[:MOST_OF_SPEAKER]]
        yield [(row, load_waveform(row.source, RATE_HZ)) for row in drawn]


def joined(clips: Sequence[Waveform], rng: np.random.Generator) -> tuple[Waveform, list[tuple[float, float]]]:
    """Put clips, each (samples,), one after the other; return the call and where each begins and ends, in seconds."""
    pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
    parts, times, at = [pause], [], len(pause)
    for clip in clips:
        parts += [clip, pause]
        times.append((at / RATE_HZ, (at + len(clip)) / RATE_HZ))
        at += len(clip) + len(pause)
    call = np.concatenate(parts)
    return call + np.float32(10 ** (LINE_DBFS / 20)) * rng.standard_normal(len(call)).astype(np.float32), times


def answer(timeline: Timeline, start_s: float, end_s: float) -> str:
    """Return the emotion told of a part of a call: "" where it was not heard, "unsure" where none was told."""
    covered = [(min(span.end_s, end_s) - max(span.start_s, start_s), span) for span in timeline.spans]
    most, span = max(covered, key=lambda one: one[0], default=(0.0, None))
    if span is None or most < HEARD_FROM * (end_s - start_s):
        return ""
    return span.emotion or "unsure"


def cells(told: Sequence[tuple[str, str]]) -> str:
    """Return the three cells of answers, each with what it should be."""
    found = [(emotion, said) for emotion, said in told if said not in ("", "unsure")]
    shares = [sum(said == "" for _, said in told) / len(told), len(found) / len(told)]
    right = f"{100 * sum(emotion == said for emotion, said in found) / len(found):.1f}" if len(found) >= 10 else "–"
    return " | ".join([*(f"{100 * share:.1f}" for share in shares), right])


def lines(name: str) -> Iterator[str]:
    """Yield the rows of a model."""
    model = Predictor.load(name)
    for corpus in CORPORA:
        told: dict[str, list[tuple[str, str]]] = {"wide": [], "telephone": []}
        rng = np.random.default_rng(SEED)
        for call in calls(corpus):
            sound, times = joined([clip for _, clip in call], rng)
            for band, heard in (("wide", sound), ("telephone", over_telephone(sound, RATE_HZ))):
                timeline = model.timeline((heard / max(1.0, float(np.abs(heard).max())), RATE_HZ))
                told[band] += [
                    (row.emotion, answer(timeline, *time)) for (row, _), time in zip(call, times, strict=True)
                ]
        counts = Counter(emotion for emotion, _ in told["wide"])
        for emotion in (*EMOTIONS, "all"):
            own = [[one for one in band if emotion in (one[0], "all")] for band in told.values()]
            count = counts[emotion] or counts.total()
            yield f"| {Path(name).name} | {corpus} | {emotion} | {count:,} | {' | '.join(map(cells, own))} |\n"


def main(names: Sequence[str]) -> None:
    """Hear the calls with each model and write."""
    text = HEAD.format(words=" ".join(names))
    for name in names:
        for line in lines(name):
            sys.stdout.write(line)
            text += line
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["base"])
