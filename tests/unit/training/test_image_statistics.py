"""An image's ranges come from the training clips of a run alone, and are kept with its weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from earnest.corpora.manifest import Utterance
from earnest.evaluation.splits import Split
from earnest.frontends.log_mel import compute_frames
from earnest.models.classifier import Segmented, build_front_end
from earnest.settings.front_end import FrontEnd, Image, Segments
from earnest.settings.recipe import Recipe, Training
from earnest.testing.sounds import voice
from earnest.training.examples import Example
from earnest.training.learn import Clips
from earnest.training.run import load_run, run_split

pytestmark = pytest.mark.long

RECIPE = Recipe(
    "made-up",
    "alexnet-gap",
    scheme="six",
    front_end=FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40),
    segments=Segments("blocks", 0.3),
    image=Image(scaling="per-bin", height=64, width=64, normalise="statistics"),
    network={"width_factor": 0.1},
    training=Training(epochs=1, patience=1, batch_size=4),
)


def examples() -> dict[str, Example]:
    found = {}
    for number in range(8):
        row = Utterance(str(number), Path("a.wav"), corpus="made-up", speaker=f"s{number // 2}", emotion="sad")
        level = 0.001 if number >= 4 else 0.1  # what isn't trained on has another range
        frames = compute_frames(build_front_end(RECIPE), voice(0.5, level=level, seed=number))
        found[row.key] = Example(row, frames, number % 6, 0.5)
    return found


def trained(folder: Path, recipe: Recipe) -> Segmented:
    clips = examples()
    rows = [example.utterance for example in clips.values()]
    run_split(recipe, Split(rows[:4], rows[4:6], rows[6:]), Clips(clips), folder)
    network = load_run(folder).network
    assert isinstance(network, Segmented)
    assert network.image is not None
    return network


def ranges(clips: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    together = torch.cat([clip.frames for clip in clips], dim=1)
    return together.amin(dim=1), together.amax(dim=1)


def test_ranges_are_those_of_the_training_clips(tmp_path: Path) -> None:
    image = trained(tmp_path, RECIPE).image
    assert image is not None
    low, high = ranges(list(examples().values())[:4])
    assert torch.equal(image.lowest[0, :, 0], low)
    assert torch.equal(image.highest[0, :, 0], high)
    assert float(image.deviation) != 1.0


def test_a_refit_takes_them_from_training_and_validation_clips(tmp_path: Path) -> None:
    image = trained(tmp_path, replace(RECIPE, training=replace(RECIPE.training, refit=True))).image
    assert image is not None
    low, high = ranges(list(examples().values())[:6])
    assert torch.equal(image.lowest[0, :, 0], low)
    assert torch.equal(image.highest[0, :, 0], high)
