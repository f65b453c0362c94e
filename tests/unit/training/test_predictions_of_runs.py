from pathlib import Path

import numpy as np
import torch

from earnest.corpora.manifest import Utterance
from earnest.models.classifier import NetworkOutput, SpeechClassifier
from earnest.training.examples import Example
from earnest.training.loop import predict_outputs
from earnest.training.run import predictions_from

OUTPUT = NetworkOutput(
    logits=torch.tensor([[0.0, 2.0], [3.0, 0.0]]),
    embedding=torch.zeros(2, 1),
    gender=torch.tensor([[0.0, 1.0], [1.0, 0.0]]),
    affect=torch.tensor([[0.25, 0.5, 0.75], [0.0, 1.0, 0.5]]),
)
EXAMPLES = [
    Example(Utterance(name, Path("x.wav"), corpus="made", speaker="ann", gender="male"), torch.zeros(1, 1), 0, 1.0)
    for name in ("a", "b")
]


def classifier(*learned: str) -> SpeechClassifier:
    made = SpeechClassifier(torch.nn.Identity(), torch.nn.Identity(), ("happy", "sad"))
    made.learned = learned
    return made


def test_what_was_taught_beside_the_emotion_is_predicted() -> None:
    predictions = predictions_from(OUTPUT, classifier("gender", "affect"), EXAMPLES, "f1")
    assert predictions.predicted.tolist() == [1, 0]
    assert predictions.predicted_gender.tolist() == ["male", "female"]
    np.testing.assert_array_equal(predictions.predicted_affect, [[0.25, 0.5, 0.75], [0.0, 1.0, 0.5]])


def test_what_was_not_taught_is_no_column() -> None:
    predictions = predictions_from(OUTPUT, classifier(), EXAMPLES, "f1")
    assert predictions.predicted_gender is None
    assert predictions.predicted_affect is None


def test_outputs_of_several_batches_are_one() -> None:
    class Network(torch.nn.Module):
        def forward(self, frames: torch.Tensor, n_frames: torch.Tensor) -> NetworkOutput:
            values = frames[:, 0, :1]
            return NetworkOutput(values, -values, gender=torch.cat([values, 1 - values], dim=1))

    examples = [Example(EXAMPLES[0].utterance, torch.full((1, 1), float(index)), 0, 1.0) for index in range(70)]
    output = predict_outputs(Network(), examples)
    assert output.logits[:, 0].tolist() == list(range(70))
    assert output.embedding[:, 0].tolist() == [-index for index in range(70)]
    assert output.gender is not None
    assert output.gender[:, 1].tolist() == [1 - index for index in range(70)]
    assert output.affect is None
