"""GELU leaves torch's exporter in a form that onnxruntime computes in one go, and as the same numbers."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from earnest.export.onnx import halve_last, quiet_export


def operations(proto: onnx.ModelProto, folder: Path) -> set[str]:
    """Return what onnxruntime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return {node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node}


def test_onnxruntime_finds_gelus_and_they_say_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.GELU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 3)).eval()
    values = torch.randn(5, 8)
    proto = quiet_export(module, (values,), ({0: torch.export.Dim("batch")},), ["input"], ["output"])
    assert "Erf" in operations(proto, tmp_path)  # else `halve_last` is no longer needed
    halve_last(proto)
    onnx.checker.check_model(proto, full_check=True)
    found = operations(proto, tmp_path)
    assert "Erf" not in found and {"Gelu", "BiasGelu"} & found
    (answers,) = onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"input": values.numpy()})
    assert np.abs(answers - module(values).detach().numpy()).max() < 1e-6
