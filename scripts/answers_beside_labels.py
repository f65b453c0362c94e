"""Answers of the default model to real recordings of corpora that it never heard, beside their labels.

Usage: python scripts/answers_beside_labels.py [MODEL]

Draws five recordings each of RAVDESS and nEMO (seed 0, the model's classes only) and prints a table in Markdown;
nothing is chosen. Corpora come from $EARNEST_DATA.
"""

import sys

import numpy as np

from earnest.corpora.load import load_utterances, usable
from earnest.runtime.prediction import percent
from earnest.runtime.predictor import Predictor

CORPORA, N_CLIPS, SEED = ("ravdess", "nemo"), 5, 0


def main(name: str) -> None:
    """Draw, predict, print."""
    model = Predictor.load(name)
    lines = ["| recording | meant | answer |", "|---|---|---|"]
    for corpus in CORPORA:
        rows = [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in model.info.classes]
        for at in sorted(np.random.default_rng(SEED).choice(len(rows), N_CLIPS, replace=False)):
            answer = model.predict(rows[at].path)
            likeliest = ", ".join(f"{emotion} {percent(share)}" for emotion, share in answer.top(2))
            told = f"**{answer.emotion}** ({likeliest})" if answer.emotion else f"{answer.status} ({likeliest})"
            lines.append(f"| {corpus} `{rows[at].utterance_id}` | {rows[at].emotion} | {told} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "base")
