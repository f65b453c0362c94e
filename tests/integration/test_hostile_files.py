"""Hostile bundles, settings, tables and archives are refused in words, soon, and with little memory."""

import json
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attacks.readers import ARCHIVES, BIDI, BUNDLES, dotted_toml, nested_json, nested_toml
from earnest.apps.cli.main import main
from earnest.corpora.fetch import unpack
from earnest.corpora.manifest import read_manifest
from earnest.corpora.tables import read_declared
from earnest.errors import BundleError, CorpusError, EarnestError, RecipeError
from earnest.evaluation.importers import read_pipeline_output
from earnest.report.result import read_result
from earnest.runtime.engine import most_of_one
from earnest.settings.recipe import read_recipe
from earnest.testing.sounds import write_voice
from earnest.training.record import read_record
from earnest.training.runtime_statistics import statistics_files

ANSWER = """
import resource, sys
from earnest.errors import EarnestError
from earnest.runtime.predictor import Predictor
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Predictor.load("small", backend=sys.argv[3]).predict(sys.argv[2])
before = peak()
try:
    Predictor.load(sys.argv[1], backend=sys.argv[3]).predict(sys.argv[2])
except EarnestError as error:
    print(peak() - before)
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", BUNDLES)
def test_a_hostile_bundle_is_refused_in_words(name: str, backend: str, tmp_path: Path) -> None:
    """In a process of its own, and with little memory: what it holds must not be made."""
    if backend == "openvino":
        pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'earnest[openvino]'")
    make, message = BUNDLES[name]
    make(tmp_path / "bundle")
    clip = write_voice(tmp_path / "clip.wav")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, str(tmp_path / "bundle"), str(clip), backend],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: ")
    with pytest.raises(BundleError, match=message):
        raise BundleError(done.stderr)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20
    assert int(done.stdout) * 1024 < most_of_one(0)


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    make, message = ARCHIVES[name]
    path, folder = tmp_path / "corpus.zip", tmp_path / "here"
    path.write_bytes(make())
    folder.mkdir()
    began = time.process_time()
    with pytest.raises(CorpusError, match=message) as caught:
        unpack(path, folder)
    assert time.process_time() - began < 2
    assert str(caught.value).isprintable()
    assert not list(folder.iterdir())
    assert {item.name for item in tmp_path.iterdir()} == {"corpus.zip", "here"}


@pytest.mark.parametrize("text", [nested_toml(), dotted_toml(), dotted_toml(400_000), f"[{dotted_toml()[:-5]}]"])
def test_settings_nested_without_end_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    began = time.process_time()
    with pytest.raises(RecipeError, match=r"not valid TOML"):
        read_recipe(tmp_path / "recipe.toml")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("depth", [100, 900, 3_000, 100_000])
def test_json_nested_without_end_is_refused(depth: int, tmp_path: Path) -> None:
    for name in ("run.json", "answers.json", "table.jsonl", "metrics.json", "predictions.csv"):
        (tmp_path / name).write_text(nested_json(depth))
    for read in (
        lambda: read_record(tmp_path),
        lambda: read_pipeline_output(tmp_path / "answers.json"),
        lambda: read_declared(tmp_path / "table.jsonl"),
        lambda: read_manifest(tmp_path / "table.jsonl"),
        lambda: read_result(tmp_path),
    ):
        with pytest.raises(EarnestError):
            read()


def test_a_run_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    for name in ("/dev/zero", "../secret", "", "."):
        with pytest.raises(EarnestError, match="is no file of the run"):
            statistics_files(tmp_path, [{"file": name}])


def test_no_message_sends_anything_to_the_terminal(tmp_path: Path) -> None:
    header = "utterance_id,path,emotion,gender\n"
    (tmp_path / "manifest.csv").write_text(f"{header}1,a.wav,{BIDI},female\n", encoding="utf-8")
    (tmp_path / BIDI.replace("/", "")).write_text(header.replace("emotion", BIDI), encoding="utf-8")
    commands = [["score", str(path), "--manifest", str(tmp_path / "manifest.csv")] for path in tmp_path.iterdir()]
    commands += [["predict", "clip.wav", "--model", BIDI], ["models", BIDI]]
    for words in commands:
        command = [sys.executable, "-m", "earnest", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2)
        assert done.stderr
        assert all(line.isprintable() for line in done.stderr.splitlines() + done.stdout.splitlines())


def test_no_page_holds_what_turns_writing_round(tmp_path: Path) -> None:
    from made_up_results import SPEAKERS, made_up, write_result

    from earnest.report.build import ReportOptions, build_report, write_report

    folder = write_result(tmp_path / "made", made_up(names={name: f"{name}{BIDI}" for name in SPEAKERS}))
    page = tmp_path / "report.html"
    write_report(build_report([read_result(folder)], {}, ReportOptions()), page)
    text = page.read_text(encoding="utf-8")
    assert "gnp.yppah" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_no_warning_sends_anything_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr("sys.argv", ["earnest", "--version"])
    with pytest.raises(SystemExit):
        main()
    logging.getLogger("earnest.test").warning("%s: left out", BIDI)
    assert "gnp.yppah" in (told := capsys.readouterr().err)
    assert told.rstrip("\n").isprintable()


def test_json_for_machines_holds_every_letter_and_obeys_none(tmp_path: Path) -> None:
    from earnest.errors import printable_json

    text = json.dumps({"path": BIDI, "ok": "größe ภาษา 😀 \U000e0041"}, ensure_ascii=False)
    assert json.loads(printable_json(text)) == json.loads(text)
    assert printable_json(text).isprintable()
    assert "größe ภาษา 😀" in printable_json(text)
