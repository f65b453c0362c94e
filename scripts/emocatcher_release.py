"""Score EmoCatcher's released weights in our network on their own test clips: network, front end and split are theirs.

    python scripts/emocatcher_release.py [FOLDER]

FOLDER (by default $EARNEST_DATA/emocatcher-release) holds the two checkpoints of its repository; RAVDESS speech is
found as everywhere. Tensors alone are read, nothing is unpickled. Each checkpoint is scored twice: clips alone, as here
every clip is answered, and in batches that are padded with zeros which its convolutions see, as its authors did (what
follows a clip then changes its answer). The second is the published number.
"""

import os
import sys
from collections.abc import Sequence
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
from earnest.models.pretrained import load_all_but
from earnest.settings.front_end import PRESETS

BATCH_SIZE = 64  # of their test loader
RELEASES = {  # protocol, fold → file, published WA
    ("emocatcher-holdout", "holdout"): ("best_model_0.8715_0.8655.pth", 0.8715),
    ("emocatcher-5fold", "f1"): ("last_epoch_0.8229_0.9807.pth", 0.8229),
}
OURS = {
    "gru_layernorm": "norm",
    "attention.linear_q": "attention.query",
    "attention.linear_k": "attention.key",
    "attention.linear_z": "attention.score",
    "linear1.0": "hidden",
    "linear1.1": "hidden_norm",
    "linear2": "output",
} | {
    f"conv_block{number + 1}.conv_block.{theirs}": f"blocks.{number}.{ours}"
    for number in range(3)
    for theirs, ours in (("0", "convolution"), ("1.layer_norm", "norm"))
}
Frames = Sequence[Tensor]
"""One log-mel (mels, frames) a clip."""


def main(folder: Path) -> None:
    utterances = load_utterances(["ravdess"], {})
    for (protocol, fold), (name, published) in RELEASES.items():
        test = next(split.test for split in splits_of(protocol, utterances) if split.fold == fold)
        network, frames = released(folder / name), frames_of(test)
        truth = [CORE_EMOTIONS.index(row.emotion) for row in test]
        told = ", ".join(
            f"{how} {n_right} ({100 * n_right / len(test):.2f} %)"
            for how, n_right in (
                ("clips alone", n_equal(answers_alone(network, frames), truth)),
                ("padded as published", n_equal(answers_padded(network, frames), truth)),
            )
        )
        sys.stdout.write(f"{protocol} {fold}, {name}: of {len(test)} {told}; published {100 * published:.2f} %\n")


def released(path: Path) -> Cabg:
    """Return our network with a checkpoint of theirs; names and shapes must fit exactly."""
    network = Cabg(PRESETS["emocatcher"].n_mels, len(CORE_EMOTIONS), CabgSettings())
    load_all_but(network, "no layer", str(path), _our_name)
    return network.eval()


def _our_name(theirs: str) -> str:
    layer, _, parameter = theirs.rpartition(".")
    return f"{OURS.get(layer, layer)}.{parameter}"


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
    """Answer as their code does: convolutions and layer norms run on into the zeros behind a clip."""
    answers = []
    for start in range(0, len(clips), BATCH_SIZE):
        batch = clips[start : start + BATCH_SIZE]
        n_frames = torch.tensor([clip.shape[1] for clip in batch])
        frames = torch.nn.utils.rnn.pad_sequence([clip.T for clip in batch], batch_first=True).transpose(1, 2)
        for block in network.blocks:
            frames = block(frames, torch.ones_like(frames[:, :1]))
        steps = torch.nn.functional.max_pool1d(frames, 2).transpose(1, 2)  # (batch, steps, width)
        n_steps = n_frames // 2
        states, final = network.gru(network.norm(steps), n_steps)
        attended, _ = network.attention(final, states, frame_mask(n_steps, states.shape[1]))
        embedding = torch.nn.functional.gelu(network.hidden_norm(network.hidden(attended)))
        answers += network.output(embedding).argmax(dim=1).tolist()
    return answers


def n_equal(answers: Sequence[int], truth: Sequence[int]) -> int:
    return sum(answer == right for answer, right in zip(answers, truth, strict=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(os.environ.get("EARNEST_DATA", ".")) / "emocatcher-release")
