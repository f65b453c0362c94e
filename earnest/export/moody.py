"""The graph that Moody's web application calls: 2.1 s at 22,050 Hz in, logits in Moody's order out."""

from collections.abc import Mapping

import torch
from onnx import ModelProto
from torch import Tensor, nn

from earnest.errors import EarnestError
from earnest.export.onnx import OPSET, finished, quiet_export, remove_traces, store_small
from earnest.labels import SCHEMES
from earnest.models.classifier import SpeechClassifier

RATE_HZ = 22_050
N_SAMPLES = 46_305  # 2.1 s
INPUT, OUTPUT = "input", "output"
SEVEN = SCHEMES["moody7"].classes
EIGHT = (*SEVEN, "calm")


class _Fixed(nn.Module):
    """The classifier for clips of one length, its classes in Moody's order."""

    order: Tensor

    def __init__(self, classifier: SpeechClassifier, order: list[int]) -> None:
        super().__init__()
        self.classifier = classifier
        self.register_buffer("order", torch.tensor(order))

    def forward(self, waveform: Tensor) -> Tensor:
        lengths = torch.full_like(waveform[:, 0], N_SAMPLES, dtype=torch.int64)
        logits: Tensor = self.classifier(waveform, lengths)["logits"]
        return logits.index_select(1, self.order) / self.classifier.temperature


def moody_classes(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a model's classes in Moody's order: its seven, and calm behind them where the model tells it apart.

    Raises
    ------
    EarnestError
        When the model has other classes.
    """
    for wanted in (SEVEN, EIGHT):
        if set(classes) == set(wanted):
            return wanted
    raise EarnestError(
        f"Moody's page reads {', '.join(SEVEN)}, and calm behind them; this model tells {', '.join(classes)}. "
        "Train with --scheme moody7."
    )


def to_moody(classifier: SpeechClassifier, facts: Mapping[str, str]) -> ModelProto:
    """Export with input ``input`` (batch, 46305) float32 at 22,050 Hz and output ``output`` (batch, 7 or 8) logits.

    Moody's page scales every clip to a root mean square of one before; with a front end that does so itself nothing
    changes. The logits are divided by the temperature, so that its softmax gives calibrated probabilities.
    """
    rate_hz = classifier.front_end.settings.sample_rate_hz
    if rate_hz != RATE_HZ:
        raise EarnestError(
            f"Moody's page records at {RATE_HZ} Hz, this model hears {rate_hz} Hz. Train a recipe with "
            'preset = "moody" in [front_end], such as recipes/moody-alexnet.toml.'
        )
    wanted = moody_classes(classifier.classes)
    model = _Fixed(classifier.exportable(), [classifier.classes.index(name) for name in wanted]).eval()
    waveform = 0.1 * torch.randn(2, N_SAMPLES, generator=torch.Generator().manual_seed(0))
    proto = quiet_export(model, (waveform,), ({0: torch.export.Dim("batch")},), (INPUT,), (OUTPUT,))
    remove_traces(proto)
    proto.graph.name, proto.producer_name = "earnest", "earnest"
    if proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value:
        raise EarnestError("The export fixed the batch size.")
    store_small(proto)
    assert [item.version for item in proto.opset_import if not item.domain] == [OPSET]
    return finished(proto, {**facts, "classes": ",".join(wanted), "profile": "moody", "n_samples": str(N_SAMPLES)})
