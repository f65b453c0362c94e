"""A bundle's graph on OpenVINO: from its own files, or from ``model.onnx``."""

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from earnest.audio.deadline import stopped_at_deadline
from earnest.bundle import Bundle
from earnest.errors import BundleError, MissingExtraError
from earnest.files.cache import FOLDER
from earnest.onnx.cut import CUT, CutError, Part
from earnest.runtime.engine import Hint, Provider

MODEL, WEIGHTS = "model.xml", "model.bin"
# Without them CPUs that can compute in bfloat16 do so, silently, and products with weights stored in 8 bits round their
# activations to 8 bits too: logits differ by 0.3, probabilities by 0.01.
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}


def openvino() -> Any:
    """Return the package.

    Raises
    ------
    MissingExtraError
        Where it is not installed.
    """
    try:
        import openvino as package
    except ImportError:
        raise MissingExtraError("OpenVINO", "openvino") from None
    return package


class OpenVinoSession:
    """A compiled model by names; each thread has an inference request of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._of_thread = compiled, threading.local()
        self.inputs: Mapping[str, str] = {
            port.get_any_name(): np.dtype(port.get_element_type().to_dtype()).name for port in compiled.inputs
        }
        self.outputs: Mapping[str, int | None] = {
            name: _last_size(port) for port in compiled.outputs for name in sorted(port.get_names())
        }

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``, copied: the request's own memory is used again.

        The deadline of this thread ends it.
        """
        request = getattr(self._of_thread, "request", None)
        if request is None:
            request = self._of_thread.request = self._compiled.create_infer_request()
        with stopped_at_deadline(request.cancel):
            request.infer(dict(feeds), share_inputs=True)
        return [np.array(request.get_tensor(name).data) for name in names]


class OpenVinoEngine:
    """Makes sessions from the bytes that were checked, so no other file is read.

    Where the environment variable ``EARNEST_CACHE`` names a folder, compiled models are kept there.
    """

    name = "OpenVINO"

    def __init__(self, bundle: Bundle, threads: int, provider: Provider, hint: Hint) -> None:
        self._core = openvino().Core()
        self.file = MODEL if MODEL in bundle.info.files else "model.onnx"
        device = provider.upper()
        if device != "AUTO" and device not in {name.split(".")[0] for name in self._core.available_devices}:
            found = ", ".join(self._core.available_devices)
            raise BundleError(f"OpenVINO finds no device {device} here, only {found}. Use one of them, or auto.")
        self._bundle, self._device = bundle, device
        self._settings: dict[str, Any] = {**EXACT, "PERFORMANCE_HINT": hint.upper()}
        if device == "CPU":
            self._settings |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False}
        if folder := os.environ.get(FOLDER):
            self._settings["CACHE_DIR"] = str(Path(folder).expanduser() / "openvino")

    def session(self, part: Part) -> OpenVinoSession:
        """Prepare the graph or a part of it."""
        if self.file == MODEL:
            weights = np.frombuffer(self._bundle.listed_bytes(WEIGHTS), np.uint8)
            model = self._core.read_model(self._bundle.listed_bytes(MODEL), openvino().Tensor(weights))
        else:
            model = self._core.read_model(self._bundle.model_bytes())
        return self._compiled(model if part == "whole" else cut_model(model, part))

    def open(self, data: bytes) -> OpenVinoSession:
        """Prepare a graph from the bytes of an ONNX file."""
        return self._compiled(self._core.read_model(data))

    def _compiled(self, model: Any) -> OpenVinoSession:
        return OpenVinoSession(self._core.compile_model(model, self._device, self._settings))

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that OpenVINO raises."""
        return (RuntimeError, ValueError, TypeError)


def cut_model(model: Any, part: Part) -> Any:
    """Return what lies before or behind the values `earnest.onnx.cut.CUT`, as `earnest.onnx.cut.part_of` does."""
    found = {name: port for node in model.get_ops() for port in node.outputs() for name in port.get_names()}
    if not found.keys() >= set(CUT):
        raise CutError
    ports = [found[name] for name in CUT]
    package = openvino()
    if part == "front_end":
        return package.Model([package.opset13.result(port) for port in ports], model.get_parameters(), part)
    parameters = []
    for name, port in zip(CUT, ports, strict=True):
        parameter = package.opset13.parameter(port.get_partial_shape(), port.get_element_type(), name)
        for target in list(port.get_target_inputs()):
            target.replace_source_output(parameter.output(0))
        port.set_names({f"before_the_cut.{name}"})
        parameter.output(0).set_names({name})
        parameters.append(parameter)
    return package.Model(model.get_results(), parameters, part)


def _last_size(port: Any) -> int | None:
    shape = port.get_partial_shape()
    if not shape.rank.is_static or len(shape) == 0 or not shape[len(shape) - 1].is_static:
        return None
    return int(shape[len(shape) - 1].get_length())
