"""The files in ``deploy/`` fit each other and the server's bounds."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from earnest.apps.server.front_door import HostNames
from earnest.apps.server.process import IDLE_S
from earnest.apps.server.settings import MIB, Limits

DEPLOY = Path(__file__).parents[4] / "deploy"
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")


def test_the_compose_file_has_two_replicas_that_nginx_knows() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    replicas = compose["services"].keys() - {"nginx"}
    assert replicas == set(re.findall(r"server (\w+):8000", NGINX)) == compose["services"]["nginx"]["depends_on"].keys()
    built = compose["services"]["first"]["build"]
    assert (DEPLOY / built["context"] / built["dockerfile"]).is_file()
    grace_s = int(compose["services"]["second"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Limits().body_s + Limits().request_s


def test_the_name_that_nginx_hands_on_is_one_that_the_server_answers_to() -> None:
    (name,) = set(re.findall(r"server_name (\S+);", NGINX))
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    unit = (DEPLOY / "earnest.service").read_text(encoding="utf-8")
    for words in (compose["services"]["first"]["command"], re.findall(r"ExecStart=(.+)", unit)[0].split()):
        names = [words[place + 1] for place, word in enumerate(words) if word == "--host-name"]
        assert names == [name]
        assert HostNames(more=names).hold(name)


def test_replicas_beyond_one_machine_ask_for_keys() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    for replica in compose["services"].keys() - {"nginx"}:
        assert compose["services"][replica]["environment"]["EARNEST_API_KEYS"].startswith("${EARNEST_API_KEYS:?")


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="docker-compose is not installed")
def test_compose_takes_its_file_and_refuses_to_start_without_keys() -> None:
    words = ("docker-compose", "--file", str(DEPLOY / "compose.yaml"), "config")
    without = {name: value for name, value in os.environ.items() if name != "EARNEST_API_KEYS"}
    given = {**without, "EARNEST_API_KEYS": "first second"}
    done = subprocess.run(words, env=given, capture_output=True, text=True, check=True)
    assert yaml.safe_load(done.stdout)["services"]["second"]["environment"]["EARNEST_API_KEYS"] == "first second"
    refused = subprocess.run(words, env=without, capture_output=True, text=True, check=False)
    assert refused.returncode
    assert "keys that clients send" in refused.stderr


def test_nginx_lets_through_what_the_server_takes() -> None:
    assert NGINX.count("{") == NGINX.count("}")
    assert int(re.findall(r"client_max_body_size (\d+)m", NGINX)[0]) * MIB == Limits().body_bytes
    assert int(re.findall(r"proxy_read_timeout (\d+)s", NGINX)[0]) > max(Limits().request_s, Limits().heartbeat_s)


def test_nginx_closes_idle_connections_before_the_server_does_and_puts_no_replica_aside() -> None:
    assert int(re.findall(r"keepalive_timeout (\d+)s", NGINX)[0]) < IDLE_S
    assert set(re.findall(r"server \w+:8000(.*);", NGINX)) == {" max_fails=0"}


def test_systemd_waits_for_the_last_answer() -> None:
    unit = (DEPLOY / "earnest.service").read_text(encoding="utf-8")
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > Limits().body_s + Limits().request_s


def test_systemd_leaves_a_worker_that_died_of_memory_to_the_supervisor() -> None:
    unit = (DEPLOY / "earnest.service").read_text(encoding="utf-8")
    assert "MemoryMax=" in unit
    assert "\nOOMPolicy=continue\n" in unit  # the default "stop" would end the service


def test_the_image_runs_as_nobody_special_with_a_health_check() -> None:
    words = [
        line.split()[0] for line in (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    assert {"USER", "HEALTHCHECK"} <= set(words)
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_what_the_image_copies_is_there_and_is_not_ignored() -> None:
    root = DEPLOY.parent
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    names = {name for line in copied for name in line.split()}
    assert {"setup.py", "recipes", "web", "earnest/demo"} <= names
    for name in names:
        assert (root / name).exists(), name
        assert f"!{name.split('/')[0]}" in ignored, name
        assert name not in ignored, name


def test_the_image_has_the_page_that_a_stage_of_its_own_builds() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    stage, copied = text.index("AS page"), text.index("COPY --from=page /source/earnest/apps/web earnest/apps/web")
    assert stage < text.index("run page") < copied < text.index("pip install --no-cache-dir --no-deps")
    assert "earnest/apps/web" in (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
