"""Learning from given clips: fine-tuning, augmented copies, and the fit of heads, in closed form or by gradients."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from earnest.augment.base import Transform, generator_for
from earnest.errors import CorpusError
from earnest.evaluation.calibration import FittedCalibration
from earnest.models.classifier import SpeechClassifier, prepare
from earnest.settings.recipe import Recipe
from earnest.settings.training import Training
from earnest.training.batches import Augmented, change_of
from earnest.training.clips import Clips
from earnest.training.closed_form import Embeddings, discriminant_logits, embed, fit_discriminant, rotated_logits
from earnest.training.examples import FULL_SCALE, GENDERS, UNKNOWN, Example, compute_frames
from earnest.training.finetune import finetune_embedding
from earnest.training.loop import fit, predict_outputs
from earnest.training.losses import learned_tasks
from earnest.training.record import fit_calibration


def by_gender(examples: Sequence[Example]) -> list[Example]:
    """Return the clips whose gender is known, with its index in `GENDERS` as their target."""
    return [replace(example, target=example.gender) for example in examples if example.gender != UNKNOWN]


def fit_gender(network: nn.Module, train: Sequence[Example], shrinkage: float, known: Embeddings) -> None:
    """Set the network's layer ``gender`` as `fit_discriminant` sets its last one for the emotion."""
    fit_discriminant(network, by_gender(train), shrinkage, len(GENDERS), known, "gender")


def fit_gender_calibration(
    network: nn.Module,
    settings: Training,
    rotated: Sequence[Example],
    valid: Sequence[Example],
    known: Embeddings,
) -> tuple[float, FittedCalibration | None]:
    """Return the temperature of the gender's logits, and what it changed; 1 without validation clips of known gender.

    Parameters
    ----------
    rotated : clips of training speakers that take turns as validation speakers, see `rotated_logits`; may be empty
    """
    train, unseen = by_gender(rotated), by_gender(valid)
    if not unseen:
        return 1.0, None
    true = np.array([example.target for example in unseen], np.int64)
    if train:
        logits, true = rotated_logits(network, train, unseen, settings.shrinkage, len(GENDERS), known)
    elif settings.method == "discriminant":
        logits = discriminant_logits(network, unseen, known, "gender")
    else:
        found = predict_outputs(network, unseen).gender
        assert found is not None
        logits = found
    return fit_calibration(logits, true)


def with_copies(
    train: Sequence[Example],
    recipe: Recipe,
    classifier: SpeechClassifier,
    known: Embeddings,
    frames: dict[str, Tensor] | None = None,
) -> list[Example]:
    """Return the clips and, behind them, as many changed copies of each as the recipe's ``augmented_copies`` says.

    What a copy sounds like depends on its clip, its number and the seed alone: folds share their embeddings.

    Parameters
    ----------
    train : with waveforms, where there are copies to make
    known : gets the copies' embeddings; the copies themselves hold no frames
    frames : key of a copy → its frames, which other networks hear too; gets new ones
    """
    made, heard = list(train), {} if frames is None else frames
    if recipe.training.augmented_copies:
        change = change_of(recipe)
        for number in range(1, recipe.training.augmented_copies + 1):
            for example in train:
                copy = replace(example, copy=number, waveform=None, frames=example.frames[:, :0])
                made.append(copy)
                if copy.key in known:
                    continue
                if copy.key not in heard:
                    heard[copy.key] = _changed(example, copy.key, change, recipe.training.seed, classifier)
                embed(classifier.network, [replace(copy, frames=heard[copy.key])], known)
                if frames is None:
                    heard.clear()
    return made


def _changed(example: Example, key: str, change: Transform, seed: int, classifier: SpeechClassifier) -> Tensor:
    if example.waveform is None:
        raise CorpusError(f"{example.utterance.key}: a clip without its waveform can't be augmented.")
    waveform = example.waveform.astype(np.float32) / np.float32(FULL_SCALE)
    return compute_frames(classifier.front_end, change(waveform, generator_for(f"{key} {seed}")))


@dataclass(frozen=True)
class Epochs:
    """The epoch that is kept, how many there were, and why no more."""

    best: int
    run: int
    stop_reason: str


@dataclass(frozen=True)
class Taught:
    """What a network learnt from: clips with their changed copies, its epochs, and of a fine-tuning what to say."""

    heard: list[Example]
    epochs: Epochs
    tuned: str


def teach(
    classifier: SpeechClassifier,
    parts: Sequence[Sequence[Example]],
    valid: Sequence[Example],
    recipe: Recipe,
    clips: Clips,
    folder: Path,
    stop_after: int | None = None,
) -> Taught:
    """Train a network from its start: its embedding where the recipe fine-tunes, then what is fitted on it.

    Parameters
    ----------
    parts : sets of clips that are learnt from; the copies of a set come behind its clips
    valid : chooses the epoch; empty where ``stop_after`` says it
    clips : whose embeddings and copies are used and added to, whose clips beside a fine-tuning learns from too, and
        whose progress is shown
    """
    train = [example for part in parts for example in part]
    prepare(classifier.network, (example.frames for example in train))
    tuned = (
        finetune_embedding(classifier, train, clips.beside, recipe, folder, clips.progress) if recipe.finetune else ""
    )
    heard = [copy for part in parts for copy in with_copies(part, recipe, classifier, clips.embeddings, clips.copies)]
    epochs = _fit(classifier, heard, valid, recipe, folder, clips, stop_after)
    return Taught(heard, epochs, tuned)


def _fit(
    classifier: SpeechClassifier,
    train: Sequence[Example],
    valid: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    clips: Clips,
    stop_after: int | None = None,
) -> Epochs:
    settings, n_classes = recipe.training, len(classifier.classes)
    if settings.method == "discriminant":
        fit_discriminant(
            classifier.network,
            train,
            settings.shrinkage,
            n_classes,
            clips.embeddings,
            speaker_prior=settings.speaker_prior,
        )
        if "gender" in learned_tasks(settings, train):
            fit_gender(classifier.network, train, settings.shrinkage, clips.embeddings)
        return Epochs(0, 0, "closed form")
    if recipe.augment:
        train = Augmented(train, classifier.front_end, change_of(recipe), settings)
    keeper = fit(classifier.network, train, valid, settings, folder, n_classes, clips.progress, stop_after)
    return Epochs(keeper.best_epoch, len(keeper.history), keeper.stop_reason)
