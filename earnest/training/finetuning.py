"""Fine-tuning a pre-trained encoder so that its embedding tells emotions apart in voices that it never heard.

Two linear heads on the pooled embedding are trained together, each started from the closed-form discriminant: one sees
the embedding as it is, the other less the mean of its speaker's clips in the batch, as adaptation at run time does.
Small rates, few epochs and averaged weights keep what the encoder knew. The heads are thrown away: what ships is the
discriminant on the new embedding.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from earnest.config import from_mapping, to_toml
from earnest.locks import holding
from earnest.models.pretrained import KNOWN_SPEAKERS
from earnest.models.rounding import packed_state
from earnest.models.whisper import Encoder, WhisperSettings, WhisperStatistics
from earnest.progress import SILENT, Progress
from earnest.run_files import write_atomically, write_sums
from earnest.training.data import Example
from earnest.training.finetuning_settings import FineTuning
from earnest.training.moved import moved_by
from earnest.training.narrowing import narrowed
from earnest.training.progress import csv_bytes
from earnest.training.resuming import HISTORY, WEIGHTS, claim, drop_checkpoint, held_out_speakers
from earnest.training.two_head_loop import train_two_heads

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
    the losses of each epoch, and the shares of clips of held-out speakers that are right
    """
    claim(folder, to_toml(asdict(settings)), "fine-tuning")
    held_out = held_out_speakers(example.speaker for example in examples)
    train = [example for example in examples if example.speaker not in held_out]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        whisper = from_mapping(WhisperSettings, settings.encoder, "[encoder]")
        network = WhisperStatistics(settings.front_end.n_mels, len(corpora), whisper)
    network.load_pretrained()
    start = network.encoder.state_dict()
    unseen = [example for example in examples if example.speaker in held_out]
    tuned, history = train_two_heads(
        network, train, unseen, corpora, settings, settings.front_end, settings.seed, folder, progress
    )
    known = {KNOWN_SPEAKERS: json.dumps(sorted({example.speaker for example in train}))}
    origin = _origin(settings, start, tuned)
    weights = tuned
    if settings.narrowing:
        (folder / WHOLE).mkdir(exist_ok=True)
        write_atomically(folder / WHOLE / WEIGHTS, save(packed_state(tuned, "encoder."), {"origin": origin, **known}))
        weights = made_narrower(settings, whisper, tuned, [example.frames for example in train])
        origin += _narrower(settings, whisper)
    write_atomically(folder / WEIGHTS, save(packed_state(weights, "encoder."), {"origin": origin, **known}))
    write_atomically(folder / HISTORY, csv_bytes(list(history[-1]), history))
    write_sums(folder, ("recipe.toml", WEIGHTS, HISTORY))
    drop_checkpoint(folder)
    return history


def made_narrower(
    settings: FineTuning, whisper: WhisperSettings, tuned: Mapping[str, Tensor], clips: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return the weights of a tuned encoder with narrower layers; some of ``clips``, (n_mels, frames), show how."""
    narrowing = settings.narrowing
    used = replace(whisper, steps_a_token=narrowing.steps_a_token, merged_after=narrowing.merged_after)
    encoder = Encoder(settings.front_end.n_mels, used)
    encoder.load_state_dict(tuned)
    rows = np.random.default_rng(settings.seed).permutation(len(clips))[: narrowing.n_clips]
    return narrowed(encoder, [clips[row] for row in rows], narrowing).state_dict()


def _origin(settings: FineTuning, start: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> str:
    source = settings.encoder.get("weights") or "a random encoder"
    return f"{source}, fine-tuned on the labels of {', '.join(settings.corpus)}; {moved_by(start, tuned)}"


def _narrower(settings: FineTuning, whisper: WhisperSettings) -> str:
    narrowing, per_head = settings.narrowing, whisper.key_width or whisper.width // whisper.n_heads
    parts = (
        (narrowing.width, whisper.feed_forward_width, "neurons a block"),
        (narrowing.stem_width, whisper.stem_width or whisper.width, "channels between the convolutions"),
        (narrowing.key_width, per_head, "values a key"),
    )
    return "; then narrowed to " + ", ".join(f"{width} of {before} {what}" for width, before, what in parts if width)
