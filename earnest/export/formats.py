"""The forms in which a trained model leaves: files by name, made from one traced graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from earnest.bundle import Format
from earnest.export.calibration import int8_clips
from earnest.export.onnx import finished
from earnest.export.storage import store_small
from earnest.onnx_file import check_onnx

MODEL = "model.onnx"


@dataclass(frozen=True)
class Form:
    """What is wanted, and where the corpora are that ranges are measured on.

    Attributes
    ----------
    folders : corpus name → folder, beside ``$EARNEST_DATA``; used by INT8 only
    """

    name: Format = "onnx"
    folders: Mapping[str, Path] | None = None


def model_files(traced: ModelProto, form: Form, run: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a format.

    Parameters
    ----------
    traced : from `earnest.export.onnx.traced`
    run : whose own split INT8 is calibrated and judged on
    facts : metadata of an ONNX file
    """
    if form.name.startswith("openvino"):
        return _openvino(traced, form, run)
    if form.name == "onnx-int8":
        from earnest.export.quantise import to_int8

        traced = to_int8(traced, *int8_clips(run, form.folders or {}))
    else:
        store_small(traced, rounding=form.name == "onnx-fp16")
    data = finished(traced, {**facts, "format": form.name}).SerializeToString()
    check_onnx(data, Path(MODEL))
    return {MODEL: data}


def _openvino(traced: ModelProto, form: Form, run: Path) -> dict[str, bytes]:
    from earnest.export.openvino import to_int8_ir, to_ir

    if form.name != "openvino-int8":
        return to_ir(traced, halves=form.name == "openvino-fp16")
    return to_int8_ir(traced, *int8_clips(run, form.folders or {}))
