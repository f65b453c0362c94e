"""Own recordings by path in ``earnest corpus``: every stumble of a new user is a sentence that helps."""

import json
import shlex
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner, Result

from earnest.apps.cli._options import named_corpus
from earnest.apps.cli._training import RecipeOptions
from earnest.apps.cli.main import cli
from earnest.corpora.load import load_corpus
from earnest.corpora.manifest import read_manifest
from earnest.errors import CorpusError
from earnest.testing.sounds import voice


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["corpus", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for each class, in it one for each speaker."""
    for number, (label, speaker) in enumerate((one, who) for one in ("froh", "sad") for who in ("ann", "bob", "cem")):
        path = tmp_path / "My Clips" / label / speaker / f"{speaker}_{label}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, voice(0.4, seed=number), 16_000, subtype="PCM_16")
    return tmp_path / "My Clips"


def test_a_manifest_of_a_folder_keeps_words_and_tells_the_next_command(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "my table.csv"
    done = run("manifest", folder, "-o", output, "--speaker-column", "folder 2")
    assert done.exit_code == 0
    assert f"{output}: 6 rows of a folder for each class: sad 3, froh 3" in done.output
    assert "3 speakers from folder 2." in done.output
    following = f"earnest corpus check '{output}', then earnest evaluate own --corpus '{output}'"
    assert f"Next: {following}" in done.output
    rows = read_manifest(output)
    assert {row.speaker for row in rows} == {"my-clips-ann", "my-clips-bob", "my-clips-cem"}
    assert {(row.corpus, row.emotion, row.native_emotion) for row in rows} == {
        ("my-clips", "other", "froh"),
        ("my-clips", "sad", "sad"),
    }
    assert load_corpus("any", output) == sorted(rows, key=lambda row: row.path.name)


def test_nouns_stay_words_of_ones_own_and_it_is_told_how_they_become_emotions(folder: Path, tmp_path: Path) -> None:
    (folder / "froh").rename(folder / "Anger")
    told = run("manifest", folder, "-o", tmp_path / "mine.csv").output
    assert "Anger: words of your own, which recipes with other classes leave out." in told
    assert "with --emotion Anger=angry makes them earnest's." in told
    meant = run("manifest", folder, "-o", tmp_path / "mine.csv", "--overwrite", "--emotion", "Anger=angry")
    assert "words of your own" not in meant.output
    assert {row.emotion for row in read_manifest(tmp_path / "mine.csv")} == {"angry", "sad"}


def test_without_speakers_it_says_how_to_tell_them(folder: Path, tmp_path: Path) -> None:
    done = run("manifest", folder, "-o", tmp_path / "mine.csv")
    assert "Speakers are unknown. Name them with --speaker-column NAME" in done.output
    by_pattern = run("manifest", folder, "-o", tmp_path / "2.csv", "--speaker-pattern", "([a-z]+)_")
    assert "3 speakers from a pattern on the path." in by_pattern.output


def test_words_can_be_made_canonical_emotions(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.csv"
    assert run("manifest", folder, "-o", output, "--emotion", "froh=happy", "--corpus", "clips").exit_code == 0
    assert {(row.corpus, row.emotion) for row in read_manifest(output)} == {("clips", "happy"), ("clips", "sad")}
    strange = run("manifest", folder, "-o", tmp_path / "2.csv", "--emotion", "froh=Froh")
    assert strange.exit_code == 2
    assert "--emotion froh=Froh: 'Froh' is none of neutral, calm, happy" in " ".join(strange.output.split())
    wrong = run("manifest", folder, "-o", tmp_path / "2.csv", "--emotion", "joy=happy")
    assert wrong.exit_code == 2
    assert "no recording has that label. There are sad, froh." in wrong.output


def test_one_bad_recording_is_told_and_the_others_are_written(folder: Path, tmp_path: Path) -> None:
    (folder / "sad" / "ann" / "bad.wav").write_bytes(b"no sound at all")
    checked = run("check", folder)
    assert checked.exit_code == 3
    assert "unreadable" in checked.output
    assert "bad.wav" in checked.output
    assert "1 problem." in checked.output
    output = tmp_path / "mine.csv"
    done = run("manifest", folder, "-o", output, "--readable")
    assert done.exit_code == 3
    assert "1 of 7 recordings left out" in done.output
    assert len(read_manifest(output)) == 6


def test_of_many_that_are_left_out_for_one_reason_the_first_is_named_and_the_others_are_counted(
    folder: Path, tmp_path: Path
) -> None:
    for number in range(5):
        (folder / "sad" / "ann" / f"bad{number}.wav").touch()
    checked = run("check", folder)
    assert [checked.output.count(f"bad{number}.wav") for number in range(5)] == [1] * 5
    told = run("manifest", folder, "-o", tmp_path / "mine.csv", "--readable").output
    assert [told.count(f"bad{number}.wav") for number in range(5)] == [1, 0, 0, 0, 0]
    assert "left out: 5 × " in told
    assert "`earnest corpus check` names all." in told


def test_readable_leaves_out_of_a_published_corpus_too(tmp_path: Path) -> None:
    corpus = tmp_path / "emodb"
    corpus.mkdir()
    for number, name in enumerate(("03a01Fa", "08a02Wa", "09b03Ta")):
        soundfile.write(corpus / f"{name}.wav", voice(0.5, seed=number), 16_000)
    (corpus / "10a04Na.wav").write_bytes(b"")
    output = tmp_path / "emodb.csv"
    done = run("manifest", "emodb", corpus, "-o", output, "--readable")
    assert done.exit_code == 3
    assert "1 of 4 recordings left out" in done.output and "10a04Na" in done.output
    assert [row.utterance_id for row in read_manifest(output)] == ["03a01Fa", "08a02Wa", "09b03Ta"]
    assert run("manifest", "emodb", corpus, "-o", output, "--overwrite").exit_code == 0
    assert len(read_manifest(output)) == 4


def test_a_check_tells_counts_speakers_and_the_next_command(folder: Path) -> None:
    done = run("check", folder, "--speaker-column", "folder 2")
    assert done.exit_code == 0
    assert "Labels from folder 1; 3 speakers from folder 2." in done.output
    following = f"earnest corpus manifest '{folder}' -o mine.csv --speaker-column 'folder 2'"
    assert done.output.endswith(f"Every recording can be read.\nNext: {following}\n")
    report = json.loads(run("check", folder, "--json").stdout)
    assert report["class_counts"] == {"sad": 3, "froh": 3}
    assert report["findings"] == []


def test_the_next_command_of_a_check_is_one_that_works(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / "sad" / "ann" / "bad.wav").write_bytes(b"no sound at all")
    pattern = ("--speaker-pattern", "([a-z]+)_")
    following = run("check", folder, *pattern).output.splitlines()[-1]
    assert following == f"Next: earnest corpus manifest '{folder}' -o mine.csv --speaker-pattern '([a-z]+)_' --readable"
    assert run(*shlex.split(following)[3:]).exit_code == 3
    checked = run("check", "mine.csv").output
    assert checked.endswith("Every recording can be read.\nNext: earnest evaluate own --corpus mine.csv\n")


@pytest.mark.parametrize("words", [(), ("--speaker-pattern", "(o)"), ("--label-pattern", "(_)")])
def test_where_an_evaluation_would_be_refused_a_check_names_no_next_command(
    folder: Path, words: tuple[str, ...]
) -> None:
    assert "Next:" not in run("check", folder, *words).output


@pytest.mark.parametrize("words", [("check", "ravdes"), ("manifest", "ravdes", "-o", "x.csv")])
def test_neither_a_corpus_nor_a_path_is_told_with_the_nearest_name(words: tuple[str, ...]) -> None:
    error = run(*words).exception
    assert isinstance(error, CorpusError)
    assert "'ravdes' is not a corpus, a folder or a file. Did you mean 'ravdess'?" in str(error)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "ravdess", "--speaker-column", "x"), "is read by its own rules"),
        (("manifest", "csv", "-o", "x.csv"), "csv: where is it? Say earnest corpus manifest csv PATH"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(words: tuple[str, ...], message: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_page_is_drawn_of_a_path(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    assert run("show", folder, "-o", tmp_path / "shown", "--no-audio").exit_code == 0
    assert (tmp_path / "shown" / "index.html").exists()


def test_own_recordings_are_named_after_their_path(folder: Path, tmp_path: Path) -> None:
    assert named_corpus(str(folder)) == ("my-clips", folder)
    assert named_corpus("emodb") == ("emodb", None)
    (tmp_path / "emodb.csv").write_text("x")
    assert named_corpus(str(tmp_path / "emodb.csv"))[0] == "own-emodb"
    (tmp_path / "···").mkdir()
    assert named_corpus(str(tmp_path / "···"))[0] == "own"


def test_labels_are_the_classes_unless_a_scheme_is_named(folder: Path) -> None:
    asked = RecipeOptions(scheme=None, corpora=(str(folder), "emodb"), settings=())
    assert asked.changes == {"corpus": ["my-clips", "emodb"], "scheme": "native"}
    assert asked.own == {"my-clips": folder}
    assert asked.words == ["--corpus", str(folder), "--corpus", "emodb"]
    assert RecipeOptions(scheme="four", corpora=(str(folder),), settings=()).changes["scheme"] == "four"
    assert "scheme" not in RecipeOptions(scheme=None, corpora=("emodb",), settings=()).changes


@pytest.mark.parametrize(("others", "told"), [("sad", "keep one row"), ("froh", "3 with")])
def test_recordings_that_several_people_labelled_are_one_line_of_a_check(folder: Path, others: str, told: str) -> None:
    rows = [f"{path.relative_to(folder)},{path.parts[-3]}" for path in sorted(folder.rglob("*.wav"))]
    again = [row if row.startswith("froh") else row.replace(",sad", f",{others}") for row in rows]
    table = folder / "labels.csv"
    table.write_text("\n".join(["path,label", *rows, *again]) + "\n")
    done = run("check", table)
    (line,) = [line for line in done.output.splitlines() if "listed twice" in line]
    assert "6 recordings" in line
    assert told in " ".join(done.output.split())
    found = json.loads(run("check", table, "--json").output)["findings"]
    assert [one["kind"] for one in found] == ["listed twice"] * 6
