"""Fine-tuning a pre-trained encoder so that its embedding tells emotions apart in voices that it never heard.

Two linear heads on the pooled embedding are trained together, each started from the closed-form discriminant: one sees
the embedding as it is, the other less the mean of its speaker's clips in the batch, as adaptation at run time does.
Small rates, few epochs and averaged weights keep what the encoder knew. The heads are thrown away: what ships is the
discriminant on the new embedding.
"""

import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from earnest.config import from_mapping, to_toml
from earnest.errors import RecipeError
from earnest.models.pretrained import KNOWN_SPEAKERS
from earnest.models.rounding import packed_state
from earnest.models.whisper import Encoder, WhisperSettings, WhisperStatistics
from earnest.training.data import Example
from earnest.training.finetuning_settings import FineTuning
from earnest.training.frame_changes import changed, noise_frames
from earnest.training.moved import moved_by
from earnest.training.narrowing import narrowed
from earnest.training.progress import csv_bytes, write_atomically
from earnest.training.resuming import (
    HISTORY,
    WEIGHTS,
    EpochBatches,
    Remembering,
    claim,
    drop_checkpoint,
    held_out_speakers,
    last_checkpoint,
    next_epoch,
    resuming_trainer,
)
from earnest.training.two_heads import Clips, Embedding, Pair, collated, smoothed_loss, start_heads

WHOLE = "whole"


class FineTuningLoop(Remembering):
    """Both heads and the encoder in Lightning's loop."""

    def __init__(self, pair: Pair, settings: FineTuning, n_steps: int) -> None:
        super().__init__()
        self.pair, self.settings, self.n_steps = pair, settings, n_steps
        self.averaged = AveragedModel(pair, multi_avg_fn=get_ema_multi_avg_fn(settings.average))  # type: ignore[no-untyped-call]
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    def configure_optimizers(self) -> Any:
        """AdamW; rates rise over the first steps and fall to nothing along a cosine."""
        settings, encoder = self.settings, self.pair.embedding.encoder
        convolutions = [*encoder.conv1.parameters(), *encoder.conv2.parameters()]
        heads = [*self.pair.plain.parameters(), *self.pair.centred.parameters()]
        groups = [
            {"params": list(encoder.layers.parameters()), "lr": settings.learning_rate},
            {"params": convolutions, "lr": settings.learning_rate * settings.convolution_share},
            {"params": heads, "lr": settings.head_learning_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)

        def share(step: int) -> float:
            return min(1.0, (step + 1) / settings.warm_up_steps) * 0.5 * (1 + math.cos(math.pi * step / self.n_steps))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, clips: Clips, _: int) -> Tensor:
        """Return the loss of one batch."""
        settings = self.settings
        # What dropout hides depends on seed and step alone: resuming changes nothing.
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, self.global_step]).generate_state(1)[0]))
        losses = [
            smoothed_loss(logits, clips.targets, settings.label_smoothing)
            for logits in self.pair(clips, settings.dropout)
        ]
        self._losses.append(torch.stack(losses).detach())
        return losses[0] + losses[1]

    def on_train_batch_end(self, *_: Any) -> None:
        """Take the step's weights into the moving average, which begins with those after the first step."""
        self.averaged.update_parameters(self.pair)

    def validation_step(self, clips: Clips, _: int) -> None:
        """Answer held-out voices, one a batch, with the averaged weights."""
        answers = [logits.argmax(dim=1) == clips.targets for logits in self.averaged(clips)]
        self._right.append(torch.stack(answers))

    def on_train_epoch_end(self) -> None:
        """Note the epoch's losses and the shares of held-out clips that are right."""
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        row["train_loss"], row["train_centred_loss"] = torch.stack(self._losses).mean(dim=0).tolist()
        if self._right:
            right = torch.cat(self._right, dim=1).float().mean(dim=1)
            row["valid_wa"], row["valid_centred_wa"] = right.tolist()
        self._losses, self._right = [], []
        self.history.append(row)


