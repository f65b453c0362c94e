"""Write the folds of ravdess-6fold with other corpora in training: what a line for research would be.

Usage: python scripts/research_splits.py FOLDER

Tested and validated are RAVDESS' speech recordings, as in ravdess-6fold; trained on are its training recordings,
CREMA-D, EmoDB and RAVDESS' songs, less those of speakers who are tested or validated. Corpora come from $EARNEST_DATA.
Then:

    earnest evaluate recipes/research-small.toml --splits FOLDER --output runs/results/research-small
"""

import sys
from dataclasses import replace
from pathlib import Path

from earnest.corpora.load import load_utterances, usable
from earnest.evaluation.protocols import splits_of

PROTOCOL = "ravdess-6fold"
MORE = ("crema-d", "emodb", "ravdess-song")


def main(folder: Path) -> None:
    """Write one JSON a fold."""
    folder.mkdir(parents=True, exist_ok=True)
    more = usable(load_utterances(MORE, {})).utterances
    for split in splits_of(PROTOCOL, load_utterances(("ravdess",), {})):
        kept = {row.speaker for rows in (split.valid, split.test) for row in rows}
        train = (*split.train, *(row for row in more if row.speaker not in kept))
        wider = replace(split, train=train, protocol=f"{PROTOCOL}-and-more")
        (folder / f"{split.fold}.json").write_text(wider.to_json(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
