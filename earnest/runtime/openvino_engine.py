"""A bundle's graph on OpenVINO: from its own files, or from ``model.onnx``."""

import hashlib
import math
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from typing import Any

import numpy as np

from earnest.audio.deadline import stopped_at_deadline
from earnest.bundle import Bundle, BundleInfo
from earnest.errors import BundleError, needs_extra
from earnest.files.cache import FOLDER, disk_cache
from earnest.installation import without_telemetry
from earnest.onnx.surgery import CUT, CutError, Part
from earnest.runtime.engine import MIB, Hint, Provider, few_addresses, most_of_one

GRAPH, WEIGHTS = "model.xml", "model.bin"
FACTS = "framework"  # where OpenVINO keeps the metadata of an ONNX file
# Without them CPUs that can compute in bfloat16 do so, silently, and products with weights stored in 8 bits round their
# activations to 8 bits too: logits differ by 0.3, probabilities by 0.01.
EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}
# What is prepared for a layer and a length of sound is kept for the next of that length. By itself OpenVINO keeps
# 5,000: 635 MiB with `small` after 1,200 lengths.
FEW_KEPT = {"CPU_RUNTIME_CACHE_CAPACITY": "64"}


def openvino() -> Any:
    """Return the package. Raises `MissingExtraError` where it is not installed."""
    without_telemetry()
    with needs_extra("OpenVINO", "openvino"):
        import openvino as package
    return package


class OpenVinoSession:
    """A compiled model by names; each thread has an inference request of its own."""

    def __init__(self, compiled: Any, facts: Mapping[str, str]) -> None:
        self._compiled, self._of_thread = compiled, threading.local()
        self.facts = facts
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

    Where the environment variable ``EARNEST_CACHE`` names a folder, models that were compiled for a device that is
    named are kept there, each with its checksum: OpenVINO's own ``CACHE_DIR`` answers from a damaged file without a
    word.
    """

    name = "OpenVINO"

    def __init__(self, bundle: Bundle, threads: int, provider: Provider, hint: Hint) -> None:
        self._core = openvino().Core()
        self.file = GRAPH if GRAPH in bundle.info.files else "model.onnx"
        device = provider.upper()
        if device != "AUTO" and device not in {name.split(".")[0] for name in self._core.available_devices}:
            found = ", ".join(self._core.available_devices)
            raise BundleError(f"OpenVINO finds no device {device} here, only {found}. Use one of them, or auto.")
        self._bundle, self._device, self._threads = bundle, device, threads
        self._settings: dict[str, Any] = {**EXACT, "PERFORMANCE_HINT": hint.upper()}
        if device == "CPU":
            self._settings |= {"INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False, **FEW_KEPT}
        # What AUTO compiled can't be exported: each device compiles on its own.
        self._kept = disk_cache() if os.environ.get(FOLDER) and device != "AUTO" else None

    def session(self, part: Part) -> OpenVinoSession:
        """Prepare the graph or a part of it."""
        if self.file == GRAPH:
            files = [self._bundle.listed_bytes(name) for name in (GRAPH, WEIGHTS)]
        else:
            files = [self._bundle.model_bytes()]
        n_bytes = sum(map(len, files))
        with self._little_memory(n_bytes):
            model = self._read(*files)
            if not self._bundle.is_shipped:
                _refuse_large(model, round(BundleInfo.longest_s * self._bundle.info.sample_rate_hz), n_bytes)
            paths = {name: [FACTS, name] for name in ("classes", "sample_rate_hz")}
            facts = {
                name: str(model.get_rt_info(path).value) for name, path in paths.items() if model.has_rt_info(path)
            }
            return self._compiled(model if part == "whole" else cut_model(model, part), facts, part.encode(), *files)

    def open(self, data: bytes) -> OpenVinoSession:
        """Prepare a graph from the bytes of an ONNX file."""
        with self._little_memory(len(data)):
            return self._compiled(self._read(data), {}, data)

    def _read(self, data: bytes, *weights: bytes) -> Any:
        return self._core.read_model(data, *(openvino().Tensor(np.frombuffer(one, np.uint8)) for one in weights))

    def _compile(self, model: Any) -> Any:
        return self._core.compile_model(model, self._device, self._settings)

    def _compiled(self, model: Any, facts: Mapping[str, str], *made_of: bytes) -> OpenVinoSession:
        """Compile a model, or take what was compiled of the same bytes, by the same OpenVINO on the same processor."""
        if self._kept is None:
            return OpenVinoSession(self._compile(model), facts)
        processor = self._core.get_property(self._device, "FULL_DEVICE_NAME")
        circumstances = repr((openvino().__version__, self._device, processor, sorted(self._settings.items())))
        digests = (hashlib.sha256(data).digest() for data in (circumstances.encode(), *made_of))
        fresh: list[Any] = []

        def compiled() -> bytes:
            fresh.append(self._compile(model))
            return bytes(fresh[0].export_model().getvalue())

        data = self._kept.found(hashlib.sha256(b"".join(digests)).hexdigest(), compiled)
        taken = fresh[0] if fresh else self._core.import_model(data, self._device, self._settings)
        return OpenVinoSession(taken, facts)

    def _little_memory(self, n_bytes: int) -> AbstractContextManager[None]:
        if self._bundle.is_shipped or self._device != "CPU":
            return nullcontext()
        return few_addresses(n_bytes, self._threads)

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that OpenVINO raises."""
        return (RuntimeError, ValueError, TypeError, MemoryError)


def cut_model(model: Any, part: Part) -> Any:
    """Return the part before or behind the values `CUT`, as `earnest.onnx.surgery.part_of` does."""
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


def _refuse_large(model: Any, n_samples: int, n_bytes: int) -> None:
    """Raise `MemoryError` where a run with so many samples takes more than a graph may whose file has ``n_bytes``.

    OpenVINO has no bound of its own. Sizes that follow from what is heard are not known before, and not counted.
    """
    if {port.get_any_name() for port in model.inputs} != {"waveform", "lengths"}:
        return  # refused for that
    longest = model.clone()
    longest.reshape({"waveform": [1, n_samples], "lengths": [1]})
    if most_alive(longest) > most_of_one(n_bytes):
        raise MemoryError(f"one run wants more than {most_of_one(n_bytes) // MIB} MiB of memory")


def most_alive(model: Any) -> int:
    """Return how many bytes of values are there at once when a model runs in its order, weights left out.

    A value is there from the node that computes it to the last one that reads it; where its size has bounds, it has
    the largest.
    """
    # max over i of Σ bytes(v), v computed at or before node i and read at or after it
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() != "Constant"]
    change = [0] * (len(nodes) + 1)
    numbers = {node.get_name(): number for number, node in enumerate(nodes)}
    for number, node in enumerate(nodes):
        for port in node.outputs():
            size = _bytes_of(port)
            change[number] += size
            read = [numbers[target.get_node().get_name()] for target in port.get_target_inputs()]
            change[max(read, default=number) + 1] -= size
    return max(accumulate(change))


def _bytes_of(port: Any) -> int:
    shape = port.get_partial_shape()
    sizes = [dimension.get_max_length() for dimension in shape] if shape.rank.is_static else [-1]
    return 0 if min(sizes, default=1) < 0 else math.prod(sizes) * int(port.get_element_type().size)


def _last_size(port: Any) -> int | None:
    shape = port.get_partial_shape()
    if not shape.rank.is_static or len(shape) == 0 or not shape[len(shape) - 1].is_static:
        return None
    return int(shape[len(shape) - 1].get_length())
