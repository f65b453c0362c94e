"""Real copies: the check finds what is known of them, and what was done to a copy of a copy."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.check import CorpusReport, Finding, check_corpus
from earnest.corpora.load import ENVIRONMENT, load_utterances

pytestmark = pytest.mark.corpora
MISSING_FROM_EMODB = (
    "11a02Ec 12b02Ea 13b03Ed 14a01Ea 14a04Ed 14b09Ea 14b10Eb 15a02Ea 16a02Ec 16a05Ea 16b01Eb 16b02Eb 16b03Ea 16b10Eb"
)


def root_of(name: str) -> Path:
    root = Path(os.environ.get(ENVIRONMENT, "")) / name
    if not os.environ.get(ENVIRONMENT) or not root.is_dir():
        pytest.skip(f"{ENVIRONMENT} names no folder with {name}")
    return root


def findings(report: CorpusReport) -> set[tuple[str, str]]:
    return {(finding.kind, Path(file).stem) for finding in report.findings for file in finding.files}


def writable_copy(name: str, folder: Path, parts: Sequence[str] = ("",)) -> Path:
    copy = folder / name
    for part in parts:
        shutil.copytree(root_of(name) / part, copy / part, copy_function=shutil.copyfile)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)
    return copy


def test_ravdess_holds_one_known_pair_of_equal_recordings():
    report = check_corpus("ravdess", root_of("ravdess"))
    assert findings(report) == {("same audio", f"03-01-03-01-02-0{take}-07") for take in (1, 2)}
    assert report.problems == []
    assert (report.n_utterances, report.n_speakers) == (1440, 24)
    assert report.class_counts == report.expected_class_counts


def test_ravdess_song_is_as_published():
    report = check_corpus("ravdess-song", root_of("ravdess-song"))
    assert report.findings == []
    assert (report.n_utterances, report.n_speakers) == (1012, 23)


def test_emodb_lacks_fourteen_clips_of_disgust():
    report = check_corpus("emodb", root_of("emodb"))
    assert findings(report) == {("missing", stem) for stem in MISSING_FROM_EMODB.split()}
    assert report.class_counts == {**report.expected_class_counts, "disgust": 32}


@pytest.mark.slow
def test_crema_d_holds_three_contradicting_pairs_and_a_silent_clip():
    report = check_corpus("crema-d", root_of("crema-d"))
    pairs = {("SAD", "DIS", "1013_WSI"), ("ANG", "FEA", "1017_IWW"), ("HAP", "NEU", "1006_TIE")}
    expected = {("same audio", f"{take}_{emotion}_XX") for *emotions, take in pairs for emotion in emotions}
    assert findings(report) == expected | {("silent", "1076_MTI_SAD_XX")}
    assert all(finding.detail.startswith("labels contradict") for finding in report.findings[1:])
    assert report.problems == []
    assert (report.n_utterances, report.n_speakers) == (7442, 91)


def test_7435_clips_of_crema_d_are_usable():
    root = root_of("crema-d")
    rows = load_utterances(["crema-d"], {"crema-d": root})
    assert len(rows) == 7435
    assert {row.gender for row in rows} == {"female", "male"}


def test_what_was_done_to_a_copy_of_emodb_is_found_and_nothing_else(tmp_path):
    copy = writable_copy("emodb", tmp_path)
    (copy / "03a01Fa.flac").unlink()
    (copy / "09b10Wa.flac").unlink()
    shutil.copyfile(copy / "08a01Ab.flac", copy / "08a01Ae.flac")
    shutil.copyfile(copy / "08a01Lc.flac", copy / "my favourite.flac")
    n_samples = soundfile.info(copy / "10a01Wa.flac").frames
    soundfile.write(copy / "10a01Wa.flac", np.zeros(n_samples), 16_000)
    for stem, share in (("11a01Wc", 0.5), ("12a01Wc", 0.95), ("13a01Wb", 0.01)):
        path = copy / f"{stem}.flac"
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    done = {
        *(("missing", stem) for stem in ("03a01Fa", "09b10Wa", *MISSING_FROM_EMODB.split())),
        *(("unexpected", stem) for stem in ("08a01Ae", "my favourite")),
        *(("same audio", stem) for stem in ("08a01Ab", "08a01Ae", "08a01Lc", "my favourite")),
        ("silent", "10a01Wa"),
        *(("unreadable", stem) for stem in ("11a01Wc", "12a01Wc", "13a01Wb")),
    }
    report = check_corpus("emodb", copy)
    assert findings(report) == done
    assert report.problems == list(report.findings)


def test_cut_and_doubled_opus_files_are_found(tmp_path):
    copy = writable_copy("ravdess-song", tmp_path, ("Actor_01", "Actor_02"))
    others = {path.stem for path in root_of("ravdess-song").rglob("*.opus")} - {path.stem for path in copy.rglob("*")}
    assert len(others) == 1012 - 88
    inside_a_page, between_pages = (copy / f"Actor_01/03-02-0{k}-01-01-01-01.opus" for k in (1, 2))
    inside_a_page.write_bytes(inside_a_page.read_bytes()[:-500])
    content = between_pages.read_bytes()
    between_pages.write_bytes(content[: content.rfind(b"OggS")])
    source, target = (copy / f"Actor_02/03-02-0{k}-01-01-01-02.opus" for k in (3, 4))
    shutil.copyfile(source, target)  # one clip lost, another there under its name
    report = check_corpus("ravdess-song", copy)
    files = (f"Actor_02/{source.name}", f"Actor_02/{target.name}")
    assert findings(report) == {
        *(("missing", stem) for stem in others),
        ("unreadable", inside_a_page.stem),
        ("cut", between_pages.stem),
        ("same audio", source.stem),
        ("same audio", target.stem),
    }
    assert Finding("same audio", files, "labels contradict: happy, sad") in report.problems
