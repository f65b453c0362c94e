"""Which clips to see twice, so that small classes count as much as large ones."""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Indices: TypeAlias = npt.NDArray[np.int64]
Strategy = Literal["minority", "minority-twice", "balanced"]
_ROUNDS = {"minority": 1, "minority-twice": 2}


def oversampled(targets: npt.ArrayLike, strategy: Strategy, rng: np.random.Generator) -> Indices:
    """Return every clip once and, after them, more of the small classes, drawn with replacement.

    Parameters
    ----------
    targets : shape (clips,), whole numbers: the class of each
    strategy : "minority" brings the smallest class to the size of the largest, "minority-twice" then does so with
        what is the smallest now (NTU's oversampling), "balanced" all of them

    Returns
    -------
    shape (clips and repetitions,), positions in ``targets``
    """
    classes = np.asarray(targets, np.int64)
    chosen = np.arange(len(classes))
    names, counts = np.unique(classes, return_counts=True)
    for _ in range(_ROUNDS.get(strategy, len(names))):
        smallest = int(counts.argmin()) if len(counts) else 0
        n_more = int(counts.max() - counts[smallest]) if len(counts) else 0
        if n_more == 0:
            break
        chosen = np.append(chosen, rng.choice(np.flatnonzero(classes == names[smallest]), n_more))
        counts[smallest] += n_more
    return chosen
