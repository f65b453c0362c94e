"""A file of predictions to go on with may be foreign, damaged or strangely named: words, or every row."""

import errno
import os
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from attacks.run_files import N_DAMAGED, ODD_NAMES, damaged, foreign_tables
from earnest.apps.cli._row_file import Form, RowFile
from earnest.apps.cli.predict import is_done
from earnest.audio.source import path_of, place_of
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError
from earnest.runtime.prediction import Prediction, VocalBurst

CLASSES = ("happy", "sad")
INFO = BundleInfo("m", "1", CLASSES, 16_000, "CC0-1.0", {"model.onnx": "a" * 64}, abstain_below=0.5)
ROWS = (
    Prediction("a\nb.wav", "ok", 1.5, 1.0, "sad", 0.75, {"happy": 0.25, "sad": 0.75}, -0.5, model="m"),
    Prediction("=b.wav", "error", error="-1 is no file", model="m"),
    Prediction(
        "c.wav", "mixed", 9.0, 8.0, probabilities={"happy": 0.5, "sad": 0.5}, polarity=0.0,
        gender={"female": 0.25, "male": 0.75}, affect={"valence": 0.1, "arousal": 0.2, "dominance": None},
        affect_derived=True, quality=("noisy", "clipped"), shares={"happy": 0.5, "sad": 0.25, "unsure": 0.25},
        vocal_bursts=(VocalBurst(0.5, 1.0, "laughter", 0.9),), model="m",
    ),
)  # fmt: skip
FORMS: dict[str, Form] = {"csv": "csv", "jsonl": "json", "parquet": "parquet"}
suffixes = pytest.mark.parametrize("suffix", list(FORMS))


def write(path: Path, rows: Sequence[Prediction]) -> bytes:
    file = RowFile(path, FORMS[path.suffix[1:]], INFO, "overwrite")
    for row in rows:
        file.write(row)
    file.close()
    return path.read_bytes()


def resumed(path: Path, retried: Container[str] = ()) -> list[str]:
    """Go on with a file and end at once; return the places of the recordings that it held."""
    file = RowFile(path, FORMS[path.suffix[1:]], INFO, "resume", retried=retried)
    file.close()
    return list(file.done.elements())


