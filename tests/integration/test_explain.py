"""What a trained network's answer depends on, and pictures of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import earnest_cli
from made_up_corpus import NAME, RATE_HZ, Trained, spoken

from earnest import plots
from earnest.errors import EarnestError
from earnest.training.explain import Explanation, explain
from earnest.training.run import load_run

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def explained(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Explanation:
    path = tmp_path_factory.mktemp("clip") / "clip.wav"
    soundfile.write(path, spoken("happy", 1, 7), RATE_HZ)
    return explain(trained.run, path)


def test_saliency_is_the_gradient_of_the_answers_logit(trained: Trained, explained: Explanation) -> None:
    import torch

    network = load_run(trained.run).network
    frames = torch.from_numpy(np.asarray(explained.frames))[None]
    band, frame = np.unravel_index(explained.saliency.argmax(), explained.saliency.shape)

    def logits(change: float) -> torch.Tensor:
        moved = frames.clone()
        moved[0, band, frame] += change
        with torch.no_grad():
            return network(moved, torch.tensor([frames.shape[2]])).logits[0]

    answer = int(logits(0.0).argmax())
    slope = float((logits(0.05)[answer] - logits(-0.05)[answer]) / 0.1)
    assert abs(slope) == pytest.approx(explained.saliency[band, frame], rel=0.05)


def test_the_parts_fit_together(trained: Trained, explained: Explanation) -> None:
    assert sum(explained.probabilities.values()) == pytest.approx(1)
    assert explained.saliency.shape == explained.frames.shape
    assert explained.attention is not None
    assert explained.attention.sum() == pytest.approx(1)
    assert 0.1 < explained.duration_s < 1
    assert explained.filters is not None
    network = load_run(trained.run).network
    assert np.array_equal(explained.filters, network.get_parameter("blocks.0.convolution.weight").detach())
    assert list(explained.feature_maps) == [f"blocks.{number}.convolution" for number in range(3)]


@pytest.mark.parametrize("low_at_bottom", [True, False])
def test_low_frequencies_come_first_whatever_the_image_has_on_top(
    low_at_bottom: bool, made_up: Path, tmp_path: Path
) -> None:
    """The clip is a tone of 200 Hz, so every map that is not constant changes most in its low rows."""
    recipe = (ROOT / "recipes" / "multitask-cnn-pooled.toml").read_text(encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    image = f"image.low_at_bottom={str(low_at_bottom).lower()}"
    changes = (f"corpus={NAME}", "training.epochs=1", "training.patience=1", image)
    words = [word for change in changes for word in ("--set", change)]
    data = ("--protocol", "speaker-holdout", "--scheme", "native", "--data", f"{NAME}={made_up}")
    earnest_cli("train", tmp_path / "recipe.toml", *words, *data, "--output", tmp_path / "run")
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ)
    soundfile.write(tmp_path / "tone.wav", tone, RATE_HZ)
    (first, *_) = explain(tmp_path / "run", tmp_path / "tone.wav").feature_maps.values()
    inside = first[:, 8:-8, 8:-8]  # the border sees padding
    change = np.abs(np.diff(inside, axis=1)).mean(axis=(0, 2))
    assert change.argmax() < len(change) / 4


def test_every_part_can_be_drawn(explained: Explanation) -> None:
    figure = plots.new_figure(10, 6)
    axes = figure.subplots(2, 2).flat
    assert explained.attention is not None
    assert explained.filters is not None
    plots.draw_filters(axes[0], explained.filters)
    plots.draw_feature_maps(axes[1], explained.feature_maps["blocks.0.convolution"])
    plots.draw_attention(axes[2], explained.frames, explained.attention, explained.duration_s)
    plots.draw_saliency(axes[3], explained.frames, explained.saliency, explained.duration_s)
    figure.canvas.draw()
    assert all(one.images for one in axes)


def test_a_network_that_hears_the_waveform_is_refused(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from earnest.training import explain as module

    read = module.read_recipe
    monkeypatch.setattr(module, "read_recipe", lambda run: replace(read(run), model="wav2vec2"))
    monkeypatch.setattr(module, "input_kind", lambda name: {"wav2vec2": "waveform"}[name])
    with pytest.raises(EarnestError, match="hears the waveform"):
        explain(trained.run, tmp_path / "clip.wav")
