"""Fine-tuning a pre-trained encoder so that its embedding tells emotions apart in speakers that it never heard."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.evaluation.protocols import protocol_called
from earnest.experiments.task import split_called
from earnest.files.writing import holding, write_atomically, write_sums
from earnest.frontends.log_mel import LogMel
from earnest.models.whisper import (
    Encoder,
    EncoderBlock,
    EncoderSettings,
    WhisperSettings,
    WhisperStatistics,
    merged,
    normalised,
    step_mask,
)
from earnest.progress import SILENT, Progress
from earnest.settings.front_end import FrontEnd
from earnest.settings.limits import Count, NumberFromZero, Validated, from_mapping, require, to_toml
from earnest.settings.recipe import Finetune
from earnest.training.batches import padded
from earnest.training.examples import Example, classes_of_corpora, clips_of_corpora
from earnest.training.finetune import HISTORY, WEIGHTS, drop_checkpoint, moved_by, train_two_heads
from earnest.training.loop import csv_bytes
from research.settings import claim, held_out_speakers, metadata_of, packed_state, read_settings


@dataclass(frozen=True)
class Pruning(Validated):
    """Settings of structured pruning, which makes a tuned encoder smaller, and so faster.

    Attributes
    ----------
    width : neurons that each block's feed-forward layer keeps; 0 for all, here and below
    stem_width : channels between the convolutions
    key_width : values of a head's query and key
    n_clips : so many utterances, drawn at random, show what the neurons do
    tokens_per_step, merged_after : as the encoder is used later
    """

    renamed: ClassVar[Mapping[str, str]] = {"steps_a_token": "tokens_per_step"}
    width: NumberFromZero = 0
    stem_width: NumberFromZero = 0
    key_width: NumberFromZero = 0
    n_clips: Count = 700
    tokens_per_step: Count = 1
    merged_after: NumberFromZero = 0

    def __bool__(self) -> bool:
        """Whether anything becomes narrower."""
        return bool(self.width or self.stem_width or self.key_width)


@dataclass(frozen=True, kw_only=True)
class FineTuning(Finetune):
    """Settings of fine-tuning: encoder, recordings, epochs.

    Attributes
    ----------
    encoder : `WhisperSettings`; its ``pooled_blocks`` are the embedding
    pruning : what happens to the encoder after the training
    """

    renamed: ClassVar[Mapping[str, str]] = {"narrowing": "pruning"}
    front_end: FrontEnd = field(default_factory=FrontEnd)
    encoder: Mapping[str, Any] = field(default_factory=dict)
    pruning: Pruning = field(default_factory=Pruning)
    epochs: Count = 8
    seed: int = 0
    description: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.corpus), "corpus must name at least one corpus")


def read_finetuning(path: Path) -> FineTuning:
    """Read and check a fine-tuning's settings; a folder may stand for its ``recipe.toml``."""
    return read_settings(FineTuning, path)


def clips_for(
    settings: FineTuning,
    folders: Mapping[str, Path],
    protocol: str | None = None,
    fold: str | None = None,
    progress: Progress = SILENT,
) -> tuple[list[Example], list[str]]:
    """Decode the utterances of every corpus; targets are positions in what is returned second.

    Parameters
    ----------
    folders : corpus name → folder
    protocol, fold : whose test utterances, and all utterances of their speakers, are left out

    Returns
    -------
    examples, and for each class the corpus that it belongs to
    """
    rows = load_utterances(settings.corpus, folders)
    if protocol is not None:
        rows = without_test(rows, protocol, fold)
    return classes_of_corpora(clips_of_corpora(rows, LogMel(settings.front_end), progress))


def without_test(rows: Sequence[Utterance], protocol: str, fold: str | None) -> list[Utterance]:
    """Return the rows whose speakers are not in a protocol's test set."""
    split = split_called(protocol_called(protocol), fold, rows)
    tested = {row.speaker or row.corpus for row in split.test}
    return [row for row in rows if (row.speaker or row.corpus) not in tested]


RIDGE = 1e-4  # of the mean variance of a neuron
SMALLEST_SHARE = 1e-8  # of the largest moment: what is smaller is noise of computing
BATCH_SIZE = 16
FrameBatch: TypeAlias = tuple[Tensor, Tensor]
"""Tokens (batch, tokens, width) and which of them are heard (batch, tokens); or frames and their numbers."""


