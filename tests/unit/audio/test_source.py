"""What people hand over: it works, or one sentence says what to do."""

import ctypes
from array import array
from io import BytesIO, StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas
import polars
import pytest
import soundfile

from earnest.audio.io import FROM_16_BITS, Mixer, decode, mono_chunk
from earnest.audio.source import path_of, rate_of, refuse_single, source_of
from earnest.errors import AudioError
from earnest.testing.sounds import voice

RATE_HZ = 16_000
VOICE = voice(0.5)


def heard(given: Any) -> np.ndarray[Any, Any]:
    return decode(source_of(given)).waveform


def wav_bytes() -> bytes:
    file = BytesIO()
    soundfile.write(file, VOICE, RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize(
    "given",
    [
        (VOICE, RATE_HZ),
        (VOICE[None], RATE_HZ),  # (1, samples): torchaudio
        (VOICE[:, None], RATE_HZ),  # (samples, 1): soundfile with always_2d
        (np.stack([VOICE, VOICE]), RATE_HZ),  # (2, samples): torchaudio, stereo
        (np.stack([VOICE, VOICE], axis=1), RATE_HZ),
        (VOICE.astype(np.float64), np.int64(RATE_HZ)),
        (VOICE.tolist(), float(RATE_HZ)),
        (array("f", VOICE.tolist()), RATE_HZ),
        (RATE_HZ, VOICE),  # scipy.io.wavfile
        {"array": VOICE, "sampling_rate": RATE_HZ, "path": "a.wav"},
        {"bytes": wav_bytes(), "path": None},
        {"bytes": None, "path": None, "array": VOICE, "sampling_rate": RATE_HZ},
        SimpleNamespace(get_all_samples=lambda: SimpleNamespace(data=VOICE[None], sample_rate=RATE_HZ)),  # torchcodec
        bytearray(wav_bytes()),
        memoryview(wav_bytes()),
        BytesIO(wav_bytes()),
    ],
)
def test_every_usual_form_is_the_same_sound(given: Any) -> None:
    np.testing.assert_allclose(heard(given), VOICE, atol=1e-7)


@pytest.mark.parametrize("kind", [np.int64, np.uint64, list, np.int32])
def test_samples_of_16_bits_in_a_longer_type_are_not_taken_for_silence(kind: Any) -> None:
    samples = (VOICE * 32767).astype(np.int16)
    given = samples.tolist() if kind is list else np.abs(samples).astype(kind)
    with pytest.raises(AudioError, match=r"astype\(np\.int16\)"):
        heard((given, RATE_HZ))


@pytest.mark.parametrize("kind", [np.int64, np.int32])
def test_zeros_are_silence_in_any_type(kind: type[np.integer[Any]]) -> None:
    assert not heard((np.zeros(RATE_HZ, kind), RATE_HZ)).any()
    assert not mono_chunk(np.ones(RATE_HZ, np.int32), Mixer(RATE_HZ)).max() > FROM_16_BITS  # quiet for a while


@pytest.mark.parametrize(
    "error", [ConnectionResetError("reset by peer"), ValueError("closed"), EOFError(), KeyError(1)]
)
def test_an_open_file_that_fails_is_an_error_of_that_recording(error: Exception) -> None:
    def read(_n_bytes: int) -> bytes:
        raise error

    with pytest.raises(AudioError, match=r"^talk\.wav: reading it failed \(.*\)\. Open it again"):
        decode(source_of(SimpleNamespace(read=read, name="talk.wav")))


def test_an_open_file_is_read_to_its_end_piece_by_piece() -> None:
    class Pipe(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size and 0 < size <= 2**20  # a buffered file takes as much memory as it is asked for
            return super().read(min(size, 1000))  # what is there now, as a pipe without a buffer

    np.testing.assert_array_equal(heard(Pipe(wav_bytes())), heard(wav_bytes()))


@pytest.mark.parametrize("shape", [(0,), (1, 0), (0, 2), (2, 0)])
def test_a_piece_of_a_stream_may_be_empty(shape: tuple[int, ...]) -> None:
    assert mono_chunk(np.zeros(shape, np.float32), Mixer(RATE_HZ)).shape == (0,)


def test_integers_of_torch_are_scaled() -> None:
    torch = pytest.importorskip("torch", reason="needs torch, earnest[train]")
    samples = torch.from_numpy((VOICE * 32767).astype(np.int16))[None]
    np.testing.assert_allclose(heard((samples, RATE_HZ)), VOICE, atol=1e-4)
    cell = {"array": samples, "sampling_rate": torch.tensor(RATE_HZ)}  # of datasets' with_format("torch")
    np.testing.assert_allclose(heard(cell), VOICE, atol=1e-4)
    with pytest.raises(AudioError, match=r"not an array of numbers .*grad"):
        heard((torch.zeros(100, requires_grad=True), RATE_HZ))


class Upload:
    """A file as FastAPI hands it over."""

    async def read(self, size: int = -1) -> bytes:
        return bytes(size)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "None is not a recording. Give a path"),
        (VOICE, "an array without its sample rate. Give array and sample rate together"),
        (VOICE.tolist(), "an array without its sample rate"),
        (16_000, "int 16000 is not a recording"),
        (pandas.Series(["a.wav", "b.wav"]), r"Expected one recording, got a Series\. model\.predict_many"),
        (polars.DataFrame({"path": ["a.wav"]}), r"Expected one recording, got a DataFrame\. model\.predict_many"),
        (["a.wav", "b.wav"], r"Expected one recording, got a list of 2\. model\.predict_many"),
        ((VOICE, "16000"), "must be a whole number in Hz, got '16000'. Write 16000, without quotes"),
        ((VOICE, None), "must be a whole number in Hz, got None"),
        ((VOICE, True), "must be a whole number in Hz, got True"),
        ((VOICE, 44_100.5), "must be a whole number in Hz, got 44100.5"),
        ((VOICE,), r"expected \(array, sample_rate_hz\), got a tuple of 1"),
        ((VOICE, RATE_HZ, 1), "got a tuple of 3"),
        (("a.wav", RATE_HZ), "got 'a.wav' as array"),
        ((b"\0" * 32_000, RATE_HZ), r"got bytes\. Read them with np\.frombuffer\(data, np\.int16\)"),
        ((VOICE, 16), "the sample rate is 16 Hz, expected"),
        ((VOICE + np.nan, RATE_HZ), "holds NaN or infinite samples"),
        ((VOICE.astype(complex), RATE_HZ), "expected numbers, got complex128"),
        (([[0.1, 0.2], [0.3]], RATE_HZ), "not an array of numbers"),
        ((np.zeros((4, 16_000)), RATE_HZ), r"got \(4, 16000\).*predict_many\(\[\(one, rate\) for one in array\]\)"),
        ((np.zeros((2, 2, 16_000)), RATE_HZ), r"got \(2, 2, 16000\)"),
        ({"sampling_rate": RATE_HZ}, r'A dict needs "array" and "sampling_rate".*this one has \[\'sampling_rate\'\]'),
        ({"array": VOICE, "rate": 1}, r'"array" and "sampling_rate".*this one has \[\'array\', \'rate\'\]'),
        ({"array": VOICE, "sampling_rate": None}, "must be a whole number in Hz, got None"),
        ({"array": VOICE, "path": "a.wav"}, 'A dict needs "array" and "sampling_rate"'),
        (StringIO("a.wav"), "gives text, not bytes"),
        (Upload(), "reading it must be awaited.*file.file"),
    ],
)
def test_every_stumble_is_one_sentence(given: Any, told: str) -> None:
    with pytest.raises(AudioError, match=told) as error:
        heard(given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "sources",
    [
        "talk.wav", Path("talk.wav"), b"RIFF", (VOICE, RATE_HZ), {"path": "a"}, None, 5,
        VOICE, VOICE.tolist(), array("f", VOICE), polars.Series(VOICE),
    ],
)  # fmt: skip
def test_one_recording_where_several_are_expected_is_told(sources: Any) -> None:
    with pytest.raises(AudioError, match=r"Expected several recordings, got .*Give a list"):
        refuse_single(sources)


