"""What ``/openapi.json`` says about bodies and answers that FastAPI can't see: schemas and examples."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from earnest.apps.server.formats import MEDIA_TYPES, ROWS, Form
from earnest.apps.server.problems import KINDS, MEDIA_TYPE
from earnest.runtime.events import Segment, Span, Window
from earnest.runtime.prediction import Prediction

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
    "affect": {"valence": 0.63, "arousal": 0.6, "dominance": None},
    "affect_derived": True,
    "intensity": 0.42,
    "quality": [],
    "adapted": False,
    "adaptation_weight": 0.0,
    "shares": None,
    "vocal_bursts": [],
    "model": "base",
    "error": None,
}
UNSURE: Mapping[str, Any] = {
    **PREDICTION,
    "status": "unsure",
    "emotion": None,
    "confidence": 0.41,
    "probabilities": {"neutral": 0.3, "happy": 0.41, "sad": 0.1, "angry": 0.1, "fearful": 0.05, "disgust": 0.04},
    "polarity": 0.12,
}
BURST: Mapping[str, Any] = {
    **PREDICTION,
    **dict.fromkeys(("emotion", "confidence", "polarity", "gender", "affect", "intensity")),
    "affect_derived": False,
    "status": "vocal-burst",
    "speech_s": 0.0,
    "probabilities": {},
    "vocal_bursts": [{"start_s": 0.2, "end_s": 1.4, "kind": "laughter", "confidence": 0.93}],
}
TIMELINE: Mapping[str, Any] = {
    **PREDICTION,
    **dict.fromkeys(("emotion", "confidence")),
    "status": "mixed",
    "duration_s": 9.0,
    "speech_s": 6.0,
    "shares": {"happy": 0.5, "neutral": 0.333333, "unsure": 0.166667},
    "vocal_bursts": [{"start_s": 4.0, "end_s": 5.2, "kind": "laughter", "confidence": 0.93}],
    "activity": "silero",
    "segments": [{"start_s": 0.2, "end_s": 3.2}, {"start_s": 5.2, "end_s": 8.2}],
    "spans": [
        {"start_s": 0.2, "end_s": 3.2, "emotion": "happy", "confidence": 0.71},
        {"start_s": 5.2, "end_s": 7.2, "emotion": "neutral", "confidence": 0.6},
        {"start_s": 7.2, "end_s": 8.2, "emotion": "unsure", "confidence": 0.39},
    ],
    "windows": [{"start_s": 0.2, "end_s": 3.2, "probabilities": PREDICTION["probabilities"]}],
}


def predict_answers() -> dict[str, Any]:
    """Return the good answers of ``POST /v1/predict``: the schemas come from the dataclasses."""
    either = {"anyOf": [_prediction_schema(), _timeline_schema()]}
    examples = {"utterance": PREDICTION, "unsure": UNSURE, "vocal burst": BURST, "timeline": TIMELINE}
    return _answers(either, examples, MEDIA_TYPES)


def batch_answers() -> dict[str, Any]:
    """Return the good answers of ``POST /v1/batch``."""
    rows = {"type": "array", "items": _prediction_schema()}
    schema = {"type": "object", "title": "Batch", "required": ["predictions"], "properties": {"predictions": rows}}
    return _answers(schema, {"batch": {"predictions": [PREDICTION, UNSURE, BURST]}}, ROWS)


def _prediction_schema() -> dict[str, Any]:
    schema = TypeAdapter(Prediction).json_schema(mode="serialization")
    kinds = schema.pop("$defs")  # a reference to them would be to the root of the whole document
    schema["properties"]["vocal_bursts"]["items"] = kinds["VocalBurst"]
    return schema


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
    """Return the body of a recording, raw where there is one only, or of a form with files and perhaps a profile."""
    binary = {"type": "string", "format": "binary"}
    many = {"type": "array", "items": binary, "minItems": 1, "maxItems": most_files}
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": binary if most_files == 1 else many, "profile": binary},
    }
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
TICKET: dict[str, Any] = {
    "description": "A ticket, and for how many seconds it can be used",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["ticket", "expires_s"],
                "properties": {"ticket": {"type": "string"}, "expires_s": {"type": "number"}},
            },
            "example": {"ticket": "AAAAAAGdJ1mS2Q", "expires_s": 30.0},
        }
    },
}
