"""Fine-tuning an encoder's embedding with two heads: emotions as they are, and relative to the speaker's mean."""

import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, Sampler

from earnest.augment.spec_augment import changed, noise_frames
from earnest.errors import RecipeError, counted
from earnest.files.writing import write_atomically
from earnest.learning.discriminant import Shrinkage, discriminant
from earnest.models.classifier import SpeechClassifier
from earnest.models.pretrained import packed, unpacked
from earnest.models.student import StudentStatistics
from earnest.models.whisper import WhisperStatistics
from earnest.progress import SILENT, Progress
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Finetune, FrameChanges, Recipe
from earnest.training.batches import padded
from earnest.training.examples import Example, classes_of_corpora, targets_of
from earnest.training.loop import AtomicCheckpointIO, bfloat16_is_quick, csv_bytes
from earnest.training.record import CHECKPOINT

Batch_co = TypeVar("Batch_co", covariant=True)


def moved_by(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> str:
    """Describe how far each part's weights moved, in words for a model card."""
    parts = (f"{part} {100 * how_far:.1f} %" for part, how_far in movements(start, end).items())
    return f"weights moved by: {', '.join(parts)}"


def movements(start: Mapping[str, Tensor], end: Mapping[str, Tensor]) -> dict[str, float]:
    """Return how far each part of the encoder moved: the norm of the change by the norm of the start."""
    parts: dict[str, tuple[float, float]] = {}
    for name, before in start.items():
        part = _part_of(name)
        # ‖after − before‖²/‖before‖², summed over the tensors of a part; the root comes at the end.
        change, size = parts.get(part, (0.0, 0.0))
        step = float((end[name] - before).square().sum())
        parts[part] = (change + step, size + float(before.square().sum()))
    return {part: math.sqrt(change / size) for part, (change, size) in parts.items()}


def _part_of(name: str) -> str:
    words = name.split(".")
    if words[0].startswith("conv"):
        return "convolutions"
    return f"block {int(words[1]) + 1}" if words[1].isdigit() else "last layer"


WEIGHTS, HISTORY = "model.safetensors", "history.csv"


class Remembering(pl.LightningModule):
    """A training whose checkpoint holds the epochs so far."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[dict[str, float]] = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epochs so far."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the epochs so far."""
        self.history = checkpoint["history"]


class EpochBatches(Sampler[Batch_co]):
    """A batch sampler that knows the epoch."""

    epoch = 0

    @property
    def sampler(self) -> Self:
        """Itself: Lightning tells the epoch to a batch sampler's sampler only, and the first one too late."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch


def last_checkpoint(folder: Path) -> Path | None:
    """Return where a killed run goes on from."""
    path = folder / CHECKPOINT
    return path if path.exists() else None


def next_epoch(folder: Path) -> int:
    """Return the number, from 0, of the epoch that comes next: Lightning asks samplers for it before it tells them."""
    path = last_checkpoint(folder)
    return 0 if path is None else int(torch.load(path, map_location="cpu", weights_only=True)["epoch"]) + 1


def drop_checkpoint(folder: Path) -> None:
    """Remove it when the training is finished."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def resuming_trainer(epochs: int, folder: Path, progress: Progress, **more: Any) -> pl.Trainer:
    """Return a trainer that keeps the last epoch's checkpoint; ``more`` are options of Lightning's."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return pl.Trainer(
        accelerator="auto",
        devices=1,
        max_epochs=epochs,
        callbacks=[ModelCheckpoint(folder, filename=Path(CHECKPOINT).stem, save_top_k=1, enable_version_counter=False)],
        logger=False,
        plugins=[AtomicCheckpointIO()],
        num_sanity_val_steps=0,
        enable_progress_bar=progress.visible,
        enable_model_summary=False,
        default_root_dir=folder,
        **more,
    )


HEAD_LEARNING_RATE = 3e-4
AVERAGE = 0.99  # of the weights, the share that a step keeps
CONVOLUTION_SHARE = 0.3  # of the blocks' learning rate
WEIGHT_DECAY, DROPOUT, LABEL_SMOOTHING = 0.01, 0.2, 0.1
SCORE_SCALE = 0.15  # of discriminant scores, about what makes them honest
SHRINKAGE = Shrinkage(0.6)
EMBEDDED_TOGETHER = 32


class FinetuneBatch(NamedTuple):
    """A padded batch: frames (batch, n_mels, frames), their numbers, targets and number of the speaker (batch,)."""

    frames: Tensor
    n_frames: Tensor
    targets: Tensor
    speakers: Tensor


Statistics: TypeAlias = WhisperStatistics | StudentStatistics
"""Networks that pool tokens of a trunk."""


class Embedding(nn.Module):
    """A network's pooled statistics, standardised by ``mean`` and ``deviation`` (width,)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Statistics) -> None:
        super().__init__()
        self.network = network
        width = network.output.in_features
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Map (batch, n_mels, frames) to (batch, width)."""
        # Mean and deviation in float32, where a sum of many is exact enough.
        with torch.autocast(frames.device.type, torch.bfloat16, enabled=bfloat16_is_quick(frames.device)):
            heard = self.network.heard(frames, n_frames)
        pooled = self.network.pooled([(tokens.float(), mask) for tokens, mask in heard])
        return (pooled - self.mean) / self.deviation  # z = (x − μ)/σ, value by value


class Pair(nn.Module):
    """The embedding with its two heads.

    Parameters
    ----------
    own : (classes, classes) of booleans: which classes belong to the same corpus as a class
    """

    own: Tensor

    def __init__(self, embedding: Embedding, own: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.plain = nn.Linear(len(embedding.mean), len(own))
        self.centred = nn.Linear(len(embedding.mean), len(own))
        self.register_buffer("own", own, persistent=False)

    def forward(self, clips: FinetuneBatch, dropout: float = 0.0) -> tuple[Tensor, Tensor]:
        """Return logits of both heads (batch, classes); other corpora's classes are out of the question."""
        points = self.embedding(clips.frames, clips.n_frames).float()
        # (batch, classes): −∞ for classes of other corpora, so that softmax is over an utterance's own corpus alone.
        others = ~self.own[clips.targets]
        return (
            self.plain(functional.dropout(points, dropout)).masked_fill(others, -math.inf),
            self.centred(functional.dropout(less_own_mean(points, clips.speakers), dropout)).masked_fill(
                others, -math.inf
            ),
        )


def less_own_mean(points: Tensor, speakers: Tensor) -> Tensor:
    """Return points (rows, width) less the mean of their speaker's."""
    # T (rows, speakers) of zeros and ones: means = Tᵀ·X/n (speakers, width).
    together = functional.one_hot(speakers).to(points.dtype)
    means = together.T @ points / together.sum(dim=0)[:, None].clamp(min=1)
    return points - means[speakers]


def smoothed_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return cross-entropy with label smoothing over the finite logits of each row."""
    # L = −(1 − ε)·log p_y − ε·mean of log p over the possible classes; −∞ of the others is left out of the mean.
    chances = logits.log_softmax(dim=1)
    possible = logits.isfinite()
    even = -chances.masked_fill(~possible, 0.0).sum(dim=1) / possible.sum(dim=1)
    true = -chances.gather(1, targets[:, None])[:, 0]  # (batch,)
    return ((1 - LABEL_SMOOTHING) * true + LABEL_SMOOTHING * even).mean()


def collated(clips: Sequence[tuple[Tensor, int, str]]) -> FinetuneBatch:
    """Pad utterances to one length."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(speaker for _, _, speaker in clips))}
    speakers = torch.tensor([numbers[speaker] for _, _, speaker in clips])
    frames, n_frames = padded([frames for frames, _, _ in clips])
    return FinetuneBatch(frames, n_frames, torch.tensor([target for _, target, _ in clips]), speakers)


@torch.no_grad()
def start_heads(pair: Pair, examples: Sequence[Example]) -> None:
    """Standardise the embedding on ``examples`` and set both heads to the discriminant of each corpus."""
    embedding = pair.embedding.eval()
    # Utterances of about one length go together, so that little of a batch is padding.
    points = torch.empty(len(examples), len(embedding.mean))  # (utterances, width)
    by_length = np.argsort([example.frames.shape[1] for example in examples])
    for rows in np.array_split(by_length, math.ceil(len(by_length) / EMBEDDED_TOGETHER)):
        clips = collated([(examples[row].frames, 0, "") for row in rows])
        points[rows] = embedding(clips.frames, clips.n_frames)
    # z = (x − μ)/σ over the training utterances, so that both heads start from values of one size.
    embedding.mean.copy_(points.mean(dim=0))
    embedding.deviation.copy_(points.std(dim=0) + 1e-6)
    points = (points - embedding.mean) / embedding.deviation
    names = sorted({example.speaker for example in examples})
    speakers = torch.tensor([names.index(example.speaker) for example in examples])
    targets = targets_of(examples)
    for head, values in ((pair.plain, points), (pair.centred, less_own_mean(points, speakers))):
        # A row of ``own`` has its corpus' classes; the first of them stands for the corpus, so each has one turn.
        for first in sorted({int(row.nonzero()[0]) for row in pair.own}):
            classes = pair.own[first].nonzero()[:, 0].numpy()
            mine = np.flatnonzero(np.isin(targets, classes))
            # Numbers among all classes → numbers among the corpus' own, from 0 on.
            weights, bias = discriminant(
                values[mine].double().numpy(), np.searchsorted(classes, targets[mine]), SHRINKAGE, len(classes)
            )
            # Discriminant scores are log-densities of values that depend on each other: much too sure. Scaled, the loss
            # starts where gradients are neither zero nor large.
            head.weight[classes] = SCORE_SCALE * torch.from_numpy(weights).float()
            head.bias[classes] = SCORE_SCALE * torch.from_numpy(bias).float()
    pair.train()


class TwoHeadLoop(Remembering):
    """Both heads and the trunk in Lightning's loop."""

    def __init__(self, pair: Pair, settings: Finetune, n_steps: int, seed: int) -> None:
        super().__init__()
        self.pair, self.settings, self.n_steps, self.seed = pair, settings, n_steps, seed
        self.averaged = AveragedModel(pair, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))  # type: ignore[no-untyped-call]
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
            {"params": convolutions, "lr": settings.learning_rate * CONVOLUTION_SHARE},
            {"params": heads, "lr": HEAD_LEARNING_RATE},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, fused=True)

        def share(step: int) -> float:
            # rate(t)/rate = min(1, (t + 1)/w) · ½·(1 + cos(π·t/T))
            return min(1.0, (step + 1) / settings.warm_up_steps) * 0.5 * (1 + math.cos(math.pi * step / self.n_steps))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, clips: FinetuneBatch, _: int) -> Tensor:
        """Return the loss of one batch."""
        # What dropout hides depends on seed and step alone: resuming changes nothing.
        torch.manual_seed(int(np.random.SeedSequence([self.seed, self.global_step]).generate_state(1)[0]))
        losses = [smoothed_loss(logits, clips.targets) for logits in self.pair(clips, DROPOUT)]
        self._losses.append(torch.stack(losses).detach())
        # Both heads pull at one embedding: to tell emotions as they are, and apart from who speaks.
        return losses[0] + losses[1]

    def on_train_batch_end(self, *_: Any) -> None:
        """Take the step's weights into the moving average, which begins with those after the first step."""
        # θ̄ ← a·θ̄ + (1 − a)·θ (Polyak averaging with exponential weights)
        self.averaged.update_parameters(self.pair)

    def validation_step(self, clips: FinetuneBatch, _: int) -> None:
        """Answer held-out voices, one a batch, with the averaged weights."""
        answers = [logits.argmax(dim=1) == clips.targets for logits in self.averaged(clips)]
        self._right.append(torch.stack(answers))  # (2 heads, utterances)

    def on_train_epoch_end(self) -> None:
        """Note the epoch's losses and the shares of held-out utterances that are right."""
        row: dict[str, float] = {"epoch": self.current_epoch + 1}
        row["train_loss"], row["train_centred_loss"] = torch.stack(self._losses).mean(dim=0).tolist()
        if self._right:
            right = torch.cat(self._right, dim=1).float().mean(dim=1)  # (2 heads,)
            row["valid_wa"], row["valid_centred_wa"] = right.tolist()
        self._losses, self._right = [], []
        self.history.append(row)


