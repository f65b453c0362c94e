"""Coverage of intervals over few speakers: a simulation with the bootstrap that `earnest score` uses.

Usage: python scripts/interval_coverage.py

Made-up speakers whose share of right answers is drawn from a normal distribution (mean 70 %, deviation 10 points: new
speakers of one corpus differ by 0 to 12, less what chance gives), 61 recordings of six classes each (of 60, limits are
often exactly 70 %, which counts as held); 1,000 draws for each number of speakers, seed 0. What `evaluate` and `score`
say of few speakers rests on it.
"""

import sys

import numpy as np

from earnest.evaluation.intervals import bootstrap
from earnest.evaluation.predictions import Predictions

SPEAKERS, N_DRAWS, N_CLIPS, N_CLASSES = (2, 3, 4, 6, 8, 10, 16, 24, 91), 1000, 61, 6
MEAN, DEVIATION = 0.7, 0.1


def drawn(n_speakers: int, rng: np.random.Generator) -> Predictions:
    """Draw speakers and their answers; a wrong answer is any other class."""
    right_share = np.clip(rng.normal(MEAN, DEVIATION, n_speakers), 0, 1).repeat(N_CLIPS)
    n_rows = len(right_share)
    truth = np.tile(np.arange(N_CLIPS) % N_CLASSES, n_speakers)
    other = (truth + rng.integers(1, N_CLASSES, n_rows)) % N_CLASSES
    told = np.where(rng.random(n_rows) < right_share, truth, other)
    speakers = np.repeat([f"s{number}" for number in range(n_speakers)], N_CLIPS)
    names = np.array([f"u{number}" for number in range(n_rows)])
    empty = np.full(n_rows, "")
    classes = tuple(f"class {number}" for number in range(N_CLASSES))
    return Predictions(classes, names, empty, speakers, empty, empty, truth, told)


def main() -> None:
    """Draw, bootstrap, count."""
    sys.stdout.write("speakers  WA held  UA held  mean width of WA\n")
    for n_speakers in SPEAKERS:
        held, widths = [], []
        for draw in range(N_DRAWS):
            rng = np.random.default_rng([n_speakers, draw])
            found = bootstrap(drawn(n_speakers, rng), rng)
            held.append([found[name].low <= MEAN <= found[name].high for name in ("wa", "ua")])
            widths.append(found["wa"].high - found["wa"].low)
        wa, ua = 100 * np.mean(held, axis=0)
        sys.stdout.write(f"{n_speakers:8}  {wa:6.1f}%  {ua:6.1f}%  {100 * np.mean(widths):16.1f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
