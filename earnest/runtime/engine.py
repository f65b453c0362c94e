"""Engines that compute a bundle's graph, behind one small surface: onnxruntime's, and what bounds a graph's memory.

Graphs that do not ship have bounds; those that ship were measured. What such a graph computes while it is prepared
(constants that follow from constants) comes from malloc: for so long the process gets few more addresses; Linux only.
What onnxruntime computes while a graph runs comes from an arena that has an end: graphs that ship share one, each other
one has its own. OpenVINO's engine is in `earnest.runtime.openvino_engine`; the sizes of its runs are added up before.
"""

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from earnest.audio.deadline import check_deadline, current_deadline, stopped_at_deadline
from earnest.bundle import Bundle
from earnest.errors import BundleError, EarnestError, TooLateError, first_line
from earnest.onnx.surgery import Part, part_of

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
    facts : what the graph itself says, as far as it does: "classes", with commas between, and "sample_rate_hz"
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, int | None]
    facts: Mapping[str, str]

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``."""


class Runner(Protocol):
    """Makes sessions of graphs. ``name``: for messages."""

    name: str

    def open(self, data: bytes) -> Session:
        """Prepare a graph from the bytes of an ONNX file that was checked."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that it raises."""


class Engine(Runner, Protocol):
    """Makes sessions of one bundle's graph. ``file``: of the bundle that it reads."""

    file: str

    def session(self, part: Part) -> Session:
        """Prepare the graph, or the part of it before or behind the spectrogram."""


MIB = 2**20
CORES = os.cpu_count() or 1
MOST_OF_ONE = 200 * MIB  # beyond what its file accounts for …
A_CORE = 48 * MIB  # … or this for each core, if more: all may run the graph at the same time
FILE_TIMES = 16  # weights of 8 bits become 32, and are kept in a second order for fast products
ADDRESSES_A_THREAD = 144 * MIB  # a stack, and malloc's reserve: addresses, not memory
PREPARING = threading.RLock()  # the bounds of this process are changed by one thread at a time


def most_of_one(n_bytes: int) -> int:
    """Return how many bytes a graph whose file has ``n_bytes`` may take while it runs."""
    # max(200 MiB, 48 MiB·cores) + 16·bytes of the file.
    return max(MOST_OF_ONE, CORES * A_CORE) + FILE_TIMES * n_bytes


@contextmanager
def few_addresses(n_bytes: int, threads: int) -> Iterator[None]:
    """Let this process take little more memory, counted as addresses, until the block ends.

    What other threads of the process take meanwhile counts, too.

    Parameters
    ----------
    n_bytes : size of the file of the graph that is prepared
    threads : how many it starts; 0 for all cores
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    more = MOST_OF_ONE + FILE_TIMES * n_bytes + ((threads or CORES) - 1) * ADDRESSES_A_THREAD
    with PREPARING:
        n_pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        before, hardest = resource.getrlimit(resource.RLIMIT_AS)
        most = n_pages * resource.getpagesize() + more
        bounds = [most, *(bound for bound in (before, hardest) if bound != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hardest))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (before, hardest))


# Of all graphs that ship, in one process: `base` takes 53 MiB a thread for 20 s of sound at once, 473 for 60 s.
MOST_SHARED = max(2048 * MIB, CORES * 512 * MIB)

_PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_KINDS = {"tensor(float)": "float32", "tensor(int64)": "int64"}
_SLOW = ["SkipLayerNormFusion"]  # its one node takes three times as long as the two that it replaces
# A graph of 8 bits answers alike everywhere: without this, x86 processors with AVX2 but no VNNI (most before 2019) add
# products of 8 bits in 16, which may be too few.
WITHOUT_OVERFLOW = ("session.x64quantprecision", "1")
_FATAL = 4  # onnxruntime's log level: its messages arrive as exceptions already


@cache
def _share() -> None:
    """Have sessions take their memory where those that ship do.

    An arena is given to sessions when they are made: those made before and after a session with its own have two.
    """
    _register(MOST_SHARED)


def _register(most: int) -> None:
    """Have all sessions that are made from now on share one new arena."""
    import onnxruntime

    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    about = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    bound = onnxruntime.OrtArenaCfg({"max_mem": most, "arena_extend_strategy": 0})
    onnxruntime.create_and_register_allocator(about, bound)


class Turns:
    """Who runs one graph at this moment: many at once, or, where many had too little memory together, one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_inside = self._n_waiting = 0
        self._is_alone = False

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """Wait while somebody runs alone, or is about to."""
        with self._changed:
            self._wait(lambda: not self._is_alone and not self._n_waiting)
            self._n_inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody runs, and have nobody begin meanwhile."""
        with self._changed:
            self._n_waiting += 1
            try:
                self._wait(lambda: not self._is_alone and not self._n_inside)
                self._is_alone = True
            finally:
                self._n_waiting -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()

    def _wait(self, is_free: Callable[[], bool]) -> None:
        left_s = current_deadline().left_s
        if not self._changed.wait_for(is_free, None if math.isinf(left_s) else left_s):
            check_deadline()
            raise TooLateError("Other requests used the network for too long.")


class OnnxRuntimeSession:
    """An inference session by names. ``most_bytes``: the bound of memory of a graph that has its own."""

    def __init__(self, session: Any, most_bytes: int | None = None) -> None:
        self._session, self._most_bytes, self._turns = session, most_bytes, Turns()
        self.inputs: Mapping[str, str] = {item.name: _KINDS.get(item.type, item.type) for item in session.get_inputs()}
        self.facts: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        sizes = {item.name: item.shape[-1] if item.shape else None for item in session.get_outputs()}
        self.outputs: Mapping[str, int | None] = {
            name: size if isinstance(size, int) else None for name, size in sizes.items()
        }

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``, or end at the deadline of this thread."""
        if self._most_bytes is None:
            return self._run(feeds, names)
        with _arena_may_end(), self._turns.among_others():
            return self._run(feeds, names)
        # Runs together may want more than there is though each wants little; and small pieces of an arena don't join.
        with self._turns.alone():
            for _ in range(2):  # after the first the arena is given back
                with _arena_may_end():
                    return self._run(feeds, names, shrinks=True)
        raise RuntimeError(f"one run wants more than {self._most_bytes // MIB} MiB of memory, try shorter windows")

    def _run(self, feeds: Mapping[str, Any], names: Sequence[str], shrinks: bool = False) -> list[Any]:
        import onnxruntime

        options = onnxruntime.RunOptions()
        if shrinks:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with stopped_at_deadline(lambda: setattr(options, "terminate", True)):
            values: list[Any] = self._session.run(list(names), dict(feeds), options)
        return values


