"""Write the folds "leave one corpus out" over RAVDESS, CREMA-D and EmoDB, as a recipe may be scored on them.

Usage: python scripts/left_out_corpora.py RECIPE FOLDER

The folds are those of the protocol cross-corpus; speakers whose labels the recipe's initial weights were fitted on are
left out of the test sets, so that no fold has to be refused. Corpora come from $EARNEST_DATA. Then:

    earnest evaluate RECIPE --set 'corpus=["crema-d","emodb","ravdess"]' --splits FOLDER --output runs/left-out/NAME
"""

import sys
from dataclasses import replace
from pathlib import Path

from earnest.corpora.load import load_utterances
from earnest.evaluation.protocols import splits_of
from earnest.models.classifier import build_classifier
from earnest.settings.recipe import read_recipe

CORPORA = ("crema-d", "emodb", "ravdess")
CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgust")


def main(recipe_path: Path, folder: Path) -> None:
    """Write one JSON a corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    known = build_classifier(read_recipe(recipe_path), CLASSES, seed=0).network.known_speakers
    rows = [row for row in load_utterances(CORPORA, {}) if row.emotion in CLASSES]
    for split in splits_of("cross-corpus", rows):
        test = tuple(row for row in split.test if f"{row.corpus}/{row.speaker}" not in known)
        fold = replace(split, test=test, protocol="left-out-corpora")
        (folder / f"{split.fold}.json").write_text(fold.to_json(), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