class Moments:
    """Means and covariances of neurons' values and of what the layer should add, over all tokens.

    Parameters
    ----------
    n_taps : values of one neuron, side by side, which go together
    """

    def __init__(self, n_taps: int = 1) -> None:
        self.n_taps, self.n_tokens = n_taps, 0
        self.total, self.products = torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor, wanted: Tensor) -> None:
        """Take in (tokens, neurons · n_taps) and (tokens, out)."""
        both = torch.cat([values, wanted], dim=1).double()
        self.n_tokens += len(both)
        self.total = self.total + both.sum(dim=0)
        self.products = self.products + values.double().T @ both

    def fitted(self, width: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the neurons kept (width,), their output weights (width · n_taps, out) and the bias (out,), float64."""
        n_values, n_taps = len(self.products), self.n_taps
        means = self.total / self.n_tokens
        # E[xy] − E[x]·E[y], (values, values + out).
        covariance = self.products / self.n_tokens - means[:n_values, None] * means
        own, shared = covariance[:, :n_values], covariance[:, n_values:]
        # A ridge, so that the inverse exists.
        own = own + RIDGE * own.diagonal().mean() * torch.eye(n_values, dtype=own.dtype)
        inverse = torch.linalg.inv(own)
        weights = inverse @ shared  # least squares with all neurons: W = H⁻¹·C
        n_neurons = n_values // n_taps
        stays = torch.ones(n_neurons, dtype=torch.bool)
        for _ in range(n_neurons - width):
            left = stays.nonzero()[:, 0]
            # Optimal brain surgeon (Hassibi and Stork, 1993, eq. 5): losing q costs
            # w_qᵀ·([H⁻¹]_qq)⁻¹·w_q, with q a block of taps.
            parts = inverse.view(n_neurons, n_taps, n_neurons, n_taps)[left, :, left]
            said = weights.view(n_neurons, n_taps, -1)[left]
            lost = (said * torch.linalg.solve(parts, said)).sum(dim=(1, 2))  # and the others are fitted anew
            gone = int(left[lost.argmin()])
            stays[gone] = False
            at = slice(gone * n_taps, (gone + 1) * n_taps)
            # The others make up for it: W −= [H⁻¹]_:q·([H⁻¹]_qq)⁻¹·w_q, and H⁻¹ likewise loses its row and column.
            shares = inverse[:, at] @ torch.linalg.inv(inverse[at, at])
            weights = weights - shares @ weights[at]
            inverse = inverse - shares @ inverse[at]
        kept = stays.nonzero()[:, 0]
        values = (kept[:, None] * n_taps + torch.arange(n_taps)).flatten()
        # Once more from the start: hundreds of updates have added up rounding errors.
        weights = torch.linalg.solve(own[values][:, values], shared[values])
        return kept, weights, means[n_values:] - means[values] @ weights


@torch.no_grad()
def pruned(encoder: Encoder, clips: Sequence[Tensor], pruning: Pruning) -> Encoder:
    """Return a narrower encoder; the one given stays as it is.

    Raises `RecipeError` when layers are narrower already.

    Parameters
    ----------
    encoder : merges tokens as it will be used
    clips : log-mels in decibels, each (n_mels, frames), that show what the layers do
    """
    _check(encoder, pruning)
    encoder = copy.deepcopy(encoder).eval()
    batches = [padded(clips[start : start + BATCH_SIZE]) for start in range(0, len(clips), BATCH_SIZE)]
    batches = [(normalised(frames), n_frames) for frames, n_frames in batches]
    whole = [encoder.first_tokens(*batch) for batch in batches]
    if pruning.stem_width:
        with_channels(encoder, *_channels(encoder, batches).fitted(pruning.stem_width))
    narrow = [encoder.first_tokens(*batch) for batch in batches]  # of each batch, what the next block hears, its mask
    for number, block in enumerate(encoder.layers):
        assert isinstance(block, EncoderBlock)
        smaller: EncoderBlock = block
        if pruning.key_width:
            smaller = with_keys(smaller, _heard(block, narrow), pruning.key_width)
        whole, narrow = _attended(block, whole), _attended(smaller, narrow)
        n_together = encoder.n_together(number + 1)
        whole = _fed(block, whole, n_together)
        if pruning.width:
            moments = Moments()
            for (wanted, heard), (attended, mask) in zip(whole, narrow, strict=True):
                neurons, tokens = (merged(part, mask, n_together)[0] for part in (block.widened(attended), attended))
                moments.add(neurons[heard], (wanted - tokens)[heard])
            smaller = with_neurons(smaller, *moments.fitted(pruning.width))
        narrow = _fed(smaller, narrow, n_together)
        encoder.layers[number] = smaller
    return encoder


def _check(encoder: Encoder, pruning: Pruning) -> None:
    """Refuse to make anything wider."""
    sizes = [("stem_width", pruning.stem_width, encoder.conv1.out_channels)]
    for block in encoder.layers:
        assert isinstance(block, EncoderBlock)
        keys = block.self_attn.k_proj.out_features // block.self_attn.n_heads
        sizes += [("width", pruning.width, block.fc1.out_features), ("key_width", pruning.key_width, keys)]
    for name, wanted, there in sizes:
        if wanted > there:
            raise RecipeError(f"[pruning]: {name} must be at most {there}, got {wanted}.")


def _channels(encoder: Encoder, batches: Sequence[FrameBatch]) -> Moments:
    """Gather what the second convolution hears, tap by tap, and what it says."""
    n_taps, stride = encoder.conv2.kernel_size[0], encoder.conv2.stride[0]
    moments = Moments(n_taps)
    for frames, n_frames in batches:
        heard = encoder.widened(frames, n_frames)
        taps = functional.unfold(heard[:, :, None], (1, n_taps), padding=(0, n_taps // 2), stride=(1, stride))
        mask = step_mask(n_frames, taps.shape[2])
        moments.add(taps.transpose(1, 2)[mask], encoder.conv2(heard).transpose(1, 2)[mask])
    return moments


def _heard(block: EncoderBlock, batches: Sequence[FrameBatch]) -> Tensor:
    """Return the input of a block's attention, (tokens, width)."""
    return torch.cat([block.self_attn_layer_norm(tokens)[mask] for tokens, mask in batches])


def _attended(block: EncoderBlock, batches: Sequence[FrameBatch]) -> list[FrameBatch]:
    return [(block.attended(tokens, mask), mask) for tokens, mask in batches]


def _fed(block: EncoderBlock, batches: Sequence[FrameBatch], n_together: int) -> list[FrameBatch]:
    return [block.fed(attended, mask, n_together) for attended, mask in batches]


def with_channels(encoder: Encoder, kept: Tensor, weights: Tensor, bias: Tensor) -> None:
    """Keep these channels between the convolutions, with other output weights (channels · taps, width)."""
    first, second = encoder.conv1, encoder.conv2
    encoder.conv1 = nn.Conv1d(first.in_channels, len(kept), 3, padding=1)
    encoder.conv2 = nn.Conv1d(len(kept), second.out_channels, 3, stride=2, padding=1)
    encoder.conv1.load_state_dict({"weight": first.weight[kept], "bias": first.bias[kept]})  # type: ignore[index]
    shape = (len(kept), 3, second.out_channels)
    encoder.conv2.load_state_dict({"weight": weights.view(shape).permute(2, 0, 1).float(), "bias": bias.float()})


def with_neurons(block: EncoderBlock, kept: Tensor, weights: Tensor, bias: Tensor) -> EncoderBlock:
    """Return a block with these neurons alone and other output weights (neurons, width)."""
    state = block.state_dict()
    state["fc1.weight"], state["fc1.bias"] = state["fc1.weight"][kept], state["fc1.bias"][kept]
    state["fc2.weight"], state["fc2.bias"] = weights.T.float().contiguous(), bias.float()
    return _block_of(state, block.self_attn.n_heads)


def with_keys(block: EncoderBlock, heard: Tensor, key_width: int) -> EncoderBlock:
    """Return a block whose queries and keys are shorter, and their products as little different as can be.

    Products' squared errors are least for the largest singular values of √Q·√K, with Q the second moments of a head's
    queries and K the covariance of its keys; what all keys share moves all products of a query alike, and softmax does
    not see it.

    Parameters
    ----------
    heard : what the attention hears, (tokens, width)
    """
    state, n_heads = block.state_dict(), block.self_attn.n_heads
    query, bias, key = (
        state[f"self_attn.{name}"].double() for name in ("q_proj.weight", "q_proj.bias", "k_proj.weight")
    )
    queries, keys = heard.double() @ query.T + bias, heard.double() @ key.T
    n_before = len(query) // n_heads
    made: list[tuple[Tensor, Tensor, Tensor]] = []
    for head in range(n_heads):
        at = slice(head * n_before, (head + 1) * n_before)
        root, unroot = _roots(queries[:, at].T @ queries[:, at] / len(heard))
        other_root, other_unroot = _roots(torch.cov(keys[:, at].T))
        # Eckart and Young (1936): the first singular values and vectors give the nearest matrix of that rank.
        left, sizes, right = torch.linalg.svd(root @ other_root)
        scale = sizes[:key_width].sqrt()
        to_query = (left[:, :key_width] * scale).T @ unroot * (key_width / n_before) ** 0.5  # attention divides by it
        to_key = scale[:, None] * right[:key_width] @ other_unroot
        made.append((to_query @ query[at], to_query @ bias[at], to_key @ key[at]))
    parts = (torch.cat(part).float() for part in zip(*made, strict=True))
    state["self_attn.q_proj.weight"], state["self_attn.q_proj.bias"], state["self_attn.k_proj.weight"] = parts
    return _block_of(state, n_heads)


def _roots(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the symmetric square root of a matrix and its inverse."""
    values, vectors = torch.linalg.eigh(moments)
    roots = values.clamp(min=SMALLEST_SHARE * float(values.max())).sqrt()
    return (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T  # V·√Λ·Vᵀ and V·Λ^(−1/2)·Vᵀ


def _block_of(state: Mapping[str, Tensor], n_heads: int) -> EncoderBlock:
    (neurons, width), keys = state["fc1.weight"].shape, len(state["self_attn.k_proj.weight"])
    sizes = EncoderSettings(width=width, n_heads=n_heads, feed_forward_width=neurons, key_width=keys // n_heads)
    block = EncoderBlock(sizes)
    block.load_state_dict(state)
    return block.eval()


WHOLE = "whole"


@holding("folder")
def finetune(
    settings: FineTuning, examples: Sequence[Example], corpora: Sequence[str], folder: Path, progress: Progress = SILENT
) -> list[dict[str, float]]:
    """Train and write the encoder's weights; the same call again resumes a killed run.

    Parameters
    ----------
    examples : targets are positions in ``corpora``
    corpora : of each class, the name of the corpus that it belongs to
    folder : gets recipe.toml, history.csv and, at the end, model.safetensors; where the encoder becomes narrower, the
        whole one is in its folder `WHOLE`

    Returns
    -------
    the losses of each epoch, and the shares of utterances of held-out speakers that are right
    """
    claim(folder, to_toml(asdict(settings)), "fine-tuning")
    held_out = held_out_speakers(example.utterance.speaker for example in examples)
    train = [example for example in examples if example.utterance.speaker not in held_out]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        whisper = from_mapping(WhisperSettings, settings.encoder, "[encoder]")
        network = WhisperStatistics(settings.front_end.n_mels, len(corpora), whisper)
    network.load_pretrained()
    start = network.encoder.state_dict()
    unseen = [example for example in examples if example.utterance.speaker in held_out]
    tuned, history = train_two_heads(
        network, train, unseen, corpora, settings, settings.front_end, settings.seed, folder, progress
    )
    known = {example.speaker for example in train}
    origin = _origin(settings, start, tuned)
    weights = tuned
    if settings.pruning:
        (folder / WHOLE).mkdir(exist_ok=True)
        write_atomically(folder / WHOLE / WEIGHTS, save(packed_state(tuned, "encoder."), metadata_of(origin, known)))
        weights = with_pruned_layers(settings, whisper, tuned, [example.frames for example in train])
        origin += pruned_sizes(settings.pruning, whisper)
    write_atomically(folder / WEIGHTS, save(packed_state(weights, "encoder."), metadata_of(origin, known)))
    write_atomically(folder / HISTORY, csv_bytes(list(history[-1]), history))
    write_sums(folder, ("recipe.toml", WEIGHTS, HISTORY))
    drop_checkpoint(folder)
    return history


def with_pruned_layers(
    settings: FineTuning, whisper: WhisperSettings, tuned: Mapping[str, Tensor], clips: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return the weights of a tuned encoder with narrower layers; some of ``clips``, (n_mels, frames), show how."""
    pruning = settings.pruning
    used = replace(whisper, tokens_per_step=pruning.tokens_per_step, merged_after=pruning.merged_after)
    encoder = Encoder(settings.front_end.n_mels, used)
    encoder.load_state_dict(tuned)
    rows = np.random.default_rng(settings.seed).permutation(len(clips))[: pruning.n_clips]
    return pruned(encoder, [clips[row] for row in rows], pruning).state_dict()


def _origin(settings: FineTuning, start: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> str:
    source = settings.encoder.get("weights") or "a random encoder"
    return f"{source}, fine-tuned on the labels of {', '.join(settings.corpus)}; {moved_by(start, tuned)}"


def pruned_sizes(pruning: Pruning, whisper: WhisperSettings) -> str:
    """Say how narrow an encoder became, "" where it did not."""
    if not pruning:
        return ""
    per_head = whisper.key_width or whisper.width // whisper.n_heads
    parts = (
        (pruning.width, whisper.feed_forward_width, "neurons a block"),
        (pruning.stem_width, whisper.stem_width or whisper.width, "channels between the convolutions"),
        (pruning.key_width, per_head, "values a key"),
    )
    return "; then pruned to " + ", ".join(f"{width} of {before} {what}" for width, before, what in parts if width)
