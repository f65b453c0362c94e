"""From corrections to a model of one's own: one call of `earnest.learn`."""

from collections.abc import Mapping
from pathlib import Path

import earnest
from earnest.apps.desktop.annotations import Parts
from earnest.apps.desktop.texts import tr
from earnest.corpora.annotations import utterances_of
from earnest.corpora.manifest import write_manifest
from earnest.errors import EarnestError


def learn_from(annotated: Mapping[str, Parts], folder: Path) -> Path:
    """Learn from the parts that were labelled by hand; return the folder of the new bundle. May take minutes.

    Raises
    ------
    EarnestError
        When there is too little to learn from, or it can't be written.
    """
    rows = utterances_of(annotated, by_hand_only=True)
    emotions = {row.emotion for row in rows}
    if len(emotions) < 2:
        raise EarnestError(
            tr("There are corrections of {count} emotions. To learn, correct or confirm parts of two or more.").format(
                count=len(emotions)
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "corrections.csv"
    write_manifest(rows, manifest)
    return earnest.learn(manifest, _free(folder / "my-model"), jobs=2).path


def _free(path: Path) -> Path:
    """Return a name that nothing has."""
    names = (path.with_name(f"{path.name}-{number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())
