"""Only `EarnestError` leaves a reader: every reader of files from outside × seeds × damage."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from fuzz import ROOT
from fuzz.damage import damage
from fuzz.readers import readers

SECONDS = float(os.environ.get("READERS_SECONDS", "0.3"))  # a reader; more by hand: READERS_SECONDS=60
SEED = int(os.environ.get("READERS_SEED", "0"))
# Public functions that only call registered ones, or read what the same process wrote.
BY_OTHERS = {
    "load": "load_bundle and Graph",
    "load_pyarrow": "no reader: it imports a package",
    "load_run": "read_record, read_recipe and safetensors",
    "load_clips": "load_waveform",
    "load_utterances": "load_corpus",
    "load_waveforms": "load_waveform",
    "read_adaptation": "read_record and Adaptation.read",
    "read_annotation": "read_own",
    "read_audformat": "TABLE_READERS",
    "read_audiofolder": "TABLE_READERS",
    "read_declared": "TABLE_READERS",
    "read_emobox": "TABLE_READERS",
    "read_recipe": "read_recipe_and_tune",
    "read_results": "read_result",
    "read_settings": "read_distillation and read_finetuning",
    "read_table": "TABLE_READERS; that of answers: read_answers and read_nkululeko",
    "read_tune": "read_recipe_and_tune",
}
# Where JSON is parsed that isn't a file from outside, or whose every error is caught beside it.
JSON_HERE = {
    "files/reading.py",
    "files/writing.py",
    "corpora/annotations.py",
    "installation.py",  # what pip wrote beside the package
    "runtime/decoder_child.py",
    "runtime/picture.py",
    "runtime/formats.py",
    "experiments/tune.py",
    "apps/server/streaming.py",
    "apps/cli/bench.py",
    "apps/cli/embed.py",
    "client/calls.py",
    "apps/cli/_row_file.py",
}
CHEAP = [reader.name for reader in readers().values() if not reader.costly]
COSTLY = [reader.name for reader in readers().values() if reader.costly]


@pytest.mark.parametrize("name", CHEAP)
def test_only_an_earnest_error_leaves_a_reader(name: str) -> None:
    found = damage(readers()[name], SECONDS, SEED, least=30)
    assert not found.crashes, found.to_dict()


@pytest.mark.parametrize("name", COSTLY)
def test_only_an_earnest_error_leaves_a_decoder(name: str) -> None:
    """In a process of its own: decoders and models are native code."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "damage", name, str(SECONDS), str(SEED)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["crashes"], found


def test_every_public_reader_is_in_the_registry() -> None:
    files = ("readers.py", "between.py", "resumed.py")
    registry = "".join((ROOT / "fuzz" / name).read_text(encoding="utf-8") for name in files)
    missing = []
    for path in (*(ROOT / "earnest").rglob("*.py"), *(ROOT / "research").rglob("*.py")):
        if path.parts[-2:] == ("files", "reading.py") or "apps" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and re.match(r"(read|load)(_|$)", node.name):
                missing += [node.name] if node.name not in BY_OTHERS and node.name not in registry else []
    assert not missing


def test_json_and_toml_from_outside_are_parsed_in_one_place() -> None:
    for path in (ROOT / "earnest").rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT / "earnest").as_posix()
        assert "tomllib" not in text or name == "files/reading.py", name
        assert "json.loads(" not in text or name in JSON_HERE, name
