"""Conditions: ways in which the finished folds of an evaluation answer their utterances again, without training.

A condition changes the utterances (noise, coding, …), asks the model several times (test-time augmentation) or adapts
it to the speakers. `answer_conditions` goes through the folds once and asks under every condition; what belongs
together is a `ConditionSet`, which says how results are scored and written. The stress table
(`earnest.experiments.finished`) is made of the same conditions. A learning curve is none: its models are trained anew.
"""

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from earnest.audio.parts import load_waveforms
from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, generator_for, mix_at_snr
from earnest.augment.noise_files import NoiseFiles, drawn_stretch
from earnest.augment.tta import variants_called, variants_of
from earnest.bundle import ADAPTATION
from earnest.corpora.load import scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, RecipeError, counted, named
from earnest.evaluation.metrics import Scores, scores_of
from earnest.evaluation.predictions import Predictions, joined, of_emotion, read_predictions, write_predictions
from earnest.evaluation.report import NoiseCurve
from earnest.evaluation.splits import Split
from earnest.evaluation.streams import HOWS, How, adapted_predictions
from earnest.experiments.evaluate import scored
from earnest.experiments.task import Task
from earnest.files.reading import read_bytes
from earnest.files.writing import write_json
from earnest.models.classifier import SpeechClassifier
from earnest.progress import Progress
from earnest.runtime.adaptation import Adaptation
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.batches import predict_outputs
from earnest.training.examples import compute_examples
from earnest.training.record import read_record
from earnest.training.run import PREDICTIONS, load_run, predictions_from
from earnest.training.runtime_statistics import FEWEST_SPEAKERS

Probabilities: TypeAlias = npt.NDArray[np.float32]
ClipChange: TypeAlias = Callable[[Waveform, str, int], Waveform]
"""A clip (samples,), the key of its utterance and the sample rate in Hz to a changed copy."""


@dataclass(frozen=True)
class FoldClips:
    """Utterances of one set of a finished fold, its model, and what the model says of each utterance as it is.

    Attributes
    ----------
    rows : in the order of ``plain``
    """

    run: Path
    split: Split
    classifier: SpeechClassifier
    plain: Predictions
    rows: Sequence[Utterance]

    @classmethod
    def tested(cls, run: Path, split: Split) -> "FoldClips":
        """Return the test set of a finished run, in the order of its predictions."""
        plain = read_predictions(run / PREDICTIONS)
        rows = {(row.corpus, row.utterance_id): row for row in split.test}
        return cls(run, split, load_run(run), plain, [rows[identity] for identity in plain.identities])

    @classmethod
    def validated(cls, run: Path, split: Split) -> "FoldClips":
        """Return the validation set of a finished run, answered now."""
        classifier = load_run(run)
        used = [row for rows in split.sets.values() for row in rows]
        scheme = scheme_of_rows(read_recipe(run).scheme, used)
        examples = list(compute_examples(classifier.front_end, split.valid, scheme).values())
        plain = predictions_from(predict_outputs(classifier.network, examples), classifier, examples, split.fold)
        return cls(run, split, classifier, plain, [example.utterance for example in examples])

    @property
    def rate_hz(self) -> int:
        """Sample rate of the waveforms."""
        return self.classifier.front_end.settings.sample_rate_hz

    @cached_property
    def waveforms(self) -> list[Waveform]:
        """The utterances as they are, decoded once, each (samples,)."""
        return list(load_waveforms((row.source for row in self.rows), self.rate_hz))

    def take(self, indices: npt.NDArray[np.intp]) -> "FoldClips":
        """Return some of the utterances."""
        return replace(self, plain=self.plain.take(indices), rows=[self.rows[index] for index in indices])

    def probabilities(self, waveform: Waveform) -> Probabilities:
        """Return the model's calibrated probabilities (classes,) of one waveform (samples,)."""
        with torch.no_grad():
            outputs = self.classifier(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
        return np.asarray(outputs["probabilities"][0].numpy(), np.float32)

    def answered(self, answers: Sequence[Probabilities]) -> Predictions:
        """Return the predictions with other probabilities, (classes,) for each utterance."""
        probabilities = np.stack(answers)  # (utterances, classes)
        predicted = probabilities.argmax(axis=1).astype(np.int64)
        return replace(of_emotion(self.plain), probabilities=probabilities, predicted=predicted)


@dataclass(frozen=True)
class ConditionAnswers:
    """Answers under one condition.

    Attributes
    ----------
    n_untouched : utterances that the condition left as they are, such as silence with noise relative to it
    """

    predictions: Predictions
    n_untouched: int = 0


@dataclass(frozen=True)
class Condition(ABC):
    """A way to answer again. ``kind``, ``name``: of its files, such as predictions-KIND-NAME.csv."""

    kind: str
    name: str

    @property
    def file_name(self) -> str:
        """The condition's part of file names."""
        return f"{self.kind}-{self.name}"

    def refuse_untrained(self, recipe: Recipe, split: Split) -> None:  # noqa: B027 - most need nothing
        """Raise an `EarnestError` where a fold will lack what the condition needs; told before hours of training."""

    def refuse(self, run: Path, split: Split) -> None:  # noqa: B027 - most need nothing
        """Raise an `EarnestError` where a finished fold lacks what the condition needs; told before any answer."""

    @abstractmethod
    def answer(self, clips: FoldClips) -> ConditionAnswers:
        """Answer the utterances of one fold, in the order of the plain predictions."""

    def facts(self, found: Predictions) -> dict[str, Any]:
        """Return the condition's facts for its metrics.json."""
        return {}


_TAKES = 'That takes a recipe with method = "discriminant" and three training speakers or more.'


@dataclass(frozen=True)
class AsTheyAre(Condition):
    """The plain answers, to compare others with."""

    kind: str = "plain"
    name: str = "clips"

    def answer(self, clips: FoldClips) -> ConditionAnswers:
        return ConditionAnswers(clips.plain)


@dataclass(frozen=True)
class Changed(Condition):
    """Each utterance is heard changed: with noise, coded, from afar, …"""

    change: ClipChange

    def answer(self, clips: FoldClips) -> ConditionAnswers:
        answers, n_untouched = [], 0
        for row, waveform in zip(clips.rows, clips.waveforms, strict=True):
            changed = self.change(waveform, row.key, clips.rate_hz)
            answers.append(clips.probabilities(changed))
            n_untouched += np.array_equal(changed, waveform)
        return ConditionAnswers(clips.answered(answers), n_untouched)


@dataclass(frozen=True)
class Averaged(Condition):
    """Test-time augmentation, the mean over an utterance's variants; ``name`` as in `earnest.augment.tta.VARIANTS`."""

    def answer(self, clips: FoldClips) -> ConditionAnswers:
        means = []
        for waveform in clips.waveforms:
            # p = (1/V) Σ_v p_v over the V variants of each utterance.
            answers = [clips.probabilities(heard) for heard in variants_of(waveform, self.name, clips.rate_hz)]
            means.append(np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32))
        return ConditionAnswers(clips.answered(means))

    def facts(self, found: Predictions) -> dict[str, Any]:
        return {"tta": {"name": self.name, "variants": len(variants_called(self.name))}}


