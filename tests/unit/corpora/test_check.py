"""A check finds what was done to a copy, and only that; the same audio is found twice."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.check import CorpusReport, audio_digests, check_corpus, examine
from earnest.corpora.emodb import EmoDb
from earnest.corpora.load import corpus_called
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.testing.corpora import build_example

STEMS = ["03a01Fa", "03a01Nc", "03a01Wa", "08a01Ab", "08a01Fd", "08a01Lc"]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of six published clips, each one and a half seconds of its own noise."""
    monkeypatch.setattr(EmoDb, "published", lambda self, root: STEMS)
    monkeypatch.setattr(EmoDb, "n_utterances", len(STEMS))
    rng = np.random.default_rng(0)
    for stem in STEMS:
        soundfile.write(tmp_path / f"{stem}.flac", rng.normal(0, 0.1, 24_000), 16_000)
    return tmp_path


def found(report: CorpusReport) -> set[tuple[str, str]]:
    return {(finding.kind, file) for finding in report.findings for file in finding.files}


def test_a_whole_copy_is_as_published(copy):
    report = check_corpus("emodb", copy)
    assert report.findings == []
    assert report.verdict == "As published."
    assert report.hours == pytest.approx(6 * 1.5 / 3600)
    assert report.class_counts == {"angry": 1, "boredom": 1, "fearful": 1, "happy": 2, "neutral": 1}
    assert (report.n_utterances, report.n_speakers, report.licence) == (6, 2, "CC0-1.0")