class ChangedClips(Dataset[tuple[Tensor, int, str]]):
    """Clips by (epoch, position), each epoch's changed anew; without changes by position."""

    def __init__(self, examples: Sequence[Example], settings: FineTuning, noises: Sequence[Tensor]) -> None:
        self.examples, self.settings, self.noises = examples, settings, noises

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, str]:
        epoch, position = key
        example, settings = self.examples[position], self.settings
        frames = example.frames.float()
        if epoch >= 0:
            rng = np.random.default_rng([settings.seed, epoch, position])
            frames = changed(frames, settings.changes, self.noises, settings.front_end.top_db or math.inf, rng)
        return frames, example.target, example.speaker


class FewSpeakers(EpochBatches[list[tuple[int, int]]]):
    """Batches of several clips of each of a few speakers; every clip about once an epoch."""

    def __init__(self, speakers: Sequence[str], settings: FineTuning) -> None:
        self.rows: dict[str, list[int]] = {}
        for row, speaker in enumerate(speakers):
            self.rows.setdefault(speaker, []).append(row)
        self.settings, self._n_clips = settings, len(speakers)
        if len(self.rows) < settings.speakers_a_batch:
            raise RecipeError(f"speakers_a_batch is {settings.speakers_a_batch}, and {len(self.rows)} are learnt from.")

    def __len__(self) -> int:
        return max(1, self._n_clips // (self.settings.speakers_a_batch * self.settings.clips_a_speaker))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Draw speakers by the number of their clips, and clips of each in turn."""
        rng = np.random.default_rng([self.settings.seed, self.epoch])
        names = sorted(self.rows)
        shares = np.array([len(self.rows[name]) for name in names]) / self._n_clips
        waiting: dict[str, list[int]] = {name: [] for name in names}
        for _ in range(len(self)):
            batch = []
            for name in rng.choice(names, self.settings.speakers_a_batch, replace=False, p=shares):
                while len(waiting[name]) < self.settings.clips_a_speaker:
                    waiting[name] += rng.permutation(self.rows[name]).tolist()
                taken = waiting[name][: self.settings.clips_a_speaker]
                del waiting[name][: self.settings.clips_a_speaker]
                batch += [(self.epoch, row) for row in taken]
            yield batch


def finetune(
    settings: FineTuning, examples: Sequence[Example], corpora: Sequence[str], folder: Path, show_progress: bool = False
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
        start = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
        own = torch.tensor([[one == other for other in corpora] for one in corpora])
        pair = Pair(Embedding(network), own)
        start_heads(pair, train)
        sampler = FewSpeakers([example.speaker for example in train], settings)
        sampler.set_epoch(next_epoch(folder))
        loop = FineTuningLoop(pair, settings, settings.epochs * len(sampler))
        clips = ChangedClips(train, settings, noise_frames(settings.changes, settings.front_end))
        spoken = [[(-1, row) for row, one in enumerate(examples) if one.speaker == name] for name in held_out]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning.*")
            resuming_trainer(settings.epochs, folder, show_progress, gradient_clip_val=1.0).fit(
                loop,
                DataLoader(clips, batch_sampler=sampler, collate_fn=collated),
                DataLoader(ChangedClips(examples, settings, ()), batch_sampler=spoken, collate_fn=collated)
                if spoken
                else None,
                ckpt_path=last_checkpoint(folder),
                weights_only=True,
            )
    averaged = loop.averaged.module
    assert isinstance(averaged, Pair)
    tuned = averaged.embedding.encoder.state_dict()
    known = {KNOWN_SPEAKERS: json.dumps(sorted({example.speaker for example in train}))}
    origin = _origin(settings, start, tuned)
    weights = tuned
    if settings.narrowing:
        (folder / WHOLE).mkdir(exist_ok=True)
        write_atomically(folder / WHOLE / WEIGHTS, save(packed_state(tuned, "encoder."), {"origin": origin, **known}))
        weights = made_narrower(settings, whisper, tuned, [example.frames for example in train])
        origin += _narrower(settings, whisper)
    write_atomically(folder / WEIGHTS, save(packed_state(weights, "encoder."), {"origin": origin, **known}))
    write_atomically(folder / HISTORY, csv_bytes(list(loop.history[-1]), loop.history))
    drop_checkpoint(folder)
    return loop.history


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