@dataclass(frozen=True)
class Adapted(Condition):
    """The answers are adapted to each test speaker, without labels, from the plain answers alone.

    Attributes
    ----------
    how : which utterances are heard before which is answered, see `earnest.evaluation.streams.HOWS`
    """

    how: How

    def refuse_untrained(self, recipe: Recipe, split: Split) -> None:
        """Refuse what can't learn to adapt, and utterances without a speaker."""
        if recipe.training.method != "discriminant" or recipe.network.get("speaker_dependent"):
            raise EarnestError(f"--adapt: {split.title} can't learn to adapt. {_TAKES}")
        # Changed copies count as other speakers.
        n_voices = len({row.speaker for row in split.train if row.speaker}) * (1 + recipe.training.augmented_copies)
        if n_voices < FEWEST_SPEAKERS or any(not row.speaker for row in split.train):
            raise EarnestError(f"--adapt: {split.title} has too few training speakers, or not all named. {_TAKES}")
        self._refuse_silent(split)

    def refuse(self, run: Path, split: Split) -> None:
        """Refuse runs that can't adapt, and utterances without a speaker."""
        read_adaptation(run)
        self._refuse_silent(split)

    @staticmethod
    def _refuse_silent(split: Split) -> None:
        if silent := [row.key for row in split.test if not row.speaker]:
            raise EarnestError(f"Adaptation needs the speaker of each recording; missing for {named(silent)}.")

    def answer(self, clips: FoldClips) -> ConditionAnswers:
        """Answer as the runtime does; the order of each speaker's utterances is drawn by the run's seed."""
        adaptation, seed = read_adaptation(clips.run), read_record(clips.run).seed
        return ConditionAnswers(adapted_predictions(clips.plain, adaptation.answer, self.how, seed))

    def facts(self, found: Predictions) -> dict[str, Any]:
        assert found.adapted is not None
        return {"adapted": {"how": self.how, "means": HOWS[self.how][1], "share": float(np.mean(found.adapted))}}


