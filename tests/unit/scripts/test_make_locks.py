"""What the locks promise: every file by its hash, the versions that were tested together, nothing of one machine."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from attacks.supply import PACKAGE, VERSION, exchanged_wheel

ROOT = Path(__file__).parents[3]
LOCKS = {
    "build": (),
    "light": (),
    "server": ("server", "media"),
    "full": ("dev",),
    "desktop": ("desktop",),
    "release": (),
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.MULTILINE))


def asked(*extras: str) -> list[Requirement]:
    """Return what pyproject.toml asks for, extras that name extras resolved."""
    found = [Requirement(line) for line in PROJECT["dependencies"]]
    waiting = list(extras)
    while waiting:
        for requirement in map(Requirement, EXTRAS[waiting.pop()]):
            if requirement.name == "earnest":
                waiting += requirement.extras
            else:
                found.append(requirement)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_is_named_by_its_hash_and_no_machine_is(name: str) -> None:
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if block and not block.startswith("#")]
    assert blocks
    for block in blocks:
        assert re.match(r"[\w.-]+==\S+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text and "--index" not in text and "--find-links" not in text


@pytest.mark.parametrize("name", ["light", "server", "full"])
def test_a_lock_holds_what_is_asked_for_in_the_versions_that_were_tested(name: str) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
    pairs = [line.split("==") for line in lines if "==" in line]
    tested = {canonicalize_name(package): version for package, version in pairs}
    found = locked(name)
    for requirement in asked(*LOCKS[name]):
        package = canonicalize_name(requirement.name)
        version = tested[package] if package == "torch" else found[package]
        assert Version(version) in requirement.specifier, requirement
    assert {package: version for package, version in found.items() if tested.get(package, version) != version} == {}


def test_no_lock_names_torch_whose_builds_differ_from_place_to_place() -> None:
    for name in LOCKS:
        assert not [package for package in locked(name) if re.match(r"torch$|triton$|nvidia-|cuda-", package)]


def test_every_extra_is_used() -> None:
    """An extra that nothing imports would only be more to trust."""
    modules = {
        module: {canonicalize_name(name) for name in names} for module, names in packages_distributions().items()
    }
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "earnest").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE))
    # Used by fastapi, torch.onnx, lightning, fsspec.
    without_import = {"python-multipart", "onnxscript", "tensorboard", "s3fs"}
    for extra in set(EXTRAS) - {"dev"}:
        for requirement in map(Requirement, EXTRAS[extra]):
            package = canonicalize_name(requirement.name)
            if package in {"earnest", *without_import}:
                continue
            assert any(package in names and module in imported for module, names in modules.items()), (
                f"{package} of [{extra}]"
            )


def test_decoders_with_known_memory_corruption_are_refused() -> None:
    (av,) = (requirement for requirement in asked("media") if requirement.name == "av")
    assert not av.specifier.contains("17.0.1") and av.specifier.contains(locked("server")["av"])


def test_the_notices_name_every_package_in_its_locked_version() -> None:
    notices = (ROOT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    for package, version in locked("full").items():
        assert f"| {package} | {version} |" in notices, "Run `make notices`."


@pytest.mark.long
def test_an_exchanged_package_is_refused(tmp_path: Path) -> None:
    exchanged_wheel(tmp_path)
    (line,) = re.findall(
        rf"^{PACKAGE}==.*\n(?: .*\n)+", (ROOT / "locks" / "light.txt").read_text("utf-8"), re.MULTILINE
    )
    (tmp_path / "locked.txt").write_text(line)
    pip = [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed", "--no-deps"]
    pip += ["--no-index", "--find-links", str(tmp_path)]
    alone = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    by_version, by_hash = (
        subprocess.run([*pip, *words], env=alone, capture_output=True, text=True, check=False)
        for words in ([f"{PACKAGE}=={VERSION}"], ["--require-hashes", "-r", str(tmp_path / "locked.txt")])
    )
    assert by_version.returncode == 0, by_version.stderr
    assert by_hash.returncode != 0
    assert "DO NOT MATCH THE HASHES" in by_hash.stderr or "No matching distribution" in by_hash.stderr