def test_a_table_is_answered_by_its_column() -> None:
    with pytest.raises(AudioError, match=r'got a table\. Give its column of paths, such as table\["path"\]'):
        refuse_single(pandas.DataFrame({"path": ["a.wav"], "speaker": ["anna"]}))
    missing = (pandas.Series([np.nan, np.nan]), polars.Series([None, None]))
    for column in (pandas.Series([np.nan, "a.wav"]), polars.Series(["a.wav", None]), polars.Series([]), *missing):
        refuse_single(column)


def test_a_tensor_of_samples_is_one_recording() -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    for sources in (torch.zeros(1, 9), torch.zeros(9, requires_grad=True)):
        with pytest.raises(AudioError, match="Expected several recordings, got an array"):
            refuse_single(sources)


def test_lists_tuples_and_generators_are_several() -> None:
    listed: list[Any] = [["a.wav"], [np.nan, "a.wav"], [np.nan], [], [(VOICE, RATE_HZ)]]
    for sources in (np.array(["a.wav"]), ("a.wav", "b.wav"), iter(["a.wav"]), *listed):
        refuse_single(sources)


def test_what_a_dataset_calls_its_recordings_is_kept(tmp_path: Path) -> None:
    assert path_of(source_of({"array": VOICE, "sampling_rate": RATE_HZ, "path": "b/a.wav"})) == "b/a.wav"
    assert path_of(source_of({"bytes": b"RIFF", "path": "b/a.wav"})) == "b/a.wav"
    assert source_of({"bytes": None, "path": str(tmp_path / "a.wav")}) == str(tmp_path / "a.wav")
    assert [path_of(given) for given in (None, VOICE, BytesIO())] == ["NoneType", "array", "stream"]
    with pytest.raises(AudioError, match=r"^b/a\.wav: holds NaN"):
        heard({"array": VOICE + np.nan, "sampling_rate": RATE_HZ, "path": "b/a.wav"})


