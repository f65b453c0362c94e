"""One answer to one recording: how often each face of a model says what `predict` says, and how right each is.

EARNEST_DATA=… python scripts/one_answer.py [--model base] [--clips 100] [--faces predict,browser]

Asks all faces of scripts/faces.py about recordings of RAVDESS, CREMA-D, EmoDB and nEMO, drawn with seed 0 among those
whose emotion the model has. Writes docs/results/one-answer-NAME.md and prints it, with recordings on which a face
differs.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from faces import ROOT, SEED, Faces, apart, same_answer, say

from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.runtime.prediction import Prediction

CORPORA = ("ravdess", "crema-d", "emodb", "nemo")
N_SHOWN = 8
NOTE = """\
# One answer to one recording: `{model}`

Written by `python scripts/one_answer.py --model {model} --clips {clips}`: {count} clips, {clips} of each corpus, drawn
with seed {seed}. "Same" is the share of clips whose status and emotion are those of `predict`. "Answered" have an
emotion. For WA (weighted accuracy, the share of clips that are right) and UA (unweighted accuracy, the mean recall over
classes) a clip without an answer counts as wrong; for "likeliest" the most probable class is taken whatever the status
is. The last column is the largest difference of a class' probability from `predict`'s. Per cent. This compares the ways
to ask the model. It is no test of the model, which was trained on some of these corpora.

`folder` answers many recordings in batches, without adaptation; `longest` is the emotion that fills most of the
timeline's spans; `browser` hears the samples that Python decoded; `browser-file` lets Chromium decode the file, Opus at
48 kHz.

| corpus | asked by | clips | same | answered | WA | UA | WA, likeliest | UA, likeliest | max Δp |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True)
class Compared:
    """A face's answers to some recordings beside `predict`'s."""

    face: str
    rows: Sequence[Utterance]
    expected: Sequence[Prediction]
    found: Sequence[Prediction]

    def of(self, corpus: str) -> "Compared":
        """Return the part of one corpus."""
        chosen = [number for number, row in enumerate(self.rows) if row.corpus == corpus]
        expected, found = ([answers[number] for number in chosen] for answers in (self.expected, self.found))
        return Compared(self.face, [self.rows[number] for number in chosen], expected, found)

    def differing(self) -> Iterator[tuple[Prediction, Prediction]]:
        """Yield pairs of answers that are not the same."""
        pairs = zip(self.expected, self.found, strict=True)
        return ((one, other) for one, other in pairs if not same_answer(one, other))

    def line(self, corpus: str) -> str:
        """Return one line of the table."""
        n_clips = len(self.rows)
        truth = [row.emotion for row in self.rows]
        answers = [answer.emotion for answer in self.found]
        likeliest = [answer.top(1)[0][0] if answer.probabilities else None for answer in self.found]
        cells = [
            1 - sum(1 for _ in self.differing()) / n_clips,
            sum(answer is not None for answer in answers) / n_clips,
            *scores(truth, answers),
            *scores(truth, likeliest),
        ]
        largest = max(apart(one, other) for one, other in zip(self.expected, self.found, strict=True))
        numbers = " | ".join(f"{100 * cell:.1f}" for cell in cells)
        return f"| {corpus} | {self.face} | {n_clips} | {numbers} | {largest:.1e} |"


def scores(truth: Sequence[str], answers: Sequence[str | None]) -> tuple[float, float]:
    """Return WA and UA; an answer without an emotion is wrong."""
    right = np.array([one == other for one, other in zip(truth, answers, strict=True)])
    classes = np.array(truth)
    return float(right.mean()), float(np.mean([right[classes == name].mean() for name in np.unique(classes)]))


def draw(corpus: str, classes: Sequence[str], count: int) -> list[Utterance]:
    """Draw recordings of a corpus whose emotion is one of the model's classes, in the order of their names."""
    rows = [row for row in load_utterances([corpus], {}) if row.emotion in classes]
    chosen = np.random.default_rng(SEED).choice(len(rows), min(count, len(rows)), replace=False)
    return [rows[number] for number in sorted(chosen)]


def main() -> None:
    """Ask and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="base", help="a shipped bundle's name, or a folder")
    parser.add_argument("--clips", type=int, default=100, help="of each corpus")
    parser.add_argument("--faces", help="names with commas between them; default: all")
    asked = parser.parse_args()
    faces = Faces(asked.model)
    names = asked.faces.split(",") if asked.faces else faces.names()
    rows = [row for corpus in CORPORA for row in draw(corpus, faces.predictor.info.classes, asked.clips)]
    paths = [row.path for row in rows]
    expected = faces.ask("predict", paths)
    compared = []
    for name in dict.fromkeys(("predict", *names)):
        found = expected if name == "predict" else faces.ask(name, paths)
        compared.append(Compared(name, rows, expected, found))
        tell(compared[-1])
    lines = [one.line("all") for one in compared]
    lines += [one.of(corpus).line(corpus) for corpus in CORPORA for one in compared]
    name = Path(asked.model).name
    text = NOTE.format(model=name, clips=asked.clips, count=len(rows), seed=SEED) + "\n".join(lines) + "\n"
    (ROOT / "docs" / "results" / f"one-answer-{name}.md").write_text(text, encoding="utf-8")
    say(text)


def tell(compared: Compared) -> None:
    """Print how a face compares, and recordings on which it differs."""
    say(compared.line("all"))
    for one, other in list(compared.differing())[:N_SHOWN]:
        said = (f"{answer.status} {answer.emotion} {dict(answer.top(2))}" for answer in (one, other))
        say(f"  {Path(one.path).name}: predict {' ≠ '.join(said)} {other.error or ''}")


if __name__ == "__main__":
    main()
