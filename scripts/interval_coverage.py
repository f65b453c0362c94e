"""Coverage of intervals over few speakers: a simulation with the bootstrap that `earnest score` uses.

Usage: python scripts/interval_coverage.py

Made-up speakers, of two designs: their share of right answers is drawn from a normal distribution (mean 70 %, deviation
10 points: new speakers of one corpus differ by 0 to 12, less what chance gives) or, as of an easy corpus, from a beta
distribution (mean 92 %, deviation 7 points, skewed). Each has 61 recordings of six classes (of 60, limits are often
exactly 70 %, which counts as held). Then speakers with unequal numbers of recordings. 1,000 draws for each number of
speakers, seed 0. Beside the coverage stands how often the truth lies below the interval. What `evaluate` and `score`
say of few speakers rests on it.
"""

import sys
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from earnest.evaluation.intervals import bootstrap
from earnest.evaluation.predictions import Predictions

SPEAKERS, N_DRAWS, N_CLIPS, N_CLASSES = (2, 3, 4, 5, 6, 8, 10, 16, 24, 91), 1000, 61, 6
UNEVEN = {
    "two of 500, ten of 10": [500] * 2 + [10] * 10,
    "one of 500, 11 of 20": [500] + [20] * 11,
    "20, each with 600/rank": [600 // rank for rank in range(1, 21)],
}
Draw = Callable[[int, np.random.Generator], npt.NDArray[np.float64]]
DESIGNS: dict[float, Draw] = {
    0.7: lambda n, rng: np.clip(rng.normal(0.7, 0.1, n), 0, 1),
    0.92: lambda n, rng: rng.beta(12.88, 1.12, n),
}


def drawn(right_share: npt.NDArray[np.float64], n_clips: Sequence[int], rng: np.random.Generator) -> Predictions:
    """Draw answers of speakers; a wrong answer is any other class."""
    n_rows = sum(n_clips)
    truth = np.concatenate([np.arange(n) % N_CLASSES for n in n_clips])
    other = (truth + rng.integers(1, N_CLASSES, n_rows)) % N_CLASSES
    told = np.where(rng.random(n_rows) < right_share.repeat(n_clips), truth, other)
    speakers = np.repeat([f"s{number}" for number in range(len(n_clips))], n_clips)
    names = np.array([f"u{number}" for number in range(n_rows)])
    empty = np.full(n_rows, "")
    classes = tuple(f"class {number}" for number in range(N_CLASSES))
    return Predictions(classes, names, empty, speakers, empty, empty, truth, told)


def main() -> None:
    """Draw, bootstrap, count."""
    equal = {str(n): [N_CLIPS] * n for n in SPEAKERS}
    for mean, draw in DESIGNS.items():
        sys.stdout.write(f"\nWA {100 * mean:.0f} %; speakers     WA held  UA held  WA below  mean width of WA\n")
        for title, n_clips in (equal | UNEVEN).items():
            held, below, widths = [], [], []
            for number in range(N_DRAWS):
                rng = np.random.default_rng([len(n_clips), number])
                found = bootstrap(drawn(draw(len(n_clips), rng), n_clips, rng), rng)
                held.append([found[name].low <= mean <= found[name].high for name in ("wa", "ua")])
                below.append(mean < found["wa"].low)
                widths.append(found["wa"].high - found["wa"].low)
            wa, ua = 100 * np.mean(held, axis=0)
            told = f"{wa:5.1f}%   {ua:5.1f}%    {100 * np.mean(below):5.1f}%  {100 * np.mean(widths):16.1f}"
            sys.stdout.write(f"{title:>22}  {told}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
