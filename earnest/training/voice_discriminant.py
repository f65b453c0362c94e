"""The discriminant for known voices: each voice has places of its own for the emotions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earnest.errors import RecipeError
from earnest.training.shrunk import Floats, shrunk_slopes, standardised


def voice_discriminant(
    embeddings: Floats,
    targets: npt.NDArray[np.integer],
    voices: Sequence[str],
    shrinkage: float,
    prior: float,
    n_classes: int,
) -> tuple[Floats, Floats]:
    """Return weights (voices · classes, width) and bias (voices · classes,) of the scores of embeddings (rows, width).

    Every pair of a voice and a class is a class of its own in a linear discriminant (mixture discriminant analysis;
    Hastie and Tibshirani, 1996, where subclasses are found by clustering). A pair has few clips, often none, so that
    its place is the mean of these and of ``prior`` clips at the place that the class's mean and the voice's own offset
    from all class means add up to. Voices are in alphabetical order, and a voice's classes side by side. Scores are
    less their mean over all pairs, which changes no probability and keeps them small.

    Parameters
    ----------
    voices : of each row
    """
    if len(np.unique(targets)) < n_classes or n_classes < 2:
        raise RecipeError("The discriminant needs two or more classes, each with training clips.")
    scaled, mean, deviation = standardised(embeddings)
    width, voice_of = scaled.shape[1], np.unique(np.array(voices), return_inverse=True)[1]
    n_voices = int(voice_of.max()) + 1
    class_means = np.stack([scaled[targets == target].mean(axis=0) for target in range(n_classes)])
    places = np.empty((n_voices, n_classes, width))
    for voice in range(n_voices):
        offset = (scaled[voice_of == voice] - class_means[targets[voice_of == voice]]).mean(axis=0)
        for target in range(n_classes):
            own = scaled[(voice_of == voice) & (targets == target)]
            places[voice, target] = (own.sum(axis=0) + prior * (class_means[target] + offset)) / (len(own) + prior)
    off = scaled - places[voice_of, targets]
    centres = places.reshape(-1, width)
    slopes = shrunk_slopes(off.T @ off / len(off), shrinkage, centres)
    weights = slopes / deviation
    bias = -0.5 * np.einsum("cw,cw->c", slopes, centres) - weights @ mean
    return weights - weights.mean(axis=0), bias - bias.mean()
