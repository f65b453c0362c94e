"""What `earnest corpus check` says of own recordings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.check import KEEP_ONE, SAME, check_own, without_faulty
from earnest.corpora.own.data import OwnData
from earnest.corpora.own.read import read_own
from earnest.testing.sounds import voice


def record(path: Path, seed: int, seconds: float = 0.5, level: float = 0.2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(seconds, seed=seed, level=level), 16_000, subtype="PCM_16")


@pytest.fixture
def data(tmp_path: Path) -> OwnData:
    for number, label in enumerate(("yes", "yes", "yes", "no", "no")):
        record(tmp_path / label / f"ann-{number}.wav", number)
    record(tmp_path / "no" / "short.wav", 7, 0.1)
    record(tmp_path / "no" / "again.wav", 3)
    record(tmp_path / "no" / "turned.wav", 0)
    soundfile.write(tmp_path / "yes" / "silent.wav", np.zeros(8_000), 16_000)
    (tmp_path / "yes" / "broken.wav").write_bytes((tmp_path / "yes" / "ann-1.wav").read_bytes()[:30])
    return read_own(tmp_path)


def test_each_fault_is_a_finding_and_the_rest_is_counted(data: OwnData, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    report = check_own(data, lambda one, total: done.append((one, total)))
    kinds = {kind: [Path(file).name for found in report.findings if found.kind == kind for file in found.files]
             for kind in ("unreadable", "silent", "short", "same audio")}  # fmt: skip
    assert kinds["unreadable"] == ["broken.wav"]
    assert kinds["silent"] == ["silent.wav"]
    assert kinds["short"] == ["short.wav"]
    assert sorted(kinds["same audio"]) == ["again.wav", "ann-0.wav", "ann-3.wav", "turned.wav"]
    assert "labels contradict: no, yes" in {found.detail for found in report.findings}
    assert (report.n_recordings, report.class_counts) == (10, {"no": 5, "yes": 5})
    assert done[-1] == (10, 10)
    assert report.to_dict()["findings"]
    assert any(sentence.startswith("Speakers are unknown") for sentence in report.advice)


def test_a_file_that_is_listed_twice_is_a_finding(tmp_path: Path) -> None:
    for number in range(4):
        record(tmp_path / f"{number}.wav", number)
    rows = ["0.wav,yes", "1.wav,no", "2.wav,yes", "3.wav,no", "0.wav,no", "1.wav,no"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    data = read_own(tmp_path / "list.csv")
    report = check_own(data)
    found = {(Path(one.files[0]).name, one.detail) for one in report.findings if one.kind == "listed twice"}
    assert found == {("0.wav", "labels contradict: no, yes"), ("1.wav", "keep one of them")}
    assert [row.path.name for row in without_faulty(data, report).utterances] == ["1.wav", "2.wav", "3.wav"]


def test_a_part_that_is_listed_twice_leaves_the_other_parts(tmp_path: Path) -> None:
    record(tmp_path / "call.wav", 0, 3.0)
    rows = ["call.wav,0,1,yes", "call.wav,1,2,no", "call.wav,2,3,yes", "call.wav,1,2,yes", "call.wav,0,1,yes"]
    (tmp_path / "list.csv").write_text("\n".join(["path,start_s,end_s,label", *rows]) + "\n")
    data = read_own(tmp_path / "list.csv")
    left = without_faulty(data, check_own(data))
    assert [row.start_s for row in left.utterances] == [0.0, 2.0]
    assert [one.reason for one in left.refused] == ["listed twice: labels contradict: no, yes"]


def test_a_part_that_begins_after_the_end_is_a_finding_and_left_out(tmp_path: Path) -> None:
    record(tmp_path / "call.wav", 0, 2.0)
    (tmp_path / "list.csv").write_text("path,start_s,end_s,label\ncall.wav,0,1,yes\ncall.wav,10,11,no\n")
    data = read_own(tmp_path / "list.csv")
    report = check_own(data)
    found = [(one.kind, one.files, one.detail) for one in report.findings if one.kind == "beyond the end"]
    assert found == [("beyond the end", (f"{tmp_path / 'call.wav'} from 10 s",), "the recording ends at 2.00 s")]
    left = without_faulty(data, report)
    assert [row.start_s for row in left.utterances] == [0.0]
    assert [str(one) for one in left.refused] == [f"{found[0][1][0]}: beyond the end: the recording ends at 2.00 s"]


def test_a_part_that_ends_long_after_its_recording_is_a_finding(tmp_path: Path) -> None:
    record(tmp_path / "call.wav", 0, 2.0)
    (tmp_path / "list.csv").write_text("path,start_s,end_s,label\ncall.wav,0,1800,yes\ncall.wav,1,2.4,no\n")
    findings = check_own(read_own(tmp_path / "list.csv")).findings
    (found,) = [one for one in findings if one.kind == "beyond the end"]
    assert found.files == (f"{tmp_path / 'call.wav'} from 0 s",)
    assert found.detail == "it ends at 1800.00 s, the recording at 2.00 s"


def test_what_is_left_out_is_told_and_one_of_the_same_sound_stays(data: OwnData) -> None:
    left = without_faulty(data, check_own(data))
    names = sorted(row.path.name for row in left.utterances)
    assert len(names) == 4  # one of the two with the same sound and label; none of those whose labels contradict
    assert {"ann-1.wav", "ann-2.wav", "ann-4.wav"} < set(names)
    assert len(left.refused) == 6
    assert {one.reason.partition(":")[0] for one in left.refused} == {"unreadable", "silent", "short", "same audio"}


def test_one_sound_under_two_speakers_leaves_neither(tmp_path: Path) -> None:
    for name in ("ann-1", "bob-1", "ann-2", "ann-3"):
        record(tmp_path / "yes" / f"{name}.wav", 3 if name == "ann-3" else 1)
    found = read_own(tmp_path, speaker_pattern="([a-z]+)-")
    report = check_own(found)
    assert [(one.kind, one.detail) for one in report.findings] == [(SAME, "speakers contradict: ann, bob")]
    assert [row.path.name for row in without_faulty(found, report).utterances] == ["ann-3.wav"]


def test_the_copy_of_a_recording_of_two_speakers_is_left_out_alone(tmp_path: Path) -> None:
    lines = ["path,label,speaker,start_s,end_s"]
    for name in ("talk", "copy"):
        record(tmp_path / f"{name}.wav", 1)
        lines += [f"{name}.wav,sad,anna,0.0,0.4", f"{name}.wav,sad,bert,0.4,0.8"]
    (tmp_path / "parts.csv").write_text("\n".join(lines))
    found = read_own(tmp_path / "parts.csv")
    report = check_own(found)
    assert [(one.kind, one.detail) for one in report.findings] == [(SAME, KEEP_ONE)]
    assert [(row.path.name, row.speaker) for row in without_faulty(found, report).utterances] == [
        ("talk.wav", "own-anna"),
        ("talk.wav", "own-bert"),
    ]


def test_a_class_of_one_speaker_and_few_recordings_are_told(tmp_path: Path) -> None:
    for number, label in enumerate(("yes", "yes", "no", "no")):
        record(tmp_path / label / f"{'ann' if label == 'no' else 'bob' if number else 'ann'}-{number}.wav", number)
    advice = check_own(read_own(tmp_path, speaker_pattern="([a-z]+)-")).advice
    assert "All of 'no' are of one speaker: a model would learn the speaker." in advice
    assert "Few speakers: 2. More of them help a new one most." in advice
    assert any(sentence.startswith("Few recordings: no (2), yes (2).") for sentence in advice)


def test_labels_that_differ_in_capitals_alone_are_told(tmp_path: Path) -> None:
    for number, label in enumerate(("Ruhig", "ruhig", "laut")):
        record(tmp_path / f"{label}-{number}.wav", number)
    advice = check_own(read_own(tmp_path, label_pattern="([A-Za-z]+)-")).advice
    (told,) = (sentence for sentence in advice if "capitals" in sentence)
    assert told.endswith("are different classes: Ruhig, ruhig. Write them alike.")
