"""What a model answers with, read from its file."""

import numpy as np
import pytest
from stand_in import CLASSES, stand_in_model

from earnest.bundle import load_bundle, shipped_bundles
from earnest.errors import BundleError
from earnest.onnx.check import output_widths
from earnest.runtime.graph import Graph


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_shipped_bundles_widths_are_what_its_graph_answers(name: str) -> None:
    bundle = load_bundle(name)
    widths = output_widths(bundle.model_bytes())
    assert widths["probabilities"] == len(bundle.info.classes)
    if name == "small":  # one is enough to run
        found = Graph(bundle).run([np.zeros(16_000, np.float32)], ["embedding"])["embedding"]
        assert found.shape == (1, widths["embedding"])


def test_an_output_of_one_axis_has_no_width() -> None:
    widths = output_widths(stand_in_model(sound=True).SerializeToString())
    assert (widths["embedding"], widths["probabilities"], widths["distance"]) == (3, len(CLASSES), None)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x3a\xff"])
def test_what_is_no_model_is_told(data: bytes) -> None:
    with pytest.raises(BundleError, match="not an ONNX model"):
        output_widths(data)
