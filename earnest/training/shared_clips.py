"""Clips that trainings share: decoded once a front end, heard once a network that training leaves as it is."""

import json
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from earnest.corpora.manifest import Utterance
from earnest.front_end import FrontEnd
from earnest.models.classifier import build_front_end
from earnest.progress import SILENT, Progress
from earnest.recipe import Recipe
from earnest.training.clips import Clips
from earnest.training.corpus_classes import clips_of_corpora
from earnest.training.discriminant import Embeddings
from earnest.training.run import scheme_of
from earnest.training.task import examples_of


class SharedClips:
    """The clips of ``rows`` as recipes see them that differ in front end, network or training alone.

    Parameters
    ----------
    beside : clips of other corpora that a fine-tuning learns from too
    """

    def __init__(
        self, rows: Sequence[Utterance], progress: Progress = SILENT, beside: Sequence[Utterance] = ()
    ) -> None:
        self.rows, self.progress, self.beside = rows, progress, beside
        self._front_end: FrontEnd | None = None
        self._clips = Clips({})
        self._embeddings: dict[str, Embeddings] = {}
        self._copies: dict[str, dict[str, Tensor]] = {}

    def classes(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the recipe's classes, in output order; the scheme "native" has those of all ``rows``."""
        return scheme_of(recipe, self.rows).classes

    def of(self, recipe: Recipe) -> Clips:
        """Return the clips as the recipe's front end and network see them; a new front end decodes anew.

        Trainings share the embeddings of clips where nothing changes the embedding.
        """
        if recipe.front_end != self._front_end:
            self._embeddings, self._copies = {}, {}
            examples = examples_of(recipe, self.rows, self.progress)
            beside = clips_of_corpora(self.beside, build_front_end(recipe), self.progress)
            self._clips = Clips(examples, classes=self.classes(recipe), beside=beside)
            self._front_end = recipe.front_end
        changes = recipe.training.changes if recipe.augment else ""
        if recipe.finetune:
            heard = json.dumps([recipe.training.seed, recipe.augment, changes], sort_keys=True)
            return replace(self._clips, embeddings={}, copies=self._copies.setdefault(heard, {}))
        network = json.dumps([dict(recipe.network), recipe.training.seed, recipe.augment, changes], sort_keys=True)
        return replace(self._clips, embeddings=self._embeddings.setdefault(network, {}))
