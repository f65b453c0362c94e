"""The front end gives librosa's numbers, for the parameters of published systems and of small models."""

from pathlib import Path

import make_log_mel
import numpy as np
import numpy.typing as npt
import pytest
import torch

from earnest.frontends.log_mel import LogMel
from earnest.recipe import FrontEnd, read_recipe

NAMES = sorted(make_log_mel.PRESETS)
WITHIN_DB = 1e-3
RECIPES = Path(__file__).parents[2] / "recipes"


def ours(name: str, exportable: bool) -> npt.NDArray[np.float32]:
    settings = FrontEnd(**make_log_mel.PRESETS[name])
    front_end = LogMel(settings).exportable() if exportable else LogMel(settings)
    waveform = torch.from_numpy(make_log_mel.signal(settings.sample_rate_hz))
    log_mel, n_frames = front_end(waveform[None], torch.tensor([len(waveform)]))
    return log_mel[0, :, : int(n_frames[0])].numpy()


@pytest.mark.parametrize("exportable", [False, True], ids=["fourier", "convolution"])
@pytest.mark.parametrize("name", NAMES)
def test_log_mel_equals_the_stored_numbers_of_librosa(name: str, exportable: bool) -> None:
    stored = np.load(make_log_mel.STORED)[name]
    found = ours(name, exportable)
    assert found.shape == stored.shape
    assert np.abs(found - stored).max() < WITHIN_DB


@pytest.mark.parametrize("name", NAMES)
def test_librosa_as_installed_still_gives_the_stored_numbers(name: str) -> None:
    pytest.importorskip("librosa", reason="librosa is not installed")
    settings = make_log_mel.PRESETS[name]
    live = make_log_mel.reference_log_mel(make_log_mel.signal(settings["sample_rate_hz"]), settings)
    np.testing.assert_allclose(live, np.load(make_log_mel.STORED)[name], rtol=0, atol=WITHIN_DB / 10)


def test_trimming_presets_drop_the_silence_around_the_voice() -> None:
    for name in ("emocatcher", "moody"):
        whole = 1 + len(make_log_mel.signal(22_050)) // make_log_mel.PRESETS[name]["hop_length"]
        assert np.load(make_log_mel.STORED)[name].shape[1] < 0.9 * whole


def test_the_emocatcher_preset_is_the_front_end_of_the_recipe() -> None:
    recipe = read_recipe(RECIPES / "emocatcher.toml")
    assert FrontEnd(**make_log_mel.PRESETS["emocatcher"]) == recipe.front_end