def read_adaptation(run: Path) -> Adaptation:
    """Read the adaptation network that a finished run was trained with."""
    missing = (
        f"no such file: the run can't adapt. {_TAKES} Where it has these, a former version trained it: choose another "
        "--output to train it again."
    )
    path = run / ADAPTATION
    return Adaptation.read(read_bytes(path, missing=missing), len(read_record(run).classes), str(path))


LOWEST_DB, HIGHEST_DB = -30.0, 60.0


@dataclass(frozen=True)
class NoiseTest:
    """Noise to mix into test utterances, and its levels.

    Attributes
    ----------
    folder, names : see `NoiseFiles`
    snr_db : the levels, each a result of its own
    """

    folder: str
    snr_db: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.snr_db or len(set(self.snr_db)) < len(self.snr_db):
            raise RecipeError("The levels of noise must be one or more different numbers of dB.")
        if wrong := [level for level in self.snr_db if not LOWEST_DB <= level <= HIGHEST_DB]:
            raise RecipeError(f"A level of noise must be from {LOWEST_DB:g} to {HIGHEST_DB:g} dB, got {wrong[0]:g}.")
        for name in self.names:
            NoiseFiles(self.folder, names=(name,)).check_ready()  # a name without recordings is told
        self.files.check_ready()

    @cached_property
    def files(self) -> NoiseFiles:
        """The recordings."""
        return NoiseFiles(self.folder, names=self.names)

    def at(self, snr_db: float) -> Changed:
        """Return the condition of one level."""
        return Changed("noise", f"{snr_db:g}", partial(self.mixed_into, snr_db=snr_db))

    def mixed_into(self, waveform: Waveform, key: str, sample_rate_hz: int, snr_db: float) -> Waveform:
        """Return a noisy copy of an utterance (samples,); the draw depends on ``key`` and level alone.

        Silence stays as it is: its own, or ten times the recording's.
        """
        rng = generator_for(f"{key} {snr_db:g}")
        path, _ = self.files.recordings[rng.integers(len(self.files.recordings))]
        return mix_at_snr(waveform, drawn_stretch(path, len(waveform), sample_rate_hz, rng), snr_db)

    def heard_in_training(self, recipe: Recipe) -> int:
        """Count the recordings that the recipe also trains with."""
        heard: set[Path] = set()
        for table in recipe.augment:
            if AUGMENTATIONS.get(str(table.get("name"))) is NoiseFiles:
                values = {key: value for key, value in table.items() if key != "name"}
                heard |= {path.resolve() for path, _ in from_mapping(NoiseFiles, values, "augment").recordings}
        return len(heard & {path.resolve() for path, _ in self.files.recordings})

    def facts(self, recipe: Recipe) -> dict[str, Any]:
        """Return the facts about the noise for a result."""
        return {
            "folder": self.folder,
            "names": list(self.names),
            "recordings": len(self.files.recordings),
            "heard_in_training": self.heard_in_training(recipe),
        }


def answer_conditions(
    folds: Iterable[FoldClips], conditions_of: Callable[[FoldClips], Iterable[Condition]], advance: Callable[[], object]
) -> dict[str, ConditionAnswers]:
    """Go through finished folds once, answer under every condition, and join the folds' answers.

    Parameters
    ----------
    folds : each with its model; taken one after the other, so that one model is in memory
    conditions_of : the conditions of one fold; their names are the same in every fold
    advance : called after each condition of each fold

    Returns
    -------
    file name of the condition → answers of all folds, in the order of the conditions
    """
    parts: dict[str, list[ConditionAnswers]] = {}
    for clips in folds:
        for condition in conditions_of(clips):
            parts.setdefault(condition.file_name, []).append(condition.answer(clips))
            advance()
    return {
        name: ConditionAnswers(joined([one.predictions for one in found]), sum(one.n_untouched for one in found))
        for name, found in parts.items()
    }


@dataclass(frozen=True)
class ConditionResults:
    """Scores of a `ConditionSet`.

    Attributes
    ----------
    scores : what the table calls the condition → scores
    document : what ``--json`` says
    note : what the table needs to be understood, "" for nothing
    curve : of a `NoiseSet`
    """

    kind: str
    scores: Mapping[str, Scores]
    document: Mapping[str, Any]
    note: str = ""
    curve: NoiseCurve | None = None


