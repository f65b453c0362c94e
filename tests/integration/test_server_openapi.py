"""What ``/openapi.json`` says holds: made-up requests, right and wrong, get the answers it describes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema_rs import validator_for
from schemathesis import checks
from serving import application, settings_for
from starlette.testclient import TestClient
from voices import write_voice

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with application(settings_for(tmp_path_factory.mktemp("openapi"), {"body_bytes": 100_000})) as client:
        yield client


@pytest.fixture
def described(client: TestClient) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", client.app)


schema = schemathesis.pytest.from_fixture("described")


@schema.parametrize()
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_made_up_requests_get_the_answers_described(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)


def test_good_answers_and_examples_fit_their_schemas(client: TestClient, tmp_path: Path) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    sound = write_voice(tmp_path / "clip.wav", 2.0).read_bytes()
    for path, query in (("/v1/predict", ""), ("/v1/predict", "?kind=timeline"), ("/v1/batch", "")):
        content = paths[path]["post"]["responses"]["200"]["content"]["application/json"]
        validator = validator_for(content["schema"])
        for example in content["examples"].values():
            validator.validate(example["value"])
        answer = client.post(path + query, files={"file": ("clip.wav", sound)})
        assert answer.status_code == 200
        validator.validate(answer.json())
        assert not validator.is_valid({"path": "x"})
