"""Spectrograms as pictures: read back to values, predicted like the recording, hostile until checked."""

import io
import json
import struct
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from stand_in import CUTTABLE_FRONT_END, cuttable_model, stand_in_model, write_adapting, write_bundle

from earnest.audio.source import Channel, Part
from earnest.errors import AudioError, BundleError, MissingExtraError
from earnest.runtime import picture as module
from earnest.runtime.picture import Picture, SeenSegment, SeenWindow, is_picture, read_picture
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

LOG_MEL = np.random.default_rng(0).uniform(-83, 12, (8, 30)).astype(np.float32)
PICTURE = Picture(LOG_MEL, CUTTABLE_FRONT_END, 0.5)
HALF_A_STEP = 95 / 65_535 / 2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = write_bundle(tmp_path_factory.mktemp("model"), cuttable_model(), front_end=CUTTABLE_FRONT_END)
    return Predictor.load(folder)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    write_voice(tmp_path / "clip.wav")
    return tmp_path / "clip.wav"


def png(greys: Any, facts: Any = None, mode: str | None = None) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    if facts is not None:
        chunks.add_text("earnest", facts if isinstance(facts, str) else json.dumps(facts))
    image = Image.fromarray(greys)
    stored = io.BytesIO()
    (image.convert(mode) if mode else image).save(stored, "PNG", pnginfo=chunks)
    return stored.getvalue()


FACTS = {"version": 1, "lowest_db": -80.0, "highest_db": 0.0, "duration_s": 0.5, "front_end": CUTTABLE_FRONT_END}
GREYS = np.zeros((8, 30), np.uint16)


def test_values_are_read_back_within_half_a_step() -> None:
    back = read_picture(PICTURE.to_png())
    assert np.abs(back.log_mel - LOG_MEL).max() <= HALF_A_STEP + 1e-4
    assert (back.front_end, back.duration_s) == (CUTTABLE_FRONT_END, 0.5)


def test_low_frequencies_lie_at_the_bottom_and_time_runs_to_the_right() -> None:
    rising = np.add.outer(np.arange(8.0), 10 * np.arange(30.0)).astype(np.float32)
    greys = np.array(Image.open(io.BytesIO(Picture(rising, {}, 1.0).to_png())))
    assert greys.shape == (8, 30)
    assert (greys[-1, 0], greys[0, -1]) == (0, 65_535)
    assert greys[-1, 1] > greys[-2, 0] > greys[-1, 0]


def test_a_flat_spectrogram_survives() -> None:
    flat = Picture(np.full((8, 3), -40.0, np.float32), {}, 1.0)
    np.testing.assert_allclose(read_picture(flat.to_png()).log_mel, -40.0, atol=1e-5)


def test_a_picture_gets_the_recordings_answer(model: Predictor, clip: Path) -> None:
    picture = clip.with_suffix(".PNG")
    picture.write_bytes(model.spectrogram(clip).to_png())
    expected = model.predict(clip)
    for found in (model.predict(picture), model.predict(picture.read_bytes()), *model.predict_many([picture], 2)):
        assert (found.status, found.emotion) == ("ok", expected.emotion)
        assert dict(found.probabilities) == pytest.approx(dict(expected.probabilities), abs=1e-3)
        assert (found.duration_s, found.quality) == (pytest.approx(expected.duration_s), ())


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_picture_is_adapted_in_its_turn_as_its_recording_is(tmp_path: Path, jobs: int) -> None:
    folder = write_adapting(tmp_path / "model", model=cuttable_model(), front_end=CUTTABLE_FRONT_END)
    model, clips = Predictor.load(folder), [(voice(2.0, seed=seed), 16_000) for seed in range(4)]
    drawn = [model.spectrogram(clip).to_png() if number % 2 else clip for number, clip in enumerate(clips)]
    told, seen = (list(model.predict_many(some, jobs, model.adapter())) for some in (clips, drawn))
    assert [row.adapted for row in seen] == [row.adapted for row in told]
    assert seen[3].adapted
    for one, other in zip(seen, told, strict=True):
        assert one.probabilities == pytest.approx(dict(other.probabilities), abs=1e-3)
        assert one.adaptation_weight == pytest.approx(other.adaptation_weight, abs=1e-3)
    assert model.predict(drawn[1], model.adapter(clips)).adapted


