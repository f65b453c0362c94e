"""The command ``earnest corpus``: what it prints and its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from earnest.apps.cli.corpus import command
from earnest.apps.cli.main import cli
from earnest.corpora.base import CORPORA
from earnest.corpora.emodb import EmoDb
from earnest.corpora.load import load_corpus
from earnest.corpora.manifest import read_manifest
from earnest.errors import CorpusError, EarnestError
from earnest.testing.corpora import build_example


def run(*words: str, **options: object):
    return CliRunner().invoke(cli, ["corpus", *words], **options)


@pytest.fixture
def emodb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    build_example("emodb", tmp_path / "emodb")
    monkeypatch.setattr(EmoDb, "published", lambda self, root: ["03a01Fa", "08a02La", "16b10Ad"])
    monkeypatch.setattr(EmoDb, "n_utterances", 3)
    monkeypatch.setattr(EmoDb, "shortest_s", 0.0)
    return tmp_path / "emodb"


def test_list_names_every_corpus_with_licence_and_source():
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == CORPORA.names()
    assert all(row["licence"] and row["url"] and row["language"] and row["n_speakers"] for row in rows)
    assert all(name in run("list").stdout for name in CORPORA.names())


@pytest.mark.parametrize("name", CORPORA.names())
def test_info_tells_where_to_get_a_corpus(name):
    row = json.loads(run("info", name, "--json").stdout)
    assert row["fetch"] or row["access"]
    told = run("info", name).stdout
    assert told.startswith("title ")
    assert row["title"] in told


def test_check_of_a_whole_copy_exits_0_and_of_a_broken_one_3(emodb):
    whole = run("check", "emodb", str(emodb))
    assert whole.exit_code == 0
    assert whole.stdout.endswith("\nAs published.\n")
    (emodb / "wav/08a02La.wav").unlink()
    done = run("check", "emodb", str(emodb))
    assert done.exit_code == 3
    assert "missing  08a02La" in done.stdout
    assert "Not as published: 1 of 3 utterances are missing. 1 problem." in done.stdout
    report = json.loads(run("check", "emodb", str(emodb), "--json").stdout)
    assert [(finding["kind"], finding["files"]) for finding in report["findings"]] == [("missing", ["08a02La"])]
    assert report["as_published"] is False


def test_check_finds_the_folder_through_the_environment(emodb):
    assert run("check", "emodb", env={"EARNEST_DATA": str(emodb.parent)}).exit_code == 0


def test_check_of_the_wrong_folder_is_one_line_and_exit_code_1(emodb):
    words = ["corpus", "check", "ravdess", str(emodb)]
    script = "import sys; from earnest.apps.cli.main import main; sys.argv = ['earnest', *sys.argv[1:]]; main()"
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "None of 3 recordings" in done.stderr


def test_a_manifest_written_anywhere_is_read_back_with_its_audio(emodb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("manifest", "emodb", "emodb", "-o", "lists/emodb.csv", "--json")
    assert json.loads(done.stdout)["class_counts"] == {"happy": 1, "boredom": 1, "fearful": 1}
    rows = read_manifest(Path("lists/emodb.csv"))
    assert [row.path.resolve() for row in rows] == [row.path.resolve() for row in load_corpus("emodb", emodb)]


def test_the_folder_of_a_corpus_may_be_said_by_data(emodb, tmp_path):
    done = run("manifest", "emodb", "--data", f"emodb={emodb}", "-o", str(tmp_path / "m.csv"), "--json")
    assert json.loads(done.stdout)["n_rows"] == 3


def test_ones_own_table_becomes_a_manifest(emodb, tmp_path):
    (emodb / "t.csv").write_text("file,label\nwav/03a01Fa.wav,joy\n")
    words = ["--column", "path=file", "--column", "emotion=label", "--emotion", "joy=happy", "--corpus", "mine"]
    done = run("manifest", "csv", str(emodb / "t.csv"), *words, "-o", str(tmp_path / "mine.csv"))
    assert done.exit_code == 0, done.output
    assert [(row.corpus, row.emotion) for row in read_manifest(tmp_path / "mine.csv")] == [("mine", "happy")]


def test_a_manifest_is_not_written_over_the_table_that_it_is_made_of(emodb, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text(before := "path,label,speaker\nemodb/wav/03a01Fa.wav,joy,ann\n")
    done = run("manifest", str(table), "--output", str(table), "--overwrite")
    assert done.exit_code == 2
    assert "it is read, so it can't be written" in done.stderr
    assert table.read_text() == before


def test_paths_of_a_table_may_start_elsewhere(emodb, tmp_path):
    line = {"key": "emodb-03a01Fa", "dataset": "emodb", "wav": "wav/03a01Fa.wav", "emo": "happy"}
    (tmp_path / "emodb.jsonl").write_text(json.dumps(line))
    words = [str(tmp_path / "emodb.jsonl"), "--audio", str(emodb), "-o", str(tmp_path / "m.csv")]
    assert run("manifest", "emobox", *words).exit_code == 0
    assert read_manifest(tmp_path / "m.csv")[0].path.is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["csv", "x", "--column", "emotion", "-o", "y"],
        ["emodb", "x", "--emotion", "a=sad", "-o", "y"],
        ["audiofolder", "x", "--column", "emotion=b", "-o", "y"],
        ["audformat", "x", "--column", "speaker=b", "-o", "y"],
        ["emodb", "x"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(words):
    assert run("manifest", *words).exit_code == 2


def test_a_wrong_name_is_an_error_that_suggests():
    for words in (["info", "ravdes"], ["check", "ravdes", "x"], ["manifest", "ravdes", "x", "-o", "y"]):
        done = run(*words)
        assert isinstance(done.exception, CorpusError)
        assert "Did you mean 'ravdess'" in str(done.exception)


@pytest.mark.parametrize("name", sorted(command.commands))
def test_every_subcommand_has_help_with_an_example_json_and_quiet(name):
    text = run(name, "--help").stdout
    assert "Example" in text
    assert f"earnest corpus {name}" in text
    assert "--json" in text
    assert "-q, --quiet" in text


def test_check_finds_its_corpus_by_data_as_its_error_advises(emodb, monkeypatch):
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    with pytest.raises(CorpusError, match="Say --data emodb=DIR"):
        run("check", "emodb", catch_exceptions=False)
    report = json.loads(run("check", "emodb", "--data", f"emodb={emodb}", "--json").stdout)
    assert report["n_recordings"] == 3


def test_show_writes_a_page_once_and_says_what_it_could_not_read(emodb, tmp_path):
    folder = tmp_path / "shown"
    done = run("show", "emodb", str(emodb), "--output", str(folder), "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["page"] == str(folder / "index.html")
    assert (folder / "spectrograms.png").read_bytes().startswith(b"\x89PNG")
    (folder / "index.html").unlink()
    with pytest.raises(EarnestError, match=r"holds .*--overwrite"):
        run("show", "emodb", str(emodb), "--output", str(folder), catch_exceptions=False)
    (emodb / "wav/08a02La.wav").write_bytes(b"no sound")
    again = run("show", "emodb", str(emodb), "--output", str(folder), "--overwrite", "--no-audio", "--json")
    assert again.exit_code == 3
    assert json.loads(again.stdout)["unreadable"] == ["08a02La.wav"]
    assert "<audio" not in (folder / "index.html").read_text(encoding="utf-8")


def test_show_that_failed_half_way_begins_again_unasked(emodb, tmp_path, monkeypatch):
    words, full = ("show", "emodb", str(emodb), "--output", str(tmp_path / "shown")), OSError(28, "No space left")
    with monkeypatch.context() as patched:
        patched.setattr("earnest.report.corpus.write_json", lambda *_: (_ for _ in ()).throw(full))
        assert run(*words).exit_code != 0
    assert (tmp_path / "shown" / "spectrograms.png").exists()
    assert run(*words).exit_code == 0
    assert run(*words).exit_code == 1


@pytest.mark.parametrize("form", ["csv", "emobox"])
def test_links_that_lead_back_to_themselves_are_told(form, tmp_path):
    (circle := tmp_path / "labels").symlink_to(tmp_path / "labels")
    with pytest.raises(EarnestError, match="its links lead back to themselves"):
        run("manifest", form, str(circle), "-o", str(tmp_path / "mine.csv"), catch_exceptions=False)
