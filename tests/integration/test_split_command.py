"""Split files: written, read back, trained on; and leaks of every kind in anybody's, refused by name."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
from click.exceptions import UsageError
from click.testing import CliRunner
from command_line import earnest_cli
from made_up_corpus import recipe_text, write_corpus

from earnest.apps.cli.main import cli
from earnest.corpora.manifest import Utterance, read_manifest, write_manifest
from earnest.errors import CorpusError, SplitError

QUICK = recipe_text(extra='method = "discriminant"')


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=6, n_takes=1)


def data(manifest: Path) -> tuple[str, str]:
    return "--data", f"made-up={manifest}"


def check(manifest: Path, *files: Path, exit_code: int = 0, words: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    typed = [word for file in files for word in ("--check", file)]
    found = json.loads(earnest_cli("split", *typed, *words, *data(manifest), "--json", exit_code=exit_code))
    assert isinstance(found, list)
    return found


def with_a_copy(manifest: Path, folder: Path) -> Path:
    """Return a corpus in which a clip of speaker 00 is also there as one of speaker 05, saved anew elsewhere."""
    rows = read_manifest(manifest)
    samples, rate_hz = soundfile.read(rows[0].path)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    soundfile.write(elsewhere / "innocent.flac", samples, rate_hz, subtype="PCM_16")
    copy = replace(rows[-1], utterance_id="innocent", path=elsewhere / "innocent.flac", emotion="sad")
    assert rows[0].speaker != copy.speaker
    write_manifest([*rows, copy], folder / "copied.csv")
    return folder / "copied.csv"


def fold_file(path: Path, rows: list[Utterance], tested: set[str], held: set[str], by: str = "path") -> Path:
    """Write a CSV as others do: clip, fold, set."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((by, "fold", "set"))
        for row in rows:
            name = "test" if row.speaker[-2:] in tested else "dev" if row.speaker[-2:] in held else "train"
            writer.writerow((row.path.name if by == "path" else row.utterance_id, "1", name))
    return path


def test_own_recordings_are_named_by_path_as_in_evaluate(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus.parent)
    splits, recipe = tmp_path / "splits", tmp_path / "recipe.toml"
    earnest_cli("split", "--protocol", "speaker-3fold", "--corpus", corpus.name, "--output", splits)
    assert len(list(splits.glob("*.json"))) == 3
    said = json.loads(earnest_cli("split", "--check", splits, "--corpus", corpus.name, "--json"))
    assert [one["problems"] for one in said] == [[], [], []]
    recipe.write_text(QUICK, encoding="utf-8")
    words = ("--corpus", corpus.name, "--splits", splits, "--folds", "f1", "--output", tmp_path / "result", "--json")
    assert json.loads(earnest_cli("evaluate", recipe, *words))["n"] > 0


