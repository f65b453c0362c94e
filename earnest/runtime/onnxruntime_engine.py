"""A bundle's graph on onnxruntime."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from earnest.audio.deadline import stopped_at_deadline
from earnest.bundle import Bundle
from earnest.errors import BundleError, EarnestError
from earnest.onnx.cut import Part, part_of
from earnest.runtime.engine import Provider

_PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_KINDS = {"tensor(float)": "float32", "tensor(int64)": "int64"}
_SLOW = ["SkipLayerNormFusion"]  # its one node takes three times as long as the two that it replaces
# Of all graphs of a process: `base` takes 53 MiB a thread for 20 s of sound at once, 473 MiB for a window of 60 s.
MOST_MEMORY = max(2 << 30, (os.cpu_count() or 1) << 29)
_FATAL = 4  # onnxruntime's log level: its messages arrive as exceptions already


@cache
def _limit_memory() -> None:
    """Let all sessions of this process share `MOST_MEMORY`: a graph that wants more fails, and the process goes on."""
    import onnxruntime

    arena = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    about = onnxruntime.OrtMemoryInfo("Cpu", arena, 0, onnxruntime.OrtMemType.DEFAULT)
    bound = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": 0})
    onnxruntime.create_and_register_allocator(about, bound)


class OnnxRuntimeSession:
    """An inference session by names."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs: Mapping[str, str] = {item.name: _KINDS.get(item.type, item.type) for item in session.get_inputs()}
        sizes = {item.name: item.shape[-1] if item.shape else None for item in session.get_outputs()}
        self.outputs: Mapping[str, int | None] = {
            name: size if isinstance(size, int) else None for name, size in sizes.items()
        }

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``, or end at the deadline of this thread."""
        import onnxruntime

        options = onnxruntime.RunOptions()
        with stopped_at_deadline(lambda: setattr(options, "terminate", True)):
            values: list[Any] = self._session.run(list(names), dict(feeds), options)
        return values


class OnnxRuntime:
    """Makes sessions from bytes that were checked, so no other file is read."""

    name = "onnxruntime"

    def __init__(self, threads: int = 1, provider: Provider = "cpu") -> None:
        import onnxruntime

        wanted = _PROVIDERS[provider]
        if wanted not in onnxruntime.get_available_providers():
            raise EarnestError(f"This onnxruntime has no {wanted}. Use provider cpu, or install onnxruntime-gpu.")
        self._providers = list(dict.fromkeys([wanted, _PROVIDERS["cpu"]]))
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = _FATAL
        if provider == "cpu":
            _limit_memory()
            self._options.add_session_config_entry("session.use_env_allocators", "1")
        for kind in ("intra_op", "inter_op"):  # idle threads give their core to others
            self._options.add_session_config_entry(f"session.{kind}.allow_spinning", "0")

    def open(self, data: bytes) -> OnnxRuntimeSession:
        """Prepare a graph."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            data, self._options, providers=self._providers, disabled_optimizers=_SLOW
        )
        return OnnxRuntimeSession(session)

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that onnxruntime raises: its exceptions have no common parent of their own."""
        from onnxruntime.capi import onnxruntime_pybind11_state as state

        own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
        return (*own, RuntimeError, ValueError)


class OnnxRuntimeEngine(OnnxRuntime):
    """Makes sessions of one bundle's graph."""

    file = "model.onnx"

    def __init__(self, bundle: Bundle, threads: int, provider: Provider) -> None:
        if self.file not in bundle.info.files:
            raise BundleError(f"{bundle.folder}: was exported for OpenVINO. Use backend openvino, or export it again.")
        super().__init__(threads, provider)
        self._bundle = bundle

    def session(self, part: Part) -> OnnxRuntimeSession:
        """Prepare the graph or a part of it."""
        return self.open(part_of(self._bundle.model_bytes(), part))
