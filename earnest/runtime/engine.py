"""What computes a bundle's graph: onnxruntime or OpenVINO, behind one small surface."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from earnest.bundle import Bundle
from earnest.errors import EarnestError
from earnest.onnx_file import Part

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
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, int | None]

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``."""


class Engine(Protocol):
    """Makes sessions of one bundle's graph.

    Attributes
    ----------
    name : for messages
    file : of the bundle that it reads
    """

    name: str
    file: str

    def session(self, part: Part) -> Session:
        """Prepare the graph, or the part of it before or behind the spectrogram."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that it raises."""


def engine_for(
    bundle: Bundle, threads: int = 1, provider: Provider = "cpu", backend: Backend = "auto", hint: Hint = "latency"
) -> Engine:
    """Return what computes a bundle; "auto" is onnxruntime unless the bundle was exported for OpenVINO.

    Raises
    ------
    MissingExtraError
        Where OpenVINO is wanted and not installed.
    EarnestError
        When the backend doesn't have the provider.
    """
    if backend == "openvino" or (backend == "auto" and "model.xml" in bundle.info.files):
        from earnest.runtime.openvino_engine import OpenVinoEngine

        if provider == "cuda":
            raise EarnestError("OpenVINO has no provider cuda. Use cpu, gpu or auto.")
        return OpenVinoEngine(bundle, threads, provider, hint)
    from earnest.runtime.onnxruntime_engine import OnnxRuntimeEngine

    if provider in ("gpu", "auto"):
        raise EarnestError(f"onnxruntime has no provider {provider}. Use cpu or cuda, or backend openvino.")
    return OnnxRuntimeEngine(bundle, threads, provider)
