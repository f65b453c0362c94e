"""What computes a bundle's graph: onnxruntime or OpenVINO, behind one small surface."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from earnest.onnx.cut import Part

Backend: TypeAlias = Literal["auto", "onnxruntime", "openvino"]
Provider: TypeAlias = Literal["cpu", "cuda", "gpu", "auto"]
"""What the backend computes on: cuda is onnxruntime's, gpu (Intel's) and auto are OpenVINO's."""
Hint: TypeAlias = Literal["latency", "throughput"]
"""What OpenVINO is tuned to: one recording as soon as possible, or many at once."""


class Session(Protocol):
    """A graph, or a part of it, ready to run; several threads may share it.

    Attributes
    ----------
    inputs : name → kind of number, such as "float32"
    outputs : name → size of the last axis, None where it varies
    classes : as the graph itself names them, with commas between; None where it doesn't
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, int | None]
    classes: str | None

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``."""


class Runner(Protocol):
    """Makes sessions of graphs.

    Attributes
    ----------
    name : for messages
    """

    name: str

    def open(self, data: bytes) -> Session:
        """Prepare a graph from the bytes of an ONNX file that was checked."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that it raises."""


class Engine(Runner, Protocol):
    """Makes sessions of one bundle's graph.

    Attributes
    ----------
    file : of the bundle that it reads
    """

    file: str

    def session(self, part: Part) -> Session:
        """Prepare the graph, or the part of it before or behind the spectrogram."""
