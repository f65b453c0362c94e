"""What a server shows to people: the page where it is built, and beside it only what the package ships."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import application, settings_for
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from earnest.apps.server import page
from earnest.apps.server.service import digest_of_key
from earnest.bundle import SHIPPED, shipped_bundles

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("decoders_start_once")]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pretend that a page is built."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>the page</title>", encoding="utf-8")
    monkeypatch.setattr(page, "PAGE", folder)
    return folder


@pytest.fixture
def client(built: Path, tmp_path: Path) -> Iterator[TestClient]:
    with application(settings_for(tmp_path)) as client:
        yield client


def test_the_page_is_served_and_asked_for_again_only_when_it_changed(client: TestClient) -> None:
    answer = client.get("/")
    assert "the page" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["cache-control"] == "no-cache"


def test_without_a_page_the_server_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "none")
    with application(settings_for(tmp_path)) as client:
        assert "<code>make web</code>" in client.get("/").text
        assert client.get("/site.json").status_code == 404


def test_neither_page_repeats_a_strange_host(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = {"Host": "<script>alert(1)</script>"}
    assert "<script" not in client.get("/", headers=strange).text
    monkeypatch.setattr(page, "PAGE", tmp_path / "none")
    with application(settings_for(tmp_path)) as without:
        assert "<script" not in without.get("/", headers=strange).text


def test_site_json_tells_the_page_what_lies_beside_it(client: TestClient) -> None:
    site = client.get("/site.json").json()
    assert site["server"] is True
    assert site["models"][0] == "base"
    assert sorted(site["models"]) == shipped_bundles()
    for address in (*(f"clips/{name}" for name in site["clips"]), "models/silero_vad.onnx", "models/small/bundle.json"):
        assert client.get(f"/{address}").status_code == 200, address
    assert client.get("/models/small/model.onnx").content == (SHIPPED / "small" / "model.onnx").read_bytes()


def test_models_that_are_not_shipped_are_not_handed_out(client: TestClient) -> None:
    names = [model["name"] for model in client.get("/v1/models").json()["models"]]
    assert names == ["stand-in"]
    assert client.get("/models/stand-in/model.onnx").status_code == 404
    for address in ("/models/../../pyproject.toml", "/models/%2e%2e/errors.py", "/clips/%2e%2e%2ferrors.py"):
        assert client.get(address).status_code == 404, address


def test_the_page_is_told_whether_a_key_is_needed(client: TestClient, built: Path, tmp_path: Path) -> None:
    assert client.get("/site.json").json()["keys"] is False
    with application(settings_for(tmp_path, api_keys=(digest_of_key("secret"),))) as locked:
        assert locked.get("/site.json").json()["keys"] is True
        assert "secret" not in locked.get("/site.json").text


def test_the_page_is_told_what_the_server_takes(built: Path, tmp_path: Path) -> None:
    with application(settings_for(tmp_path, {"timeline_s": 90.0, "body_bytes": 5000})) as client:
        assert client.get("/site.json").json()["limits"] == {"timeline_s": 90.0, "body_bytes": 5000}


def test_the_page_is_told_whether_recordings_are_stored(client: TestClient, built: Path, tmp_path: Path) -> None:
    assert client.get("/site.json").json()["keeps"] is False
    with application(settings_for(tmp_path, keep=tmp_path)) as keeping:
        assert keeping.get("/site.json").json()["keeps"] is True
        assert str(tmp_path) not in keeping.get("/site.json").text


def test_unknown_addresses_beside_the_page_are_problems(client: TestClient) -> None:
    for method, address, status in (("GET", "/nothing", 404), ("GET", "/v1/predict", 405), ("POST", "/", 405)):
        answer = client.request(method, address)
        assert answer.status_code == status, address
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Recordings go to POST /v1/predict;" in answer.json()["detail"]
    for address in ("/nothing", "/models/nothing"):
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(address):
            pass
    assert client.get("/healthz").text == "ok"
