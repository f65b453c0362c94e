"""Accuracy over the length of speech: words cut out of real recordings of a corpus that the model never heard.

Usage: python scripts/short_words.py [MODEL]

From each of 400 recordings of RAVDESS and of nEMO (seed 0; the model's classes only) one stretch of each length is cut
out of the part that is not silent, and predicted. Writes docs/results/short-words.md. Corpora come from $EARNEST_DATA.
"""

import sys
from pathlib import Path

import numpy as np

from earnest.audio.io import load_waveform
from earnest.audio.quality import active_part
from earnest.corpora.load import load_utterances, usable
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "short-words.md"
CORPORA, LENGTHS_S, N_CLIPS, SEED = ("ravdess", "nemo"), (0.3, 0.5, 0.75, 1.0, 1.25, 1.5, 3.0), 400, 0


def main(name: str) -> None:
    """Cut, predict, write."""
    model = Predictor.load(name)
    rate_hz = model.info.sample_rate_hz
    lines = [
        "# How short speech may be",
        "",
        f"Written by `python scripts/short_words.py {name}`: stretches cut out of 400 clips each of two corpora that",
        "the model never heard. Per cent: refused (no speech, or a vocal burst), the share of all that is right (WA,",
        "weighted accuracy), told (not unsure), and the share of the told answers that is right (–: none is told).",
        "",
        "| corpus | seconds | n | refused | WA | told | right |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for corpus in CORPORA:
        rows = [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in model.info.classes]
        rng = np.random.default_rng(SEED)
        chosen = [rows[at] for at in sorted(rng.permutation(len(rows))[:N_CLIPS])]
        clips = [load_waveform(row.source, rate_hz) for row in chosen]
        for length_s in LENGTHS_S:
            n_cut, told = int(length_s * rate_hz), []
            for row, clip in zip(chosen, clips, strict=True):
                first, end = active_part(clip, rate_hz) or (0, len(clip))
                start = int(rng.integers(first, max(end - n_cut, first) + 1))
                answer = model.predict((clip[start : start + n_cut], rate_hz))
                likeliest = max(answer.probabilities, key=answer.probabilities.__getitem__, default="")
                told.append((not answer.probabilities, likeliest == row.emotion, answer.status == "ok"))
            refused, right, sure = np.array(told).T
            cells = [
                f"{100 * share.mean():.1f}" if len(share) else "–" for share in (refused, right, sure, right[sure])
            ]
            lines.append(f"| {corpus} | {length_s:g} | {len(told)} | {' | '.join(cells)} |")
    OUTPUT.write_text("\n".join([*lines, ""]), encoding="utf-8")
    sys.stdout.write("\n".join(lines[6:]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "base")