def test_a_picture_has_no_channels_and_no_parts(model: Predictor, clip: Path) -> None:
    path = clip.with_suffix(".png")
    path.write_bytes(model.spectrogram(clip).to_png())
    for source, what in ((Channel(path, 1), "channels"), (f"{path}#1", "channels"), (Part(path, 0.5), "parts")):
        with pytest.raises(AudioError, match=f": a spectrogram's picture has no {what}. Answer it as a whole"):
            model.predict(source)


def test_a_picture_of_a_long_recording_gets_its_answer(model: Predictor) -> None:
    """It is heard in windows, of several segments; so its picture holds them, and they are answered one by one."""
    parts = [voice(6.0, seed=1), np.zeros(16_000, np.float32), voice(2.0, level=0.4, seed=2)]
    sound = np.concatenate(parts), 16_000
    picture, expected = model.spectrogram(sound), model.predict(sound, abstain_below=0)
    found = model.predict(picture.to_png(), abstain_below=0)
    assert [len(segment.windows) > 1 for segment in picture.segments] == [True, False]
    assert read_picture(picture.to_png()).segments == picture.segments
    assert (found.status, found.emotion, found.shares) == (expected.status, expected.emotion, expected.shares)
    assert dict(found.probabilities) == pytest.approx(dict(expected.probabilities), abs=1e-3)
    assert (found.duration_s, found.vocal_bursts) == (9.0, expected.vocal_bursts)


def test_among_recordings_a_bad_picture_is_a_row_with_its_error(model: Predictor, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(png(np.zeros((9, 9), np.uint8)))
    rows = list(model.predict_many([clip, tmp_path / "bad.png", clip], jobs=2))
    assert [row.status for row in rows] == ["ok", "error", "ok"]
    assert "not made by `earnest spectrogram`" in (rows[1].error or "")


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(bytes(10)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GIF89a", "not a readable spectrogram"),
        (png(GREYS), "not made by"),
        (png(np.zeros((8, 30), np.uint8), FACTS), "not made by"),
        (png(np.zeros((8, 30, 3), np.uint8), FACTS), "not made by"),
        (PICTURE.to_png()[:-60], "not a readable spectrogram|damaged"),
        (png(GREYS, "{"), "not a readable spectrogram"),
        (png(GREYS, "[" * 100_000), "not a readable spectrogram"),
        (png(GREYS, {**FACTS, "version": 3}), "another version"),
        (png(GREYS, {**FACTS, "version": 2}), "not a readable spectrogram"),
        (png(GREYS, {**FACTS, "version": 2, "segments": []}), "impossible windows"),
        (png(GREYS, {**FACTS, "version": 2, "segments": [[0, 9, [[0, 9, 29]]]]}), "impossible windows"),
        (png(GREYS, {**FACTS, "version": 2, "segments": [[0, 9, [[0, 9, 31], [0, 9, -1]]]]}), "impossible windows"),
        (png(GREYS, {**FACTS, "version": 2, "segments": [[0, 9, [[0, 10, 30]]]]}), "impossible windows"),
        (png(GREYS, {**FACTS, "version": 2, "segments": [[0, 9, []]] * 2_000}), "impossible windows"),
        (png(GREYS, {**FACTS, "version": 2, "segments": [[0, 9, [[0, 9, 30, 1]]]]}), "not a readable spectrogram"),
        (png(GREYS, {**FACTS, "version": 2, "segments": {"0": 9}}), "not a readable spectrogram"),
        (png(GREYS, json.dumps({**FACTS, "version": 2, "segments": [[0, 9e999, []]]})), "not a readable spectrogram"),
        (png(GREYS, {**FACTS, "duration_s": 1e308}), "impossible numbers"),
        (png(GREYS, {**FACTS, "duration_s": 10**400}), "not a readable spectrogram"),
        (png(GREYS, {**FACTS, "front_end": 3}), "another version"),
        (png(GREYS, {**FACTS, "lowest_db": 5.0}), "impossible numbers"),
        (png(GREYS, json.dumps({**FACTS, "highest_db": float("nan")})), "impossible numbers"),
        (png(GREYS, json.dumps({**FACTS, "duration_s": float("inf")})), "impossible numbers"),
        (png(GREYS, {"version": 1}), "not a readable spectrogram"),
        (claiming(5_000, 5_000), "5000 by 5000 pixels"),
        (claiming(100_000, 100_000), "not a readable spectrogram|damaged"),
    ],
)
def test_other_and_damaged_pictures_are_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message) as caught:
        read_picture(data)
    assert "\n" not in str(caught.value)


