"""Score EmoCatcher's released weights in our network on their test recordings: network, front end and split are theirs.

    python scripts/emocatcher_release.py [FOLDER]

FOLDER (by default $EARNEST_DATA/emocatcher-release) holds the two checkpoints of its repository; RAVDESS speech is
found as everywhere. Tensors alone are read, nothing is unpickled. Each checkpoint is scored twice: recordings alone, as
here every recording is answered, and in batches that are padded with zeros which its convolutions see, as its authors
did (what follows a recording then changes its answer). The second is the published number. A recording by itself with
as many zeros behind it as in its batch shows that they, and nothing else, are why answers differ; those recordings are
listed.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from earnest.audio.io import load_waveform
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.evaluation.protocols import splits_of
from earnest.frontends.log_mel import LogMel
from earnest.frontends.trim import frame_mask
from earnest.labels import CORE_EMOTIONS
from earnest.models.cabg import Cabg, CabgSettings
from earnest.models.pretrained import all_tensors, take_over
from earnest.models.published import emocatcher_name
from earnest.settings.front_end import PRESETS

BATCH_SIZE = 64  # of their test loader
RELEASES = {  # protocol, fold → file, published WA
    ("emocatcher-holdout", "holdout"): ("best_model_0.8715_0.8655.pth", 0.8715),
    ("emocatcher-5fold", "f1"): ("last_epoch_0.8229_0.9807.pth", 0.8229),
}
Frames = Sequence[Tensor]
"""One log-mel (mels, frames) a clip."""


def main(folder: Path) -> None:
    utterances = load_utterances(["ravdess"], {})
    for (protocol, fold), (name, published) in RELEASES.items():
        test = next(split.test for split in splits_of(protocol, utterances) if split.fold == fold)
        network, frames = released(folder / name), frames_of(test)
        truth = [CORE_EMOTIONS.index(row.emotion) for row in test]
        answers = {
            "in batches, as published": answers_padded(network, frames),
            "alone": answers_alone(network, frames),
            "alone, with its batch's zeros": answers_behind_zeros(network, frames),
        }
        told = ", ".join(
            f"{how} {n_equal(said, truth)} ({100 * n_equal(said, truth) / len(test):.2f} %)"
            for how, said in answers.items()
        )
        sys.stdout.write(f"{protocol} {fold}, {name}: of {len(test)} {told}; published {100 * published:.2f} %\n\n")
        sys.stdout.write(f"{difference_table(test, answers, zeros_behind(frames))}\n\n")


def released(path: Path) -> Cabg:
    """Return our network with a checkpoint of theirs; names and shapes must fit exactly."""
    network = Cabg(PRESETS["emocatcher"].n_mels, len(CORE_EMOTIONS), CabgSettings())
    take_over(network, {emocatcher_name(key): tensor for key, tensor in all_tensors(path).items()}, path)
    return network.eval()


@torch.inference_mode()
def frames_of(utterances: Sequence[Utterance]) -> Frames:
    front_end = LogMel(PRESETS["emocatcher"])
    found = []
    for row in utterances:
        waveform = torch.from_numpy(load_waveform(row.path, PRESETS["emocatcher"].sample_rate_hz))[None]
        frames, n_frames = front_end(waveform, torch.tensor([waveform.shape[1]]))
        found.append(frames[0, :, : int(n_frames)])
    return found


@torch.inference_mode()
def answers_alone(network: Cabg, clips: Frames) -> list[int]:
    return [int(network(clip[None], torch.tensor([clip.shape[1]])).logits.argmax()) for clip in clips]


@torch.inference_mode()
def answers_padded(network: Cabg, clips: Frames) -> list[int]:
    """Answer as their code does: convolutions and layer norms run on into the zeros behind a recording."""
    answers = []
    for start in range(0, len(clips), BATCH_SIZE):
        batch = clips[start : start + BATCH_SIZE]
        frames = torch.nn.utils.rnn.pad_sequence([clip.T for clip in batch], batch_first=True).transpose(1, 2)
        answers += _as_published(network, frames, torch.tensor([clip.shape[1] for clip in batch]))
    return answers


@torch.inference_mode()
def answers_behind_zeros(network: Cabg, clips: Frames) -> list[int]:
    """Answer each recording by itself, with as many zeros behind it as it has in its batch, and without neighbours."""
    answers = []
    for clip, zeros in zip(clips, zeros_behind(clips), strict=True):
        padded = torch.nn.functional.pad(clip, (0, zeros))[None]
        answers += _as_published(network, padded, torch.tensor([clip.shape[1]]))
    return answers


def zeros_behind(clips: Frames) -> list[int]:
    """Return how many frames of zeros stand behind each recording in its batch."""
    lengths = [clip.shape[1] for clip in clips]
    return [
        max(lengths[number // BATCH_SIZE * BATCH_SIZE :][:BATCH_SIZE]) - length for number, length in enumerate(lengths)
    ]


def _as_published(network: Cabg, frames: Tensor, n_frames: Tensor) -> list[int]:
    for block in network.blocks:
        frames = block(frames, torch.ones_like(frames[:, :1]))
    steps = torch.nn.functional.max_pool1d(frames, 2).transpose(1, 2)  # (batch, steps, width)
    n_steps = n_frames // 2
    states, final = network.gru(network.norm(steps), n_steps)
    attended, _ = network.attention(final, states, frame_mask(n_steps, states.shape[1]))
    embedding = torch.nn.functional.gelu(network.hidden_norm(network.hidden(attended)))
    return [int(answer) for answer in network.output(embedding).argmax(dim=1)]


def difference_table(test: Sequence[Utterance], answers: Mapping[str, Sequence[int]], zeros: Sequence[int]) -> str:
    """Return the recordings that the ways of answering don't agree on, as a table in Markdown."""
    rows = []
    for n, row in enumerate(test):
        told = [CORE_EMOTIONS[said[n]] for said in answers.values()]
        if len(set(told)) > 1:
            rows.append(f"| `{row.path.stem}` | {row.emotion} | {' | '.join(told)} | {zeros[n]} |")
    return "\n".join(
        [
            f"| clip | truth | {' | '.join(answers)} | frames of zeros behind it |",
            "|---|---|---|---|---|---:|",
            *rows,
        ]
    )


def n_equal(answers: Sequence[int], truth: Sequence[int]) -> int:
    return sum(answer == right for answer, right in zip(answers, truth, strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ.get("EARNEST_DATA", ".")) / "emocatcher-release")
