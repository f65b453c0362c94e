"""How the field does it: librosa features and a torch network; pinned, and independent of earnest's code.

    python benchmarks/baseline.py SHAPE first CLIP            one answer; the process is what is timed
    python benchmarks/baseline.py SHAPE warm CLIP COUNT       one line of JSON: milliseconds of each answer
    python benchmarks/baseline.py SHAPE folder FOLDER JOBS    one line of JSON: recordings and seconds

Everything runs on one thread a process, so that idle threads don't spin against each other; JOBS processes share a
folder.

SHAPE is ``emocatcher``, which follows EmoCatcher's pipeline (librosa.load at 22 050 Hz, a mel spectrogram of 4,096
points, its trimming, the CABG network), or ``librosa``, which has the settings and the network of earnest's small model
in the same libraries. Weights are random: time doesn't depend on them. EmoCatcher's own figures to hold this against:
4.1–5.3 ms a clip, 2.8–3.7 s for the first answer of a process.
"""

import io
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries are loaded
    os.environ[variable] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.ndimage import gaussian_filter1d  # noqa: E402
from torch import nn  # noqa: E402

SHAPES: dict[str, dict[str, Any]] = {
    "emocatcher": {"sr": 22_050, "n_fft": 4096, "win_length": 2048, "hop_length": 1364, "n_mels": 64, "fmax": 6000},
    "librosa": {"sr": 16_000, "n_fft": 512, "win_length": 512, "hop_length": 480, "n_mels": 40, "fmax": 4500},
}
SUFFIXES = (".wav", ".flac", ".opus", ".ogg", ".mp3")


class Block(nn.Module):
    """Convolution, LayerNorm over channels, GELU."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_in, n_out, 3, padding=1)
        self.norm = nn.LayerNorm(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, n_in, frames) to (batch, n_out, frames)."""
        normed: torch.Tensor = self.norm(self.convolution(x).transpose(1, 2))
        return nn.functional.gelu(normed.transpose(1, 2))


class Network(nn.Module):
    """CABG, 166,729 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(64, 64), Block(64, 64), Block(64, 128), nn.MaxPool1d(2))
        self.norm = nn.LayerNorm(128)
        self.gru = nn.GRU(128, 64, batch_first=True, bidirectional=True)
        self.query, self.key, self.score = nn.Linear(128, 128), nn.Linear(128, 128), nn.Linear(128, 1)
        self.head = nn.Sequential(nn.Linear(128, 64), nn.BatchNorm1d(64), nn.GELU(), nn.Linear(64, 8))
        assert sum(parameter.numel() for parameter in self.parameters()) == 166_729

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Map (batch, 64, frames) to probabilities (batch, 8)."""
        steps = self.norm(self.blocks(mels).transpose(1, 2))
        packed = nn.utils.rnn.pack_padded_sequence(steps, torch.tensor([steps.shape[1]]), batch_first=True)
        states, final = self.gru(packed)
        states, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True)
        query = torch.cat([final[0], final[1]], dim=1)
        weights = self.score(torch.tanh(self.query(query)[:, None] + self.key(states))).softmax(dim=1)
        logits: torch.Tensor = self.head((weights * states).sum(dim=1))
        return logits.softmax(dim=1)


class Student(nn.Module):
    """The shape of earnest's small model: four residual blocks on every second frame, mean and deviation over time."""

    def __init__(self, width: int = 144, tokens: int = 384) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(40, width, 5, 2, padding=2, bias=False), nn.BatchNorm1d(width), nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
                nn.Conv1d(width, width, 1),
            )
            for _ in range(4)
        )
        self.context = nn.Linear(width, width)
        self.tokens = nn.Conv1d(width, tokens, 1)
        self.output = nn.Linear(2 * tokens, 6)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Map (batch, 40, frames) to probabilities (batch, 6)."""
        steps = self.stem(mels / 40)
        for number, block in enumerate(self.blocks):
            if number == 2:
                steps = steps + self.context(steps.mean(dim=2))[:, :, None]
            steps = steps + block(steps)
        tokens = self.tokens(steps)
        logits: torch.Tensor = self.output(torch.cat([tokens.mean(dim=2), tokens.std(dim=2)], dim=1))
        return logits.softmax(dim=1)


def features(source: Any, shape: str) -> torch.Tensor:
    """Return the mel spectrogram in decibels, (1, bands, frames), trimmed as EmoCatcher does or as librosa."""
    settings = dict(SHAPES[shape])
    waveform, _ = librosa.load(source, sr=settings["sr"])
    if shape == "librosa":
        waveform, _ = librosa.effects.trim(waveform, top_db=40)
    power = librosa.feature.melspectrogram(y=waveform, power=2.0, **settings)
    decibels = librosa.power_to_db(power, ref=1.0)
    if shape == "emocatcher":
        decibels = trimmed(decibels, power)
    return torch.from_numpy(decibels.astype(np.float32))[None]


def trimmed(decibels: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Keep first to last frame above the value where the sorted, smoothed energies rise fastest, three more around."""
    scaled = librosa.amplitude_to_db(power)  # takes power for amplitude, as the original does
    scaled = (scaled - scaled.min()) / max(float(np.ptp(scaled)), 1e-6)
    energy = scaled.sum(axis=0)
    smooth = gaussian_filter1d(np.sort(energy), 10)
    active = np.flatnonzero(energy > smooth[int(np.gradient(smooth).argmax())])
    if not len(active):
        return decibels
    return decibels[:, max(active[0] - 3, 0) : active[-1] + 3]


def answer(network: nn.Module, source: Any, shape: str) -> list[float]:
    """Return the probabilities of one recording."""
    with torch.no_grad():
        return [float(share) for share in network(features(source, shape))[0]]


def new_network(shape: str) -> nn.Module:
    """Return a shape's network with fixed random weights, ready to answer."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return (Network() if shape == "emocatcher" else Student()).eval()


def work(shape: str, paths: list[Path], ready: Any) -> None:
    """Answer a share of a folder, when all processes are warm."""
    network = new_network(shape)
    answer(network, paths[0], shape)
    ready.wait()
    for path in paths:
        answer(network, path, shape)


def folder_seconds(shape: str, paths: list[Path], jobs: int) -> float:
    """Return the seconds that some processes take for a folder, without their start."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(jobs + 1)
    shares = [paths[number::jobs] for number in range(jobs)]
    workers = [context.Process(target=work, args=(shape, share, ready)) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def main() -> None:
    """Run one of the three modes."""
    shape, mode, target = sys.argv[1:4]
    if mode == "first":
        result: Any = answer(new_network(shape), target, shape)
    elif mode == "warm":
        network, data, result = new_network(shape), Path(target).read_bytes(), []
        for _ in range(int(sys.argv[4])):
            start = time.perf_counter()
            answer(network, io.BytesIO(data), shape)
            result.append(1000 * (time.perf_counter() - start))
    else:
        paths = sorted(path for path in Path(target).rglob("*") if path.suffix in SUFFIXES)
        jobs = min(int(sys.argv[4]), len(paths))
        result = {"recordings": len(paths), "seconds": folder_seconds(shape, paths, jobs)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
