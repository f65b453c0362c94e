"""A finished evaluation measured further: utterances changed in many ways, and streams drawn from its answers.

Under stress the models of its folds answer their utterances again. For streams the plain answers to the test recordings
are there; each fold's adaptation network answers streams drawn of them, whatever the speakers speak. The models, the
splits and the plain predictions stay as they are; what is new lies beside them or elsewhere.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.augment.base import generator_for
from earnest.augment.stress import StressChange, stress_changes
from earnest.corpora.load import load_utterances
from earnest.errors import EarnestError, suggestion
from earnest.evaluation.answers import different
from earnest.evaluation.intervals import ScoredSpeakers
from earnest.evaluation.predictions import METRICS, Predictions, joined, read_predictions, write_predictions
from earnest.evaluation.split_files import Lookup, read_plans
from earnest.evaluation.splits import Split
from earnest.evaluation.streams import AnsweredStreams, answered_streams, streams_document
from earnest.evaluation.stress import StressCheck, StressRow, clean_checks, clean_row
from earnest.experiments.conditions import (
    PLAIN,
    Changed,
    Condition,
    FoldClips,
    NoiseTest,
    answer_conditions,
    read_adaptation,
)
from earnest.files.reading import read_json
from earnest.files.writing import holding, refuse_changed, write_json
from earnest.labels import scheme_called
from earnest.progress import SILENT, Progress
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.record import read_record
from earnest.training.run import PREDICTIONS

METRICS_STRESS = "metrics-stress.json"
Part: TypeAlias = Literal["test", "valid"]


@dataclass(frozen=True)
class Finished:
    """A folder of `earnest evaluate`.

    Attributes
    ----------
    document : its ``metrics.json``
    splits : of the folds that were asked for
    """

    folder: Path
    document: Mapping[str, Any]
    recipe: Recipe
    splits: Sequence[Split]

    @classmethod
    def read(cls, folder: Path, folders: Mapping[str, Path], folds: Sequence[str] = ()) -> "Finished":
        """Read a finished evaluation; each fold's utterances are those of its ``split.json``.

        Parameters
        ----------
        folders : corpus name → folder
        folds : some of them; empty: all
        """
        document = evaluation_document(folder / METRICS)
        refuse_changed(folder)
        known = list(document["folds"])
        for name in folds:
            if name not in known:
                raise EarnestError(f"{folder}: has no fold '{name}'.{suggestion(name, known)}")
        wanted = [name for name in known if name in folds or not folds]
        for name in wanted:
            refuse_changed(folder / name)
        recipe = read_recipe(folder / wanted[0])
        lookup = Lookup(load_utterances(recipe.corpora, folders))
        return cls(folder, document, recipe, [_split(folder / name, lookup) for name in wanted])


@dataclass(frozen=True)
class StressTest:
    """Settings of a stress test.

    Attributes
    ----------
    noise : recordings to mix in, None for none
    part : "valid" for choosing what helps, without a look at test utterances
    n_clips : the most of each fold, drawn evenly from its speakers and classes; None for all
    keeps_predictions : whether each condition's predictions are written too
    """

    noise: NoiseTest | None = None
    part: Part = "test"
    n_clips: int | None = None
    keeps_predictions: bool = False

    def changes(self, split: Split) -> list[StressChange]:
        """Return the changes for utterances of one fold; babble is made of utterances that are not asked about.

        They are its validation utterances, or its training utterances where it has none or these are asked about. Names
        and groups are the same in every fold.
        """
        voices = [row.path for row in (self.part == "test" and split.valid) or split.train]
        return stress_changes(voices, self.noise.files if self.noise else None)

    def conditions(self, split: Split) -> list[Condition]:
        """Return the conditions of one fold, the utterances as they are first."""
        return [PLAIN, *(Changed("stress", change.file_name, change.applied) for change in self.changes(split))]

    def clips(self, run: Path, split: Split) -> FoldClips:
        """Return all utterances of the part that is asked for."""
        if self.part == "test":
            return FoldClips.tested(run, split)
        if not split.valid or read_record(run).refitted:
            why = "was trained on its validation recordings" if split.valid else "has no validation recordings"
            raise EarnestError(f"{run}: {why}. Use --on test.")
        return FoldClips.validated(run, split)


@dataclass(frozen=True)
class Stress:
    """The table, the checks of clean utterances, and what is in ``metrics-stress.json``."""

    rows: Sequence[StressRow]
    checks: Sequence[StressCheck]
    document: Mapping[str, Any]


@holding("output")
def stress(finished: Finished, wanted: StressTest, output: Path, command: str, progress: Progress = SILENT) -> Stress:
    """Answer the utterances of every fold again under every condition, and compare with the plain answers.

    Parameters
    ----------
    output : gets metrics-stress.json
    """
    whole: list[Predictions] = []

    def folds() -> Iterator[FoldClips]:
        for split in finished.splits:
            clips = wanted.clips(finished.folder / split.fold, split)
            whole.append(clips.plain)
            yield clips if wanted.n_clips is None else clips.take(evenly_drawn(clips, wanted.n_clips))

    changes = wanted.changes(finished.splits[0])
    with progress.bar("answering", (1 + len(changes)) * len(finished.splits)) as advance:
        answers = answer_conditions(folds(), lambda clips: wanted.conditions(clips.split), advance)
    clean = answers[PLAIN.file_name].predictions
    table = [clean_row(clean)]
    for change in changes:
        found, name = answers[f"stress-{change.file_name}"], change.file_name
        table.append(StressRow.of(change.name, change.group, clean, found.predictions, found.n_untouched))
        if wanted.keeps_predictions:
            write_predictions(found.predictions, output / f"predictions-stress-{name}.csv")
    checked = joined(whole)
    checks = clean_checks(checked)
    document = {
        **_facts(finished, wanted, command),
        "n": clean.n_recordings,
        "n_checked": checked.n_recordings,
        "notes": ScoredSpeakers.of(clean).notes,
        "rows": [row.to_dict() for row in table],
        "checks": [check.to_dict() for check in checks],
    }
    write_json(output / METRICS_STRESS, document)
    return Stress(table, checks, document)


def evenly_drawn(clips: FoldClips, n_clips: int) -> npt.NDArray[np.intp]:
    """Return at most so many rows, in their order; speakers and classes take turns, in an order drawn by keys."""
    order = sorted(range(len(clips.rows)), key=lambda row: generator_for(clips.rows[row].key).random())
    seen: Counter[tuple[str, int]] = Counter()
    turns = {}
    for place, row in enumerate(order):
        cell = clips.rows[row].speaker, int(clips.plain.emotion[row])
        turns[row] = (seen[cell], place)
        seen[cell] += 1
    return np.array(sorted(sorted(order, key=turns.__getitem__)[:n_clips]), np.intp)


def _facts(finished: Finished, wanted: StressTest, command: str) -> dict[str, Any]:
    plain, noise = finished.document, wanted.noise
    return {
        **{name: plain.get(name) for name in ("protocol", "speaker_independent", "title")},
        "folds": [split.fold for split in finished.splits],
        "of_folds": len(plain["folds"]),
        "part": wanted.part,
        "n_clips_a_fold": wanted.n_clips,
        "command": command,
        "evaluation": plain.get("command"),
        "recipe": finished.recipe.to_dict(),
        "noise": noise and noise.facts(finished.recipe),
    }


def _split(run: Path, lookup: Lookup) -> Split:
    (plan,) = read_plans([run / "split.json"])
    return Split(
        **plan.found(lookup),
        fold=run.name,
        speaker_independent=bool(plan.speaker_independent),
        protocol=read_record(run).protocol,
        dialogue_partners=plan.dialogue_partners,
    )


def evaluation_document(path: Path) -> dict[str, Any]:
    """Read the ``metrics.json`` of a finished `earnest evaluate`."""
    missing = "no such file. Give a finished folder of `earnest evaluate`."
    document = read_json(path, missing=missing, hint="Evaluate again.")
    if not (isinstance(document, dict) and isinstance(document.get("folds"), dict) and document["folds"]):
        raise EarnestError(f"{path}: has no folds. Give a finished folder of `earnest evaluate`.")
    if not any((path.parent / name).is_dir() for name in document["folds"]):
        raise EarnestError(
            f"{path.parent}: holds no folder of a fold, such as {next(iter(document['folds']))}. Give a finished "
            "folder of `earnest evaluate`; `earnest train` and `earnest learn` make others."
        )
    return document


METRICS_STREAMS = "metrics-streams.json"


def measure_streams(folder: Path, command: str, progress: Progress) -> dict[str, Any]:
    """Draw streams from the test recordings of every fold, answer them in every way, score and write.

    Streams of one corpus count together, whichever fold's model answers them.

    Parameters
    ----------
    folder : of a finished `earnest evaluate`; gets metrics-streams.json

    Returns
    -------
    what is written, see `earnest.evaluation.streams.streams_document`
    """
    document = evaluation_document(folder / METRICS)
    refuse_changed(folder)
    predictions = read_predictions(folder / PREDICTIONS)
    classes = _asked_classes(document, predictions.classes)
    parts: dict[str, dict[str, list[AnsweredStreams]]] = {}
    with progress.bar("answering streams", len(predictions.folds)) as advance:
        for fold in predictions.folds:
            refuse_changed(folder / fold)
            adaptation, tested = read_adaptation(folder / fold), predictions.of_fold(fold)
            for corpus in different(tested.corpus):
                own = tested.take(np.flatnonzero(tested.corpus == corpus))
                for kind, streams in answered_streams(own, adaptation.answer, classes).items():
                    parts.setdefault(corpus, {}).setdefault(kind, []).append(streams)
            advance()
    corpora = {
        corpus: {kind: AnsweredStreams.joined(several) for kind, several in kinds.items()}
        for corpus, kinds in parts.items()
    }
    facts = {name: document.get(name) for name in ("protocol", "speaker_independent", "title")}
    evaluated = {"command": command, "evaluation": document.get("command"), "classes": list(classes)}
    found = {**facts, **evaluated, **streams_document(corpora)}
    write_json(folder / METRICS_STREAMS, found)
    return found


def _asked_classes(document: Mapping[str, Any], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the fewer classes that the protocol scores among, where it has some."""
    subsets = list(document.get("class_subsets", ()))
    return scheme_called(subsets[0]).classes if subsets else classes