def test_removed_doubled_silenced_cut_and_foreign_files_are_found_and_nothing_else(copy):
    (copy / "03a01Fa.flac").unlink()
    (copy / "03a01Nc again.flac").write_bytes((copy / "03a01Nc.flac").read_bytes())
    soundfile.write(copy / "03a01Wa.flac", np.zeros(24_000), 16_000)
    whole = (copy / "08a01Ab.flac").read_bytes()
    (copy / "08a01Ab.flac").write_bytes(whole[: len(whole) // 2])
    samples, rate = soundfile.read(copy / "08a01Fd.flac")
    soundfile.write(copy / "08a01Fd.flac", samples[:8_000], rate)
    report = check_corpus("emodb", copy)
    assert found(report) == {
        ("missing", "03a01Fa"),
        ("unexpected", "03a01Nc again.flac"),
        ("same audio", "03a01Nc again.flac"),
        ("same audio", "03a01Nc.flac"),
        ("silent", "03a01Wa.flac"),
        ("unreadable", "08a01Ab.flac"),
        ("short", "08a01Fd.flac"),
    }
    assert report.problems == list(report.findings)
    told = "expected a name like 03a01Fa.wav. Move the file elsewhere if it is not of this corpus."
    assert [finding.detail for finding in report.findings if finding.kind == "unexpected"] == [told]
    (copy / "03a01Nc again.flac").rename(copy / "03a01Nc \u2028again.flac")  # which messages show otherwise
    assert [one.detail for one in check_corpus("emodb", copy).findings if one.kind == "unexpected"] == [told]


def test_a_copy_under_another_valid_name_is_unexpected_and_its_labels_contradict(copy):
    (copy / "03a01La.flac").write_bytes((copy / "03a01Nc.flac").read_bytes())
    report = check_corpus("emodb", copy)
    assert found(report) == {
        ("unexpected", "03a01La.flac"),
        ("same audio", "03a01La.flac"),
        ("same audio", "03a01Nc.flac"),
    }
    assert [finding.detail for finding in report.findings if finding.kind == "same audio"] == [
        "labels contradict: boredom, neutral"
    ]


def test_one_name_in_two_folders_is_reported_with_both(copy):
    (copy / "more").mkdir()
    (copy / "more/03a01Fa.flac").write_bytes((copy / "03a01Wa.flac").read_bytes())
    kinds = found(check_corpus("emodb", copy))
    assert {("same name", "03a01Fa.flac"), ("same name", "more/03a01Fa.flac")} <= kinds


def test_stereo_is_mentioned_but_is_no_fault_of_the_copy(copy):
    rng = np.random.default_rng(1)
    soundfile.write(copy / "03a01Fa.flac", rng.normal(0, 0.1, (24_000, 2)), 16_000)
    report = check_corpus("emodb", copy)
    assert found(report) == {("stereo", "03a01Fa.flac")}
    assert report.problems == []


def test_what_the_authors_published_twice_is_known_and_a_third_copy_is_not(tmp_path):
    samples = np.random.default_rng(0).normal(0, 0.1, 48_000)
    for stem in ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"):
        soundfile.write(tmp_path / f"{stem}.wav", samples, 16_000)
    pair = [finding for finding in check_corpus("ravdess", tmp_path).findings if finding.kind == "same audio"]
    assert [finding.known for finding in pair] == [True]
    soundfile.write(tmp_path / "03-01-03-02-02-02-07.wav", samples, 16_000)
    three = [finding for finding in check_corpus("ravdess", tmp_path).findings if finding.kind == "same audio"]
    assert [(len(finding.files), finding.known) for finding in three] == [(3, False)]


def test_only_the_published_silent_clip_is_known(tmp_path):
    build_example("crema-d", tmp_path)
    for stem in ("1076_MTI_SAD_XX", "1013_WSI_SAD_XX", "1001_DFA_ANG_XX"):
        soundfile.write(tmp_path / f"AudioWAV/{stem}.wav", np.zeros(24_000), 16_000)
    findings = [finding for finding in check_corpus("crema-d", tmp_path).findings if finding.kind == "silent"]
    assert {Path(finding.files[0]).stem: finding.known for finding in findings} == {
        "1001_DFA_ANG_XX": False,
        "1013_WSI_SAD_XX": False,
        "1076_MTI_SAD_XX": True,
    }


def test_a_missing_label_file_is_named(tmp_path):
    build_example("crema-d", tmp_path)
    (tmp_path / "VideoDemographics.csv").unlink()
    assert ("label file", "VideoDemographics.csv") in found(check_corpus("crema-d", tmp_path))


def test_turns_without_a_label_are_counted(tmp_path):
    build_example("thai-ser", tmp_path)
    report = check_corpus("thai-ser", tmp_path)
    unlabelled = [finding for finding in report.findings if finding.kind == "no label"]
    assert [len(finding.files) for finding in unlabelled] == [1]
    assert not {finding.kind for finding in report.findings} & {"unexpected", "missing"}


def test_wrong_counts_are_told_where_no_list_of_names_is_known(tmp_path):
    build_example("jl-corpus", tmp_path)
    counts = [finding.detail for finding in check_corpus("jl-corpus", tmp_path).findings if finding.kind == "counts"]
    assert "1 angry, published are 240" in counts


def test_the_folder_of_another_corpus_is_an_error_not_a_list_of_problems(copy):
    with pytest.raises(CorpusError, match="None of 6 recordings"):
        check_corpus("ravdess", copy)


def test_progress_counts_to_the_end(copy):
    seen: list[tuple[int, int]] = []
    check_corpus("emodb", copy, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


def test_an_ogg_stream_cut_between_two_pages_has_no_end(tmp_path):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 160_000), 16_000, format="OGG", subtype="VORBIS")
    assert not examine(path).ends_early
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rfind(b"OggS")])
    assert examine(path).ends_early


def test_equal_samples_have_equal_digests_in_any_container(tmp_path):
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 800, dtype=np.int16)
    for name in ("a.wav", "a.flac"):
        soundfile.write(tmp_path / name, samples, 16_000, subtype="PCM_16")
    soundfile.write(tmp_path / "b.wav", samples, 8_000, subtype="PCM_16")
    a, b, c = (examine(tmp_path / name).digest for name in ("a.wav", "a.flac", "b.wav"))
    assert a == b != c


def test_the_report_turns_into_plain_values(copy):
    report = check_corpus("emodb", copy)
    assert report.to_dict()["as_published"] is True
    assert replace(report).to_dict()["expected_class_counts"] == corpus_called("emodb").class_counts


def test_a_copy_that_lacks_thousands_of_clips_is_called_a_part(tmp_path: Path) -> None:
    written = build_example("emogator", tmp_path)
    report = check_corpus("emogator", tmp_path)
    missing = [finding for finding in report.findings if finding.kind == "missing"]
    assert [(finding.files, finding.known) for finding in missing] == [((), False)]
    assert missing[0].detail.startswith(f"{32_130 - len(written)} published utterances are not here")


def test_a_copy_that_lacks_some_clips_says_how_many(copy: Path) -> None:
    (copy / "03a01Fa.flac").unlink()
    (copy / "08a01Fd.flac").unlink()
    report = check_corpus("emodb", copy)
    assert (report.as_published, report.n_missing) == (False, 2)
    assert report.verdict == "Not as published: 2 of 6 utterances are missing. 2 problems."


