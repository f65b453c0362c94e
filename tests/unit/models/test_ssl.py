"""The adapter for encoders of the transformers library, on tiny random ones."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

from earnest.errors import EarnestError, RecipeError
from earnest.export.onnx import to_onnx
from earnest.models.classifier import MODELS, build_classifier, build_network
from earnest.models.ssl import FAMILIES
from earnest.settings.recipe import Recipe

transformers = pytest.importorskip("transformers", reason="the extra 'ssl' is not installed")

# The library's own WavLM mixes two kinds of masks.
pytestmark = pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
TINY = MODELS.get("ssl").reduced["sizes"]
BOTH_NORMS = pytest.mark.parametrize("norm", ["group", "layer"])
each_family = pytest.mark.parametrize("architecture", FAMILIES)


def network_of(**settings: Any) -> Any:
    torch.manual_seed(0)
    network = build_network("ssl", 1, 4, {"attention_width": 8, **settings})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return network.eval()


def clip(samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(1, 1, samples, generator=torch.Generator().manual_seed(seed)) + 0.01


def saved(folder: Path, architecture: str, **sizes: Any) -> Any:
    torch.manual_seed(7)
    config = transformers.AutoConfig.for_model(architecture, **{**TINY, **sizes})
    encoder = transformers.AutoModel.from_config(config).eval()
    encoder.save_pretrained(folder)
    return encoder


@each_family
@BOTH_NORMS
def test_a_lone_clip_is_seen_as_the_library_sees_it(architecture: str, norm: str, tmp_path: Path) -> None:
    stable = norm == "layer"
    encoder = saved(tmp_path, architecture, feat_extract_norm=norm, do_stable_layer_norm=stable, conv_bias=stable)
    network = build_network("ssl", 1, 4, {"source": str(tmp_path), "pooling": "mean", "standardise": False}).eval()
    network.load_pretrained()
    samples = clip(4_000)
    with torch.no_grad():
        network.mix.scores.copy_(torch.tensor([-40.0, -40.0, 40.0]))  # the last layer alone
        found = network(samples, torch.tensor([4_000])).embedding
        expected = encoder(samples[0]).last_hidden_state.mean(dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@each_family
@BOTH_NORMS
def test_a_clip_in_a_padded_batch_gets_the_answer_that_it_gets_alone(architecture: str, norm: str) -> None:
    network = network_of(architecture=architecture, sizes={**TINY, "feat_extract_norm": norm})
    lengths = [4_000, 1_234, 90, 1]
    batch = torch.cat([torch.nn.functional.pad(clip(n, n), (0, 4_000 - n), value=0.7) for n in lengths])
    with torch.no_grad():
        together = network(batch, torch.tensor(lengths))
        for row, n_samples in enumerate(lengths):
            alone = network(clip(n_samples, n_samples), torch.tensor([n_samples]))
            torch.testing.assert_close(together.logits[row], alone.logits[0], rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("architecture", "norm"), [("hubert", "layer"), ("wavlm", "group")])
def test_the_other_families_export_too(architecture: str, norm: str) -> None:
    settings = {**MODELS.get("ssl").reduced, "architecture": architecture, "sizes": {**TINY, "feat_extract_norm": norm}}
    model = build_classifier(Recipe("made-up", "ssl", network=settings), ("a", "b", "c"), seed=0).eval()
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    waveform, lengths = torch.cat([clip(9_000), clip(9_000, 1)])[:, 0], torch.tensor([9_000, 2_000])
    names = ["logits", "embedding", "attention"]
    with torch.no_grad():
        expected = model(waveform, lengths)
    for name, found in zip(
        names, session.run(names, {"waveform": waveform.numpy(), "lengths": lengths.numpy()}), strict=True
    ):
        torch.testing.assert_close(torch.from_numpy(found), expected[name], rtol=0, atol=1e-4)


def test_standardised_clips_have_no_level() -> None:
    network = network_of(sizes=TINY)
    samples, lengths = clip(3_000), torch.tensor([3_000])
    with torch.no_grad():
        quiet, loud = network(samples, lengths).logits, network(5 * samples + 0.2, lengths).logits
    torch.testing.assert_close(quiet, loud, rtol=1e-3, atol=1e-4)


def test_weights_come_from_the_folder_and_a_frozen_encoder_stays(tmp_path: Path) -> None:
    encoder = saved(tmp_path, "hubert")
    assert (tmp_path / "model.safetensors").exists()
    network = build_network("ssl", 1, 4, {"source": str(tmp_path), "frozen": True})
    network.load_pretrained()
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(network.encoder.state_dict()[name], tensor)
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    assert network.mix.scores.requires_grad
    assert network.origin == str(tmp_path)


def test_a_folder_without_a_safetensors_file_is_refused(tmp_path: Path) -> None:
    encoder = saved(tmp_path, "wav2vec2")
    (tmp_path / "model.safetensors").unlink()
    torch.save(encoder.state_dict(), tmp_path / "pytorch_model.bin")
    network = build_network("ssl", 1, 4, {"source": str(tmp_path)})
    with pytest.raises(EarnestError, match="its weights can't be read"):
        network.load_pretrained()


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EarnestError, match="transformers can't load it"):
        network_of(source=str(tmp_path))


def test_an_encoder_of_another_build_is_refused() -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2}
    sizes |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 20}
    sizes |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    with pytest.raises(EarnestError, match="'whisper' is not built like wav2vec"):
        network_of(architecture="whisper", sizes=sizes)
    # There, padding changes answers.
    with pytest.raises(EarnestError, match="'data2vec-audio' is not built like wav2vec"):
        network_of(architecture="data2vec-audio", sizes=TINY)


@pytest.mark.parametrize("wrong", [{"dropout": 1.0}, {"attention_width": 0}, {"pooling": "max"}])
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"\[network\]"):
        network_of(**wrong)
