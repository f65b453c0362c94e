"""Link vocal bursts of EmoGator's contributors that no sound head is tested on, for networks that should know them.

Usage: python scripts/bursts.py FOLDER [BURSTS]

Links BURSTS (1,200) files, drawn at random, into FOLDER. EmoGator comes from $EARNEST_DATA. Where that is FOLDER's
parent, a recipe of `python -m research distil` takes them as `recordings`.
"""

import sys
from pathlib import Path

import numpy as np
from fit_heads import kept_for_tests

from earnest.corpora.load import load_utterances

SEED = 21
N_BURSTS = 1_200


def main(folder: Path, n_bursts: int) -> None:
    rows = load_utterances(("emogator",), {})
    tested = kept_for_tests(row.speaker for row in rows)
    rows = [row for row in rows if row.speaker not in tested]
    folder.mkdir(parents=True, exist_ok=True)
    for number in np.random.default_rng(SEED).permutation(len(rows))[:n_bursts]:
        path = rows[number].path.resolve()
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else N_BURSTS)