@dataclass(frozen=True)
class ConditionSet:
    """Conditions of one kind; each is scored as the plain answers are, into a metrics.json of its own.

    Attributes
    ----------
    words : what to type for them
    conditions : at least one
    """

    kind: str
    words: Sequence[str]
    conditions: Sequence[Condition]

    def write(
        self, task: Task, answers: Mapping[str, ConditionAnswers], output: Path, command: str
    ) -> ConditionResults:
        """Score answers, and write predictions-KIND-NAME.csv and metrics-KIND-NAME.json."""
        outcomes = {}
        for condition in self.conditions:
            found, name = answers[condition.file_name].predictions, condition.file_name
            write_predictions(found, output / f"predictions-{name}.csv")
            path = output / f"metrics-{name}.json"
            outcomes[condition.name] = scored(task, found, output, command, path, condition.facts(found))
        scores = {}
        for name, outcome in outcomes.items():
            scores[name] = outcome.scores
            scores |= {f"{name}, {scheme} classes": one for scheme, one in outcome.class_subsets.items()}
        return ConditionResults(self.kind, scores, {name: outcome.document for name, outcome in outcomes.items()})


METRICS_NOISE = "metrics-noise.json"
PLAIN = AsTheyAre()


@dataclass(frozen=True)
class NoiseSet(ConditionSet):
    """Noise at several levels: one result, a curve from the clean utterances to the loudest noise."""

    noise: NoiseTest = field(kw_only=True)

    @classmethod
    def of(cls, noise: NoiseTest, words: Sequence[str]) -> "NoiseSet":
        """Return a condition a level, and the clean utterances."""
        return cls("noise", words, (PLAIN, *map(noise.at, noise.snr_db)), noise=noise)

    def write(
        self, task: Task, answers: Mapping[str, ConditionAnswers], output: Path, command: str
    ) -> ConditionResults:
        """Score the levels, and write predictions-noise-LEVEL.csv and metrics-noise.json."""
        found = {level: answers[self.noise.at(level).file_name] for level in self.noise.snr_db}
        for level, one in found.items():
            write_predictions(one.predictions, output / f"predictions-noise-{level:g}.csv")
        scores = {level: scores_of(one.predictions) for level, one in found.items()}
        curve = NoiseCurve.of(scores_of(answers[PLAIN.file_name].predictions), scores)
        document: dict[str, Any] = {
            "protocol": task.protocol.name,
            "speaker_independent": task.protocol.speaker_independent,
            "title": task.title,
            "folds": [split.fold for split in task.splits],
            "part": task.choice.part,
            "command": command,
            "seed": task.seeds[0],
            "recipe": task.recipe.to_dict(),
            "noise": self.noise.facts(task.recipe),
            "n_without_noise": sum(one.n_untouched for one in found.values()),
            "n": curve.n,
            "levels": curve.to_list(),
        }
        write_json(output / METRICS_NOISE, document)
        note = noise_sentence(document["noise"])
        named = {f"{level:g} dB": one for level, one in scores.items()}
        return ConditionResults(self.kind, named, document, note, curve)


def noise_sentence(noise: Mapping[str, Any]) -> str:
    """Describe the noise, and whether training had heard it, from the facts of `NoiseTest.facts`."""
    names = ", ".join(noise["names"]) or noise["folder"]
    heard = f"{noise['heard_in_training']} of them" if noise["heard_in_training"] else "none"
    return f"{counted(noise['recordings'], 'recording')} ({names}), {heard} heard in training"


def refuse_untrained(task: Task, sets: Sequence[ConditionSet]) -> None:
    """Raise an `EarnestError` where the folds of a task will lack what a condition needs."""
    for condition in (each for one in sets for each in one.conditions):
        for split in task.splits:
            condition.refuse_untrained(task.recipe, split)


def evaluate_conditions(
    task: Task, output: Path, sets: Sequence[ConditionSet], words: Sequence[str], progress: Progress
) -> list[ConditionResults]:
    """Let the finished folds of an evaluation answer their test utterances under all conditions, score and write.

    Parameters
    ----------
    output : of `earnest.experiments.evaluate.evaluate`, finished; gets what the sets write
    words : the command of the plain result; each set adds its own
    """
    conditions = list({each.file_name: each for one in sets for each in one.conditions}.values())
    for condition in conditions:
        for split in task.splits:
            condition.refuse(output / split.fold, split)
    folds = (FoldClips.tested(output / split.fold, split) for split in task.splits)
    with progress.bar("answering", len(conditions) * len(task.splits)) as advance:
        answers = answer_conditions(folds, lambda _: conditions, advance)
    return [one.write(task, answers, output, shlex.join([*words, *one.words])) for one in sets]
