"""Learners: how the weights are found, in closed form or by gradients, and what follows from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.utils.parametrize import is_parametrized

from earnest.augment.base import Transform, generator_for
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError
from earnest.evaluation.calibration import FittedCalibration
from earnest.evaluation.splits import Split
from earnest.frontends.log_mel import compute_frames
from earnest.models.classifier import Network, NetworkOutput, SpeechClassifier
from earnest.progress import SILENT, Progress
from earnest.settings.recipe import Recipe, Task
from earnest.training.batches import ALONE, Augmented, Ranks, change_of, predict_outputs
from earnest.training.closed_form import (
    EmbeddingCache,
    discriminant_logits,
    fit_discriminant,
    is_speaker_dependent,
    last_layer,
    out_of_fold_logits,
)
from earnest.training.examples import Example, targets_of
from earnest.training.heads import ClassHead, class_heads, heads_of, learned_tasks
from earnest.training.record import History, fit_calibration
from earnest.training.runtime_statistics import RuntimeStatistics, fit_runtime_statistics


@dataclass(frozen=True)
class Clips:
    """The utterances and caches that runs of one recipe share.

    Attributes
    ----------
    examples : utterance key → frames, for every utterance that the recipe's scheme keeps
    cache : of the embeddings that a network which training leaves as it is gives for them
    classes : what the examples' targets count, in output order; empty where a split's own utterances say it
    auxiliary : utterances of other corpora that a fine-tuning learns from too, with targets of their own
    progress : shows the epochs of a training on them
    ranks : the processes that learn from them together
    """

    examples: Mapping[str, Example]
    cache: EmbeddingCache = field(default_factory=EmbeddingCache)
    classes: tuple[str, ...] = ()
    auxiliary: Sequence[Example] = ()
    progress: Progress = SILENT
    ranks: Ranks = ALONE

    def of(self, utterances: Sequence[Utterance]) -> list[Example]:
        """Return the examples of those utterances that the scheme keeps."""
        return [self.examples[utterance.key] for utterance in utterances if utterance.key in self.examples]

    def auxiliary_of(self, split: Split) -> list[Example]:
        """Return the auxiliary utterances by speakers who are neither validated nor tested.

        A copy of a corpus may name its speakers otherwise: who says the same samples there is the same speaker.
        """
        held = (*split.valid, *split.test)
        digests, others = {example.digest for example in self.of(held)} - {""}, {row.speaker for row in held}
        others |= {one.utterance.speaker for one in self.auxiliary if one.digest in digests} - {""}
        return [one for one in self.auxiliary if one.digest not in digests and one.utterance.speaker not in others]


@dataclass(frozen=True)
class FitResult:
    """The result of a fit: utterances learnt from, epochs, warnings.

    Attributes
    ----------
    heard : utterances with their changed copies
    best_epoch : the one that is kept; 0 where training has no epochs
    epochs : how many there were
    stop_reason : why no more
    tuned : of a fine-tuning, what to say about where the weights come from
    warnings : signs that the network did not learn, see `earnest.training.module`
    """

    heard: list[Example]
    best_epoch: int
    epochs: int
    stop_reason: str
    tuned: str = ""
    warnings: tuple[str, ...] = ()


class Learner(ABC):
    """A learner, which fits the weights of a recipe's network."""

    def __init__(self, recipe: Recipe, clips: Clips) -> None:
        self.recipe, self.settings, self.clips = recipe, recipe.training, clips

    @abstractmethod
    def check(self, network: Network) -> None:
        """Refuse a network that can't be learnt so, before any utterance is decoded."""

    @abstractmethod
    def tasks(self, train: Sequence[Example]) -> tuple[Task, ...]:
        """Return the tasks beside the emotion that these utterances have labels for."""

    @abstractmethod
    def fit(
        self,
        classifier: SpeechClassifier,
        parts: Sequence[Sequence[Example]],
        valid: Sequence[Example],
        folder: Path,
        stop_after: int | None = None,
        ends_now: Callable[[History], bool] = lambda _history: False,
    ) -> FitResult:
        """Let the network learn what it takes from the utterances themselves, then find the weights from its start.

        Parameters
        ----------
        parts : sets of utterances that are learnt from; the copies of a set come behind its utterances
        valid : chooses the epoch; empty where ``stop_after`` says it
        folder : of the run
        ends_now : asked after each epoch, with the history so far; training ends when it says so
        """

    @abstractmethod
    def output(self, classifier: SpeechClassifier, examples: Sequence[Example]) -> NetworkOutput:
        """Return the answers of all heads to examples, in the order given."""

    @abstractmethod
    def logits(self, network: Network, head: ClassHead, examples: Sequence[Example]) -> Tensor:
        """Return one head's logits (examples, classes) in the order given."""

    def out_of_fold_logits(
        self, network: Network, head: ClassHead, train: Sequence[Example], valid: Sequence[Example]
    ) -> tuple[Tensor, npt.NDArray[np.int64]] | None:
        """Return logits (rows, classes) of speakers by layers that were fitted without them, and their classes.

        By default none: that would take a training for each group of speakers.
        """
        return None

    def runtime_statistics(
        self,
        classifier: SpeechClassifier,
        train: Sequence[Example],
        valid: Sequence[Example],
        before: RuntimeStatistics | None = None,
    ) -> RuntimeStatistics:
        """Return a bundle's runtime statistics; see `fit_runtime_statistics`.

        By default nothing: the embedding was trained on the utterances that would say how embeddings are spread.
        """
        return RuntimeStatistics()