class ChangedClips(Dataset[tuple[Tensor, int, str]]):
    """Utterances by (epoch, position), each epoch's changed anew; without changes by position."""

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
    """Batches of several utterances of each of a few speakers.

    A speaker is drawn by the number of their utterances, and corpora as often as each other.
    """

    def __init__(self, examples: Sequence[Example], settings: Finetune, seed: int) -> None:
        self.rows: dict[str, list[int]] = {}
        for row, example in enumerate(examples):
            self.rows.setdefault(example.speaker, []).append(row)
        if "" in self.rows:
            raise RecipeError("Fine-tuning needs the speaker of every recording. Add it to the manifest.")
        if len(self.rows) < settings.speakers_a_batch:
            raise RecipeError(
                f"speakers_a_batch is {settings.speakers_a_batch}, but the training set has "
                f"{counted(len(self.rows), 'speaker')}."
            )
        self.settings, self.seed, self._n_clips = settings, seed, len(examples)
        sizes = Counter(example.utterance.corpus for example in examples)
        corpus_of = {example.speaker: example.utterance.corpus for example in examples}
        # P(speaker) = (1/K)·n_speaker/n_corpus: each of K corpora as often, and in it each utterance as often.
        self.shares = {name: len(rows) / sizes[corpus_of[name]] / len(sizes) for name, rows in self.rows.items()}

    def __len__(self) -> int:
        settings = self.settings
        return settings.steps_an_epoch or max(
            1, self._n_clips // (settings.speakers_a_batch * settings.clips_a_speaker)
        )

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        """Draw speakers, and utterances of each in turn."""
        rng = np.random.default_rng([self.seed, self.epoch])
        names = sorted(self.rows)
        shares = [self.shares[name] for name in names]
        waiting: dict[str, list[int]] = {name: [] for name in names}
        for _ in range(len(self)):
            batch = []
            for name in rng.choice(names, self.settings.speakers_a_batch, replace=False, p=shares):
                # All utterances of a speaker come, in drawn order, before one comes again.
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
    unseen : utterances of speakers that are scored after each epoch and not learnt from; may be empty
    corpora : of each class, the name of the corpus that it belongs to
    folder : holds the checkpoint; it stays, until `drop_checkpoint`

    Returns
    -------
    the trunk's tensors, averaged over steps, and of each epoch the losses and the shares of unseen utterances that are
    right
    """
    # (classes, classes): whether two classes belong to one corpus
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


FINETUNING, SAID = "finetuning", "said"


def finetune_embedding(
    classifier: SpeechClassifier,
    train: Sequence[Example],
    auxiliary: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    progress: Progress = SILENT,
) -> str:
    """Fine-tune the classifier's embedding in place, round it as it ships, and say what it learnt from.

    Parameters
    ----------
    train : the training utterances; each corpus has classes of its own
    auxiliary : utterances of other corpora, of speakers who are in no other set
    folder : of the run; gets `FINETUNING`/history.csv and, until `drop_finetuned`, what a killed run resumes from
    """
    network = classifier.network.inner
    if not isinstance(network, WhisperStatistics | StudentStatistics):
        raise RecipeError(
            f"[finetune] changes pooled tokens of a pre-trained network, and {type(network).__name__} has none. "
            'Use "whisper-statistics" or "student-statistics".'
        )
    folder /= FINETUNING
    folder.mkdir(parents=True, exist_ok=True)
    taught, corpora = classes_of_corpora([*train, *auxiliary])
    network.tuned_on = frozenset(example.speaker for example in taught)
    if not (folder / WEIGHTS).exists():
        settings, seed = recipe.finetune, recipe.training.seed
        tuned, history = train_two_heads(
            network, taught, (), corpora, settings, recipe.front_end, seed, folder, progress
        )
        said = f"; fine-tuned on the labels of {', '.join(sorted(set(corpora)))}; "
        said += moved_by(network.trunk.state_dict(), tuned)
        rounded = {name: unpacked(*packed(one)) if one.ndim > 1 else one for name, one in tuned.items()}
        write_atomically(folder / HISTORY, csv_bytes(list(history[-1]), history))
        write_atomically(folder / WEIGHTS, save(rounded, {SAID: said}))
        drop_checkpoint(folder)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        network.trunk.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return str(file.metadata()[SAID])


def drop_finetuned(folder: Path) -> None:
    """Remove the fine-tuned tensors from the folder of a run, which has them in its own weights."""
    (folder / FINETUNING / WEIGHTS).unlink(missing_ok=True)
