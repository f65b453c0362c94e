"""Conversations, where most of what is said is neutral: what is told as they are, and with `--classes neutral=0.6`.

Usage: python scripts/conversations.py FOLDER [MODEL ...]

FOLDER holds recordings of meetings, half a minute each, which the tests of a package come with:

    mkdir FOLDER && cd FOLDER
    pip download --no-deps --no-binary pyannote.audio pyannote.audio==4.0.7
    tar -xzf pyannote_audio-4.0.7.tar.gz

RAVDESS and nEMO, whose emotions are known, come from $EARNEST_DATA. Writes docs/results/conversations.md.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from left_out_table import SIX, Row, scores

from earnest.corpora.load import load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "conversations.md"
CORPORA = ("ravdess", "nemo")
ASKED = ("", "neutral=0.4", "neutral=0.6")
NEUTRAL = {"as the others": None, "60 %": 0.6, "80 %": 0.8}
N_SAID, N_DRAWS, SEED = 30, 5, 0
HEAD = """# Conversations

A model treats its emotions as equally frequent, and its percentages hold where they are. In conversations they are
not: most of what people say is neutral. Who knows that tells it with `--classes neutral=0.6` (in Python, to servers and
to the browser package `classes="neutral=0.6"`): 60 % of the recordings are neutral, the other emotions share the rest.
Each probability is then multiplied by how frequent its emotion is (Saerens, Latinne and Decaestecker, 2002).
Written by `python scripts/conversations.py FOLDER {models}`; the script says what FOLDER holds. All numbers
are in per cent; nothing was chosen by them.

## Meetings

{n} excerpts of meetings, half a minute each, of people who do not act, in English (the tests of pyannote.audio come
with them; by the names of their speakers they are of the AMI corpus). They have no labels. Emotions of the spans of
`earnest timeline`, as shares of the seconds of speech:

| model | `--classes` | s | told | neutral | sad | fearful | happy | angry, disgust |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""
CORPORA_HEAD = """
Relaxed speech is nearest to what actors do for "sad": don't believe that a calm conversation is sad.

## Acted recordings, most of them neutral

RAVDESS (six emotions) and nEMO (five), which the models never heard. Recordings count so much that neutral is as
frequent as the row says; the others are equally frequent. ECE: of told answers, in 15 bins. "Other": answers that name
an emotion that is not neutral, and how many of these are right.

| corpus | model | neutral | `--classes` | WA | told | right | ECE | other | right |
|---|---|---:|---|---:|---:|---:|---:|---:|---:|
"""

ADAPTED_HEAD = """
## The same, adapted to each speaker

Each speaker of the two corpora says {n} recordings, so many of them neutral, all other emotions equally often (drawn
with seed {seed}, {draws} times). Answers as they are, and adapted to all {n} (`--adapt auto`), without and with what is
true of the shares. WA / UA:

| corpus | model | neutral | as they are | told so | adapted | adapted, told so |
|---|---|---:|---:|---:|---:|---:|
"""

ADAPTED_FOOT = """
So of one speaker's recordings adaptation does what is hoped of telling, without being told: it is right more often in
all rows but one, and finds the other emotions, which telling loses. It has heard how frequent each emotion is. So what
is told counts less the more an answer is adapted: with the power 1 − w, w being the adaptation weight.
"""

FOOT = """
Say it where you know it: where neutral is as frequent as the others, accuracy falls. So it does in nEMO where 60 % are
neutral, for these models take much of this language for neutral as it is. Other emotions that are still told are nearly
always more often right.
"""


def meetings(model: Predictor, files: Sequence[Path]) -> Iterator[str]:
    """Yield a line of the table for each way to ask."""
    for asked in ASKED:
        seconds: dict[str, float] = defaultdict(float)
        for path in files:
            for span in model.timeline(path, classes=asked or None).spans:
                seconds[span.emotion] += span.end_s - span.start_s
        total = sum(seconds.values())
        share = {name: 100 * second / total for name, second in seconds.items()}
        told = [share.get(name, 0.0) for name in ("neutral", "sad", "fearful", "happy")]
        told.append(share.get("angry", 0.0) + share.get("disgust", 0.0))
        cells = " | ".join(f"{part:.0f}" for part in (total, sum(told), *told))
        yield f"| {model.info.name} | {_code(asked)} | {cells} |\n"


