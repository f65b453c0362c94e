"""Augmented copies of training clips, for a last layer in closed form: it has no epochs in which clips could differ."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from earnest.augment.base import Transform, generator_for
from earnest.errors import CorpusError
from earnest.models.classifier import SpeechClassifier
from earnest.recipe import Recipe
from earnest.training.batches import change_of
from earnest.training.data import FULL_SCALE, Example, compute_frames
from earnest.training.discriminant import Embeddings, embed


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
