"""Learning curve of a model of one's own over few recordings, and the gain by its base's knowledge of emotions.

Usage: python scripts/few_recordings.py [BASE]

Recordings of corpora that the base never heard are heard as `earnest learn` hears them. Then each speaker is answered
by a head learnt from drawn recordings of a few drawn other speakers, as `earnest learn` would learn it: with its own
choice of the shrinkage, from the embeddings alone and from these beside the base's scores. Three draws for each
speaker, seed 0. Writes docs/results/few-recordings.md. Corpora come from $EARNEST_DATA.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from earnest.bundle import load_bundle
from earnest.corpora.load import load_utterances, usable
from earnest.errors import BundleError
from earnest.evaluation.confusion import confusion_counts, ua_of
from earnest.evaluation.texts import markdown_row, markdown_table
from earnest.learning.crossval import LabelledEmbeddings, LastLayer
from earnest.own.recordings import hear
from earnest.runtime.predictor import Predictor

PAGE = Path(__file__).parents[1] / "docs" / "results" / "few-recordings.md"
N_DRAWS, SEED = 3, 0
EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
SIX = {"ravdess": set(EMOTIONS) - {"surprised"}, "nemo": set(EMOTIONS) - {"disgust"}}
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "six emotions": EMOTIONS,
    "happy, sad, angry": ("happy", "sad", "angry"),
    "happy or angry": ("happy", "angry"),
    "sad or angry": ("sad", "angry"),
    "neutral or happy": ("neutral", "happy"),
    "women or men": ("female", "male"),
}
SIZES = ((2, 16), (2, 24), (4, 40), (4, 100), (8, 160), (8, 400))  # speakers, recordings
HEAD = """# How few recordings a model of your own needs

Written by `python scripts/few_recordings.py {base}`. Recordings of {corpora}, which `{base}` never heard. Each speaker
is answered by a head that learnt from drawn recordings of drawn other speakers, as `earnest learn` learns it. UA (mean
recall over classes) over all speakers, per cent, mean ± standard deviation of {draws} draws: learnt from how the base
hears the recordings alone → from that and what the base says of its own emotions (what `earnest learn` does).

The six emotions are neutral, happy, sad, angry, fearful, and of RAVDESS disgust, of nEMO surprise, which `base` doesn't
know. Where eight speakers have fewer recordings than a column says, all are taken. Women and men are no question of
emotion, and with two speakers none of gender either.
"""


class Heard:
    """Recordings of one corpus: embeddings (rows, width), speakers, and what they are called."""

    def __init__(self, corpus: str, predictor: Predictor) -> None:
        rows = [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in SIX[corpus]]
        heard = list(hear(predictor, [str(row.path) for row in rows]))
        kept = [place for place, one in enumerate(heard) if one.embedding is not None]
        self.embeddings = np.array([heard[place].embedding for place in kept], np.float64)
        self.speakers = np.array([rows[place].speaker for place in kept])
        self.emotions = np.array([rows[place].emotion for place in kept])
        self.genders = np.array([rows[place].gender or "" for place in kept])

    def labelled(self, classes: Sequence[str], base: LastLayer) -> LabelledEmbeddings:
        """Return the recordings of these classes, emotions or genders, as far as there are any."""
        labels = self.emotions if classes[0] in EMOTIONS else self.genders
        kept = np.isin(labels, classes)
        there, targets = np.unique(labels[kept], return_inverse=True)
        speakers = self.speakers[kept].tolist()
        return LabelledEmbeddings(
            self.embeddings[kept], targets, speakers, len(there), np.zeros(len(targets), np.bool_), base
        )


def drawn(
    data: LabelledEmbeddings, asked: str, n_speakers: int, n_rows: int, rng: np.random.Generator
) -> LabelledEmbeddings:
    """Draw recordings of speakers other than the one who is asked, until every class has three."""
    groups = np.array(data.groups)
    others = sorted(set(data.groups) - {asked})
    while True:
        speakers = rng.choice(others, n_speakers, replace=False)
        rows = rng.permutation(np.flatnonzero(np.isin(groups, speakers)))[:n_rows]
        if np.bincount(data.targets[rows], minlength=data.n_classes).min() >= 3:  # as `earnest learn` asks
            chosen = np.zeros(len(groups), np.bool_)
            chosen[rows] = True
            return data.take(chosen)


def scores(data: LabelledEmbeddings, n_speakers: int, n_rows: int) -> list[tuple[float, float]]:
    """Return UA without and with the base's scores, per cent, for each draw."""
    groups, found = np.array(data.groups), []
    for draw in range(N_DRAWS):
        answers = np.full((2, len(groups)), -1)
        for place, speaker in enumerate(sorted(set(data.groups))):
            own = drawn(data, speaker, n_speakers, n_rows, np.random.default_rng([SEED, draw, place]))
            held = groups == speaker
            for way, one in enumerate((replace(own, base=None), own)):
                weights, bias = one.discriminant(one.shrinkage(SEED))
                answers[way, held] = (data.embeddings[held] @ weights.T + bias).argmax(axis=1)
        without, beside = (100 * ua_of(confusion_counts(data.targets, one, data.n_classes)) for one in answers)
        found.append((without, beside))
    return found


def cell(found: Sequence[tuple[float, float]]) -> str:
    """Write both means, and how far draws differ."""
    means, deviations = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    return " → ".join(f"{mean:.1f} ± {deviation:.1f}" for mean, deviation in zip(means, deviations, strict=True))


def main(name: str) -> None:
    """Hear, draw, learn, write."""
    bundle = load_bundle(name)
    base = LastLayer.of(bundle)
    if base is None:
        raise BundleError(f"{name}: its last layer can't be read, so there is nothing to compare.")
    predictor = Predictor(bundle)
    corpora = {corpus: Heard(corpus, predictor) for corpus in SIX}
    columns = ("question", "corpus", *(f"{speakers} speakers, {rows}" for speakers, rows in SIZES))
    lines = [HEAD.format(base=name, corpora=" and ".join(SIX), draws=N_DRAWS)]
    lines += markdown_table(columns, "ll" + "r" * len(SIZES), ())
    for question, classes in QUESTIONS.items():
        for corpus, heard in corpora.items():
            data = heard.labelled(classes, base)
            cells = [cell(scores(data, *size)) for size in SIZES if len(classes) < 6 or size[1] >= 24]
            lines.append(markdown_row((question, corpus, *["–"] * (len(SIZES) - len(cells)), *cells)))
            sys.stdout.write(f"{lines[-1]}\n")
            sys.stdout.flush()
    PAGE.write_text("\n".join([*lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "base")
