"""Tables that corpora come with: read where they are right, a named error where they are not."""

import re
from pathlib import Path

import numpy as np
import pytest

from earnest.audio.io import decode
from earnest.corpora.base import CORPORA, audio_files
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.corpora.nemo import LIST
from earnest.errors import CorpusError

DEMOGRAPHICS = "VideoDemographics.csv"


def crema_d(root: Path, table: bytes) -> None:
    (root / DEMOGRAPHICS).write_bytes(table)
    CORPORA.get("crema-d")().parser(root)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"ActorID,Sex\n1001,M\xe4nnlich\n", "not a readable table"),
        (b"ActorID,Sex\n1001,Mann\n", r"expected a column Sex \(Female, Male\); 'Mann' is wrong"),
        (b"Actor,Sex\n1001,Male\n", "expected a column ActorID"),
    ],
)
def test_demographics_of_crema_d_that_are_wrong_are_named(tmp_path: Path, table: bytes, message: str) -> None:
    with pytest.raises(CorpusError, match=rf"{DEMOGRAPHICS}(:\d+)?: {message}"):
        crema_d(tmp_path, table)


@pytest.mark.parametrize(
    ("table", "message"), [(b"file_id\n\xff\n", "not a readable table"), (b"name\nx\n", "expected a column file_id")]
)
def test_a_list_of_nemo_that_is_wrong_is_named(tmp_path: Path, table: bytes, message: str) -> None:
    (tmp_path / LIST).write_bytes(table)
    with pytest.raises(CorpusError, match=rf"{LIST}(:\d+)?: {message}"):
        CORPORA.get("nemo")().published(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "container", "codec"),
    [
        (".mov", "mov", "aac"),
        (".3gp", "3gp", "aac"),
        (".MKV", "matroska", "pcm_s16le"),
        (".mka", "matroska", "flac"),
        (".avi", "avi", "pcm_s16le"),
        (".amr", "amr", "libopencore_amrnb"),
    ],
)
def test_a_folder_is_searched_for_whatever_is_read_when_it_is_named(
    tmp_path: Path, suffix: str, container: str, codec: str
) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, earnest[media]")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV can't write {codec}")
    path = tmp_path / f"clip{suffix}"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=8_000, layout="mono")
        shaped = av.AudioResampler(stream.codec_context.format, "mono", 8_000, stream.codec_context.frame_size or 160)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 8_000, 0
        for part in [*shaped.resample(frame), *shaped.resample(None), None]:
            file.mux(stream.encode(part))
    assert decode(path).duration_s == pytest.approx(1.0, abs=0.3)
    assert audio_files(tmp_path) == [path]


def test_the_page_takes_the_same_files_from_a_folder() -> None:
    found = Path(__file__).parents[3] / "web" / "page" / "src" / "own" / "found.ts"
    (endings,) = re.findall(r"^const SOUND = /\\\.\(([a-z0-9|]+)\)\$/i;", found.read_text("utf-8"), re.MULTILINE)
    assert {f".{ending}" for ending in endings.split("|")} == AUDIO_SUFFIXES


def test_folders_of_a_corpus_that_are_links_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for actor in ("01", "02"):
        (tmp_path / "elsewhere" / f"Actor_{actor}").mkdir(parents=True)
        (tmp_path / "elsewhere" / f"Actor_{actor}" / f"03-01-05-01-01-01-{actor}.wav").touch()
    (tmp_path / "ravdess" / "Actor_01").mkdir(parents=True)
    (tmp_path / "ravdess" / "Actor_01" / "03-01-05-01-01-01-01.wav").touch()
    (tmp_path / "ravdess" / "Actor_02").symlink_to(tmp_path / "elsewhere" / "Actor_02")
    assert len(list(CORPORA.get("ravdess")().read(tmp_path / "ravdess"))) == 1
    assert f"{tmp_path / 'ravdess'}: A folder is a link, which is not followed: Actor_02." in caplog.text


def test_videos_beside_the_recordings_of_savee_are_left_alone(tmp_path: Path) -> None:
    for name in ("AudioData/DC/a01.wav", "AudioVisualClip/DC/a1.avi"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert [row.utterance_id for row in CORPORA.get("savee")().read(tmp_path)] == ["DC_a01"]
