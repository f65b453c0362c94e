"""Labels by hand are rows of a manifest, and a journal that no kill damages."""

from pathlib import Path

import pytest

from earnest.corpora import annotations
from earnest.corpora.annotations import Annotation, AnnotationJournal, utterances_of
from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import EarnestError

PARTS = (Annotation(0.0, 1.5, "sad", "Anna", True), Annotation(1.5, 2.0, "unsure"), Annotation(2.0, 3.0, "happy"))


def test_canonical_emotions_that_a_person_said_become_rows_that_a_manifest_keeps(tmp_path: Path) -> None:
    recording = tmp_path / "talk.wav"
    parts = (*PARTS, Annotation(3.0, 4.0, "angry", "", True))
    write_manifest(utterances_of({str(recording): parts}), tmp_path / "m.csv")
    rows = read_manifest(tmp_path / "m.csv")
    assert [(row.path, row.start_s, row.end_s, row.speaker, row.emotion) for row in rows] == [
        (recording, 0.0, 1.5, "Anna", "sad"),
        (recording, 3.0, 4.0, "", "angry"),
    ]


def test_own_words_become_rows_and_what_names_no_emotion_becomes_none(tmp_path: Path) -> None:
    parts = [Annotation(at, at + 1.0, word, "", True) for at, word in enumerate(("stressed", "unsure", "(laughter)"))]
    (row,) = utterances_of({str(tmp_path / "talk.wav"): parts})
    assert (row.emotion, row.native_emotion) == ("other", "stressed")


def test_the_last_line_of_a_recording_counts_and_half_a_line_is_forgotten(tmp_path: Path) -> None:
    journal = AnnotationJournal(tmp_path / "kept" / "journal.jsonl")
    assert journal.read() == {}
    journal.write("a.wav", PARTS[:1])
    journal.write("b\nü\u202e.wav", PARTS)
    journal.write("a.wav", PARTS[1:])
    path = tmp_path / "kept" / "journal.jsonl"
    whole = path.read_bytes()
    for n_bytes in range(1, 40, 7):
        path.write_bytes(whole[:-n_bytes])
        assert journal.read() == {"a.wav": PARTS[:1], "b\nü\u202e.wav": PARTS}
    journal.write("c.wav", PARTS)  # behind the half line
    assert set(journal.read()) == {"a.wav", "b\nü\u202e.wav", "c.wav"}
    path.write_bytes(whole)
    journal.write("b\nü\u202e.wav", None)
    assert journal.read() == {"a.wav": PARTS[1:]}
    journal.write("a.wav", ())  # all parts were deleted: the model's don't come back
    assert journal.read() == {"a.wav": ()}


def test_a_disk_that_fills_amid_a_line_is_told_and_the_lines_before_stay(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "j"
    journal = AnnotationJournal(path)
    journal.write("a.wav", PARTS)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    try:
        with pytest.raises(EarnestError, match="j: the disk is full"):
            journal.write("b.wav", PARTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before


def test_a_journal_of_many_changes_stays_short_and_keeps_the_last_of_each_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotations, "MOST_HISTORY", 10_000)
    path = tmp_path / "j"
    journal = AnnotationJournal(path)
    journal.write("a.wav", PARTS)
    journal.write("untouched.wav", PARTS)
    journal.write("untouched.wav", None)
    for number in range(200):
        journal.write("b.wav", [Annotation(0.0, 1.0 + number, "sad"), *PARTS])
        assert path.stat().st_size < 12_000
    assert journal.read() == {"a.wav": PARTS, "b.wav": (Annotation(0.0, 200.0, "sad"), *PARTS)}
    path.write_text("not ours\n" * 2_000)
    AnnotationJournal(path).write("c.wav", PARTS)  # is no error, and nothing of it is lost
    assert path.read_text().startswith("not ours\n" * 2_000)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[1]",
        '{"path": "a", "parts": [{"start_s": 2, "end_s": 1, "emotion": "sad"}]}',
        '{"path": "a", "parts": [{"start_s": 0, "end_s": 1e999, "emotion": "sad"}]}',
        '{"path": "a", "parts": [{"start_s": 0, "end_s": 1, "emotion": 5}]}',
        '{"path": "a", "parts": [{"start_s": 0, "end_s": 1, "emotion": "sad", "by_hand": 1}]}',
    ],
)
def test_a_strange_journal_is_an_error_with_its_line(line: str, tmp_path: Path) -> None:
    (tmp_path / "j").write_text(f"{line}\n")
    with pytest.raises(EarnestError, match="line 1"):
        AnnotationJournal(tmp_path / "j").read()