def acted(corpus: str, model: Predictor, rows: Sequence[Utterance]) -> Iterator[str]:
    """Yield a line of the table for each share of neutral recordings and each way to ask."""
    answers = {asked: [*model.predict_many([row.path for row in rows], classes=asked or None)] for asked in ASKED}
    n_of = Counter(row.emotion for row in rows)
    for frequent, told in NEUTRAL.items():
        neutral = 1 / len(n_of) if told is None else told
        share = {name: neutral if name == "neutral" else (1 - neutral) / (len(n_of) - 1) for name in n_of}
        for asked in ASKED:
            found = [
                Row(
                    share[row.emotion] / n_of[row.emotion],
                    row.emotion,
                    max(answer.probabilities, key=answer.probabilities.__getitem__),
                    max(answer.probabilities.values()),
                    answer.emotion is not None,
                )
                for row, answer in zip(rows, answers[asked], strict=True)
                if answer.probabilities
            ]
            yield f"| {corpus} | {model.info.name} | {frequent} | {_code(asked)} | {_cells(found)} |\n"


def adapted(corpus: str, model: Predictor, rows: Sequence[Utterance]) -> Iterator[str]:
    """Yield a line of the table for each share of neutral recordings."""
    heard = [*model.hear_many([row.path for row in rows], 2, Options())]
    emotions = sorted({row.emotion for row in rows})
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        places[row.speaker, row.emotion].append(place)
    for frequent, told in NEUTRAL.items():
        if told is None:
            continue
        shares = [told if name == "neutral" else (1 - told) / (len(emotions) - 1) for name in emotions]
        drawn = _drawn(places, emotions, shares, np.random.default_rng(SEED))
        said = [(speaker, heard[place]) for speaker, place in drawn]
        asked = Options.of(f"neutral={told}")
        told_so = [*model.predict_many([row.path for row in rows], 2, **asked.words())]
        found = (
            [one.plain for _, one in said],
            [told_so[place] for _, place in drawn],
            [*model.batch(Options()).answered(lambda said=said: iter(said))],
            [*model.batch(asked).answered(lambda said=said: iter(said))],
        )
        cells = " | ".join(_accuracy(answers, [rows[place].emotion for _, place in drawn]) for answers in found)
        yield f"| {corpus} | {model.info.name} | {frequent} | {cells} |\n"


def _drawn(
    places: Mapping[tuple[str, str], Sequence[int]],
    emotions: Sequence[str],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> list[tuple[str, int]]:
    """Draw speakers' recordings: the speaker, of each draw another, and the recording's place."""
    drawn = []
    for number in range(N_DRAWS):
        for speaker in sorted({speaker for speaker, _ in places}):
            for emotion in rng.choice(emotions, N_SAID, p=shares):
                # a speaker who has none of an emotion says something neutral
                own = places.get((speaker, str(emotion))) or places[speaker, "neutral"]
                drawn.append((f"{speaker} {number}", int(rng.choice(own))))
    return drawn


def _accuracy(answers: Sequence[Prediction], true: Sequence[str]) -> str:
    """Return WA / UA, in per cent; no answer is wrong."""
    told = [max(one.probabilities, key=one.probabilities.__getitem__, default="") for one in answers]
    found = [Row(1.0, emotion, name, 1.0, True) for name, emotion in zip(told, true, strict=True)]
    every = scores(found)
    return f"{100 * (every['wa'] or 0):.1f} / {100 * (every['ua'] or 0):.1f}"


def _cells(found: Sequence[Row]) -> str:
    every: Mapping[str, float | None] = scores(found)
    others = [row for row in found if row.is_answered and row.told != "neutral"]
    told = sum(row.weight for row in others)
    right = sum(row.weight for row in others if row.told == row.true) / told if told else np.nan
    values = (
        *(every[name] for name in ("wa", "coverage", "right", "ece")),
        told / sum(row.weight for row in found),
        right,
    )
    return " | ".join(f"{100 * (np.nan if value is None else value):.0f}" for value in values)


def _code(asked: str) -> str:
    return f"`{asked}`" if asked else "–"


def six_of(corpus: str) -> list[Utterance]:
    """Return the usable recordings of the six emotions."""
    return [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in SIX]


def main(folder: Path, names: Sequence[str]) -> None:
    """Hear everything with each model and write."""
    files = sorted(path for path in folder.glob("pyannote_audio-*/tests/data/*.wav") if path.stem != "empty")
    if not files:
        raise SystemExit(f"{folder}: no recordings of meetings lie there.\n\n{__doc__}")
    models = [Predictor.load(name) for name in names]
    text = HEAD.format(models=" ".join(names), n=len(files)) + "".join(
        row for one in models for row in meetings(one, files)
    )
    text += CORPORA_HEAD
    known = {corpus: six_of(corpus) for corpus in CORPORA}
    for corpus, rows in known.items():
        text += "".join(line for one in models for line in acted(corpus, one, rows))
    text += FOOT + ADAPTED_HEAD.format(n=N_SAID, seed=SEED, draws=N_DRAWS)
    for corpus, rows in known.items():
        text += "".join(line for one in models for line in adapted(corpus, one, rows))
    OUTPUT.write_text(text + ADAPTED_FOOT, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or ["base", "large", "small"])
