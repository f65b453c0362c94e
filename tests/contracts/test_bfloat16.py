"""Every network learns with forward passes in bfloat16, as on a GPU: here by autocast on a CPU."""

import pytest
import torch
from torch.nn import functional

from earnest.models.classifier import MODELS
from earnest.testing.models import clips, frames_of, model_called


@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_answers_alike_in_bfloat16_and_has_gradients(name: str) -> None:
    model = model_called(name)
    frames, n_frames = frames_of(model, clips())
    answers = []
    for enabled in (False, True):
        torch.manual_seed(0)  # of dropout
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            answers.append(model.network.train()(frames, n_frames).logits.float())
    plain, coarse = answers
    # bfloat16 has eight bits: 0.4 % a rounding, of which some add up.
    assert float((plain - coarse).detach().abs().max()) < 0.1 + 0.05 * float(plain.detach().abs().max())
    functional.cross_entropy(coarse, torch.arange(len(coarse))).backward()
    gradients = [weight.grad for weight in model.network.parameters() if weight.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)
