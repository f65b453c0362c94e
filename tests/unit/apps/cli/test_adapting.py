"""Adaptation on the command line: speakers of folders, lists and patterns; two passes that lose nothing; profiles."""

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from stand_in import write_adapting, write_bundle

import earnest
from earnest.apps.cli import _row_file
from earnest.apps.cli.main import cli
from earnest.apps.cli.predict import ADAPTS
from earnest.audio.source import Channel
from earnest.bundle import ADAPTATION, RULE
from earnest.errors import EarnestError
from earnest.runtime.prediction import Prediction
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.testing.sounds import voice, write_voice

SPEAKERS = ("anna", "bob")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two speakers' recordings, some long, and one that can't be read."""
    folder = tmp_path_factory.mktemp("recordings")
    for number in range(10):
        (folder / SPEAKERS[number % 2]).mkdir(exist_ok=True)
        write_voice(folder / SPEAKERS[number % 2] / f"{number}.wav", 0.6 + number % 5, seed=number)
    (folder / "anna" / "broken.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapting(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def model(bundle: Path) -> Predictor:
    return earnest.load(bundle)


def run(bundle: Path, *words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [*map(str, words), "--model", str(bundle)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def expected(model: Predictor, folder: Path) -> list[dict[str, Any]]:
    paths = sorted(str(path) for path in folder.rglob("*.wav"))
    return unnamed(model.predict_many(paths, speakers=[Path(path).parent.name for path in paths]))


def unnamed(rows: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Of folders and channels the command tells no names."""
    return [replace(row, speaker=None).to_dict() for row in rows]


