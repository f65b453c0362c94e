"""What torch's exporter traces once: a front end with the same settings, an adaptation network's graph.

Tracing takes nearly all of an export's time, half of it the front end's; the tests of many networks share one. Each
network is traced by itself, and each kind of front end at least once. In the folder of integration tests, where one run
is exported many times, a network that is equal in all that it holds is traced once, too. An adaptation network's graph
is that of the first one with as many classes, with its own weights: byte for byte what the exporter makes of it.

Once is else once in a process, or in all processes of a run of the tests that makes a folder (``EARNEST_TRACES``).
"""

import hashlib
import io
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earnest.files.writing import write_atomically


class Traces:
    """Graphs by what they are of, made once here, or once by all who share the folder."""

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}
        self._folder = os.environ.get("EARNEST_TRACES")

    def graph(self, of: str, trace: Callable[[], bytes]) -> bytes:
        """Return the graph of what is described by ``of``."""
        if of not in self._made:
            self._made[of] = self._shared(of, trace)
        return self._made[of]

    def _shared(self, of: str, trace: Callable[[], bytes]) -> bytes:
        if not self._folder:
            return trace()
        place = Path(self._folder) / f"{hashlib.sha256(of.encode()).hexdigest()}.onnx"
        if not place.exists():
            write_atomically(place, trace())
        return place.read_bytes()


TRACES = Traces()


@contextmanager
def each_front_end_once() -> Iterator[None]:
    """Let `earnest.export.onnx` hand out copies of the graph that it made of an equal front end."""
    import onnx

    from earnest.export import onnx as export

    trace = export._traced

    def traced(module: Any, arguments: Any, axes: Any, inputs: Any, outputs: Any, prefix: str) -> Any:
        if prefix != export.FRONT:
            return trace(module, arguments, axes, inputs, outputs, prefix)
        digest = hashlib.sha256()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            digest.update(name.encode() + tensor.detach().numpy().tobytes())
        shapes = tuple(tuple(argument.shape) for argument in arguments)
        of = (repr(module), module.settings, digest.hexdigest(), shapes, repr(axes), tuple(inputs), tuple(outputs))

        def graph() -> bytes:
            return bytes(trace(module, arguments, axes, inputs, outputs, prefix).SerializeToString())

        return onnx.load_from_string(TRACES.graph(repr(of), graph))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", traced)
        yield


@pytest.fixture(scope="session", autouse=True)
def front_ends_are_traced_once() -> Iterator[None]:
    """Share the graphs of equal front ends, as `each_front_end_once` does."""
    pytest.importorskip("onnx")
    with each_front_end_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def equal_networks_are_traced_once(front_ends_are_traced_once: None) -> Iterator[None]:
    """Let `earnest.export.onnx` hand out copies of the graph of a network that is equal in all that it holds.

    A run that is exported again, to other forms, is such a network.
    """
    onnx = pytest.importorskip("onnx")
    from earnest.export import onnx as export

    trace = export._traced

    def traced(module: Any, arguments: Any, axes: Any, inputs: Any, outputs: Any, prefix: str) -> Any:
        def made() -> Any:
            return trace(module, arguments, axes, inputs, outputs, prefix)

        held = _all_that_it_holds(module) if prefix == export.NETWORK else None
        if held is None:
            return made()
        shapes = tuple(tuple(argument.shape) for argument in arguments)
        of = repr((held, shapes, repr(axes), tuple(inputs), tuple(outputs)))
        return onnx.load_from_string(TRACES.graph(of, lambda: bytes(made().SerializeToString())))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_traced", traced)
        yield


class _Exact(pickle.Pickler):
    """Writes tensors by their values, not by where they lie in memory, and sets sorted, as each process orders them."""

    def persistent_id(self, held: Any) -> Any:
        return sorted(map(repr, held)) if isinstance(held, set) else None

    def reducer_override(self, held: Any) -> Any:
        import torch

        if not isinstance(held, torch.Tensor):
            return NotImplemented
        facts = (type(held).__name__, held.dtype, tuple(held.shape), held.requires_grad)
        return bytes, (repr(facts).encode() + held.detach().contiguous().numpy().tobytes(),)


def _all_that_it_holds(module: Any) -> str | None:
    """Return the digest of a module's weights and settings, whatever they are; None where they can't be written."""
    written = io.BytesIO()
    try:
        pickler = _Exact(written)
        pickler.fast = True  # which of equal parts are one object says nothing
        pickler.dump(module)
    except (pickle.PicklingError, AttributeError, TypeError, ValueError, RuntimeError):
        return None
    return hashlib.sha256(written.getvalue()).hexdigest()


class AdaptationGraphs:
    """Graphs of adaptation networks: the first with so many classes is traced, the others are it with other weights."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[bytes, dict[str, Any]]] = {}

    def graph(self, network: Any) -> bytes:
        """Return what `adaptation_graph` returns."""
        import onnx

        if network.n_classes not in self._made:
            self._made[network.n_classes] = _traced_with_drawn_weights(network.n_classes)
        traced, drawn = self._made[network.n_classes]
        proto = onnx.load_from_string(traced)
        own = _weights(network)
        for tensor in proto.graph.initializer:
            name, turn = _origin(onnx.numpy_helper.to_array(tensor), drawn)
            if name:
                values = np.ascontiguousarray(turn(own[name]))
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return bytes(proto.SerializeToString())


def _traced_with_drawn_weights(n_classes: int) -> tuple[bytes, dict[str, Any]]:
    """Return a graph, and its weights, of which no two are equal."""
    import torch

    from earnest.models.adaptation import AdaptationNetwork, adaptation_graph

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = AdaptationNetwork(n_classes).eval()
        for tensor in (*network.parameters(), *network.buffers()):
            tensor.add_(torch.rand(tensor.shape))
    return TRACES.graph(f"adaptation of {n_classes} classes", lambda: adaptation_graph(network)), _weights(network)


def _weights(network: Any) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def _origin(values: Any, weights: dict[str, Any]) -> tuple[str, Any]:
    """Return which weight a constant of the graph is, and how it was turned; "" for none."""
    for name, weight in weights.items():
        for turn in (np.asarray, np.transpose):
            if values.shape == turn(weight).shape and np.array_equal(values, turn(weight)):
                return name, turn
    return "", np.asarray


@pytest.fixture(scope="session", autouse=True)
def adaptation_networks_are_traced_once() -> Iterator[None]:
    """Let training write graphs of adaptation networks that are not traced one by one."""
    pytest.importorskip("onnx")
    from earnest.training import runtime_statistics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime_statistics, "adaptation_graph", AdaptationGraphs().graph)
        yield
