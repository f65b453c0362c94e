"""Answering again: a finished evaluation once more, adapted, with noise, or averaged over variants of each clip."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, generator_for
from earnest.augment.level import mix_at_snr
from earnest.augment.noise_files import NoiseFiles, drawn_stretch
from earnest.augment.tta import variants_called, variants_of
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, RecipeError
from earnest.evaluation.curves import NoiseCurve
from earnest.evaluation.folds import told_apart
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import Predictions, joined, of_emotion, read_predictions, write_predictions
from earnest.evaluation.splits import Split
from earnest.experiments.evaluate import BOOTSTRAP_SEED, Evaluation, scored
from earnest.experiments.task import Task, examples_of
from earnest.files.writing import write_json
from earnest.models.classifier import SpeechClassifier
from earnest.progress import SILENT, Progress
from earnest.runtime.adaptation import Adaptation, adaptation_entry
from earnest.settings.config import from_mapping
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.clips import Clips
from earnest.training.examples import compute_examples
from earnest.training.loop import predict_outputs
from earnest.training.record import read_record
from earnest.training.run import PREDICTIONS, load_run, predictions_from, scheme_of
from earnest.training.runtime_statistics import HOWS, How, adapted_probabilities, companion_files, heard_by

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FoldClips:
    """Clips of one set of a fold, and what its model says of each as it is.

    Attributes
    ----------
    rows : in the order of ``plain``
    """

    classifier: SpeechClassifier
    plain: Predictions
    rows: Sequence[Utterance]

    @classmethod
    def tested(cls, run: Path, split: Split) -> "FoldClips":
        """Return the test set of a finished run, in the order of its predictions."""
        plain = read_predictions(run / PREDICTIONS)
        rows = {(row.corpus, row.utterance_id): row for row in split.test}
        tested = [rows[place] for place in zip(plain.corpus, plain.utterance_id, strict=True)]
        return cls(load_run(run), plain, tested)

    @classmethod
    def validated(cls, run: Path, split: Split) -> "FoldClips":
        """Return the validation set of a finished run, answered now."""
        classifier = load_run(run)
        used = [row for rows in split.sets.values() for row in rows]
        scheme = scheme_of(read_recipe(run), used)
        examples = list(compute_examples(classifier.front_end, split.valid, scheme).values())
        plain = predictions_from(predict_outputs(classifier.network, examples), classifier, examples, split.fold)
        return cls(classifier, plain, [example.utterance for example in examples])

    @property
    def rate_hz(self) -> int:
        """Sample rate of the waveforms."""
        return self.classifier.front_end.settings.sample_rate_hz

    @cached_property
    def waveforms(self) -> list[Waveform]:
        """The clips as they are, decoded once, each (samples,)."""
        return [load_waveform(row.path, self.rate_hz, row.start_s, row.end_s) for row in self.rows]

    def take(self, indices: npt.NDArray[np.intp]) -> "FoldClips":
        """Return some of the clips."""
        return replace(self, plain=self.plain.take(indices), rows=[self.rows[index] for index in indices])

    def probabilities(self, waveform: Waveform) -> Probabilities:
        """Return the model's calibrated probabilities (classes,) of one waveform (samples,)."""
        with torch.no_grad():
            outputs = self.classifier(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
        return np.asarray(outputs["probabilities"][0].numpy(), np.float32)

    def answered(self, answer: Callable[[Waveform], Probabilities]) -> Predictions:
        """Return the predictions with other probabilities (classes,), found for each waveform."""
        return self._with([answer(waveform) for waveform in self.waveforms])

    def heard_as(self, change: Callable[[Waveform, str], Waveform]) -> tuple[Predictions, int]:
        """Return the predictions for changed clips, and how many ``change`` left as they are.

        Parameters
        ----------
        change : a waveform (samples,) and the key of its utterance to another waveform
        """
        answers, n_untouched = [], 0
        for row, waveform in zip(self.rows, self.waveforms, strict=True):
            changed = change(waveform, row.key)
            answers.append(self.probabilities(changed))
            n_untouched += np.array_equal(changed, waveform)
        return self._with(answers), n_untouched

    def _with(self, answers: Sequence[Probabilities]) -> Predictions:
        probabilities = np.stack(answers)
        predicted = probabilities.argmax(axis=1).astype(np.int64)
        return replace(of_emotion(self.plain), probabilities=probabilities, predicted=predicted)


N_NAMED = 3


def evaluate_adapted(
    task: Task,
    output: Path,
    command: str,
    hows: Sequence[How],
    progress: Progress = SILENT,
) -> dict[How, Evaluation]:
    """Answer the test clips of every fold again, adapted to their speakers.

    A clip that comes before the rule has heard enough, or several emotions, keeps its plain answer, as at run time.

    Parameters
    ----------
    output : of `evaluate`, finished; gets predictions-adapted-HOW.csv and metrics-adapted-HOW.json
    hows : which ways, see `earnest.training.runtime_statistics.HOWS`
    """
    splits = task.splits
    adaptations = {split.fold: read_adaptation(output / split.fold) for split in splits}
    test = [row for split in splits for row in split.test]
    if silent := [row.key for row in test if not row.speaker]:
        raise EarnestError(f"Adapting needs speakers; {', '.join(silent[:N_NAMED])} name none.")
    examples = examples_of(task.recipe, list({row.key: row for row in test}.values()), progress)
    clips = {split.fold: Clips(examples) for split in splits}  # each fold may have an embedding of its own
    outcomes: dict[How, Evaluation] = {}
    for how in hows:
        parts = [
            adapted_fold(output / split.fold, split, clips[split.fold], adaptations[split.fold], how)
            for split in splits
        ]
        together = joined(parts)
        assert together.adapted is not None
        write_predictions(together, output / f"predictions-adapted-{how}.csv")
        facts = {"adapted": {"how": how, "means": HOWS[how], "share": float(np.mean(together.adapted))}}
        path = output / f"metrics-adapted-{how}.json"
        outcomes[how] = scored(task, together, output, command, path, facts)
    return outcomes


def adapted_fold(run: Path, split: Split, clips: Clips, adaptation: Adaptation, how: How) -> Predictions:
    """Return the predictions of one fold's test set, in the order of its plain ones."""
    plain, classifier = read_predictions(run / PREDICTIONS), load_run(run)
    heard = heard_by(classifier.network, clips.of(split.test), clips.cache)
    assert plain.probabilities is not None
    seed = read_record(run).seed
    probabilities, answered = adapted_probabilities(adaptation, heard, plain.probabilities, how, seed)
    predicted = np.where(answered, probabilities.argmax(axis=1), plain.predicted)
    return replace(plain, probabilities=probabilities.astype(np.float32), predicted=predicted, adapted=answered)


def read_adaptation(run: Path) -> Adaptation:
    """Read what a finished run holds for adaptation."""
    record = read_record(run)
    if record.adaptation is None:
        raise EarnestError(
            f'{run}: can\'t adapt to a voice. That takes a recipe with method = "discriminant", three training '
            "speakers or more, and a run of this version; choose another --output to train it again."
        )
    entry = adaptation_entry(record.adaptation, str(run))
    data = companion_files(run, (record.adaptation,))[entry.file]
    return Adaptation.read(entry, data, len(record.classes), str(run))


METRICS_NOISE = "metrics-noise.json"
LOWEST_DB, HIGHEST_DB = -30.0, 60.0


@dataclass(frozen=True)
class NoiseTest:
    """Which noise is mixed into test clips, and how loud.

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

    def mixed_into(self, waveform: Waveform, key: str, snr_db: float, sample_rate_hz: int) -> Waveform:
        """Return a noisy copy of a clip (samples,); the draw depends on ``key`` and level alone."""
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


@dataclass(frozen=True)
class NoisyEvaluation:
    """Scores of clean test clips and of each level in dB, and what is in ``metrics-noise.json``."""

    clean: Scores
    levels: Mapping[float, Scores]
    curve: NoiseCurve
    document: Mapping[str, Any]

    def sentence(self) -> str:
        """Say what was mixed in, and whether training had heard it."""
        noise = self.document["noise"]
        names = ", ".join(noise["names"]) or noise["folder"]
        heard = f"{noise['heard_in_training']} of them" if noise["heard_in_training"] else "none"
        return f"{noise['recordings']} recordings ({names}), {heard} heard in training"


def evaluate_noisy(
    task: Task,
    output: Path,
    command: str,
    noise: NoiseTest,
) -> NoisyEvaluation:
    """Answer the test clips of every fold again, with noise.

    Parameters
    ----------
    output : of `evaluate`, finished; gets metrics-noise.json and predictions-noise-LEVEL.csv
    """
    clean = joined([read_predictions(output / split.fold / PREDICTIONS) for split in task.splits])
    scores, n_unchanged = {}, 0
    for level in noise.snr_db:
        parts = [fold_noisy(output / split.fold, split, noise, level) for split in task.splits]
        together = joined([predictions for predictions, _ in parts])
        n_unchanged += sum(unchanged for _, unchanged in parts)
        write_predictions(together, output / f"predictions-noise-{level:g}.csv")
        scores[level], _ = told_apart(score(together, np.random.default_rng(BOOTSTRAP_SEED)))
    plain, _ = told_apart(score(clean, np.random.default_rng(BOOTSTRAP_SEED)))
    curve = NoiseCurve.of(plain, scores)
    document = {
        **_facts(task, command, noise),
        "n_without_noise": n_unchanged,
        "n": curve.n,
        "levels": curve.to_list(),
    }
    write_json(output / METRICS_NOISE, document)
    return NoisyEvaluation(plain, scores, curve, document)


def fold_noisy(run: Path, split: Split, noise: NoiseTest, snr_db: float) -> tuple[Predictions, int]:
    """Return the predictions of one fold's test set, in the order of its plain ones.

    Returns
    -------
    predictions, and the number of clips that stayed as they are (silence: its own, or ten times the recording's)
    """
    clips = FoldClips.tested(run, split)
    return clips.heard_as(lambda waveform, key: noise.mixed_into(waveform, key, snr_db, clips.rate_hz))


def _facts(task: Task, command: str, noise: NoiseTest) -> dict[str, Any]:
    return {
        "protocol": task.protocol.name,
        "speaker_independent": task.protocol.speaker_independent,
        "title": task.title,
        "folds": [split.fold for split in task.splits],
        "part": task.choice.part,
        "command": command,
        "seed": task.seeds[0],
        "recipe": task.recipe.to_dict(),
        "noise": {
            "folder": noise.folder,
            "names": list(noise.names),
            "recordings": len(noise.files.recordings),
            "heard_in_training": noise.heard_in_training(task.recipe),
        },
    }


def evaluate_variants(
    task: Task,
    output: Path,
    command: str,
    names: Sequence[str],
) -> dict[str, Evaluation]:
    """Answer the test clips of every fold again, by the mean over variants (test-time augmentation).

    Parameters
    ----------
    output : of `evaluate`, finished; gets predictions-tta-NAME.csv and metrics-tta-NAME.json
    names : which variants, see `earnest.augment.tta.VARIANTS`
    """
    splits = task.splits
    outcomes: dict[str, Evaluation] = {}
    for name in names:
        together = joined([fold_variants(output / split.fold, split, name) for split in splits])
        write_predictions(together, output / f"predictions-tta-{name}.csv")
        facts = {"tta": {"name": name, "variants": len(variants_called(name))}}
        path = output / f"metrics-tta-{name}.json"
        outcomes[name] = scored(task, together, output, command, path, facts)
    return outcomes


def fold_variants(run: Path, split: Split, name: str) -> Predictions:
    """Return the predictions of one fold's test set, in the order of its plain ones."""
    clips = FoldClips.tested(run, split)
    return clips.answered(lambda waveform: mean_probabilities(clips, waveform, name))


def mean_probabilities(clips: FoldClips, waveform: Waveform, name: str) -> Probabilities:
    """Return the mean of the calibrated probabilities (classes,) of one clip's variants."""
    answers = [clips.probabilities(heard) for heard in variants_of(waveform, name)]
    return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)
