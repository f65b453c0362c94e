"""A front end with the same settings is traced by torch's exporter once in a process.

Tracing takes nearly all of an export's time, half of it the front end's; the tests of many networks share one. Each
network is traced by itself, and each kind of front end at least once.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def front_ends_are_traced_once() -> Iterator[None]:
    """Let `earnest.export.onnx` hand out copies of the graph that it made of an equal front end."""
    onnx = pytest.importorskip("onnx")
    from earnest.export import onnx as export

    made: dict[tuple[Any, ...], Any] = {}
    trace = export._traced

    def traced(module: Any, arguments: Any, axes: Any, inputs: Any, outputs: Any, prefix: str) -> Any:
        if prefix != export.FRONT:
            return trace(module, arguments, axes, inputs, outputs, prefix)
        digest = hashlib.sha256()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            digest.update(name.encode() + tensor.detach().numpy().tobytes())
        shapes = tuple(tuple(argument.shape) for argument in arguments)
        key = (repr(module), module.settings, digest.digest(), shapes, repr(axes), tuple(inputs), tuple(outputs))
        if key not in made:
            made[key] = trace(module, arguments, axes, inputs, outputs, prefix)
        copy = onnx.ModelProto()
        copy.CopyFrom(made[key])
        return copy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", traced)
        yield
