"""What ``/openapi.json`` says about bodies and answers that FastAPI can't see: schemas and examples."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from earnest.apps.server.formats import MEDIA_TYPES, ROWS, Form
from earnest.apps.server.problems import KINDS, MEDIA_TYPE
from earnest.runtime.prediction import Prediction
from earnest.runtime.timeline import Segment, Span, Window

PREDICTION: Mapping[str, Any] = {
    "path": "talk.wav",
    "status": "ok",
    "duration_s": 3.2,
    "speech_s": 2.4,
    "emotion": "happy",
    "confidence": 0.71,
    "probabilities": {"neutral": 0.1, "happy": 0.71, "sad": 0.02, "angry": 0.12, "fearful": 0.03, "disgust": 0.02},
    "polarity": 0.52,
    "gender": {"female": 0.97, "male": 0.03},
    "affect": None,
    "intensity": None,
    "quality": [],
    "adapted": False,
    "model": "base",
    "error": None,
}
TIMELINE: Mapping[str, Any] = {
    **PREDICTION,
    "activity": "silero",
    "segments": [{"start_s": 0.2, "end_s": 3.0}],
    "spans": [{"start_s": 0.2, "end_s": 3.0, "emotion": "happy", "confidence": 0.71}],
    "windows": [{"start_s": 0.2, "end_s": 3.0, "probabilities": PREDICTION["probabilities"]}],
}


def predict_answers() -> dict[str, Any]:
    """Return the good answers of ``POST /v1/predict``: the schemas come from the dataclasses."""
    either = {"anyOf": [_prediction_schema(), _timeline_schema()]}
    return _answers(either, {"utterance": PREDICTION, "timeline": TIMELINE}, MEDIA_TYPES)


def batch_answers() -> dict[str, Any]:
    """Return the good answers of ``POST /v1/batch``."""
    rows = {"type": "array", "items": _prediction_schema()}
    schema = {"type": "object", "title": "Batch", "required": ["predictions"], "properties": {"predictions": rows}}
    return _answers(schema, {"batch": {"predictions": [PREDICTION]}}, ROWS)


def _prediction_schema() -> dict[str, Any]:
    return TypeAdapter(Prediction).json_schema(mode="serialization")


def _timeline_schema() -> dict[str, Any]:
    schema = _prediction_schema()
    parts = {"segments": Segment, "spans": Span, "windows": Window}
    lists = {name: {"type": "array", "items": TypeAdapter(kind).json_schema()} for name, kind in parts.items()}
    properties = {**schema["properties"], "activity": {"type": "string"}, **lists}
    return schema | {"title": "Timeline", "properties": properties, "required": ["path", "status", *lists]}


def _answers(schema: Mapping[str, Any], examples: Mapping[str, Any], formats: Iterable[Form]) -> dict[str, Any]:
    named = {name: {"value": value} for name, value in examples.items()}
    texts = {MEDIA_TYPES[name]: {"schema": {"type": "string"}} for name in formats if name != "json"}
    return {
        "description": "The answer",
        "content": {"application/json": {"schema": schema, "examples": named}, **texts},
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers that are problems."""
    schema = {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {name: {"type": "string"} for name in ("type", "title", "detail")}
        | {"status": {"type": "integer"}},
    }
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        kinds = [kind for kind, (number, _) in KINDS.items() if number == status]
        titles = "; ".join(f"{kind}: {KINDS[kind][1]}" for kind in kinds)
        found[status] = {"description": titles, "content": {MEDIA_TYPE: {"schema": schema}}}
    return found


def body(most_files: int) -> dict[str, Any]:
    """Return the body of a recording, raw where there is one only, or of a form with files."""
    binary = {"type": "string", "format": "binary"}
    many = {"type": "array", "items": binary, "minItems": 1, "maxItems": most_files}
    form = {"type": "object", "required": ["file"], "properties": {"file": binary if most_files == 1 else many}}
    raw = {name: {"schema": binary} for name in ("audio/wav", "application/octet-stream")} if most_files == 1 else {}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}, **raw}}}


MODELS: dict[str, Any] = {
    "description": "The models",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["models"],
                "properties": {
                    "models": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name", "version", "classes", "sample_rate_hz", "licence"],
                        },
                    }
                },
            },
            "example": {
                "models": [{"name": "base", "version": "1", "classes": ["neutral", "happy"], "sample_rate_hz": 16_000}]
            },
        }
    },
}
