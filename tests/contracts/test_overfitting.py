"""Each network can learn: without dropout it learns 32 clips with arbitrary labels by heart."""

import pytest
import torch
from torch import Tensor, nn

from earnest.models.classifier import MODELS, SpeechClassifier, build_classifier
from earnest.settings.front_end import Segments
from earnest.testing.models import CLASSES, frames_of, recipe_of
from earnest.testing.sounds import voice

pytestmark = pytest.mark.slow

N_CLIPS, MOST_STEPS, ASKED_EVERY = 32, 600, 20


def made_up_clips() -> tuple[list[Tensor], Tensor]:
    """Return voices of different pitch and length, and labels that nothing in them tells."""
    waveforms = [
        torch.from_numpy(voice(0.3 + 0.01 * number, pitch_hz=100 + 8 * number, seed=number))
        for number in range(N_CLIPS)
    ]
    order = torch.randperm(N_CLIPS, generator=torch.Generator().manual_seed(0))
    return waveforms, (torch.arange(N_CLIPS) % len(CLASSES))[order]


def without_dropout(model: SpeechClassifier) -> SpeechClassifier:
    for module in model.network.modules():
        if isinstance(module, nn.Dropout | nn.Dropout1d | nn.Dropout2d):
            module.p = 0.0
    return model


@pytest.mark.parametrize("name", MODELS.names())
def test_32_clips_are_learnt_by_heart_without_dropout(name: str) -> None:
    # The whole clip, so that no crop is drawn anew.
    model = without_dropout(build_classifier(recipe_of(name, segments=Segments()), CLASSES, seed=0))
    waveforms, targets = made_up_clips()
    frames, n_frames = frames_of(model, waveforms)
    optimiser = torch.optim.AdamW(model.network.parameters(), lr=1e-3)
    right, steps = 0.0, 0
    while right < 0.95 and steps < MOST_STEPS:
        model.network.train()
        for _ in range(ASKED_EVERY):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model.network(frames, n_frames).logits, targets).backward()
            optimiser.step()
        steps += ASKED_EVERY
        model.network.eval()
        with torch.no_grad():
            answers = model.network(frames, n_frames).logits.argmax(dim=1)
        right = float((answers == targets).float().mean())
    assert right >= 0.95, f"{100 * right:.0f} % after {steps} steps"
