"""The search for settings named in ``[tune]``: trials learn from ``train`` and are judged on ``valid``."""

import io
import json
import logging
import shutil
import sqlite3
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial, reduce
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, RecipeError, SplitError, counted, needs_extra, suggestion
from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.splits import Split
from earnest.experiments.task import (
    SharedClips,
    auxiliary_utterances,
    protocol_utterances,
    rows_in,
    split_called,
    under,
    with_weights_of,
)
from earnest.files.reading import read_json
from earnest.files.tables import RowWriter
from earnest.files.writing import holding, write_atomically
from earnest.models.classifier import MODELS, refuse_wrong_answers
from earnest.progress import SILENT, Progress
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Range, Recipe, Tune, read_recipe, recipe_to_toml
from earnest.training.examples import targets_of
from earnest.training.heads import EmotionHead
from earnest.training.learn import learner_for
from earnest.training.record import CHECKPOINT, History
from earnest.training.run import BEFORE_LEARNING, claim, initial_classifier

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial


TABLES = ("front_end", "network", "training")
_MISSING = object()
REFUSED = {
    "training.refit": "it changes nothing on validation utterances",
    "training.seed": "the best of several draws is luck",
}


@dataclass(frozen=True)
class SearchSpace:
    """A recipe and what may take the place of its settings; checked as a whole before anything is trained.

    Raises `RecipeError` for a setting that there isn't, with the nearest one, and for ends of ranges and choices that a
    recipe refuses.
    """

    recipe: Recipe
    tune: Tune

    def __post_init__(self) -> None:
        if not (self.tune.ranges or self.tune.choices):
            raise RecipeError("tune: nothing to try. Add [tune.ranges] or [tune.choices] to the recipe.")
        for key in (*self.tune.ranges, *self.tune.choices):
            kind_of(self.recipe, key)
        for key, found in self.tune.ranges.items():
            _require_numbers(kind_of(self.recipe, key), found, key)
            for value in (found.low, found.high):
                self._refuse_unused(key, value)
        for key, choices in self.tune.choices.items():
            for value in choices:
                self._refuse_unused(key, value)

    def _refuse_unused(self, key: str, value: Any) -> None:
        """Refuse a value that no recipe may have, and a setting of which the method of training makes no use."""
        training = self.recipe_with({key: value}).training
        if "training.method" not in self.tune.choices and key.removeprefix("training.") in training.unused:
            raise RecipeError(
                f"tune: '{key}' can't be tuned: method = \"{training.method}\" makes no use of it. Leave it out."
            )

    def recipe_with(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with other settings: key, such as "training.learning_rate" → value."""
        values = self.recipe.to_dict()
        for key, value in settings.items():
            *tables, name = key.split(".")
            table = values
            for word in tables:
                table = table.setdefault(word, {})
            table[name] = value
        where = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        recipe = from_mapping(Recipe, values, f"tune, {where}")
        _network_settings(recipe, f"tune, {where}: network")
        return recipe

    def distributions(self) -> "dict[str, BaseDistribution]":
        """Return Optuna's distributions; choices are drawn by their JSON text, so that lists can be among them."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for key, span in self.tune.ranges.items():
            if kind_of(self.recipe, key) is int:
                found[key] = IntDistribution(int(span.low), int(span.high), log=span.log, step=int(span.step or 1))
            else:
                found[key] = FloatDistribution(span.low, span.high, log=span.log, step=span.step)
        for key, choices in self.tune.choices.items():
            found[key] = CategoricalDistribution([json.dumps(choice) for choice in choices])
        return found

    def claim(self, split: Split, run: Path) -> None:
        """Note down in a run folder what is searched on which utterances, or refuse the folder of another search."""
        claim_search(self, replace(split, test=()), run / SELECTION)

    def best_recipe(self, split: Split, run: Path, clips: SharedClips) -> Recipe:
        """Search on the training and validation utterances of a split and return the recipe with the best settings.

        Parameters
        ----------
        run : the run folder; gets the search in ``selection`` and the outcome in ``selected.json``
        """
        tuned = tune_split(self, replace(split, test=()), run / SELECTION, clips)
        chosen = {
            "settings": dict(tuned.best.settings),
            "metric": tuned.metric,
            "value": tuned.best.value,
            "trials": len(tuned.trials),
        }
        write_atomically(run / SELECTED, (json.dumps(chosen, indent=1, ensure_ascii=False) + "\n").encode())
        return tuned.recipe

    def settings_of(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return drawn settings as key → value."""
        return {key: json.loads(value) if key in self.tune.choices else value for key, value in drawn.items()}

    def own(self) -> dict[str, Any] | None:
        """Return the recipe's own settings as Optuna would have drawn them, None where one lies outside."""
        found: dict[str, Any] = {}
        for key, span in self.tune.ranges.items():
            value = self._own_value(key)
            if isinstance(value, int | float) and span.holds(value):
                found[key] = value
        for key, choices in self.tune.choices.items():
            same = [choice for choice in choices if self._own_value(key, choice) == self._own_value(key)]
            if same:
                found[key] = json.dumps(same[0])
        return found if len(found) == len(self.tune.ranges) + len(self.tune.choices) else None

    def _own_value(self, key: str, instead: Any = _MISSING) -> Any:
        recipe = self.recipe if instead is _MISSING else self.recipe_with({key: instead})
        values = recipe.to_dict() | {"network": asdict(_network_settings(recipe, "network"))}
        return reduce(getitem, key.split("."), values)


def kind_of(recipe: Recipe, key: str) -> Any:
    """Return the type of a setting; another key is an error that names the nearest right one."""
    table, *words = key.split(".")
    if table not in TABLES:
        raise RecipeError(f"tune: '{key}': no table '{table}'.{suggestion(table, TABLES)}")
    if key in REFUSED:
        raise RecipeError(f"tune: '{key}' can't be tuned: {REFUSED[key]}.")
    kind = MODELS.get(recipe.model).settings_type if table == "network" else typing.get_type_hints(Recipe)[table]
    for word in words:
        known = typing.get_type_hints(kind) if is_dataclass(kind) else {}
        if word not in known:
            raise RecipeError(f"tune: '{key}': unknown setting '{word}'.{suggestion(word, known)}")
        kind = known[word]
    if is_dataclass(kind):
        first = next(iter(typing.get_type_hints(kind)))
        raise RecipeError(f"tune: '{key}' is a table; name one of its settings, such as '{key}.{first}'.")
    numbers = [choice for choice in typing.get_args(kind) if choice in (int, float)]
    return numbers[-1] if numbers else kind


def _require_numbers(kind: Any, found: Range, key: str) -> None:
    if kind not in (int, float):
        raise RecipeError(f"tune: '{key}' is no number, so it has no range. List its values under [tune.choices].")
    numbers = (found.low, found.high, found.step if found.step is not None else 1)
    if kind is int and not all(isinstance(number, int) for number in numbers):
        raise RecipeError(f"tune: '{key}' takes whole numbers; low, high and step must be whole too.")


def _network_settings(recipe: Recipe, where: str) -> Any:
    """Return the settings of the recipe's network, defaults included."""
    return from_mapping(MODELS.get(recipe.model).settings_type, dict(recipe.network), where)


SELECTION, SELECTED = "selection", "selected.json"


def selected_settings(folders: Sequence[Path]) -> dict[str, Any]:
    """Return the chosen settings of each run folder, by its name."""
    return {folder.name: read_json(folder / SELECTED) for folder in folders}


STUDY, BEST, TRIALS, TRIED = "study.db", "best.toml", "trials.csv", "tune.json"
FOLDERS = "trials"  # in it a folder a trial
State = Literal["complete", "pruned", "failed"]
METRIC = "valid_ua"  # in tables; what trials are judged by
N_DRAWS = 32  # of settings that were tried, before one of them counts as a trial again
N_BEFORE_PRUNING = 4  # trainings that end as planned, before one is held against them


@dataclass(frozen=True)
class Trial:
    """One set of settings that was tried.

    Attributes
    ----------
    number : from 1, in the order of trying
    value : UA on validation utterances, from 0 to 1; None where the training failed or was ended early
    settings : key → value
    error : why it failed
    """

    number: int
    state: State
    value: float | None
    settings: Mapping[str, Any]
    error: str = ""


@dataclass(frozen=True)
class Tuned:
    """The outcome: all trials, and the recipe with the best settings."""

    metric: str
    protocol: str
    fold: str
    n_train: int
    n_valid: int
    trials: Sequence[Trial]
    best: Trial
    recipe: Recipe


@holding("output")
def tune(
    space: SearchSpace,
    protocol_name: str,
    fold: str | None,
    folders: Mapping[str, Path],
    output: Path,
    on_trial: Callable[[Trial], object] = str,
    progress: Progress = SILENT,
    rows: Sequence[Utterance] = (),
) -> Tuned:
    """Try settings on one fold of a protocol, the first by default; the same call again goes on where it was.

    Parameters
    ----------
    folders : corpus name → folder
    output : gets the study, a folder a trial, trials.csv and best.toml
    on_trial : called after each trial
    rows : the utterances of the corpora where they were read before
    """
    protocol = protocol_called(protocol_name)
    space = replace(space, recipe=under(protocol, space.recipe))
    utterances = rows or protocol_utterances(space.recipe, protocol, folders)
    split = replace(split_called(protocol, fold, utterances), test=())  # from here on there are none
    space = replace(space, recipe=with_weights_of(space.recipe, split.fold))
    clips = SharedClips(rows_in([split]), progress, auxiliary_utterances(space.recipe, folders))
    return tune_split(space, split, output, clips, on_trial)


def tune_split(
    space: SearchSpace, split: Split, output: Path, clips: SharedClips, on_trial: Callable[[Trial], object] = str
) -> Tuned:
    """Try settings on one split, whose test set is empty. ``clips``: of the split, at least."""
    claim_search(space, split, output)
    # Not after decoding:
    refuse_wrong_answers(initial_classifier(space.recipe, clips.classes(space.recipe)), space.recipe.model)
    torch.set_num_threads(1)  # the same bits on every machine's number of cores
    workplace = _Workplace(split, output, clips)
    with _study(output) as study:
        _forget_killed(study)
        while (n_done := len(_finished(study))) < space.tune.trials:
            on_trial(_try_next(study, space, workplace, n_done))
        trials = [_told(trial, number, space) for number, trial in enumerate(_finished(study), 1)]
    return _written(output, space, split, trials)


def claim_search(space: SearchSpace, split: Split, output: Path) -> None:
    """Note down what is tried on which utterances, or refuse a folder of another search; more trials are welcome."""
    if split.test:
        raise SplitError(f"{split.title}: it has test recordings, and settings are never chosen on those.")
    if not split.valid:
        raise RecipeError(f"{split.title}: has no validation recordings, on which settings are chosen.")
    if (output / TRIED).exists() and not _has_learnt(output):
        _forget(output)
    claim(output, space.recipe, split)
    _claim_table(output, space.tune)


def _has_learnt(output: Path) -> bool:
    """Whether a trial has a value, or has learnt an epoch at least."""
    if any(one.name not in BEFORE_LEARNING for one in output.glob(f"{FOLDERS}/*/[!.]*")):
        return True
    if not (output / STUDY).exists():
        return False
    with _study(output) as study:
        return any(trial.value is not None for trial in study.trials)


def _forget(output: Path) -> None:
    """Remove a search that has learnt nothing: as in `claim`, the corrected recipe takes its place."""
    shutil.rmtree(output / FOLDERS, ignore_errors=True)
    for name in (STUDY, TRIALS, TRIED):
        (output / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Workplace:
    """The split, folder and utterances that trials share."""

    split: Split
    output: Path
    clips: SharedClips


def _try_next(study: "Study", space: SearchSpace, workplace: _Workplace, n_done: int) -> Trial:
    from optuna.trial import TrialState

    own = space.own() if n_done == 0 else None
    if own and not study.get_trials(states=(TrialState.WAITING,)):
        study.enqueue_trial(own)
    trial, same = _drawn(study, space, n_done)
    if same:  # none is left that was not tried
        study.tell(trial, same.value)
        return _told(study.trials[trial.number], n_done + 1, space)
    state, value = TrialState.FAIL, None
    try:
        recipe = space.recipe_with(space.settings_of(trial.params))
        watch = _Watch(trial)
        value = _value(recipe, workplace, workplace.output / FOLDERS / f"{n_done + 1:03d}", watch)
        state, value = (TrialState.PRUNED, None) if watch.is_pruned else (TrialState.COMPLETE, value)
    except RecipeError as error:  # settings that don't go together are a result too
        trial.set_user_attr("error", str(error))
    study.tell(trial, value, state)
    return _told(study.trials[trial.number], n_done + 1, space)


def _drawn(study: "Study", space: SearchSpace, n_done: int) -> "tuple[OptunaTrial, FrozenTrial | None]":
    """Draw settings that were not tried; where none are found, the trial that had them."""
    from optuna.trial import TrialState

    for number in range(N_DRAWS):
        study.sampler = _sampler(space.tune, n_done, number)
        trial = study.ask(space.distributions())
        complete = study.get_trials(states=(TrialState.COMPLETE,))
        same = next((one for one in complete if one.params == trial.params), None)
        if same is None or number == N_DRAWS - 1:
            break
        study.tell(trial, state=TrialState.FAIL)  # it would learn the same again
    return trial, same


@dataclass
class _Watch:
    """Reports each epoch to Optuna, and ends a training that is pruned."""

    trial: "OptunaTrial"
    is_pruned: bool = False
    _n_told: int = 0

    def ends_now(self, history: History) -> bool:
        """Report the epochs that are new; a resumed training brings several."""
        for row in history[self._n_told :]:
            self.trial.report(row[METRIC], int(row["epoch"]))
            self.is_pruned = self.is_pruned or self.trial.should_prune()
        self._n_told = len(history)
        return self.is_pruned


def _value(recipe: Recipe, workplace: _Workplace, folder: Path, watch: _Watch) -> float:
    """Train, and return UA on the validation utterances."""
    split, clips = workplace.split, workplace.clips.of(recipe)
    if (folder / "recipe.toml").exists() and not read_recipe(folder).trains_as(recipe):
        shutil.rmtree(folder)  # begun by a search that was killed, with an Optuna that drew otherwise
    claim(folder, recipe, split)
    classifier = initial_classifier(recipe, workplace.clips.classes(recipe))
    train, valid, n_classes = clips.of(split.train), clips.of(split.valid), len(classifier.classes)
    learner = learner_for(recipe, replace(clips, auxiliary=clips.auxiliary_of(split)))
    learner.fit(classifier, (train,), valid, folder, ends_now=watch.ends_now)
    logits = learner.logits(classifier.network, EmotionHead(n_classes), valid)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    counts = confusion_counts(targets_of(valid), logits.argmax(dim=1).numpy(), n_classes)
    return float(headline_scores(counts)["ua"])


@contextmanager
def _study(output: Path) -> "Iterator[Study]":
    """Open the study of a folder, or begin it."""
    with needs_extra("Tuning", "train"):
        import optuna
        from optuna.storages import RDBStorage
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DatabaseError

    optuna.logging.set_verbosity(logging.ERROR)
    pruner = optuna.pruners.MedianPruner(N_BEFORE_PRUNING)
    path, storage = (output / STUDY).resolve(), None
    try:
        # Opened by path, which may hold "?": versions of SQLAlchemy read that differently in an address.
        opened = {"creator": partial(sqlite3.connect, path, check_same_thread=False)}
        storage = RDBStorage(f"sqlite:///{STUDY}", engine_kwargs=opened)
        yield optuna.create_study(
            storage=storage, study_name="tune", direction="maximize", pruner=pruner, load_if_exists=True
        )
    except (DatabaseError, StorageInternalError) as error:
        why = error.orig if isinstance(error, DatabaseError) else error
        raise EarnestError(
            f"{path}: the study can't be read or written ({why}). Look for room on the disk and give the same command "
            "again; or remove the folder."
        ) from error
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()


def _sampler(settings: Tune, n_done: int, number: int) -> Any:
    """Return a sampler whose draws depend on the seed, the finished trials, and how often was drawn after these."""
    from optuna.samplers import TPESampler

    words = [settings.seed, n_done, number] if number else [settings.seed, n_done]
    seed = int(np.random.SeedSequence(words).generate_state(1)[0])
    return TPESampler(seed=seed)


def _forget_killed(study: "Study") -> None:
    """Close trials that a killed search left open; their settings will be drawn again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _finished(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that ended by themselves."""
    return [
        trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED") or "error" in trial.user_attrs
    ]


def _told(trial: "FrozenTrial", number: int, space: SearchSpace) -> Trial:
    states: dict[str, State] = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    state = states[trial.state.name]
    value = trial.value if state == "complete" else None
    return Trial(number, state, value, space.settings_of(trial.params), trial.user_attrs.get("error", ""))


def _claim_table(output: Path, settings: Tune) -> None:
    values = json.loads(json.dumps(asdict(settings)))
    del values["trials"]  # more are welcome
    path = output / TRIED
    held = read_json(path) if path.exists() else values
    held = {key: value for key, value in held.items() if key not in Tune.removed or value != Tune.removed[key]}
    if held not in (values, values | {"trials": 1}):  # the second by earlier versions
        raise RecipeError(f"{output}: holds a search of another [tune] table. Choose another --output, or remove it.")
    write_atomically(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def _written(output: Path, space: SearchSpace, split: Split, trials: Sequence[Trial]) -> Tuned:
    """Write trials.csv and best.toml."""
    keys = list(space.distributions())
    text = io.StringIO()
    writer = RowWriter(text)
    writer.write_rows([("trial", "state", METRIC, *keys, "error")])
    writer.write_rows(
        (trial.number, trial.state, trial.value, *(trial.settings[key] for key in keys), trial.error)
        for trial in trials
    )
    write_atomically(output / TRIALS, text.getvalue().encode())
    best = max(trials, key=lambda trial: (trial.value is not None, trial.value or 0.0))  # of equals the first
    if best.value is None:
        raise EarnestError(f"{output}: none of {counted(len(trials), 'trial')} finished; {TRIALS} says why.")
    recipe = space.recipe_with(best.settings)
    comment = (
        f"# The best of {counted(len(trials), 'trial')} on {split.title}: {METRIC} {best.value:.4f} "
        f"on {counted(len(split.valid), 'validation utterance')}.\n# Test utterances were not used.\n"
    )
    write_atomically(output / BEST, (comment + recipe_to_toml(recipe)).encode())
    n_clips = (len(split.train), len(split.valid))
    return Tuned(METRIC, split.protocol, split.fold, *n_clips, trials, best, recipe)
