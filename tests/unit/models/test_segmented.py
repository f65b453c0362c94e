"""How a recipe's segments and image come before its network."""

import pytest
import torch
from torch import Tensor, nn

from earnest.errors import RecipeError
from earnest.models.cabg import Cabg
from earnest.models.classifier import Network, NetworkOutput, Segmented, build_classifier
from earnest.settings.front_end import Image, Segments
from earnest.settings.recipe import Recipe, Training

CLASSES = ("a", "b")


class Recorder(Network):
    """Answers with the mean of what it sees, and keeps that."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(1, 2)
        self.seen: list[Tensor] = []
        self.loaded = False

    @property
    def origin(self) -> str:
        return "somewhere"

    @property
    def notice(self) -> str:
        return "a licence"

    def load_pretrained(self) -> None:
        self.loaded = True

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        self.seen.append(frames)
        mean = frames.mean(dim=(1, 2))[:, None]
        return NetworkOutput(torch.cat([mean, -mean], dim=1), mean, gender=torch.cat([-mean, mean], dim=1), affect=mean)


def test_a_recipe_on_whole_clips_frames_is_not_wrapped() -> None:
    network = build_classifier(Recipe("none", "cabg"), CLASSES, 0).network
    assert type(network) is Cabg
    network.prepare([])  # it has nothing to learn from them


def test_published_weights_and_their_licence_come_from_inside() -> None:
    recorder = Recorder()
    wrapped = Segmented(recorder, Segments("crop", 1.0), 4)
    wrapped.load_pretrained()
    assert recorder.loaded
    assert (wrapped.origin, wrapped.notice) == ("somewhere", "a licence")
    assert wrapped.last_layer("output") is recorder.output
    assert wrapped.last_layer("gender") is None
    plain = Segmented(Network(), Segments("crop", 1.0), 4)
    plain.load_pretrained()
    assert (plain.origin, plain.notice) == ("random", "")


@pytest.mark.parametrize(("zero", "padding"), [(False, 2.0), (True, 0.0)])
def test_spectrograms_are_padded_at_their_floor_and_waveforms_with_silence(zero: bool, padding: float) -> None:
    recorder = Recorder()
    Segmented(recorder, Segments("blocks", 1.0), 4, pads_with_zero=zero)(
        torch.tensor([[[3.0, 2.0, 5.0, -9.0, -9.0]]]), torch.tensor([3])
    )
    assert recorder.seen[0].tolist() == [[[3.0, 2.0, 5.0, padding]]]


def test_only_blocks_that_hold_something_are_computed_while_training() -> None:
    recorder = Recorder()
    wrapped = Segmented(recorder, Segments("blocks", 1.0), 4)
    wrapped(torch.arange(24.0).reshape(2, 1, 12), torch.tensor([12, 3]))
    assert recorder.seen[0].shape == (4, 1, 4)


def test_every_output_is_joined_over_the_clips_own_blocks() -> None:
    wrapped = Segmented(Recorder(), Segments("blocks", 1.0), 2)
    frames = torch.tensor([[[1.0, 1.0, 3.0, 3.0, 0.0]], [[5.0, 5.0, 9.0, 9.0, 9.0]]])
    output = wrapped(frames, torch.tensor([5, 2]))
    torch.testing.assert_close(output.embedding, torch.tensor([[2.0], [5.0]]))
    torch.testing.assert_close(output.affect, output.embedding)
    pairs = torch.tensor([[1.0, -1.0], [3.0, -3.0]]).log_softmax(dim=1)
    torch.testing.assert_close(output.logits[0], pairs.mean(dim=0))
    torch.testing.assert_close(output.gender[0], pairs.mean(dim=0).flip(0))


def test_an_image_table_for_a_network_on_frames_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"\[image\]: the model 'cabg' doesn't see images"):
        build_classifier(Recipe("none", "cabg", image=Image(height=64)), CLASSES, 0)


@pytest.mark.parametrize("mask", ["time_mask_frames", "mel_mask_bands"])
def test_masks_are_refused_where_the_network_hears_samples(mask: str) -> None:
    # A waveform is one "band": it was hidden whole.
    recipe = Recipe("none", "ssl", training=Training(**{mask: 8}))  # type: ignore[arg-type]
    with pytest.raises(
        RecipeError, match=rf"training: {mask} hides parts of a spectrogram; the model 'ssl' hears samp"
    ):
        build_classifier(recipe, CLASSES, 0)


def test_the_closed_form_head_takes_no_blocks() -> None:
    with pytest.raises(RecipeError, match="discriminant"):
        Recipe("none", "cabg", segments=Segments("blocks", 1.0), training=Training(method="discriminant"))
