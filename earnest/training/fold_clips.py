"""A finished fold's model with the clips that it answers again: changed, or in several variants."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.evaluation.predictions import Predictions, of_emotion, read_predictions
from earnest.evaluation.splits import Split
from earnest.models.classifier import SpeechClassifier
from earnest.recipe import read_recipe
from earnest.training.data import compute_examples
from earnest.training.fit import predict_outputs
from earnest.training.run import PREDICTIONS, load_run, predictions_from, scheme_of

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
