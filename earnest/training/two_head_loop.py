"""The loop that trains an embedding with two heads: its steps, its clips, its batches."""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from earnest.errors import RecipeError
from earnest.finetune import Finetune, FrameChanges
from earnest.front_end import FrontEnd
from earnest.progress import SILENT, Progress
from earnest.training.data import Example
from earnest.training.frame_changes import changed, noise_frames
from earnest.training.resuming import EpochBatches, Remembering, last_checkpoint, next_epoch, resuming_trainer
from earnest.training.two_heads import Clips, Embedding, Pair, Statistics, collated, smoothed_loss, start_heads


class TwoHeadLoop(Remembering):
    """Both heads and the trunk in Lightning's loop."""

    def __init__(self, pair: Pair, settings: Finetune, n_steps: int, seed: int) -> None:
        super().__init__()
        self.pair, self.settings, self.n_steps, self.seed = pair, settings, n_steps, seed
        self.averaged = AveragedModel(pair, multi_avg_fn=get_ema_multi_avg_fn(settings.average))  # type: ignore[no-untyped-call]
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []

    def configure_optimizers(self) -> Any:
        """AdamW; rates rise over the first steps and fall to nothing along a cosine."""
        settings, trunk = self.settings, self.pair.embedding.network.trunk
        convolutions = [*trunk.conv1.parameters(), *trunk.conv2.parameters()]
        first = {id(tensor) for tensor in convolutions}
        heads = [*self.pair.plain.parameters(), *self.pair.centred.parameters()]
        groups = [
            {"params": [one for one in trunk.parameters() if id(one) not in first], "lr": settings.learning_rate},
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
        torch.manual_seed(int(np.random.SeedSequence([self.seed, self.global_step]).generate_state(1)[0]))
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

    def __init__(
        self, examples: Sequence[Example], changes: FrameChanges, noises: Sequence[Tensor], top_db: float, seed: int
    ) -> None:
        self.examples, self.changes, self.noises, self.top_db, self.seed = examples, changes, noises, top_db, seed

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, str]:
        epoch, position = key
        example = self.examples[position]
        frames = example.frames.float()
        if epoch >= 0:
            rng = np.random.default_rng([self.seed, epoch, position])
            frames = changed(frames, self.changes, self.noises, self.top_db, rng)
        return frames, example.target, example.speaker


class FewSpeakers(EpochBatches[list[tuple[int, int]]]):
    """Batches of several clips of each of a few speakers.

    A speaker is drawn by the number of their clips, and corpora as often as each other.
    """

    def __init__(self, examples: Sequence[Example], settings: Finetune, seed: int) -> None:
        self.rows: dict[str, list[int]] = {}
        for row, example in enumerate(examples):
            self.rows.setdefault(example.speaker, []).append(row)
        if "" in self.rows:
            raise RecipeError("Fine-tuning needs the speaker of every clip.")
        if len(self.rows) < settings.speakers_a_batch:
            raise RecipeError(f"speakers_a_batch is {settings.speakers_a_batch}, and {len(self.rows)} are learnt from.")
        self.settings, self.seed, self._n_clips = settings, seed, len(examples)
        sizes = Counter(example.utterance.corpus for example in examples)
        corpus_of = {example.speaker: example.utterance.corpus for example in examples}
        self.shares = {name: len(rows) / sizes[corpus_of[name]] / len(sizes) for name, rows in self.rows.items()}

    def __len__(self) -> int:
        settings = self.settings
        return settings.steps_an_epoch or max(
            1, self._n_clips // (settings.speakers_a_batch * settings.clips_a_speaker)
        )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Draw speakers, and clips of each in turn."""
        rng = np.random.default_rng([self.seed, self.epoch])
        names = sorted(self.rows)
        shares = [self.shares[name] for name in names]
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


def train_two_heads(  # noqa: PLR0913, PLR0917 - all that one training depends on
    network: Statistics,
    train: Sequence[Example],
    unseen: Sequence[Example],
    corpora: Sequence[str],
    settings: Finetune,
    front_end: FrontEnd,
    seed: int,
    folder: Path,
    progress: Progress = SILENT,
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """Train both heads and the network's trunk; the same call again resumes a killed run.

    Parameters
    ----------
    network : stays as it is
    train : targets are positions in ``corpora``
    unseen : clips of speakers that are scored after each epoch and not learnt from; may be empty
    corpora : of each class, the name of the corpus that it belongs to
    folder : holds the checkpoint; it stays, until `drop_checkpoint`

    Returns
    -------
    the trunk's tensors, averaged over steps, and of each epoch the losses and the shares of unseen clips that are right
    """
    own = torch.tensor([[one == other for other in corpora] for one in corpora])
    sampler = FewSpeakers(train, settings, seed)
    top_db = front_end.top_db or math.inf
    clips = ChangedClips(train, settings.changes, noise_frames(settings.changes, front_end), top_db, seed)
    names = sorted({example.speaker for example in unseen})
    spoken = [[(-1, row) for row, one in enumerate(unseen) if one.speaker == name] for name in names]
    checked = ChangedClips(unseen, settings.changes, (), top_db, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = deepcopy(network)
        network.trunk.requires_grad_(True)
        pair = Pair(Embedding(network), own)
        start_heads(pair, train)
        sampler.set_epoch(next_epoch(folder))
        loop = TwoHeadLoop(pair, settings, settings.epochs * len(sampler), seed)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning.*")
            resuming_trainer(settings.epochs, folder, progress, gradient_clip_val=1.0).fit(
                loop,
                DataLoader(clips, batch_sampler=sampler, collate_fn=collated),
                DataLoader(checked, batch_sampler=spoken, collate_fn=collated) if spoken else None,
                ckpt_path=last_checkpoint(folder),
                weights_only=True,
            )
    averaged = loop.averaged.module
    assert isinstance(averaged, Pair)
    return averaged.embedding.network.trunk.state_dict(), loop.history
