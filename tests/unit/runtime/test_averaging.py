"""Variants of a clip and several models: answers are means of answers, and what doesn't go together is refused."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from stand_in import CLASSES, stand_in_model, write_bundle, write_hearing

import earnest
from earnest.audio.waveform import Waveform
from earnest.augment.tta import VARIANTS, variants_of
from earnest.bundle import SOUNDS, TrainingCorpus
from earnest.errors import BundleError, EarnestError
from earnest.runtime.graph import Outputs, Variants
from earnest.runtime.prediction import Prediction
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice, write_voice

RATE_HZ = 16_000
SEVERAL = [name for name in VARIANTS if name != "none"]


def shares(result: Prediction) -> list[float]:
    return list(result.probabilities.values())


def other_model() -> Any:
    """Return a stand-in that answers otherwise."""
    from onnx import numpy_helper

    model = stand_in_model()
    for tensor in model.graph.initializer:
        if tensor.name == "weights":
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), "weights"))
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return write_bundle(folder / "a", name="a"), write_bundle(folder / "b", other_model(), name="b")


def test_a_model_is_not_averaged_with_itself(folders: tuple[Path, Path]) -> None:
    with pytest.raises(BundleError, match=r"^The model 'a' is there twice\. Name each model once\.$"):
        earnest.load([folders[0], folders[1], folders[1] / ".." / "a"])
    with pytest.raises(BundleError, match=r"^The model 'small' is there twice\."):
        earnest_cli("predict", "none.wav", "--model", "small", "--model", "small")


@pytest.mark.parametrize("name", SEVERAL)
def test_a_clip_gets_the_mean_of_the_answers_to_its_variants(folders: tuple[Path, Path], name: str) -> None:
    plain = earnest.load(folders[0])
    clip = voice(0.4)
    alone = [shares(plain.predict((variant, RATE_HZ))) for variant in variants_of(clip, name, RATE_HZ)]
    result = earnest.load(folders[0], tta=name).predict((clip, RATE_HZ))
    np.testing.assert_allclose(shares(result), np.mean(alone, axis=0), atol=1e-6)
    if "gain" in name:  # the stand-in doesn't hear speed
        assert np.ptp(alone, axis=0).max() > 1e-3
    assert result.model == f"a (tta {name})"
    assert result.emotion == max(result.probabilities, key=lambda emotion: result.probabilities[emotion])
    assert result.duration_s == 0.4


class TellsLength:
    """A network whose answer is the number of samples."""

    predicted = ("probabilities",)

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        lengths = np.array([[len(waveform)] for waveform in waveforms], np.float32)
        return dict.fromkeys(names or self.predicted, lengths)


def test_every_speed_is_heard_once_and_the_embedding_is_the_clips_own(folders: tuple[Path, Path]) -> None:
    network = Variants(TellsLength(), "speed", earnest.load(folders[0]).info)
    heard = network.run([voice(1.0), voice(2.0)], ["probabilities", "embedding"])
    mean = (16_000 + round(16_000 / 0.95) + round(16_000 / 1.05)) / 3
    np.testing.assert_allclose(heard["probabilities"], [[mean], [2 * mean]], rtol=1e-4)
    np.testing.assert_array_equal(heard["embedding"], [[16_000], [32_000]])


def test_no_variants_are_the_default_and_change_nothing(folders: tuple[Path, Path]) -> None:
    clip = (voice(1.5), RATE_HZ)
    assert earnest.load(folders[0], tta="none").predict(clip) == earnest.load(folders[0]).predict(clip)


@pytest.mark.parametrize("tta", SEVERAL)
def test_neighbours_and_repetition_change_no_answer(folders: tuple[Path, Path], tta: str) -> None:
    model = Predictor.load(folders, tta=tta)
    clips = [(voice(seconds, seed=seed), RATE_HZ) for seed, seconds in enumerate([0.3, 5.0, 0.1, 12.0, 2.2])]
    for alone, together in zip(map(model.predict, clips), model.predict_many(clips), strict=True):
        np.testing.assert_allclose(shares(alone), shares(together), atol=1e-5)
    assert list(model.predict_many(clips)) == list(model.predict_many(clips))


def test_variants_stay_within_what_the_model_takes(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, longest_s=2.0)
    clip = voice(2.0)
    slow, fast = variants_of(clip, "speed", RATE_HZ)[1:]
    plain = earnest.load(bundle)
    alone = [shares(plain.predict((part, RATE_HZ))) for part in (clip, slow[: 2 * RATE_HZ], fast)]
    model = earnest.load(bundle, tta="speed")
    np.testing.assert_allclose(shares(model.predict((clip, RATE_HZ))), np.mean(alone, axis=0), atol=1e-6)
    shortest = voice(1.0)[4_000:5_600]  # faster, it would be too short
    kept = [shares(plain.predict((part, RATE_HZ))) for part in variants_of(shortest, "speed", RATE_HZ)[:2]]
    np.testing.assert_allclose(shares(model.predict((shortest, RATE_HZ))), np.mean(kept, axis=0), atol=1e-6)


def test_a_long_recording_is_averaged_over_windows_and_variants(folders: tuple[Path, Path]) -> None:
    model = earnest.load(folders[0], tta="gain")
    whole = (np.concatenate([voice(4.0, level=0.05), voice(2.0, level=0.3)]), RATE_HZ)
    windows = model.timeline(whole).windows
    assert len(windows) > 3
    parts, lengths = zip(
        *((list(item.probabilities.values()), item.end_s - item.start_s) for item in windows), strict=True
    )
    np.testing.assert_allclose(shares(model.predict(whole)), np.average(parts, axis=0, weights=lengths), atol=1e-5)


def test_variants_judge_sound_and_distance_together(tmp_path: Path) -> None:
    plain = earnest.load(write_hearing(tmp_path)).graph
    clips = [voice(0.4), voice(1.0, level=0.3)]
    names = ("sound", "distance")
    averaged = earnest.load(tmp_path, tta="gain").graph.run(clips, names)
    for row, clip in enumerate(clips):
        alone = [plain.run([variant], names) for variant in variants_of(clip, "gain", RATE_HZ)]
        for name in names:
            np.testing.assert_allclose(averaged[name][row], np.mean([one[name][0] for one in alone], axis=0), atol=1e-5)
    assert averaged["distance"].shape == (2,)


def test_models_that_name_sounds_otherwise_leave_the_question_to_voice_activity(tmp_path: Path) -> None:
    one = write_hearing(tmp_path / "a")
    other = write_hearing(tmp_path / "b")
    assert earnest.load([one, other]).info.sounds == SOUNDS
    assert earnest.load([one, write_bundle(tmp_path / "c")]).info.sounds == ()


def test_unknown_variants_are_an_error_with_the_nearest(folders: tuple[Path, Path]) -> None:
    with pytest.raises(EarnestError, match="Did you mean 'speed'"):
        earnest.load(folders[0], tta="sped")


def test_an_ensemble_of_one_is_that_model(folders: tuple[Path, Path]) -> None:
    clip = (voice(1.5), RATE_HZ)
    assert earnest.load([folders[0]]).predict(clip) == earnest.load(folders[0]).predict(clip)


def test_an_ensemble_answers_with_the_mean_of_its_models(folders: tuple[Path, Path]) -> None:
    clips = [(voice(seconds, seed=seed), RATE_HZ) for seed, seconds in enumerate([1.5, 0.3, 70.0])]
    first, second = (list(earnest.load(folder).predict_many(clips)) for folder in folders)
    for one, other, result in zip(first, second, earnest.load(folders).predict_many(clips), strict=True):
        assert abs(np.subtract(shares(one), shares(other))).max() > 1e-3
        np.testing.assert_allclose(shares(result), np.mean([shares(one), shares(other)], axis=0), atol=1e-6)
        assert result.model == "a+b"
        assert (result.status, result.duration_s, result.speech_s) == (one.status, one.duration_s, one.speech_s)


def test_an_ensemble_of_variants_is_the_mean_of_both(folders: tuple[Path, Path]) -> None:
    clip = (voice(1.5), RATE_HZ)
    alone = [shares(earnest.load(folder, tta="speed").predict(clip)) for folder in folders]
    result = earnest.load(folders, tta="speed").predict(clip)
    np.testing.assert_allclose(shares(result), np.mean(alone, axis=0), atol=1e-6)
    assert result.model == "a+b (tta speed)"


def test_a_timeline_hears_the_ensemble(folders: tuple[Path, Path]) -> None:
    clip = (np.concatenate([voice(3.0), np.zeros(RATE_HZ, np.float32)]), RATE_HZ)
    overall = [shares(earnest.load(folder).timeline(clip).prediction) for folder in folders]
    together = earnest.load(folders).timeline(clip).prediction
    np.testing.assert_allclose(shares(together), np.mean(overall, axis=0), atol=1e-6)
    assert together.model == "a+b"


def test_models_of_other_classes_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    four = write_bundle(tmp_path, stand_in_model(CLASSES[:4]), name="four", classes=CLASSES[:4])
    with pytest.raises(BundleError, match=r"'a' and 'four' can't be averaged: their classes are neutral, .* one label"):
        earnest.load([folders[0], four])


def test_models_of_another_sample_rate_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    telephone = write_bundle(tmp_path, name="telephone", sample_rate_hz=8_000)
    with pytest.raises(BundleError, match="they hear 16000 Hz and 8000 Hz"):
        earnest.load([folders[0], telephone])


def test_no_model_at_all_is_refused() -> None:
    with pytest.raises(BundleError, match="no model in the list"):
        earnest.load([])


def test_an_ensemble_says_what_its_models_heard_and_takes_what_all_take(tmp_path: Path) -> None:
    line = TrainingCorpus("made-up", "CC0-1.0", 10, 2, 0.1)
    lines = [line, TrainingCorpus("other", "CC-BY-4.0", 5, 1, 0.1)]
    one = write_bundle(tmp_path / "a", training_corpora=[vars(line)], longest_s=20.0)
    other = write_bundle(tmp_path / "b", training_corpora=[vars(item) for item in lines], shortest_s=0.2)
    info = earnest.load([one, other]).info
    assert info.training_corpora == tuple(lines)
    assert (info.shortest_s, info.longest_s) == (0.2, 20.0)


def test_gender_is_averaged_where_all_models_tell_it(folders: tuple[Path, Path], tmp_path: Path) -> None:
    tells, too = (
        write_bundle(tmp_path / name, stand_in_model(extra_outputs=True), name=name) for name in ("tells", "too")
    )
    clip = (voice(), RATE_HZ)
    assert earnest.load([tells, folders[0]]).predict(clip).gender is None
    assert earnest.load([tells, too]).predict(clip).gender == earnest.load(tells).predict(clip).gender


def test_the_command_line_averages_too(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_voice(tmp_path / "clip.wav")
    words = [word for folder in folders for word in ("--model", folder)]
    expected = earnest.load(folders, tta="speed").predict(clip).to_dict()
    assert json.loads(earnest_cli("predict", clip, *words, "--tta", "speed", "--json")) == expected
    monkeypatch.setenv("EARNEST_MODEL", os.pathsep.join(map(str, folders)))
    assert json.loads(earnest_cli("predict", clip, "--json"))["model"] == "a+b"
    assert json.loads(earnest_cli("timeline", clip, "--json"))["model"] == "a+b"
    monkeypatch.delenv("EARNEST_MODEL")
    assert json.loads(earnest_cli("predict", clip, "--json"))["model"] == earnest.load().info.name


def test_an_ensemble_has_the_digest_of_its_networks_in_any_order(folders: tuple[Path, Path]) -> None:
    first, second = folders
    both = earnest.load([first, second]).info
    assert both.network_digest == earnest.load([second, first]).info.network_digest
    assert both.digest == earnest.load([second, first]).info.digest
    alone = {earnest.load(folder).info.network_digest for folder in folders}
    assert set(both.network_digest.split("+")) == alone
    assert len(alone) == 2
