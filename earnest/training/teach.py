"""Teaching a network on given clips: fine-tuning, changed copies, and the fit, in closed form or by gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from earnest.models.classifier import SpeechClassifier, prepare
from earnest.recipe import Recipe
from earnest.training.batches import Augmented, change_of
from earnest.training.clips import Clips
from earnest.training.copies import with_copies
from earnest.training.data import Example
from earnest.training.discriminant import fit_discriminant
from earnest.training.finetuned import finetune_embedding
from earnest.training.fit import fit
from earnest.training.gender import fit_gender
from earnest.training.objective import learned_tasks


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
            classifier.network, train, settings.shrinkage, n_classes, clips.embeddings, voice_prior=settings.voice_prior
        )
        if "gender" in learned_tasks(settings, train):
            fit_gender(classifier.network, train, settings.shrinkage, clips.embeddings)
        return Epochs(0, 0, "closed form")
    if recipe.augment:
        train = Augmented(train, classifier.front_end, change_of(recipe), settings)
    keeper = fit(classifier.network, train, valid, settings, folder, n_classes, clips.progress, stop_after)
    return Epochs(keeper.best_epoch, len(keeper.history), keeper.stop_reason)