class ClosedForm(Learner):
    """Linear discriminants of embeddings that stay as they are, or that are fine-tuned first.

    It is augmented by changed copies of its training utterances.
    """

    def __init__(self, recipe: Recipe, clips: Clips) -> None:
        super().__init__(recipe, clips)
        self.cache = clips.cache

    def check(self, network: Network) -> None:
        """Refuse a network without a linear last layer for each head, and several processes."""
        if self.clips.ranks.size > 1:
            raise RecipeError("This recipe has no epochs that processes could share. Start it without torchrun.")
        for head in class_heads(heads_of(0, self.settings.auxiliary)):
            last_layer(network, head.layer)

    def tasks(self, train: Sequence[Example]) -> tuple[Task, ...]:
        return learned_tasks(self.settings, train, every_class=True)  # a discriminant needs utterances of every one

    def fit(
        self,
        classifier: SpeechClassifier,
        parts: Sequence[Sequence[Example]],
        valid: Sequence[Example],
        folder: Path,
        stop_after: int | None = None,
        ends_now: Callable[[History], bool] = lambda _history: False,
    ) -> FitResult:
        train = [example for part in parts for example in part]
        found = {example.target for example in train}
        if absent := [f"'{name}'" for number, name in enumerate(classifier.classes) if number not in found]:
            raise RecipeError(
                f"No training recording is {' or '.join(absent)}, and a discriminant needs some of every class. Add "
                "recordings of more speakers, leave the class out, or name another --protocol or --scheme."
            )
        network, settings, tuned = classifier.network, self.settings, ""
        network.prepare(example.frames for example in train)
        if self.recipe.finetune:
            from earnest.training.finetune import finetune_embedding

            tuned = finetune_embedding(
                classifier, train, self.clips.auxiliary, self.recipe, folder, self.clips.progress
            )
            # What was embedded before the weights moved is of another network.
            self.cache = self.cache.for_another_network()
        heard = [copy for part in parts for copy in with_copies(part, self.recipe, classifier, self.cache)]
        for head in class_heads(heads_of(len(classifier.classes), self.tasks(train))):
            fit_discriminant(
                network,
                head.relabelled(heard),
                settings.shrinkage,
                head.n_classes,
                self.cache,
                head.layer,
                settings.speaker_prior,
            )
        return FitResult(heard, 0, 0, "closed form", tuned)

    def output(self, classifier: SpeechClassifier, examples: Sequence[Example]) -> NetworkOutput:
        heads = class_heads(heads_of(len(classifier.classes), classifier.learned))
        logits = {head.name: self.logits(classifier.network, head, examples) for head in heads}
        embedding = self.cache.embed(classifier.network, examples)
        return NetworkOutput(logits["emotion"], embedding, gender=logits.get("gender"))

    def logits(self, network: Network, head: ClassHead, examples: Sequence[Example]) -> Tensor:
        return discriminant_logits(network, examples, self.cache, head.layer)

    def out_of_fold_logits(
        self, network: Network, head: ClassHead, train: Sequence[Example], valid: Sequence[Example]
    ) -> tuple[Tensor, npt.NDArray[np.int64]] | None:
        """None where the embedding has learnt from the training speakers, or the last layer by voice."""
        if self.recipe.finetune or is_speaker_dependent(network):
            return None
        settings = self.settings
        return out_of_fold_logits(network, train, valid, settings.shrinkage, head.n_classes, self.cache, settings.refit)

    def runtime_statistics(
        self,
        classifier: SpeechClassifier,
        train: Sequence[Example],
        valid: Sequence[Example],
        before: RuntimeStatistics | None = None,
    ) -> RuntimeStatistics:
        network, classes = classifier.network, classifier.classes
        return fit_runtime_statistics(network, train, valid, self.settings, classes, self.cache, before)