def answer(confidence: float, **words: Any) -> Prediction:
    return Prediction(
        "a.wav", "ok", 1.5, 1.0, "sad", confidence, {"happy": 1 - confidence, "sad": confidence}, 0.0, **words
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("existing", ["refuse", "resume", "overwrite"])
@pytest.mark.parametrize("what", ["link", "dangling link", "pipe"])
@suffixes
def test_rows_go_through_no_link_or_pipe_in_a_shared_folder(
    suffix: str, what: str, existing: Any, tmp_path: Path
) -> None:
    path, journal, victim = tmp_path / f"a.{suffix}", tmp_path / f"a.{suffix}.partial", tmp_path / "victim"
    if what == "pipe":
        os.mkfifo(journal)
    else:
        journal.symlink_to(victim)
    if what == "link":
        victim.write_text("theirs")
    with pytest.raises(EarnestError, match=r"\.partial: a link or no regular file.* Delete it, or choose another"):
        RowFile(path, FORMS[suffix], INFO, existing)
    assert not path.exists()
    assert victim.read_text() == "theirs" if what == "link" else not victim.exists()


@pytest.mark.parametrize(
    ("held", "below", "adapts", "message"),
    [
        (answer(0.6, model="m"), 0.7, None, "tells 60 % as an answer, and here the threshold is 70 %"),
        (Prediction("a.wav", "unsure", 1.5, 1.0, None, 0.6, {}, model="m"), 0.5, None, "tells 60 % as unsure"),
        (answer(0.6, adapted=True, model="m"), 0.5, False, "its answers are adapted"),
        (answer(0.6, model="m"), 0.5, True, "its answers are not adapted"),
        (answer(0.7000004, model="m"), 0.7, False, ""),
        (answer(0.6, adapted=True, model="m"), 0.5, None, ""),
    ],
)
def test_answers_of_other_options_are_not_mixed(
    tmp_path: Path, held: Prediction, below: float, adapts: bool | None, message: str
) -> None:
    path = tmp_path / "rows.csv"
    write(path, [held])
    path.with_name("rows.csv.sha256").unlink()  # as an earlier version left it
    info = replace(INFO, abstain_below=below)
    if not message:
        RowFile(path, "csv", info, "resume", adapts=adapts).close()
        return
    with pytest.raises(EarnestError, match=message):
        RowFile(path, "csv", info, "resume", adapts=adapts)


def needed(suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")


@suffixes
def test_every_row_is_found_again_and_written_as_it_was(suffix: str, tmp_path: Path) -> None:
    needed(suffix)
    path = tmp_path / f"rows.{suffix}"
    data = write(path, ROWS)
    assert resumed(path) == [place_of(row.path) for row in ROWS]
    assert suffix == "parquet" or path.read_bytes() == data
    assert resumed(path) == [place_of(row.path) for row in ROWS]


@suffixes
def test_names_of_any_bytes_are_found_again_and_differ(suffix: str, tmp_path: Path) -> None:
    needed(suffix)
    names = [path_of(os.fsdecode(name)) for name in ODD_NAMES]
    assert len(set(names)) == len(names)
    write(tmp_path / f"rows.{suffix}", [Prediction(name, "error", model="m", error=name) for name in names])
    assert resumed(tmp_path / f"rows.{suffix}") == list(map(place_of, names))


@pytest.mark.parametrize("name", list(foreign_tables()))
def test_a_foreign_file_is_refused_in_words_and_stays(name: str, tmp_path: Path) -> None:
    needed(name.rpartition(".")[2])
    content = foreign_tables()[name]
    path = tmp_path / name
    path.write_bytes(content)
    if name != "nothing.jsonl":
        with pytest.raises(EarnestError, match=r"not written by `earnest predict`, or damaged \(.+\)\. Name another"):
            resumed(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [name for name in foreign_tables() if name.endswith("jsonl")])
def test_a_foreign_journal_is_refused_in_words_and_stays(name: str, tmp_path: Path) -> None:
    content = foreign_tables()[name] + b"and the end of a download"
    (tmp_path / "rows.csv.partial").write_bytes(content)
    with pytest.raises(EarnestError, match="line 1: not written by `earnest predict`, or damaged"):
        resumed(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv.partial").read_bytes() == content


@suffixes
@pytest.mark.parametrize("part", range(3))
def test_whatever_is_damaged_only_words_or_rows_come_back(suffix: str, part: int, tmp_path: Path) -> None:
    needed(suffix)
    path = tmp_path / f"rows.{suffix}"
    data = write(path, ROWS)
    n_refused = 0
    for seed in range(part, N_DAMAGED, 3):
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(damaged(data, suffix, seed))
        before = path.read_bytes()
        try:
            resumed(path)
        except EarnestError as error:
            n_refused += 1
            assert all(letter.isprintable() for letter in str(error))
            assert path.read_bytes() == before
        else:  # what was taken can be taken again: nothing that can't be read back gets in
            resumed(path)
    assert n_refused > 10


@pytest.mark.parametrize("seed", range(0, N_DAMAGED, 2))
def test_a_damaged_journal_is_words_or_rows(seed: int, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl.partial").write_bytes(damaged(data, "jsonl", seed))
    try:
        resumed(tmp_path / "rows.jsonl")
    except EarnestError as error:
        assert "rows.jsonl" in str(error)


@suffixes
def test_a_file_that_was_changed_since_is_not_gone_on_with(suffix: str, tmp_path: Path) -> None:
    needed(suffix)
    path = tmp_path / f"rows.{suffix}"
    data = write(path, ROWS)
    path.write_bytes(data + b"\n")
    with pytest.raises(EarnestError, match=r"was changed after it was written \(rows\.\w+\.sha256"):
        resumed(path)


@suffixes
def test_what_failed_is_answered_again_if_asked(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{suffix}"
    write(path, ROWS)
    assert len(resumed(path, {place_of("c.wav")})) == len(ROWS)  # what failed is not among these
    left = [place_of("a\nb.wav"), place_of("c.wav")]
    assert resumed(path, {place_of("=b.wav")}) == left
    assert resumed(path) == left


@suffixes
def test_what_was_refused_leaves_nothing_behind(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows.{suffix}"
    data = write(path, ROWS)
    with pytest.raises(EarnestError, match="answers of the model 'm'"):
        RowFile(path, FORMS[suffix], replace(INFO, name="n"), "resume")
    assert sorted(one.name for one in tmp_path.iterdir()) == [path.name, f"{path.name}.sha256"]
    assert path.read_bytes() == data
    assert len(resumed(path)) == len(ROWS)


@suffixes
@pytest.mark.parametrize("is_finished", [True, False])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": {"model.onnx": "b" * 64}}, r"was made by another network \('m 1', \w{12}\) than the one here"),
        ({"version": "2", "files": {"model.onnx": "b" * 64}}, r"\('m 1', \w{12}\) than the one here \('m 2', \w{12}\)"),
        ({"abstain_below": 0.53}, r"with the threshold 50 %, and here it is 53 %\. Give --abstain-below 0\.5, as then"),
        ({"version": "2"}, ""),  # new words about the same network
    ],
)
def test_rows_of_an_earlier_network_or_threshold_are_not_mixed_even_where_samples_agree(
    suffix: str, is_finished: bool, changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path, form = tmp_path / f"rows.{suffix}", FORMS[suffix]
    with RowFile(path, form, INFO, "overwrite") as file:
        file.write(ROWS[1])  # says nothing about network or threshold
        if is_finished:
            file.close()
    before = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    if message:
        for retried in ((), (place_of(ROWS[1].path),)):
            with pytest.raises(EarnestError, match=f"{message}.*Name another --output, or replace it with"):
                RowFile(path, form, replace(INFO, **changes), "resume", retried=retried)
        assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == before
        return
    with RowFile(path, form, replace(INFO, **changes), "resume") as file:
        file.close()
    with pytest.raises(EarnestError, match="was made by another network"):  # it still says who made it
        RowFile(path, form, replace(INFO, files={"model.onnx": "b" * 64}), "resume")


@suffixes
@pytest.mark.parametrize("is_finished", [True, False])
def test_rows_of_an_earlier_version_stay_of_nobody(
    suffix: str, is_finished: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, journal = tmp_path / f"rows.{suffix}", tmp_path / f"rows.{suffix}.partial"
    with RowFile(path, FORMS[suffix], INFO, "overwrite") as file:
        file.write(ROWS[0])
        if is_finished:
            file.close()
    if is_finished:
        path.with_name(f"{path.name}.sha256").unlink()
    else:
        journal.write_bytes(journal.read_bytes().split(b"\n", 1)[1])
    for _ in range(2):  # nobody vouches for them after the first time either
        with RowFile(path, FORMS[suffix], replace(INFO, files={"model.onnx": "b" * 64}), "resume") as file:
            file.check_samples(lambda _: [0.25, 0.75])
            file.close()
        assert list(file.done) == [place_of(ROWS[0].path)]
        assert "nothing says which network made it, as in files of earlier versions" in caplog.text
        caplog.clear()


def test_without_a_note_more_recordings_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{number}.wav" for number in range(10)]
    for name in names:
        Path(name).touch()
    write(Path("rows.csv"), [replace(ROWS[0], path=name) for name in names])

    def answered(path: Any) -> list[float]:
        return [0.75, 0.25] if path == "9.wav" else [0.25, 0.75]

    with RowFile(Path("rows.csv"), "csv", INFO, "resume") as file:
        file.check_samples(answered)
        file.close()
    Path("rows.csv.sha256").unlink()
    told = r"9\.wav is answered otherwise"
    with RowFile(Path("rows.csv"), "csv", INFO, "resume") as file, pytest.raises(EarnestError, match=told):
        file.check_samples(answered)


@pytest.mark.parametrize(
    "head", [b'{"made_by": 1}', b'{"made_by": {"model": "m"}}', b'{"made_by": {', b'{"made_by": []}x']
)
def test_a_damaged_first_line_is_refused_in_words(head: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.partial").write_bytes(head + b"\n")
    with pytest.raises(EarnestError, match=r"rows\.csv\.partial, line 1"):
        RowFile(tmp_path / "rows.csv", "csv", INFO, "resume")


@suffixes
@pytest.mark.parametrize("is_finished", [True, False])
def test_answers_of_a_model_that_was_learnt_anew_are_not_mixed(
    suffix: str, is_finished: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b.wav").touch()
    path = tmp_path / f"rows.{suffix}"
    with RowFile(path, FORMS[suffix], INFO, "overwrite") as file:
        file.write(replace(ROWS[0], path="b.wav"))
        if is_finished:
            file.close()
    before = sorted(tmp_path.iterdir())
    with RowFile(path, FORMS[suffix], INFO, "resume") as file:
        file.check_samples(lambda _: [0.255, 0.745])  # as in another batch
        with pytest.raises(EarnestError, match=r"b\.wav is answered otherwise now than this file tells"):
            file.check_samples(lambda _: [0.75, 0.25])
    assert sorted(tmp_path.iterdir()) == before  # no journal is left beside a finished file


def test_a_recording_is_the_same_however_its_path_is_spelled(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", [replace(ROWS[0], path=name) for name in ("a.wav", "./b.wav", "-")])
    done = Counter(resumed(tmp_path / "rows.csv"))
    spelled = (str(Path("a.wav").absolute()), "b.wav", "-", "a.wav")
    assert [is_done(done, name) for name in spelled] == [True, True, True, False]


def test_what_is_there_is_neither_overwritten_nor_gone_on_with_unasked(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    data = write(path, ROWS)
    for existing in (path, tmp_path / "rows.csv.partial"):
        existing.write_bytes(data)
        with pytest.raises(EarnestError, match="Continue it with --resume, replace it with --overwrite, or choose"):
            RowFile(path, "csv", INFO, "refuse")
        existing.unlink()
    with pytest.raises(EarnestError, match="/dev/null: not a regular file"):
        RowFile(Path("/dev/null"), "csv", INFO, "overwrite")


def test_on_a_full_disk_a_row_is_there_or_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.csv"
    file = RowFile(path, "csv", INFO, "refuse")
    file.write(ROWS[0])

    class Full:
        """Takes ten bytes, as a disk does that is nearly full, and then none."""

        def __init__(self, journal: Any) -> None:
            self.journal, self.left = journal, 10

        def write(self, data: memoryview) -> int:
            if not self.left:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.left = 0
            return int(self.journal.write(data[:10]))

        def truncate(self, size: int) -> None:
            self.journal.truncate(size)

    monkeypatch.setattr(file._file, "_file", Full(file._file._file))
    with pytest.raises(EarnestError, match=r"the disk is full, or a quota.* Add --resume"):
        file.write(ROWS[1])
    monkeypatch.undo()
    file.write(ROWS[2])  # there is room again
    file.close()
    assert resumed(path) == [place_of(ROWS[0].path), place_of(ROWS[2].path)]


@suffixes
def test_a_disk_that_is_full_at_the_end_keeps_the_rows_and_resume_is_advised(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"rows.{suffix}"
    file = RowFile(path, FORMS[suffix], INFO, "refuse")
    file.write(ROWS[0])
    monkeypatch.setattr(file, "_write_whole", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with file, pytest.raises(EarnestError, match=r"the disk is full, or a quota.* Add --resume"):
        file.close()
    assert resumed(path) == [place_of(ROWS[0].path)]
