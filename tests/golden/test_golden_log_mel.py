"""The front end gives librosa's numbers, for the parameters of published systems and of small models."""

from dataclasses import replace
from pathlib import Path

import make_log_mel
import numpy as np
import numpy.typing as npt
import pytest
import torch

from earnest.errors import RecipeError
from earnest.frontends.log_mel import LogMel
from earnest.settings.front_end import PRESETS, FrontEnd
from earnest.settings.recipe import read_recipe

NAMES = sorted(make_log_mel.PRESETS)
WITHIN_DB = 1e-3
FAINT_DB = 65.0


def ours(name: str, exportable: bool) -> npt.NDArray[np.float32]:
    settings = FrontEnd(**make_log_mel.PRESETS[name])
    front_end = LogMel(settings).exportable() if exportable else LogMel(settings)
    waveform = torch.from_numpy(make_log_mel.signal(settings.sample_rate_hz))
    log_mel, n_frames = front_end(waveform[None], torch.tensor([len(waveform)]))
    return log_mel[0, :, : int(n_frames[0])].numpy()


@pytest.mark.parametrize("exportable", [False, True], ids=["fourier", "two sums"])
@pytest.mark.parametrize("name", NAMES)
def test_log_mel_equals_the_stored_numbers_of_librosa(name: str, exportable: bool) -> None:
    stored = np.load(make_log_mel.STORED)[name]
    found = ours(name, exportable)
    assert found.shape == stored.shape
    difference = np.abs(found - stored)
    # The graph adds products in single precision, twice, and a single bin has no neighbours to average with: what is
    # far below the peak keeps fewer digits.
    coarse = exportable or make_log_mel.PRESETS[name]["scale"] == "linear"
    faint = stored < stored.max() - FAINT_DB if coarse else np.zeros_like(stored, dtype=bool)
    assert difference[~faint].max() < WITHIN_DB
    assert difference.max() < 3 * WITHIN_DB


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


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_of_the_package_is_checked_here(name: str) -> None:
    assert FrontEnd(**make_log_mel.PRESETS[name]) == PRESETS[name]


def test_a_recipe_takes_a_preset_and_changes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'corpus = "ravdess"\nmodel = "cabg"\n[front_end]\npreset = "moody"\nn_mels = 64\n', encoding="utf-8"
    )
    assert read_recipe(tmp_path / "r.toml").front_end == replace(PRESETS["moody"], n_mels=64)


def test_a_wrong_preset_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('corpus = "ravdess"\nmodel = "cabg"\n[front_end]\npreset = "mody"\n')
    with pytest.raises(RecipeError, match=r"r\.toml: front_end: there is no preset 'mody'\. Did you mean 'moody'\?"):
        read_recipe(tmp_path / "r.toml")