def assert_alike(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Numbers that were kept on the way have seven digits."""
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for name in ("path", "status", "emotion", "adapted", "speech_s", "error"):
            assert one[name] == other[name], name
        assert one["adaptation_weight"] == pytest.approx(other["adaptation_weight"], abs=2e-6)
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=2e-5)


def test_each_recording_of_a_table_of_spans_is_adapted_to_what_was_heard_in_it_alone(
    bundle: Path, folder: Path
) -> None:
    words = "--format", "csv", "--adapt", "auto", "--window", 0.5, "--hop", 0.25
    alone = [run(bundle, "timeline", path, *words).stdout for path in sorted((folder / "bob").iterdir())]
    told = run(bundle, "timeline", folder / "bob", *words).stdout
    assert told.splitlines() == [*alone[0].splitlines()[:1], *(line for one in alone for line in one.splitlines()[1:])]
    plain = run(bundle, "timeline", folder / "bob", *words[:2], "--window", 0.5, "--hop", 0.25).stdout
    assert told != plain


def test_a_profile_of_several_speakers_is_told(bundle: Path, folder: Path, tmp_path: Path) -> None:
    said = run(bundle, "adapt", folder, "--output", tmp_path / "all.json", code=3).stderr
    assert "These recordings are of 2 speakers" in said
    assert "speakers" not in run(bundle, "adapt", folder / "bob", "--output", tmp_path / "bob.json").stderr


def test_a_profile_of_too_little_speech_to_adapt_is_told(folder: Path, tmp_path: Path) -> None:
    bundle = write_adapting(tmp_path / "patient", least_speech_s=2.0)
    one = sorted((folder / "bob").iterdir())[0]
    said = run(bundle, "adapt", one, "--output", tmp_path / "one.json").stderr
    assert "adapts from 2 s on" in said
    assert "too little" not in run(bundle, "adapt", folder / "bob", "--output", tmp_path / "bob.json").stderr
    (row,) = rows_of(run(bundle, "predict", one, "--profile", tmp_path / "one.json", "--json").stdout)
    assert not row["adapted"]


def test_a_recording_that_is_left_out_is_no_speaker_of_a_profile(bundle: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "one.wav").write_bytes(b"no sound")
    for left_out in tmp_path / "broken", tmp_path / "gone" / "one.wav":
        words = "adapt", folder / "bob", left_out, "--output", tmp_path / "bob.json", "--overwrite"
        said = run(bundle, *words, code=3).stderr
        assert "Left out:" in said and "speakers" not in said


def test_each_sub_folder_is_a_speaker(bundle: Path, model: Predictor, folder: Path) -> None:
    told = rows_of(run(bundle, "predict", folder, "--adapt", "auto", "--json", code=3).stdout)
    assert told == expected(model, folder)
    assert [row["adapted"] for row in told] == [row["status"] != "error" for row in told]
    assert all(row["adaptation_weight"] == 0.5 for row in told if row["adapted"])
    plain = rows_of(run(bundle, "predict", folder, "--json", code=3).stdout)
    assert not any(row["adapted"] or row["adaptation_weight"] for row in plain)


def test_each_channel_is_a_recording_of_a_speaker_of_its_own(bundle: Path, model: Predictor, tmp_path: Path) -> None:
    paths = [str(tmp_path / "calls" / f"{name}.wav") for name in "ab"]
    Path(paths[0]).parent.mkdir()
    for seed, path in enumerate(paths):
        soundfile.write(path, np.stack([voice(2.0, seed=seed), voice(2.0, seed=seed + 5)], axis=1), 16_000)
    sides = [Channel(path, number) for path in paths for number in (1, 2)]
    wanted = unnamed(model.predict_many(sides, speakers=["agent", "caller"] * 2))
    both = ("--channel", 1, "--channel", 2)
    told = rows_of(run(bundle, "predict", tmp_path / "calls", *both, "--adapt", "auto", "--json").stdout)
    assert told == wanted
    assert [row["path"] for row in told] == [f"{path}#{number}" for path in paths for number in (1, 2)]
    table = tmp_path / "rows.jsonl"
    run(bundle, "predict", paths[0], *both, "--output", table)
    again = run(bundle, "predict", *paths, *both, "--output", table, "--resume")
    assert "2 answered, 0 failed, 2 were there already" in again.stderr
    assert [row["path"] for row in rows_of(table.read_text())] == [row["path"] for row in wanted]


def test_rows_of_channels_are_a_list_of_these_channels(bundle: Path, tmp_path: Path) -> None:
    call, table = tmp_path / "call.wav", tmp_path / "rows.csv"
    soundfile.write(call, np.stack([voice(2.0), voice(2.0, level=0.1, seed=5)], axis=1), 16_000)
    wanted = rows_of(run(bundle, "predict", call, "--channel", 1, "--channel", 2, "--json").stdout)
    run(bundle, "predict", call, "--channel", 1, "--channel", 2, "--output", table)
    assert rows_of(run(bundle, "predict", table, "--json").stdout) == wanted
    assert rows_of(run(bundle, "predict", f"{call}#1", f"{call}#2", "--json").stdout) == wanted
    told = run(bundle, "predict", table, "--channel", 1, code=2).output
    assert "call.wav#1: names a channel already. Leave out --channel" in " ".join(told.split())
    over = "--output", call, "--format", "csv", "--overwrite"
    assert "it is read, so it can't be written" in run(bundle, "predict", f"{call}#1", *over, code=2).output


def test_of_several_channels_a_recording_of_a_folder_has_a_row_for_each_that_it_has(
    bundle: Path, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    soundfile.write(calls / "call.wav", np.stack([voice(2.0), voice(2.0, seed=5)], axis=1), 16_000)
    soundfile.write(calls / "mono.wav", voice(2.0), 16_000)
    (calls / "zero.wav").write_bytes(b"no sound")
    both = ("--channel", 1, "--channel", 2)
    for isolated in [], ["--isolate", "--jobs", 1]:
        told = rows_of(run(bundle, "predict", calls, *both, "--json", *isolated, code=3).stdout)
        names = ["call.wav#1", "call.wav#2", "mono.wav#1", "zero.wav#1", "zero.wav#2"]
        assert [row["path"] for row in told] == [str(calls / name) for name in names]
        assert {row["path"] for row in told if row["error"]} == {str(calls / name) for name in names[3:]}
    (calls / "zero.wav").unlink()
    for command, *more in (["predict"], ["embed"]):
        rows = rows_of(run(bundle, command, calls, *both, *more, "--json").stdout)
        assert [row["path"] for row in rows] == [str(calls / name) for name in names[:3]]


def test_a_channel_that_is_not_there_is_an_error_where_it_is_the_only_one_or_its_recording_was_named(
    bundle: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "mono.wav", voice(2.0), 16_000)
    (tmp_path / "list.csv").write_text("path\nmono.wav\n")
    both = ("--channel", 1, "--channel", 2)
    for words in (tmp_path / "mono.wav", *both), (tmp_path / "list.csv", *both), (tmp_path, "--channel", 2):
        *_, last = rows_of(run(bundle, "predict", *words, "--json", code=3).stdout)
        assert "there is no channel 2, only one channel" in last["error"]


def test_channels_of_profiles_timelines_and_embeddings(bundle: Path, tmp_path: Path) -> None:
    call, sound = tmp_path / "call.wav", np.stack([voice(2.0, seed=1), voice(3.0, seed=2)[:32_000]], axis=1)
    soundfile.write(call, sound, 16_000)
    for number in (1, 2):
        soundfile.write(tmp_path / f"{number}.wav", sound[:, number - 1], 16_000)
        for words in (["timeline"], ["embed"]):
            of_call = json.loads(run(bundle, *words, call, "--channel", number, "--json").stdout)
            alone = json.loads(run(bundle, *words, tmp_path / f"{number}.wav", "--json").stdout)
            assert of_call.pop("path") == f"{call}#{number}"
            assert alone.pop("path") == str(tmp_path / f"{number}.wav")
            assert of_call == alone
        profiles = [tmp_path / f"{kind}{number}.json" for kind in ("call", "alone")]
        run(bundle, "adapt", call, "--channel", number, "--output", profiles[0])
        run(bundle, "adapt", tmp_path / f"{number}.wav", "--output", profiles[1])
        assert profiles[0].read_text() == profiles[1].read_text()


def test_a_list_names_channels_and_who_speaks_in_them(bundle: Path, model: Predictor, tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        sound = np.stack([voice(2.0, seed=seed), voice(2.0, seed=seed + 5)], axis=1)
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000)
    table = tmp_path / "calls.csv"
    table.write_text("path,channel,speaker\na.wav,1,agent\na.wav,2,caller\nb.wav,2,agent\nb.wav,,\n")
    told = rows_of(run(bundle, "predict", table, "--adapt", "auto", "--json").stdout)
    sides = [Channel(tmp_path / "a.wav", 1), Channel(tmp_path / "a.wav", 2), Channel(tmp_path / "b.wav", 2)]
    rows = model.predict_many([*sides, tmp_path / "b.wav"], speakers=["agent", "caller", "agent", None])
    assert told == [row.to_dict() for row in rows]
    assert "a.wav#1: names a channel already" in run(bundle, "predict", table, "--channel", 1, code=2).output


def test_who_is_adapted_to_is_heard_in_the_same_channel(bundle: Path, tmp_path: Path) -> None:
    call, alone = tmp_path / "call.wav", tmp_path / "alone.wav"
    soundfile.write(call, np.stack([voice(2.0, seed=1), voice(2.0, seed=2)], axis=1), 16_000)
    soundfile.write(alone, voice(2.0, seed=2), 16_000)
    opposite = tmp_path / "opposite.wav"  # its mean is refused
    soundfile.write(opposite, np.stack([voice(2.0, seed=3), -voice(2.0, seed=3)], axis=1), 16_000)
    for command in ("predict", "timeline"):
        by_call, by_alone = (
            json.loads(run(bundle, command, *words, "--json").stdout)
            for words in ((call, "--channel", 2, "--adapt", call), (alone, "--adapt", alone))
        )
        run(bundle, command, call, "--channel", 2, "--adapt", opposite)
        assert by_call["probabilities"] == by_alone["probabilities"]
    both = ("--channel", 1, "--channel", 2)
    assert "adapt to one with one --channel" in run(bundle, "predict", call, *both, "--adapt", call, code=2).output
    for command in (("timeline", call), ("adapt", call, "--output", tmp_path / "profile.json")):
        assert "one channel at a time" in run(bundle, *command, *both, code=2).output
    assert "expected 1 for the left one" in run(bundle, "predict", call, "--channel", "left", code=2).output
    twice = rows_of(run(bundle, "predict", call, "--channel", 2, "--channel", 2, "--json").stdout)
    assert [row["path"] for row in twice] == [f"{call}#2"]


def test_documents_of_a_channel_name_the_recording_and_the_channel(bundle: Path, tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    soundfile.write(call, np.stack([voice(2.0, seed=1), voice(2.0, seed=2)], axis=1), 16_000)
    (first,) = run(bundle, "timeline", call, "--channel", 2, "--format", "rttm").stdout.splitlines()
    assert first.startswith("SPEAKER call 2 0.")
    assert 'MEDIA_URL="./call.wav"' in run(bundle, "timeline", call, "--channel", 2, "--format", "eaf").stdout


def test_a_file_that_is_gone_on_with_still_has_its_errors(bundle: Path, folder: Path, tmp_path: Path) -> None:
    paths = (folder / "anna" / "broken.wav", folder / "anna" / "0.wav")
    for command, output in (("predict", "rows.csv"), ("embed", "rows.npz")):
        words = (command, *paths, "--output", tmp_path / output)
        run(bundle, *words, code=3)
        again = run(bundle, *words, "--resume", code=3)
        assert "0 failed, 2 were there already, of which 1 failed" in again.stderr


def test_a_file_that_is_gone_on_with_keeps_one_profile(bundle: Path, folder: Path, tmp_path: Path) -> None:
    anna, bob, output = (tmp_path / name for name in ("anna.json", "bob.json", "rows.csv"))
    run(bundle, "adapt", folder / "anna", "--output", anna, code=3)  # one is broken
    run(bundle, "adapt", folder / "bob", "--output", bob)
    words = ("predict", folder / "bob" / "1.wav", "--output", output)
    run(bundle, *words, "--profile", anna)
    whole = output.read_bytes()
    result = run(bundle, *words, folder / "bob" / "3.wav", "--profile", bob, "--resume", code=1)
    assert "adapted to another profile than the one here. Give --profile as before." in str(result.exception)
    assert output.read_bytes() == whole
    run(bundle, *words, folder / "bob" / "3.wav", "--profile", anna, "--resume")
    assert len(output.read_text().splitlines()) == 3


def test_an_empty_word_is_wrong_usage_and_a_name_that_is_too_long_a_row_with_its_error(
    bundle: Path, tmp_path: Path
) -> None:
    write_voice(tmp_path / "a.wav")
    assert "An empty word after " in run(bundle, "predict", tmp_path / "a.wav", "", code=2).output
    words = tmp_path / "a.wav", tmp_path / f"{'a' * 300}.wav", "--json"
    first, last = rows_of(run(bundle, "predict", *words, code=3).stdout)
    assert first["error"] is None and "not readable" in last["error"]


def test_standard_input_has_one_channel_at_most(bundle: Path) -> None:
    told = run(bundle, "predict", "-", "--channel", 1, "--channel", 2, code=2).output
    assert "Standard input is read once" in told


def test_a_spectrogram_that_is_not_adapted_though_it_was_asked_for_is_told(bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"  # this model answers none; whether it is adapted is told before
    picture.write_bytes(b"")
    write_voice(tmp_path / "a.wav")
    told = run(bundle, "predict", picture, "--adapt", "auto", code=3).stderr
    assert "1 spectrogram: not adapted, as --adapt auto needs sound" in told
    assert "not adapted" not in run(bundle, "predict", picture, code=3).stderr
    assert "not adapted" not in run(bundle, "predict", tmp_path / "a.wav", "--adapt", "auto").stderr


def test_a_bundle_whose_streams_lose_nothing_adapts_to_folders_unless_told_otherwise(
    model: Predictor, folder: Path, tmp_path: Path
) -> None:
    entry = {"file": ADAPTATION, "least_speech_s": 3.0, "folders": True}
    bundle = write_adapting(tmp_path, adaptation=entry)
    result = run(bundle, "predict", folder, "--json", code=3)
    assert rows_of(result.stdout) == expected(model, folder)
    assert ADAPTS.format("") in result.stderr
    assert "each sub-folder" in ADAPTS and "as one speaker's" in ADAPTS
    sides = run(bundle, "predict", folder, "--channel", 1, "--json", code=3)
    assert "as one speaker's, each channel as another's (" in sides.stderr
    off = run(bundle, "predict", folder, "--json", "--adapt", "off", code=3)
    files = run(bundle, "predict", *sorted((folder / "bob").iterdir()), "--json")
    assert ADAPTS.format("") not in off.stderr + files.stderr
    assert not any(row["adapted"] for row in [*rows_of(off.stdout), *rows_of(files.stdout)])
    plain = rows_of(off.stdout)
    assert [row for row in plain if "bob" in row["path"]] == rows_of(files.stdout)


def test_recordings_named_beside_a_folder_are_answered_as_they_are_without_it(folder: Path, tmp_path: Path) -> None:
    entry = {"file": ADAPTATION, "least_speech_s": 3.0, "folders": True}
    bundle = write_adapting(tmp_path, adaptation=entry)
    loose = sorted((folder / "anna").glob("[0-9].wav"))
    alone = rows_of(run(bundle, "predict", *loose, "--json").stdout)
    beside = rows_of(run(bundle, "predict", *loose, folder / "bob", "--json").stdout)
    assert beside[: len(loose)] == alone
    assert all(row["adapted"] for row in beside[len(loose) :])
    asked = rows_of(run(bundle, "predict", *loose, folder / "bob", "--adapt", "auto", "--json").stdout)
    assert all(row["adapted"] for row in asked)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_of_adapted_rows_is_what_is_shown(
    bundle: Path, model: Predictor, folder: Path, tmp_path: Path, suffix: str
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    output = tmp_path / f"rows.{suffix}"
    run(bundle, "predict", folder, "--adapt", "auto", "--output", output, code=3)
    form = _row_file._rows_of_output(output, {"jsonl": "json"}.get(suffix, suffix))  # type: ignore[arg-type]
    assert_alike([row.to_dict() for row in form], expected(model, folder))
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, f"{output.name}.sha256"]


def test_a_run_that_is_killed_goes_on_where_it_was(
    bundle: Path, model: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "rows.jsonl"
    words = ("predict", folder, "--adapt", "auto", "--output", output)
    write, n_written = _row_file.RowFile.write, 0

    def killed(self: Any, row: Any) -> None:
        nonlocal n_written
        if n_written == 4:
            raise KeyboardInterrupt
        n_written += 1
        write(self, row)

    with monkeypatch.context() as patched:
        patched.setattr(_row_file.RowFile, "write", killed)
        CliRunner().invoke(cli, [*map(str, words), "--model", str(bundle)])
    assert not output.exists()
    journal = tmp_path / "rows.jsonl.partial"
    assert len(journal.read_text().splitlines()) == 1 + 4
    journal.write_bytes(journal.read_bytes()[:-30])  # the last line was just being written
    result = run(bundle, *words[:2], "--output", output, "--resume", code=1)
    assert "was made with --adapt auto, and here it is --adapt off" in str(result.exception)
    heard: list[str] = []
    original = Predictor.hear_many

    def watched(self: Predictor, sources: Any, *others: Any) -> Any:
        heard.extend(sources)
        return original(self, sources, *others)

    monkeypatch.setattr(Predictor, "hear_many", watched)
    run(bundle, *words, "--resume", code=3)
    assert len(heard) == 11 - 3
    assert_alike(rows_of(output.read_text()), expected(model, folder))


def test_a_finished_file_is_left_as_it_is_and_takes_no_more(bundle: Path, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    words = ("predict", folder / "bob", "--adapt", "auto", "--output", output)
    run(bundle, *words)
    whole = output.read_bytes()
    run(bundle, *words, "--resume")
    assert output.read_bytes() == whole
    for _ in range(2):
        result = run(bundle, *words, folder / "anna", "--resume", code=1)
        assert "Answer all of them again with --overwrite" in str(result.exception)
    assert output.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "rows.csv.sha256"]
    run(bundle, *words, folder / "anna", "--overwrite", code=3)
    assert len(output.read_text().splitlines()) == 12


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b'{"plain": {}}',
        b'{"plain": {}, "is_whole": true, "steps": [[0, 1e300]]}',
        b'{"plain": {"path": 1}, "is_whole": true, "steps": []}',
    ],
)
def test_a_journal_of_something_else_is_refused(bundle: Path, folder: Path, tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rows.csv.partial").write_bytes(line + b"\n")
    words = ("predict", folder, "--adapt", "auto", "--output", tmp_path / "rows.csv", "--resume")
    assert isinstance(run(bundle, *words, code=1).exception, EarnestError)
    assert (tmp_path / "rows.csv.partial").read_bytes() == line + b"\n"


def test_what_arrives_later_is_adapted_with_what_was_there(
    bundle: Path, model: Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(str(path) for path in (folder / "bob").iterdir())
    from earnest.apps.cli import predict

    monkeypatch.setattr(predict.NamedRecordings, "sources", lambda *_: paths[:3])
    monkeypatch.setattr(predict, "arriving", lambda *_: iter([paths[3:]]))
    told = rows_of(run(bundle, "predict", folder / "bob", "--watch", "--adapt", "auto", "--json").stdout)
    early, late = (list(model.predict_many(some, speakers="bob")) for some in (paths[:3], paths))
    assert told == unnamed([*early, *late[3:]])


def test_a_pattern_that_finds_nobody_is_told_and_left_alone(bundle: Path, folder: Path) -> None:
    words = ("predict", folder, "--adapt", "auto", "--json")
    result = run(bundle, *words, "--speaker-pattern", "(anna)/", code=3)
    rows = rows_of(result.stdout)
    assert all(row["adapted"] == ("anna" in row["path"]) for row in rows if row["duration_s"] and row["duration_s"] < 4)
    missed = re.search("finds no speaker in 5 of the paths below their folders, such as (.*); these", result.stderr)
    assert missed
    assert (folder / missed[1]).is_file()  # it shows what the pattern was tried on
    assert not Path(missed[1]).is_absolute()
    for pattern in ("(", "(?P<speaker", "a{1,99999999999}"):
        assert "not a regular expression" in run(bundle, *words, "--speaker-pattern", pattern, code=2).output
    for words in (("--adapt", "off"), ("--adapt", folder)):
        said = run(bundle, "predict", folder, *words, "--speaker-pattern", "x", code=2).output
        assert "works only with --adapt auto" in said


def test_who_tells_speakers_apart_wants_adaptation(bundle: Path, folder: Path) -> None:
    words = ("predict", folder, "--json", "--speaker-pattern", "(anna)/")
    told = run(bundle, *words, code=3).stdout
    assert told == run(bundle, *words, "--adapt", "auto", code=3).stdout
    names = {row["path"]: row.get("speaker") for row in rows_of(told)}
    assert names == {path: "anna" if "anna/" in path else None for path in names}
    assert "anna" in names.values()


def test_a_profile_adapts_wherever_recordings_are_answered(
    bundle: Path, model: Predictor, folder: Path, tmp_path: Path
) -> None:
    profile, known = tmp_path / "bob.json", sorted((folder / "bob").iterdir())
    told = json.loads(run(bundle, "adapt", folder / "bob", "--output", profile, "--json").stdout)
    assert told["rows"] >= 5
    clip = folder / "anna" / "4.wav"
    (by_profile,) = rows_of(run(bundle, "predict", clip, "--profile", profile, "--json").stdout)
    (by_folder,) = rows_of(run(bundle, "predict", clip, "--adapt", folder / "bob", "--json").stdout)
    assert_alike([by_profile, by_folder], [model.predict(str(clip), model.adapter(known)).to_dict()] * 2)
    assert by_profile["adapted"]
    for words in (("timeline", clip), ("timeline", clip, "--adapt", "auto")):
        more = () if "auto" in words else ("--profile", profile)
        assert json.loads(run(bundle, *words, *more, "--json").stdout)["adapted"]
    assert "already exists" in str(run(bundle, "adapt", clip, "--output", profile, code=1).exception)
    other = write_adapting(tmp_path / "other", version="2")
    assert "made with the model" in str(run(other, "predict", clip, "--profile", profile, code=1).exception)


def test_a_profile_is_of_the_recordings_that_can_be_read(bundle: Path, folder: Path, tmp_path: Path) -> None:
    some, good = tmp_path / "some.json", tmp_path / "good.json"
    result = run(bundle, "adapt", folder / "anna", "--output", some, code=3)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Left out: ")]
    assert "broken.wav: no sound but text" in line
    run(bundle, "adapt", *sorted((folder / "anna").glob("[0-9].wav")), "--output", good)
    assert some.read_bytes() == good.read_bytes()
    none = run(bundle, "adapt", folder / "anna" / "broken.wav", "--output", tmp_path / "none.json", code=1)
    assert "no speech to adapt to" in str(none.exception)
    assert not (tmp_path / "none.json").exists()


def test_words_that_exclude_each_other_are_refused(bundle: Path, folder: Path) -> None:
    clip = folder / "anna" / "4.wav"
    for words in (("--adapt", "auto", "--adapt", clip), ("--adapt", "off", "--adapt", "auto")):
        assert "can't be used with other values" in run(bundle, "timeline", clip, *words, code=2).output
    assert "can't be used together" in run(bundle, "predict", clip, "--adapt", "auto", "--profile", clip, code=2).output


def test_speakers_who_may_be_one_are_told_where_each_is_adapted_to(bundle: Path, folder: Path, tmp_path: Path) -> None:
    clips, listed = sorted((folder / "anna").glob("[0-9].wav"))[:2], tmp_path / "list.csv"
    rows = [f"{clip},{name}" for clip, name in zip(clips, ("Anna 1", "anna_01"), strict=True)]
    listed.write_text("\n".join(["path,speaker", *rows]), encoding="utf-8")
    told = "Speakers that may be one are taken for several: Anna 1, anna_01. Write them alike."
    assert told in run(bundle, "predict", listed, "--adapt", "auto", "--json").stderr
    assert told not in run(bundle, "predict", listed, "--json").stderr
    assert told not in run(bundle, "predict", listed, "--adapt", "auto", "--json", "-q").stderr


def test_a_profile_among_recordings_and_an_output_that_is_read_are_refused(
    bundle: Path, folder: Path, tmp_path: Path
) -> None:
    clip = tmp_path / "a.wav"
    clip.write_bytes((folder / "anna" / "4.wav").read_bytes())
    before = clip.read_bytes()
    listed = tmp_path / "list.csv"
    listed.write_text("path\na.wav\n", encoding="utf-8")
    assert "given with --profile" in run(bundle, "predict", clip, "--adapt", "anna.json", code=2).output
    for words in (
        ("predict", clip, "--format", "json", "-o", clip),
        ("predict", tmp_path, "--format", "json", "-o", clip),
        ("predict", listed, "-o", listed),
        ("timeline", clip, "--format", "json", "-o", clip),
        ("timeline", clip, "--plot", clip),
        ("adapt", clip, "-o", clip),
    ):
        assert "can't be written" in run(bundle, *words, "--overwrite", code=2).output
    assert (clip.read_bytes(), listed.read_text("utf-8")) == (before, "path\na.wav\n")


def test_a_model_that_cannot_adapt_says_so_only_where_it_must(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entry = {"scale": 2.0, "file": RULE}
    earlier = write_bundle(tmp_path / "bundle", more_files={RULE: b"arrays"}, adaptation=entry, name="earlier-still")
    run(earlier, "predict", folder / "bob", "--json")
    assert "can't adapt" not in caplog.text  # nobody asked for it
    rows = rows_of(run(earlier, "predict", folder / "bob", "--adapt", "auto", "--json").stdout)
    assert "'earlier-still' can't adapt to a speaker: its answers are plain." in caplog.text
    assert not any(row["adapted"] for row in rows)
    clip = folder / "bob" / "1.wav"
    assert "can't adapt to a speaker" in str(run(earlier, "predict", clip, "--adapt", clip, code=1).exception)
    other = Profile.of("other", "1", ("neutral", "sad"), 9.0, np.full((2, 2), 0.5), np.ones(2))
    other.write(tmp_path / "other.json")  # made again it could not be used either
    failed = run(earlier, "predict", clip, "--profile", tmp_path / "other.json", code=1)
    assert "can't adapt to a speaker" in str(failed.exception)
    assert not (tmp_path / "a.json").exists()
    assert "can't adapt" in str(run(earlier, "adapt", clip, "--output", tmp_path / "a.json", code=1).exception)
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("command", ["predict", "timeline"])
def test_a_word_that_is_no_way_to_adapt_and_no_recording_is_told_what_there_is(
    bundle: Path, folder: Path, command: str
) -> None:
    told = run(bundle, command, folder / "anna" / "0.wav", "--adapt", "yes", code=2).output
    assert "--adapt yes: say auto, off, or recordings that are there" in told


def test_a_call_with_a_speaker_in_each_channel_becomes_a_profile_with_a_warning(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sides = np.stack([voice(4.0), np.zeros(64_000, np.float32)], axis=1)
    soundfile.write(tmp_path / "call.wav", np.concatenate([sides, sides[:, ::-1]]), 16_000)
    run(bundle, "adapt", tmp_path / "call.wav", "--channel", 1, "--output", tmp_path / "one.json")
    assert "take turns" not in caplog.text
    run(bundle, "adapt", tmp_path / "call.wav", "--output", tmp_path / "both.json")
    assert "call.wav: channels take turns, like two sides of a call, so more than one speaker" in caplog.text
    for name in ("second.wav", "third.wav"):
        shutil.copy(tmp_path / "call.wav", tmp_path / name)
    caplog.clear()
    run(bundle, "adapt", *sorted(tmp_path.glob("*.wav")), "--output", tmp_path / "three.json")
    assert "call.wav and 2 more: channels take turns" in caplog.text
    assert caplog.text.count("take turns") == 1


@pytest.mark.parametrize(("name", "mark"), [("list.CSV", ","), ("list.csv", ";"), ("list.tsv", "\t")])
def test_a_list_names_recordings_and_their_speakers(
    bundle: Path, model: Predictor, folder: Path, tmp_path: Path, name: str, mark: str
) -> None:
    paths = sorted(folder.rglob("[0-9].wav"))
    lines = [mark.join([str(path), f"speaker {number % 3}", "neutral"]) for number, path in enumerate(paths)]
    (tmp_path / name).write_text("\n".join([mark.join(["path", "speaker", "emotion"]), *lines]))
    told = rows_of(run(bundle, "predict", tmp_path / name, "--adapt", "auto", "--json").stdout)
    wanted = model.predict_many(map(str, paths), speakers=[f"speaker {number % 3}" for number in range(len(paths))])
    assert told == [row.to_dict() for row in wanted]
    plain = rows_of(run(bundle, "predict", tmp_path / name, "--json").stdout)
    assert [row["path"] for row in plain] == [str(path) for path in paths]


def test_the_command_for_each_night_answers_what_is_new_and_what_failed(tmp_path: Path) -> None:
    page = Path(earnest.__file__).parents[1] / "docs" / "how-to" / "calls.md"
    (line,) = re.findall(r"## Each night\n\n```sh\nearnest (.+)\n", page.read_text(encoding="utf-8"))
    calls, table = tmp_path / "calls", tmp_path / "answers.csv"
    command = line.replace("calls/", str(calls)).replace("answers.csv", str(table)).split()
    bundle = write_adapting(tmp_path / "b", adaptation={"file": ADAPTATION, "least_speech_s": 3.0, "folders": True})
    calls.mkdir()
    sides = np.stack([voice(2.0), voice(2.0, seed=5)], axis=1)
    for name in ("a.wav", "b.wav"):
        soundfile.write(calls / name, sides, 16_000)
    whole = (calls / "b.wav").read_bytes()
    (calls / "b.wav").write_bytes(whole[: len(whole) // 2])  # still being copied
    assert "1 answered, 1 failed" in run(bundle, *command, code=3).stderr
    (calls / "b.wav").write_bytes(whole)
    soundfile.write(calls / "c.wav", sides, 16_000)
    assert "2 answered, 0 failed, 1 were there already" in run(bundle, *command).stderr
    assert table.read_text().count("\n") == 4


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("--adapt", "off"), ("--adapt", "auto")),
        (("--adapt", "anna/0.wav"), ("--adapt", "bob/1.wav")),
        (("--adapt", "anna/0.wav", "--classes", "angry=0.9"), ("--adapt", "anna/0.wav")),
        (("--adapt", "auto"), ("--speaker-pattern", "([0-9])")),
    ],
)
def test_rows_of_other_options_are_not_mixed(
    first: tuple[str, ...],
    then: tuple[str, ...],
    folder: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    file = tmp_path / "a.csv"
    run(bundle, "predict", "anna/0.wav", "bob/1.wav", "-o", file, *first)
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    for paths in (("anna/0.wav", "bob/1.wav"), ("anna/0.wav", "bob/3.wav")):
        refused = run(bundle, "predict", *paths, "-o", file, "--resume", *then, code=1).exception
        assert re.search("was made with .*, and here it is .*Give the same options", str(refused))
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
    run(bundle, "predict", "anna/0.wav", "bob/1.wav", "-o", file, "--resume", *first)
