"""A bundle's network on onnxruntime."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.bundle import Bundle
from earnest.errors import BundleError, EarnestError

Outputs: TypeAlias = Mapping[str, npt.NDArray[np.float32]]

_log = logging.getLogger(__name__)
Provider = Literal["cpu", "cuda"]
_PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_INPUTS = {"waveform": "tensor(float)", "lengths": "tensor(int64)"}
_REQUIRED = ("logits", "probabilities", "embedding")
_PREDICTED = ("probabilities", "gender", "affect")
_FATAL = 4  # onnxruntime's log level: its messages arrive as exceptions already


class Network(Protocol):
    """What hears windows: a bundle's graph, or several answers averaged (`earnest.runtime.averaging`).

    Attributes
    ----------
    predicted : names of the outputs that a prediction is made of
    """

    predicted: tuple[str, ...]

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch, each of shape (samples,); see `Graph.run`."""


class Graph:
    """Runs batches of waveforms; the session is made from the bytes that were checked, so no other file is read.

    Attributes
    ----------
    outputs : names of all outputs
    predicted : names of those that a prediction is made of
    """

    def __init__(self, bundle: Bundle, threads: int = 1, provider: Provider = "cpu") -> None:
        import onnxruntime

        wanted = _PROVIDERS[provider]
        if wanted not in onnxruntime.get_available_providers():
            raise EarnestError(f"This onnxruntime has no {wanted}. Use provider cpu, or install onnxruntime-gpu.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        for kind in ("intra_op", "inter_op"):  # idle threads give their core to others
            options.add_session_config_entry(f"session.{kind}.allow_spinning", "0")
        self._where = f"{bundle.folder / 'model.onnx'}"
        self._n_classes = len(bundle.info.classes)
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.model_bytes(), options, providers=list(dict.fromkeys([wanted, _PROVIDERS["cpu"]]))
            )
        except _runtime_errors() as error:
            raise BundleError(
                f"{self._where}: onnxruntime refuses it ({_first_line(error)}). Export it again."
            ) from error
        self._check_signature()

    def _check_signature(self) -> None:
        inputs = {item.name: item.type for item in self._session.get_inputs()}
        if inputs != _INPUTS:
            raise BundleError(f"{self._where}: the inputs must be {_INPUTS}, they are {inputs}. Export it again.")
        shapes = {item.name: item.shape for item in self._session.get_outputs()}
        missing = [name for name in _REQUIRED if name not in shapes]
        if missing:
            raise BundleError(f"{self._where}: has no output '{missing[0]}'. Export it again.")
        width = shapes["probabilities"][-1] if shapes["probabilities"] else None
        if isinstance(width, int) and width != self._n_classes:
            raise BundleError(f"{self._where}: {width} outputs for {self._n_classes} classes. Export it again.")
        self.outputs = tuple(shapes)
        self.predicted = tuple(name for name in _PREDICTED if name in shapes)

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Run one batch.

        Parameters
        ----------
        waveforms : each of shape (samples,), at the bundle's rate; shorter ones are padded with zeros, which the
            graph masks
        names : outputs wanted; default: what a prediction is made of

        Returns
        -------
        output name → shape (batch, …)
        """
        lengths = np.array([len(waveform) for waveform in waveforms], np.int64)
        if len(waveforms) == 1:
            batch = np.ascontiguousarray(waveforms[0], np.float32)[None]
        else:
            batch = np.zeros((len(waveforms), int(lengths.max())), np.float32)
            for row, waveform in zip(batch, waveforms, strict=True):
                row[: len(waveform)] = waveform
        wanted = list(names or self.predicted)
        try:
            values = self._session.run(wanted, {"waveform": batch, "lengths": lengths})
        except _runtime_errors() as error:
            raise BundleError(f"{self._where}: failed to run ({_first_line(error)}). Export it again.") from error
        outputs = dict(zip(wanted, values, strict=True))
        self._check_outputs(outputs, len(waveforms))
        return outputs

    def _check_outputs(self, outputs: Mapping[str, Any], n_rows: int) -> None:
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise BundleError(f"{self._where}: output '{name}' is not finite. Export it again.")
            if name == "probabilities" and values.shape != (n_rows, self._n_classes):
                expected = (n_rows, self._n_classes)
                raise BundleError(f"{self._where}: expected probabilities of shape {expected}, got {values.shape}.")


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return all that onnxruntime raises: its exceptions have no common parent of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*own, RuntimeError, ValueError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
