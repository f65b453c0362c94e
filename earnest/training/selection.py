"""Nested selection: the settings of a fold are chosen by its own validation clips, before its test clips are scored."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from earnest.evaluation.splits import Split
from earnest.reading import read_json
from earnest.recipe import Recipe
from earnest.run_files import write_atomically
from earnest.training.search_space import SearchSpace
from earnest.training.shared_clips import SharedClips
from earnest.training.tuning import claim_search, tune_split

SELECTION, SELECTED = "selection", "selected.json"


def claim_selection(space: SearchSpace, split: Split, run: Path) -> None:
    """Note down in a run folder what is searched on which clips, or refuse the folder of another search."""
    claim_search(space, replace(split, test=()), run / SELECTION)


def selected_recipe(space: SearchSpace, split: Split, run: Path, clips: SharedClips) -> Recipe:
    """Search on the training and validation clips of a split and return the recipe with the best settings.

    Parameters
    ----------
    run : the run folder; gets the search in ``selection`` and the outcome in ``selected.json``
    """
    tuned = tune_split(space, replace(split, test=()), run / SELECTION, clips)
    chosen = {
        "settings": dict(tuned.best.settings),
        "metric": tuned.metric,
        "value": tuned.best.value,
        "trials": len(tuned.trials),
    }
    write_atomically(run / SELECTED, (json.dumps(chosen, indent=1, ensure_ascii=False) + "\n").encode())
    return tuned.recipe


def selected_settings(folders: Sequence[Path]) -> dict[str, Any]:
    """Return what was chosen in each run folder, by its name."""
    found = {}
    for folder in folders:
        found[folder.name] = read_json(folder / SELECTED)
    return found