def test_a_large_file_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(AudioError, match="larger than"):
        read_picture(PICTURE.to_png())


def test_a_picture_of_another_front_end_is_refused(model: Predictor) -> None:
    other = Picture(LOG_MEL, {**CUTTABLE_FRONT_END, "hop_length": 80}, 0.5)
    with pytest.raises(AudioError, match="another front end"):
        model.predict(other.to_png())


def test_a_picture_with_a_setting_that_is_gone_is_still_read(model: Predictor) -> None:
    earlier = replace(PICTURE, front_end={**CUTTABLE_FRONT_END, "pad_mode": "reflect"})
    assert model.predict(earlier.to_png()) == model.predict(PICTURE.to_png())


@pytest.mark.parametrize("shape", [(7, 30), (8, 3_002)])
def test_a_picture_of_another_size_is_refused(model: Predictor, shape: tuple[int, int]) -> None:
    with pytest.raises(AudioError, match=f"{shape[0]} rows and {shape[1]} columns"):
        model.predict(Picture(np.zeros(shape, np.float32), CUTTABLE_FRONT_END, 0.5).to_png())


@pytest.mark.parametrize(
    "claims",
    [
        {"duration_s": 9e5},
        {"segments": (SeenSegment(0, 2**40, (SeenWindow(0, 2**40, 30),)),)},
        {"segments": (SeenSegment(2**39, 2**39 + 8_000, (SeenWindow(2**39, 2**39 + 8_000, 30),)),)},
    ],
    ids=["recording", "window", "place"],
)
def test_a_picture_that_claims_to_show_days_is_refused_at_once(model: Predictor, claims: dict[str, Any]) -> None:
    with pytest.raises(AudioError, match="and at most 30 s are heard in a picture"):
        model.predict(replace(PICTURE, **claims).to_png())


def test_there_is_nothing_to_see_of_silence_and_of_nearly_nothing(model: Predictor) -> None:
    for sound in (np.zeros(16_000, np.float32), voice(1.0)[:1_000]):
        with pytest.raises(AudioError, match="nothing to see"):
            model.spectrogram((sound, 16_000))


def test_a_recording_longer_than_a_spectrogram_shows_is_refused_with_how_to_cut_it(model: Predictor) -> None:
    with pytest.raises(
        AudioError, match=r"longer than 30 s, the most that a spectrogram shows\. Cut .*-t 30 part\.wav"
    ):
        model.spectrogram((voice(31.0), 16_000))


def test_models_without_a_spectrogram_and_several_models_have_no_picture(
    model: Predictor, tmp_path: Path, clip: Path
) -> None:
    uncut = Predictor.load(write_bundle(tmp_path / "uncut", stand_in_model(), front_end=CUTTABLE_FRONT_END))
    with pytest.raises(BundleError, match=r"model\.onnx: the model has no spectrogram inside"):
        uncut.spectrogram(clip)
    varied = Predictor.load(write_bundle(tmp_path / "b", cuttable_model(), front_end=CUTTABLE_FRONT_END), tta="gain")
    with pytest.raises(BundleError, match="Name one model"):
        varied.spectrogram(clip)
    with pytest.raises(BundleError, match="Name one model"):
        varied.predict(PICTURE.to_png())


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"earnest\[image\]"):
        PICTURE.to_png()


def test_what_counts_as_a_picture() -> None:
    assert is_picture("a/b.png") and is_picture(Path("B.PNG")) and is_picture(PICTURE.to_png())
    assert not is_picture("a.wav") and not is_picture(b"RIFF") and not is_picture((LOG_MEL[0], 16_000))
