"""What ``/openapi.json`` says holds: made-up requests, right and wrong, get the answers it describes."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from schemathesis import checks
from serving import TEST_HOST, settings_for
from starlette.testclient import TestClient

from earnest.apps.server.app import create_app
from earnest.apps.server.formats import MEDIA_TYPE
from earnest.apps.server.service import digest_of_key
from earnest.apps.server.settings import Settings
from earnest.testing.sounds import write_voice

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("openapi")
    return create_app(settings_for(folder, {"body_bytes": 100_000}, host_names=(TEST_HOST,)))


OPERATIONS = (
    "POST /v1/predict",
    "POST /v1/batch",
    "POST /v1/tickets",
    "GET /v1/models",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_made_up_requests_get_the_answers_described(app: FastAPI, operation: str) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", app)
    assert {item.ok().label for item in described.get_all_operations()} == set(OPERATIONS)
    found = next(item.ok() for item in described.get_all_operations() if item.ok().label == operation)
    modes = schemathesis.GenerationMode

    @given(case=st.one_of(found.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    check()


def test_good_answers_and_examples_fit_their_schemas(app: FastAPI, tmp_path: Path) -> None:
    sound = write_voice(tmp_path / "clip.wav", 2.0).read_bytes()
    with TestClient(app) as client:
        described = client.get("/openapi.json").json()
        for path, query in (("/v1/predict", ""), ("/v1/predict", "?kind=timeline"), ("/v1/batch", "")):
            content = described["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]
            validator = validator_for(described | content["schema"])
            for example in content["examples"].values():
                validator.validate(example["value"])
            answer = client.post(path + query, files={"file": ("clip.wav", sound)})
            assert answer.status_code == 200
            validator.validate(answer.json())
            assert not validator.is_valid({"path": "x"})


def test_all_that_is_said_of_a_model_has_a_schema() -> None:
    with TestClient(create_app(Settings(models=("small",), host_names=(TEST_HOST,)))) as client:
        described = client.get("/openapi.json").json()
        content = described["paths"]["/v1/models"]["get"]["responses"]["200"]["content"]["application/json"]
        told = client.get("/v1/models").json()
    for values in (told, content["example"]):
        validator_for(described | content["schema"]).validate(values)
    (model,) = told["models"]
    some = {"Model": model, "TrainingCorpus": model["training_corpora"][0], "ProtocolResult": model["results"][0]}
    for name, values in some.items():
        assert values.keys() == described["components"]["schemas"][name]["properties"].keys()


def test_each_answer_in_json_has_one_schema_by_name(app: FastAPI) -> None:
    described = app.openapi()
    operations = [one for path in described["paths"].values() for one in path.values()]
    contents = [answer.get("content", {}) for one in operations for answer in one["responses"].values()]
    told = [
        content[name]["schema"] for content in contents for name in ("application/json", MEDIA_TYPE) if name in content
    ]
    schemas = described["components"]["schemas"]
    used = {schema["$ref"].rpartition("/")[2] for schema in told}
    assert used == {"Prediction", "Batch", "Models", "Ticket", "Problem"}
    assert schemas["Prediction"]["required"] == ["path", "status"]  # clients made from it take an utterance, too
    assert {"activity", "segments", "spans", "windows"} <= schemas["Prediction"]["properties"].keys()


def test_defaults_that_are_described_are_taken(app: FastAPI, tmp_path: Path) -> None:
    sound = write_voice(tmp_path / "clip.wav", 2.0).read_bytes()
    with TestClient(app) as client:
        parameters = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["parameters"]
        told = {one["name"]: one["schema"]["default"] for one in parameters if "default" in one["schema"]}
        assert {"kind", "window_s", "hop_s"} <= told.keys()
        assert client.post("/v1/predict", params=told, files={"file": ("clip.wav", sound)}).status_code == 200


def test_headers_of_problems_and_another_host_are_described(app: FastAPI) -> None:
    with TestClient(app) as client:
        paths = client.get("/openapi.json").json()["paths"]
        for operation in OPERATIONS:
            method, path = operation.split()
            assert client.request(method, path, headers={"Host": "evil.example"}).status_code == 421
            answers = paths[path][method.lower()]["responses"]
            assert "421" in answers, operation
            retried = {status for status, answer in answers.items() if "Retry-After" in answer.get("headers", {})}
            assert retried == {"429", "503"} & answers.keys(), operation


def test_keys_are_described_for_just_what_asks_for_them(tmp_path: Path, app: FastAPI) -> None:
    with TestClient(app) as client:  # without keys nothing is said of them
        described = client.get("/openapi.json").json()
        assert "securitySchemes" not in described["components"]
        assert not any("security" in one for path in described["paths"].values() for one in path.values())
    names = {"host_names": (TEST_HOST,), "api_keys": (digest_of_key("secret"),)}
    with TestClient(create_app(settings_for(tmp_path, **names))) as client:
        described = client.get("/openapi.json").json()
        schemes = described["components"]["securitySchemes"]
        headers = {"bearer": {"Authorization": "Bearer secret"}, "key": {schemes["key"]["name"]: "secret"}}
        for operation in OPERATIONS:
            method, path = operation.split()
            asked = described["paths"][path][method.lower()].get("security", [])
            assert (client.request(method, path).status_code == 401) == bool(asked), operation
            for way in asked:
                (name,) = way
                assert client.request(method, path, headers=headers[name]).status_code != 401