@contextmanager
def _arena_may_end() -> Iterator[None]:
    """Go on behind a block that ended as an arena had no more."""
    try:
        yield
    except _errors() as error:
        if "bfc_arena" not in str(error):
            raise


@cache
def _errors() -> tuple[type[Exception], ...]:
    """Return all that onnxruntime raises: its exceptions have no common parent of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


class OnnxRuntime:
    """Makes sessions from bytes that were checked, so no other file is read.

    Parameters
    ----------
    is_ours : whether the graphs ship with the package: others have a bound of memory each
    """

    name = "onnxruntime"

    def __init__(self, threads: int = 1, provider: Provider = "cpu", is_ours: bool = False) -> None:
        try:
            import onnxruntime
        except ImportError as error:  # not installed, or a library of the system's that it needs is not
            told = f"onnxruntime can't be imported ({first_line(error)})."
            raise EarnestError(f"{told} Install it with: pip install onnxruntime. Or use backend openvino.") from error

        wanted = _PROVIDERS[provider]
        if wanted not in onnxruntime.get_available_providers():
            raise EarnestError(f"This onnxruntime has no {wanted}. Use provider cpu, or install onnxruntime-gpu.")
        self._providers = list(dict.fromkeys([wanted, _PROVIDERS["cpu"]]))
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = _FATAL
        # onnxruntime would keep a plan of memory for each length that it ever heard, and never forget one.
        self._options.enable_mem_pattern = False
        self._options.add_session_config_entry(*WITHOUT_OVERFLOW)
        self._threads, self._is_ours, self._is_bounded = threads, is_ours, provider == "cpu"
        if self._is_bounded:
            self._options.add_session_config_entry("session.use_env_allocators", "1")
        for kind in ("intra_op", "inter_op"):  # idle threads give their core to others
            self._options.add_session_config_entry(f"session.{kind}.allow_spinning", "0")

    def open(self, data: bytes) -> OnnxRuntimeSession:
        """Prepare a graph."""
        import onnxruntime

        with self._arena(len(data)):
            session = onnxruntime.InferenceSession(
                data, self._options, providers=self._providers, disabled_optimizers=_SLOW
            )
        is_alone = self._is_bounded and not self._is_ours
        return OnnxRuntimeSession(session, most_of_one(len(data)) if is_alone else None)

    @contextmanager
    def _arena(self, n_bytes: int) -> Iterator[None]:
        """Have a session that is made here, of a file of ``n_bytes``, take its memory from an arena that has an end.

        Nothing else may be made meanwhile; what other threads of the process take counts, too.
        """
        if not self._is_bounded:
            yield
            return
        with PREPARING:
            if self._is_ours:
                _share()
                yield
                return
            _register(most_of_one(n_bytes))
            _share.cache_clear()  # the next one that ships must not get this arena
            with few_addresses(n_bytes, self._threads):
                yield

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that onnxruntime raises."""
        return _errors()


class OnnxRuntimeEngine(OnnxRuntime):
    """Makes sessions of one bundle's graph."""

    file = "model.onnx"

    def __init__(self, bundle: Bundle, threads: int, provider: Provider) -> None:
        if self.file not in bundle.info.files:
            raise BundleError(f"{bundle.folder}: was exported for OpenVINO. Use backend openvino, or export it again.")
        super().__init__(threads, provider, is_ours=bundle.is_shipped)
        self._bundle = bundle

    def session(self, part: Part) -> OnnxRuntimeSession:
        """Prepare the graph or a part of it."""
        return self.open(part_of(self._bundle.model_bytes(), part))