@pytest.mark.parametrize("command", ["split", "evaluate", "train", "tune"])
def test_own_recordings_beside_a_protocol_of_other_corpora_are_not_left_out(
    command: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(corpus.parent, tmp_path / "emodb")  # where the protocol's own would be found
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    (tmp_path / "recipe.toml").write_text(QUICK + "\n[tune]\ntrials = 1\n", encoding="utf-8")
    words = () if command == "split" else (tmp_path / "recipe.toml",)
    with pytest.raises(CorpusError, match=r"can't divide .*speaker-5fold.* cross-corpus"):
        words = (*words, "--corpus", corpus, "--protocol", "leave-one-corpus-out", "--output", tmp_path / "out")
        earnest_cli(command, *words)


def test_what_is_written_is_free_of_leaks_and_read_back_as_the_same_splits(corpus: Path, tmp_path: Path) -> None:
    words = ("--protocol", "speaker-3fold", "--output", tmp_path / "splits", "--hash", *data(corpus))
    assert "3 files" in earnest_cli("split", *words)
    found = check(corpus, tmp_path / "splits")
    assert [(one["fold"], one["problems"]) for one in found] == [("f1", []), ("f2", []), ("f3", [])]
    assert found[0]["clips"] == {"train": 8, "valid": 8, "test": 8}
    file = json.loads((tmp_path / "splits" / "f1.json").read_text())
    assert len(file["clips"]) == 24
    assert {len(clip["sha256"]) for clip in file["clips"].values()} == {64}
    assert file["clips"]["made-up/00-sad-0"]["speaker"] == "made-up-00"


def test_files_are_trained_and_tested_on_as_a_protocol_is(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(QUICK)
    earnest_cli("split", "--protocol", "speaker-3fold", "--output", tmp_path / "splits", *data(corpus))
    runs = {}
    for name, how in (("named", ("--protocol", "speaker-3fold")), ("read", ("--splits", tmp_path / "splits"))):
        words = (*how, "--output", tmp_path / name, "--json", *data(corpus))
        runs[name] = json.loads(earnest_cli("evaluate", tmp_path / "recipe.toml", *words))
    assert (tmp_path / "read/predictions.csv").read_bytes() == (tmp_path / "named/predictions.csv").read_bytes()
    assert runs["read"]["title"] == "split-files (speaker-independent)"
    assert f"--splits {tmp_path / 'splits'}" in runs["read"]["command"]


def test_a_shared_speaker_and_a_shared_clip_are_named(corpus: Path, tmp_path: Path) -> None:
    rows = read_manifest(corpus)
    path = fold_file(tmp_path / "folds.csv", rows, {"05"}, {"04"})
    assert check(corpus, path)[0]["problems"] == []
    text = path.read_text()
    path.write_text(text.replace("00-sad-0.wav,1,train", "00-sad-0.wav,1,test") + "01-happy-0.wav,1,dev\n")
    (problems,) = (one["problems"] for one in check(corpus, path, exit_code=1))
    assert problems == [
        "train and valid share the utterance made-up/01-happy-0",
        "train and valid share the speaker made-up-01",
        "train and test share the speaker made-up-00",
    ]
    (problems,) = (one["problems"] for one in check(corpus, path, exit_code=1, words=("--speaker-dependent",)))
    assert problems == ["train and valid share the utterance made-up/01-happy-0"]


def test_the_same_audio_under_another_name_in_another_folder_is_named(corpus: Path, tmp_path: Path) -> None:
    manifest = with_a_copy(corpus, tmp_path)
    first = read_manifest(corpus)[0].key
    path = fold_file(tmp_path / "folds.csv", read_manifest(manifest), {"05"}, {"04"}, by="utterance_id")
    (one,) = check(manifest, path, exit_code=1)
    assert one["problems"] == [f"train and test share identical audio: {first} = made-up/innocent"]
    assert check(manifest, path, words=("--no-audio",))[0]["problems"] == []
    shown = earnest_cli("split", "--check", path, *data(manifest), exit_code=1)
    assert "LEAKS" in shown
    assert f"{first} = made-up/innocent" in shown


def test_a_search_says_which_copies_it_does_not_look_for(corpus: Path, tmp_path: Path) -> None:
    path = fold_file(tmp_path / "folds.csv", read_manifest(corpus), {"05"}, {"04"})
    shown = earnest_cli("split", "--check", path, *data(corpus))
    assert "no leak found\nSamples were compared: copies as MP3, at another level or moved in time are not" in shown
    shown = earnest_cli("split", "--check", path, "--no-audio", *data(corpus))
    assert shown.endswith("no leak found\nAudio was not compared.\n")


def test_training_refuses_the_same_audio_under_another_name(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(QUICK)
    manifest = with_a_copy(corpus, tmp_path)
    words = ("--protocol", "speaker-3fold", "--output", tmp_path / "run", *data(manifest))
    with pytest.raises(SplitError, match=r"share identical audio: .*made-up/innocent"):
        earnest_cli("evaluate", tmp_path / "recipe.toml", *words)
    assert not list((tmp_path / "run").rglob("predictions.csv"))


def test_where_speakers_are_shared_identical_audio_is_counted_in_the_result(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(QUICK)
    manifest = with_a_copy(corpus, tmp_path)
    path = fold_file(tmp_path / "folds.csv", read_manifest(manifest), {"05"}, {"04"}, by="utterance_id")
    words = ("--splits", path, "--speaker-dependent", "--output", tmp_path / "run", *data(manifest))
    shown = earnest_cli("evaluate", tmp_path / "recipe.toml", *words)
    assert "split-files (speaker-dependent)" in shown
    assert "0 recordings, 1 identical utterances" in shown
    document = json.loads((tmp_path / "run" / "metrics.json").read_text())
    counts = {tuple(line["sets"]): line["shared"]["duplicates"] for line in document["leakage"]}
    assert counts == {("train", "valid"): 0, ("train", "test"): 1, ("valid", "test"): 0}


def test_a_leaking_file_is_refused_before_training(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(QUICK)
    path = fold_file(tmp_path / "folds.csv", read_manifest(corpus), {"05"}, {"04"})
    path.write_text(path.read_text().replace("00-sad-0.wav,1,train", "00-sad-0.wav,1,test"))
    words = ("--splits", path, "--output", tmp_path / "run", *data(corpus))
    with pytest.raises(SplitError, match="train and test share the speaker made-up-00"):
        earnest_cli("evaluate", tmp_path / "recipe.toml", *words)
    assert not (tmp_path / "run").exists()


def test_audio_that_is_not_what_was_published_is_named(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(corpus.parent, copy)
    words = ("--protocol", "speaker-3fold", "--output", tmp_path / "splits", "--hash")
    earnest_cli("split", *words, *data(corpus))
    samples, rate_hz = soundfile.read(copy / "02-sad-0.wav")
    soundfile.write(copy / "02-sad-0.wav", samples[:-5], rate_hz, subtype="PCM_16")
    found = check(copy / "manifest.csv", tmp_path / "splits" / "f1.json", exit_code=1)
    assert found[0]["problems"] == ["the audio is not what was published: made-up/02-sad-0"]


def test_one_file_a_set_is_a_fold_named_after_them(corpus: Path, tmp_path: Path) -> None:
    rows = read_manifest(corpus)
    for name, speakers in (("train", "0123"), ("val", "4"), ("test", "5")):
        lines = [f"deep/down/{row.path.name}" for row in rows if row.speaker[-1] in speakers]
        (tmp_path / f"fold1_{name}.csv").write_text("\n".join(["path", *lines]) + "\n")
    with pytest.raises(SplitError, match=r"not in the data: deep/down/"):
        check(corpus, tmp_path)
    for path in tmp_path.iterdir():
        path.write_text(path.read_text().replace("deep/down/", f"{corpus.parent.name}/"))
    (one,) = check(corpus, tmp_path)
    assert (one["fold"], one["clips"], one["problems"]) == ("fold1", {"train": 16, "valid": 4, "test": 4}, [])


@pytest.mark.parametrize(
    "words",
    [(), ("--protocol", "loso"), ("--check", "a.csv", "--protocol", "loso"), ("--check", "a.csv")],
)
def test_what_does_not_go_together_is_wrong_usage(words: tuple[str, ...]) -> None:
    earnest_cli("split", *words, exit_code=UsageError.exit_code)


def test_a_word_alone_is_told_which_option_it_needs() -> None:
    said = CliRunner().invoke(cli, ["split", "my calls.csv"])
    assert said.exit_code == 2
    assert "earnest split --corpus 'my calls.csv' --protocol speaker-5fold -o splits" in said.stderr
    assert "earnest split --check 'my calls.csv' --corpus RECORDINGS" in said.stderr
