"""Gain and cost of test-time augmentation, on a corpus that the bundles never heard.

Usage: python scripts/tta_table.py CORPUS BUNDLE... [--variants none,noise]

Every recording of the six common emotions is answered plainly and with each kind of variants, in turn, one thread, no
abstaining; one without an answer counts as wrong. Differences in WA are of the same recordings; their interval is of
2,000 bootstraps over speakers (seed 0). Writes docs/results/tta.md; with --variants, the tables are printed only.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.parts import load_waveforms
from earnest.augment.tta import VARIANTS
from earnest.bundle import load_bundle
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.runtime.predictor import Predictor

PAGE = Path(__file__).parents[1] / "docs" / "results" / "tta.md"
SIX = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
N_RESAMPLES, SEED = 2000, 0
HEAD = """# Test-time augmentation: what it brings, what it costs

`--tta NAME` answers a recording and changed copies of it, and gives the mean of the probabilities. `{corpus}`, {n}
recordings of six emotions, which these models never heard; every recording answered (no abstaining). WA (weighted
accuracy) is the share that is right, UA (unweighted accuracy) the mean recall over classes, per cent; beside it the
difference in WA to the plain answers with its 95 % interval (bootstrap over speakers, seed 0), the number of answers a
recording, and how many times as long it takes, without decoding (one core of a shared machine).

`gain` is ±6 dB, `speed` 5 % slower and faster; `noise` white, 22.5 dB below the clip, `stretch` to 0.75 and 1.25 times
the speed, `pitch` a semitone down and up, `masks` one band and one stretch of time removed: together `multitask`,
which the multitask network's authors averaged over (theirs: 42.0 → 42.4 on IEMOCAP, 21.4 → 21.6 on RAVDESS).

What helps on one corpus may not help on another: on nEMO `base` has 52.5 / 51.8 without and 51.7 / 50.9 with `noise`,
-0.8 (-1.3 to -0.4) points of WA (`python scripts/tta_table.py nemo base --variants none,noise`). So nothing is averaged
unless you ask for it; try it on labelled recordings like yours first.

`python scripts/tta_table.py {corpus} {bundles}`
"""


def main(corpus: str, bundles: Sequence[str], variants: Sequence[str]) -> None:
    """Answer, score, write the page."""
    rows = [row for row in load_utterances([corpus], {}) if row.emotion in SIX]
    lines = [HEAD.format(corpus=corpus, n=len(rows), bundles=" ".join(bundles))]
    for name in bundles:
        lines += table(name, rows, variants or list(VARIANTS))
    if variants:
        sys.stdout.write("\n".join(lines[1:]) + "\n")
        return
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))


def table(bundle: str, rows: Sequence[Utterance], names: Sequence[str]) -> list[str]:
    """Return the table of one bundle, as lines of Markdown."""
    info = load_bundle(bundle).info
    if heard := {row.corpus for row in rows} & {line.name for line in info.training_corpora}:
        raise EarnestError(f"{bundle} learnt from {', '.join(heard)}: take a corpus that it never heard.")
    waveforms = load_waveforms((row.source for row in rows), info.sample_rate_hz)
    clips = [(waveform, info.sample_rate_hz) for waveform in waveforms]
    lines = [
        f"## `{bundle}`\n",
        "| variants | WA | UA | WA − plain | answers | time |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    true, speakers = np.array([row.emotion for row in rows]), np.array([row.speaker for row in rows])
    plain, seconds = np.zeros(len(rows), np.bool_), 0.0
    for name in names:
        predictor, start = Predictor.load(bundle, tta=name), time.process_time()
        found = [answer.emotion for answer in predictor.predict_many(clips, abstain_below=0.0)]
        spent = time.process_time() - start
        right = np.array(found) == true
        if name == "none":
            plain, seconds = right, spent
        ua = np.mean([right[true == emotion].mean() for emotion in SIX if emotion in true])
        gap = "–" if name == "none" else gap_text(right, plain, speakers)
        cells = (name, f"{100 * right.mean():.1f}", f"{100 * ua:.1f}", gap, str(len(VARIANTS[name])))
        lines.append(f"| {' | '.join(cells)} | {spent / seconds:.1f} |")
        sys.stderr.write(lines[-1] + "\n")
    return [*lines, ""]


def gap_text(right: npt.NDArray[np.bool_], plain: npt.NDArray[np.bool_], speakers: npt.NDArray[np.str_]) -> str:
    """Return the difference in points, and its interval over speakers."""
    gained = right.astype(float) - plain
    of_each = [gained[speakers == speaker] for speaker in np.unique(speakers)]
    sums, counts = np.array([one.sum() for one in of_each]), np.array([len(one) for one in of_each])
    drawn = np.random.default_rng(SEED).integers(len(sums), size=(N_RESAMPLES, len(sums)))
    low, high = np.quantile(100 * sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), (0.025, 0.975))
    return f"{100 * gained.mean():+.1f} ({low:+.1f} to {high:+.1f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--variants", default="", help="names with commas, the plain one first")
    typed = parser.parse_args()
    main(typed.corpus, typed.bundles, [name for name in typed.variants.split(",") if name])