def test_a_whole_copy_with_another_fault_says_nothing_of_missing_clips(copy: Path) -> None:
    soundfile.write(copy / "03a01Wa.flac", np.zeros(24_000), 16_000)
    assert check_corpus("emodb", copy).verdict == "Not as published. 1 problem."


def without_a_list(monkeypatch: pytest.MonkeyPatch, n_utterances: int) -> None:
    monkeypatch.setattr(EmoDb, "published", lambda self, root: None)
    monkeypatch.setattr(EmoDb, "n_utterances", n_utterances)


@pytest.mark.parametrize("class_counts", [{}, {"happy": 1_735}], ids=["by number", "by class"])
def test_a_small_part_of_a_corpus_without_a_published_list_is_not_as_published(
    class_counts: dict[str, int], copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_list(monkeypatch, 1_735)
    monkeypatch.setattr(EmoDb, "class_counts", class_counts)
    report = check_corpus("emodb", copy)
    assert (report.as_published, report.has_list, report.n_missing) == (False, False, 1_729)
    verdict = "No published list of names to compare with: 6 of 1,735 utterances are here. 1 problem."
    assert report.verdict == report.to_dict()["verdict"] == verdict
    detail = "2 happy, published are 1735" if class_counts else "6 utterances, published are 1735"
    assert [(finding.kind, finding.detail) for finding in report.problems] == [("counts", detail)]


def test_where_nobody_published_a_list_even_a_full_copy_is_not_called_as_published(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_list(monkeypatch, len(STEMS))
    monkeypatch.setattr(EmoDb, "class_counts", {})
    report = check_corpus("emodb", copy)
    assert report.to_dict()["as_published"] is None
    assert report.findings == []
    assert report.verdict == "No published list of names to compare with: 6 of 6 utterances are here."


@pytest.mark.parametrize("name", ["tess", "iemocap"])
def test_a_list_made_of_the_copy_itself_hides_no_missing_clips(name: str, tmp_path: Path) -> None:
    n_here = len(build_example(name, tmp_path))
    report = check_corpus(name, tmp_path)
    assert report.n_missing == report.expected_n_utterances - n_here
    missing = f"{report.n_missing:,} of {report.expected_n_utterances:,} utterances are missing"
    assert report.verdict.startswith(f"Not as published: {missing}.")
    assert "counts" in {finding.kind for finding in report.problems}


RATE_HZ = 8_000


def write(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return path


def noise(seed: int, n: int = RATE_HZ) -> np.ndarray:
    return np.round(np.random.default_rng(seed).uniform(-0.5, 0.5, n) * 2**15) / 2**15


def test_equal_samples_are_equal_whatever_the_file_is_called_and_however_it_is_packed(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.wav", noise(1)),
        write(tmp_path / "b.flac", noise(1)),
        write(tmp_path / "c.wav", noise(2)),
    ]
    rows = [Utterance(path.stem, path, corpus="made") for path in paths]
    found = audio_digests(rows)
    assert found["made/a"] == found["made/b"] != found["made/c"]
    assert all(len(digest) == 64 for digest in found.values())


def test_parts_of_a_file_are_heard_as_such(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.wav", np.concatenate([noise(1), noise(2)]))
    first = write(tmp_path / "first.wav", noise(1))
    rows = [
        Utterance("whole", whole),
        Utterance("first half", whole, end_s=1.0),
        Utterance("second half", whole, start_s=1.0),
        Utterance("first", first),
    ]
    found = audio_digests(rows)
    assert found["/first half"] == found["/first"]
    assert len(set(found.values())) == 3


def test_silence_is_like_nothing(tmp_path: Path) -> None:
    quiet = write(tmp_path / "quiet.wav", np.zeros(RATE_HZ))
    assert audio_digests([Utterance("a", quiet), Utterance("b", quiet, end_s=0.5)]) == {"/a": "", "/b": ""}


def test_every_clip_is_told_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    told: list[int] = []
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    good = write(tmp_path / "good.wav", noise(1))
    rows = [Utterance("good", good), Utterance("part", good, end_s=0.5)]
    audio_digests(rows, lambda: told.append(1))
    assert len(told) == 2
    with pytest.raises(CorpusError, match=r"1 recording can't be read: .*broken\.wav"):
        audio_digests([*rows, Utterance("broken", tmp_path / "broken.wav")])