class GradientDescent(Learner):
    """All weights over epochs, by `earnest.training.loop`. It is augmented on the fly, anew in every epoch."""

    def check(self, network: Network) -> None:
        """Refuse several processes for a network that can't be sent to them; what it doesn't answer shows later."""
        if self.clips.ranks.size > 1 and any(is_parametrized(module) for module in network.modules()):
            raise RecipeError(
                "This network has weights that torch computes from others (weight normalisation), and can't be sent to "
                "other processes. Start it without torchrun."
            )

    def tasks(self, train: Sequence[Example]) -> tuple[Task, ...]:
        return learned_tasks(self.settings, train)

    def fit(
        self,
        classifier: SpeechClassifier,
        parts: Sequence[Sequence[Example]],
        valid: Sequence[Example],
        folder: Path,
        stop_after: int | None = None,
        ends_now: Callable[[History], bool] = lambda _history: False,
    ) -> FitResult:
        from earnest.training.loop import fit  # Lightning takes seconds, and only this needs it

        heard = [example for part in parts for example in part]
        classifier.network.prepare(example.frames for example in heard)
        train: Sequence[Example] = heard
        # (epochs · utterances) changed waveforms, none kept; validation utterances stay as they are.
        if self.recipe.augment:
            train = Augmented(heard, classifier.front_end, change_of(self.recipe), self.settings)
        n_classes, progress = len(classifier.classes), self.clips.progress
        keeper = fit(
            classifier.network,
            train,
            valid,
            self.settings,
            folder,
            n_classes,
            progress,
            stop_after,
            ends_now=ends_now,
            ranks=self.clips.ranks,
        )
        ends_now(keeper.history)  # a training that had ended before it was killed has asked nothing
        found = tuple(keeper.health.found.values())
        return FitResult(heard, keeper.best_epoch, len(keeper.history), keeper.stop_reason, warnings=found)

    def output(self, classifier: SpeechClassifier, examples: Sequence[Example]) -> NetworkOutput:
        return predict_outputs(classifier.network, examples)

    def logits(self, network: Network, head: ClassHead, examples: Sequence[Example]) -> Tensor:
        logits = head.answer(predict_outputs(network, examples))
        assert logits is not None
        return logits


def learner_for(recipe: Recipe, clips: Clips) -> Learner:
    """Return the learner of a recipe: the one place that asks for its ``method``.

    Parameters
    ----------
    clips : whose cache is used, whose auxiliary utterances a fine-tuning learns from too, and whose progress is shown
    """
    return (ClosedForm if recipe.training.method == "discriminant" else GradientDescent)(recipe, clips)


def calibration_of(
    learner: Learner,
    network: Network,
    head: ClassHead,
    heard: Sequence[Example],
    valid: Sequence[Example],
    speaker_independent: bool,
) -> tuple[float, FittedCalibration | None]:
    """Return the temperature of a head's logits, and what it changed; 1 without validation utterances of known class.

    It is fitted on utterances that the weights have not seen. Of a speaker-independent split, where a fit is cheap,
    training speakers are answered out of fold too: then the temperature depends less on who happens to be in ``valid``.

    Parameters
    ----------
    heard : utterances that were learnt from, with their changed copies
    """
    unseen, train = head.relabelled(valid), head.relabelled(heard)
    if not unseen:
        return 1.0, None
    if speaker_independent and train and (answered := learner.out_of_fold_logits(network, head, train, unseen)):
        return fit_calibration(*answered)
    return fit_calibration(learner.logits(network, head, unseen), targets_of(unseen))


def with_copies(
    train: Sequence[Example], recipe: Recipe, classifier: SpeechClassifier, cache: EmbeddingCache
) -> list[Example]:
    """Return the utterances and, behind them, as many changed copies of each as the recipe's ``augmented_copies`` says.

    What a copy sounds like depends on its utterance, its number and the seed alone: folds share their embeddings.

    Parameters
    ----------
    train : with waveforms, where there are copies to make
    cache : gets the copies' embeddings; the copies themselves hold no frames
    """
    made = list(train)
    if recipe.training.augmented_copies:
        change, seed = change_of(recipe), recipe.training.seed
        for number in range(1, recipe.training.augmented_copies + 1):
            for example in train:
                # Frames of all copies would not fit in memory; the embedding is all that is learnt from.
                copy = replace(example, copy=number, waveform=None, frames=example.frames[:, :0])
                made.append(copy)
                cache.embed_copy(
                    classifier.network, copy, partial(_changed, example, copy.key, change, seed, classifier)
                )
    return made


def _changed(example: Example, key: str, change: Transform, seed: int, classifier: SpeechClassifier) -> Tensor:
    if example.waveform is None:
        raise CorpusError(f"{example.utterance.key}: a recording without its waveform can't be augmented.")
    return compute_frames(classifier.front_end, change(example.samples, generator_for(f"{key} {seed}")))