@pytest.mark.parametrize("n_samples", [9, 160, 320, 16_000])
def test_blocks_of_a_stream_may_have_two_axes(n_samples: int) -> None:
    block = VOICE[:n_samples]
    for given in (block, block[None], block[:, None], np.stack([block, block]), np.stack([block, block], axis=1)):
        np.testing.assert_allclose(mono_chunk(given, Mixer(RATE_HZ)), block, atol=1e-7)


def test_blocks_of_many_channels_stay_samples_by_channels() -> None:
    block = np.repeat(VOICE[:20, None], 64, axis=1)
    np.testing.assert_allclose(mono_chunk(block, Mixer(RATE_HZ)), VOICE[:20], atol=1e-7)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (None, "expected numbers, got object"),
        (b"\0\0", "got bytes. Read them with np.frombuffer"),
        (bytearray(b"\0\0"), "got bytes. Read them with np.frombuffer"),
        (memoryview(b"\0\0"), "got bytes. Read them with np.frombuffer"),
        (ctypes.create_string_buffer(2), "np.frombuffer"),
        ([True, False], "expected numbers, got bool"),
        ((VOICE, RATE_HZ), "not an array of numbers"),
    ],
)
def test_a_block_that_is_none_is_told(block: Any, told: str) -> None:
    with pytest.raises(AudioError, match=told):
        mono_chunk(block, Mixer(RATE_HZ))


def test_a_block_of_8_bit_samples_is_one_where_its_type_says_so() -> None:
    for block in (np.array([0, 128, 255], np.uint8), [np.uint8(0), np.uint8(128), np.uint8(255)]):
        np.testing.assert_allclose(mono_chunk(block, Mixer(RATE_HZ)), [-1, 0, 127 / 128])
    shorts = memoryview(np.array([-32_768, 16_384], np.int16))
    np.testing.assert_allclose(mono_chunk(shorts, Mixer(RATE_HZ)), [-1, 0.5])


def test_a_rate_is_a_whole_number() -> None:
    assert [rate_of(rate) for rate in (16_000, 16_000.0, np.float32(8_000), np.array(44_100))] == [
        16_000, 16_000, 8_000, 44_100,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("https://example.org/talk.wav", "no such file. Addresses are not fetched: download it first."),
        ("none/talk.wav", "no such file. Check the path."),
        (".", "a folder, not a recording. Name the files in it."),
        ("folder.wav", "a folder, not a recording. Name the files in it, or rename the folder."),
    ],
)
def test_a_path_that_leads_to_no_recording_is_told_what_to_do(
    path: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.wav").mkdir()
    with pytest.raises(AudioError) as caught:
        decode(path)
    assert str(caught.value) == f"{path}: {told}"


def test_a_path_that_no_file_can_have_is_told_shortly() -> None:
    assert path_of("a\ud800.wav") == r"a\ud800.wav"
    assert path_of("A" * 70_000) == "A" * 100 + "…"
    for given in ("a\ud800.wav", "A" * 70_000):
        with pytest.raises(AudioError, match="not readable") as caught:
            decode(given)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", [b"RIFF\xac\x00", b"no sound"])
def test_a_file_that_was_opened_as_text_is_told_as_such(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "talk.wav"
    path.write_bytes(data)
    with (
        path.open(encoding="utf-8") as file,
        pytest.raises(AudioError, match=r"talk\.wav: gives text, not bytes\. Open it in binary mode\.$"),
    ):
        decode(file)  # type: ignore[arg-type]
