"""Self-supervised speech encoders of the transformers library, their layers mixed and pooled."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from earnest.errors import EarnestError, first_line, needs_extra, shown
from earnest.frontends.log_mel import InputKind
from earnest.frontends.trim import frame_mask
from earnest.models.classifier import MODELS, Network, NetworkOutput, Usage
from earnest.models.layers import AttentiveStatistics, LayerMix, masked_mean
from earnest.settings.front_end import FrontEnd
from earnest.settings.limits import Count, ShareBelowOne, Validated

# Of these padding changes nothing. In data2vec's stacked positions and in Conformers it does; others have other steps.
FAMILIES = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


@dataclass(frozen=True)
class SslSettings(Validated):
    """Settings of a self-supervised encoder and the head behind it.

    Attributes
    ----------
    source : folder with ``config.json`` and ``model.safetensors``, or a name on the hub; "" for a random start of the
        ``architecture``
    architecture : where there is no source: one of `FAMILIES`
    sizes : where there is no source: entries of the library's configuration that differ from its defaults
    standardise : each utterance to mean zero and deviation one, as these encoders are trained with
    pooling : mean, or mean and deviation under learned weights
    frozen : the encoder stays as it is
    """

    source: str = ""
    architecture: str = "wav2vec2"
    sizes: Mapping[str, Any] = field(default_factory=dict)
    standardise: bool = True
    pooling: Literal["mean", "attention"] = "attention"
    attention_width: Count = 128
    dropout: ShareBelowOne = 0.1
    frozen: bool = False


@MODELS.register("ssl")
class SelfSupervised(Network):
    """A pre-trained encoder on waveforms, a learned mix of its layers, pooling over time, and one linear layer.

    It takes encoders built like wav2vec 2.0: convolutions over samples, a projection, a transformer. Padding is masked
    in every one of them, also in the group norm over time that the smaller ones have, so that an utterance's answer
    does not depend on its neighbours; pre-trained weights that never saw masked padding are used for lone utterances
    alike.
    """

    settings_type = SslSettings
    input: ClassVar[InputKind] = "waveform"
    paper = "wav2vec 2.0 (Baevski et al., 2020), HuBERT (Hsu et al., 2021), WavLM (Chen et al., 2022)"
    usage = Usage(FrontEnd(), 8)
    zero_gradient: ClassVar[dict[str, str]] = {
        "encoder.masked_spec_embed": "stands for hidden steps while the encoder itself is trained",
        "encoder.encoder.layers.*.attention.k_proj.bias": "softmax over steps cancels it",
    }
    reduced: ClassVar[Mapping[str, Any]] = {
        "attention_width": 16,
        "sizes": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "conv_dim": [16, 16, 16],
            "conv_kernel": [10, 5, 5],  # not 4: with few channels oneDNN 3.12 answers wrongly in bfloat16 on AMX
            "conv_stride": [5, 4, 4],
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 4,
        },
    }

    def __init__(self, n_inputs: int, n_classes: int, settings: SslSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = _random_encoder(settings)
        width, n_layers = self.encoder.config.hidden_size, self.encoder.config.num_hidden_layers
        self.mix = LayerMix(n_layers + 1)  # what goes into the first block counts too
        self.pooling = AttentiveStatistics(width, settings.attention_width) if settings.pooling == "attention" else None
        self.dropout = nn.Dropout(settings.dropout)
        self.output = nn.Linear(2 * width if self.pooling else width, n_classes)
        if settings.frozen:
            self.encoder.requires_grad_(False)

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        return self.settings.source or "random"

    def load_pretrained(self) -> None:
        """Take over the source's weights: safetensors only, and no code of the source is run."""
        source = self.settings.source
        if not source:
            return
        try:
            loaded = _transformers().AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise EarnestError(f"'{source}': its weights can't be read ({first_line(error)}).") from error
        self.encoder.load_state_dict(loaded.state_dict())

    def forward(self, waveform: Tensor, lengths: Tensor) -> NetworkOutput:
        """Map (batch, 1, samples) with ``lengths`` (batch,) to logits, embedding and attention."""
        inside = frame_mask(lengths, waveform.shape[2])
        samples = torch.where(inside, waveform[:, 0], torch.zeros_like(waveform[:, 0]))
        if self.settings.standardise:
            samples = _standardised(samples, inside, lengths)
        shortest = _shortest(self.encoder.feature_extractor.conv_layers)
        samples = nn.functional.pad(samples, (0, shortest))  # so that even one sample makes a step
        steps, n_steps = self._convolved(samples[:, None], lengths.clamp(min=shortest))
        mask = frame_mask(n_steps, steps.shape[1])
        projected = self.encoder.feature_projection(steps)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        hidden = hidden * mask[:, :, None]
        mixed = self.mix(self._layer_outputs(hidden, mask))
        pooled, weights = self.pooling(mixed, mask) if self.pooling else (masked_mean(mixed, mask), None)
        embedding = self.dropout(pooled)
        return NetworkOutput(self.output(embedding), embedding, weights)

    def _layer_outputs(self, hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the input of the first block and the outputs of each, (batch, steps, width)."""
        found: list[Tensor] = []

        def keep(_: nn.Module, inputs: tuple[Tensor, ...], keywords: dict[str, Tensor]) -> None:
            found.append(inputs[0] if inputs else keywords["hidden_states"])

        # Hooks, because each family calls its blocks with arguments of its own.
        blocks = self.encoder.encoder.layers
        handles = [block.register_forward_pre_hook(keep, with_kwargs=True) for block in blocks]
        try:
            # The library looks into the mask, which has no values where only sizes are counted.
            last = self.encoder.encoder(hidden, attention_mask=None if hidden.is_meta else mask)[0]
        finally:
            for handle in handles:
                handle.remove()
        return [*found, last]

    def _convolved(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Run the convolutions over (batch, 1, samples); return (batch, steps, width) and each utterance's steps."""
        for layer in self.encoder.feature_extractor.conv_layers:
            kernel, stride = layer.conv.kernel_size[0], layer.conv.stride[0]
            samples = layer.conv(samples)
            lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1  # no padding: ⌊(n − k)/s⌋ + 1
            norm = getattr(layer, "layer_norm", None)
            if isinstance(norm, nn.GroupNorm):
                samples = _masked_group_norm(norm, samples, lengths)
            elif norm is not None:
                samples = norm(samples.transpose(1, 2)).transpose(1, 2)
            samples = layer.activation(samples)
        return samples.transpose(1, 2), lengths


def _random_encoder(settings: SslSettings) -> Any:
    library, where = _transformers(), settings.source or settings.architecture
    try:
        if settings.source:
            config = library.AutoConfig.from_pretrained(settings.source, trust_remote_code=False)
        else:
            config = library.AutoConfig.for_model(settings.architecture, **settings.sizes)
        if config.model_type not in FAMILIES:
            raise EarnestError(
                f"'{where}': the family {shown(config.model_type)} is not built like wav2vec 2.0 throughout. Choose an "
                f"encoder of one of these: {', '.join(FAMILIES)}."
            )
        # A random mask over time would be drawn by numpy's global generator; layers are never left out.
        config.apply_spec_augment, config.layerdrop = False, 0.0
        return library.AutoModel.from_config(config, trust_remote_code=False, attn_implementation="eager")
    except (OSError, ValueError) as error:
        raise EarnestError(
            f"'{where}': transformers can't load it ({first_line(error).rstrip('.')}). Give a folder with config.json "
            "and model.safetensors, or a name on the hub that can be reached from here."
        ) from error


def _transformers() -> Any:
    with needs_extra("The model 'ssl'", "ssl"):
        import transformers
    # The library hands torch its mask of booleans beside WavLM's biases, in every layer.
    warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
    return transformers


def _shortest(layers: nn.ModuleList) -> int:
    """Return how many samples make one step."""
    # wav2vec 2.0: 400 samples, 25 ms at 16 kHz.
    samples = 1
    for layer in reversed(list(layers)):  # n steps of a layer need (n − 1)·stride + kernel of the one before
        convolution = layer.get_submodule("conv")
        assert isinstance(convolution, nn.Conv1d)
        samples = (samples - 1) * convolution.stride[0] + convolution.kernel_size[0]
    return samples


def _standardised(samples: Tensor, inside: Tensor, lengths: Tensor) -> Tensor:
    mean = samples.sum(dim=1, keepdim=True) / lengths[:, None]
    centred = (samples - mean) * inside
    # Mean 0, variance 1, as the library's feature extractor.
    return centred * torch.rsqrt(centred.square().sum(dim=1, keepdim=True) / lengths[:, None] + 1e-7)


def _masked_group_norm(norm: nn.GroupNorm, samples: Tensor, lengths: Tensor) -> Tensor:
    """Normalise every channel of (batch, channels, steps) over its utterance's own steps."""
    # (x − µ) / √(σ² + ε) · γ + β, one channel a group, as wav2vec 2.0 has it.
    inside = frame_mask(lengths, samples.shape[2])[:, None]
    count = lengths[:, None, None]
    mean = (samples * inside).sum(dim=2, keepdim=True) / count
    centred = (samples - mean) * inside
    variance = centred.square().sum(dim=2, keepdim=True) / count
    return centred * torch.rsqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]
