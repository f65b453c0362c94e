"""Does the exported graph say what the trained network says, on every runtime? Differences, size, latency, memory."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from earnest.audio.io import load_waveform
from earnest.audio.quality import frame_levels_dbfs, is_silent
from earnest.audio.waveform import Waveform
from earnest.bundle import Bundle, load_bundle
from earnest.errors import BundleError, EarnestError
from earnest.evaluation.texts import NONE, markdown_row
from earnest.files.writing import write_atomically, write_json
from earnest.models.classifier import SpeechClassifier
from earnest.runtime.engine import Backend
from earnest.runtime.graph import Graph, engine_for, padded
from earnest.training.run import WEIGHTS, load_run

Probabilities = npt.NDArray[np.float32]
Answer = Callable[[Waveform], Probabilities]
BATCH = 8
COMPARED = ("logits", "probabilities", "gender")
Answers: TypeAlias = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences to torch's answer for the lone utterance, over utterances and classes.

    Attributes
    ----------
    logits, probabilities : onnxruntime, each utterance alone
    batched_logits, batched_probabilities : onnxruntime, utterances of different lengths padded to one batch
    gender, batched_gender : probabilities of female and male, None where the model doesn't answer it
    torch_batched_logits : torch, the same batches
    temperature : that logits are divided by before they are probabilities
    """

    n_clips: int
    shortest_s: float
    longest_s: float
    logits: float
    probabilities: float
    batched_logits: float
    batched_probabilities: float
    torch_batched_logits: float
    same_label: int
    gender: float | None = None
    batched_gender: float | None = None
    temperature: float = 1.0

    @property
    def largest(self) -> float:
        """The largest of all differences between onnxruntime and torch; of logits as they count, by the temperature."""
        logits = max(self.logits, self.batched_logits) / max(self.temperature, 1.0)
        genders = self.gender or 0.0, self.batched_gender or 0.0
        return max(logits, self.probabilities, self.batched_probabilities, *genders)


def compare(run: Path, bundle: Path, paths: Sequence[Path]) -> Parity:
    """Run utterances through torch and onnxruntime, alone and in batches of mixed lengths."""
    classifier, checked = load_run(run), load_bundle(bundle)
    rate_hz = classifier.front_end.settings.sample_rate_hz
    if (checked.info.classes, checked.info.sample_rate_hz) != (classifier.classes, rate_hz):
        raise BundleError(f"{bundle}: not exported from {run}: other classes, or another sample rate.")
    if checked.info.format.startswith("openvino"):
        raise BundleError(
            f"{bundle}: a bundle for OpenVINO, and this compares with onnxruntime. With --output FOLDER each bundle "
            "runs where it was exported for."
        )
    session = onnxruntime.InferenceSession(checked.model_bytes(), providers=["CPUExecutionProvider"])
    if ("gender" in classifier.learned) != ("gender" in {output.name for output in session.get_outputs()}):
        raise BundleError(f"{bundle}: not exported from {run}: one of them answers no gender.")
    waveforms = [load_waveform(path, rate_hz) for path in paths]
    batches = [waveforms[start : start + BATCH] for start in range(0, len(waveforms), BATCH)]
    # torch hears each utterance alone, so that a fault in its masks can't hide one in the graph's.
    reference = _stacked([torch_outputs(classifier, [waveform]) for waveform in waveforms])
    alone = _differences(_stacked([_onnx(session, [waveform]) for waveform in waveforms]), reference)
    answers = _stacked([_onnx(session, batch) for batch in batches])
    batched = _differences(answers, reference)
    torch_batched = _differences(_stacked([torch_outputs(classifier, batch) for batch in batches]), reference)
    seconds = [len(waveform) / rate_hz for waveform in waveforms]
    return Parity(
        n_clips=len(paths),
        shortest_s=min(seconds),
        longest_s=max(seconds),
        logits=alone["logits"],
        probabilities=alone["probabilities"],
        batched_logits=batched["logits"],
        batched_probabilities=batched["probabilities"],
        torch_batched_logits=torch_batched["logits"],
        same_label=int((answers["logits"].argmax(axis=1) == reference["logits"].argmax(axis=1)).sum()),
        gender=alone.get("gender"),
        batched_gender=batched.get("gender"),
        temperature=float(classifier.temperature),
    )


def torch_outputs(classifier: SpeechClassifier, waveforms: Sequence[Waveform]) -> Answers:
    """Return torch's answers, each (batch, classes), to waveforms of shape (samples,)."""
    batch, lengths = padded(waveforms)
    with torch.no_grad():
        outputs = classifier(torch.from_numpy(batch), torch.from_numpy(lengths))
    return {name: outputs[name].numpy() for name in COMPARED if name in outputs}


def _onnx(session: onnxruntime.InferenceSession, waveforms: Sequence[Waveform]) -> Answers:
    batch, lengths = padded(waveforms)
    names = [output.name for output in session.get_outputs() if output.name in COMPARED]
    return dict(zip(names, session.run(names, {"waveform": batch, "lengths": lengths}), strict=True))


def _stacked(parts: Sequence[Answers]) -> Answers:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _differences(found: Answers, reference: Answers) -> dict[str, float]:
    """Return the largest absolute difference of each answer."""
    return {name: float(np.abs(found[name] - values).max()) for name, values in reference.items()}


TORCH = ("torch", "float32")
LATENCY_S = 3.0
N_TIMED = 100
N_STARTS = 3
RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)
GAINS_DB = (-40.0, -20.0, -6.0, 0.0, 6.0)
COLD = """
import sys
from earnest.audio.io import load_waveform
from earnest.bundle import load_bundle
from earnest.runtime.graph import Graph, engine_for
bundle = load_bundle(sys.argv[1])
graph = Graph(bundle, engine_for(bundle, backend=sys.argv[2]))
graph.run([load_waveform(sys.argv[3], bundle.info.sample_rate_hz)])
"""
COLD_TORCH = """
import sys
from pathlib import Path
from earnest.audio.io import load_waveform
from earnest.export.parity import torch_outputs
from earnest.training.run import load_run
classifier = load_run(Path(sys.argv[1]))
torch_outputs(classifier, [load_waveform(sys.argv[3], classifier.front_end.settings.sample_rate_hz)])
"""
TELLS_PEAK = """
from pathlib import Path
status = Path('/proc/self/status')
lines = status.read_text().splitlines() if status.exists() else []
print(*(line.split()[1] for line in lines if line.startswith('VmHWM')))
"""


@dataclass(frozen=True)
class Row:
    """One runtime beside torch.

    Attributes
    ----------
    largest, mean : absolute difference of probabilities to torch's, over utterances and classes
    same_label : share of utterances, 0 to 1
    n_bytes : of the files that hold the graph
    latency_ms, best_ms : median and least for 3 s on one thread; all rows took turns in one run
    cold_start_s, memory_mb : of a new process until its first answer, the least of three; largest resident memory;
        None where it was not measured
    """

    runtime: str
    form: str
    largest: float
    mean: float
    same_label: float
    n_bytes: int
    latency_ms: float
    best_ms: float
    cold_start_s: float | None
    memory_mb: float | None

    @classmethod
    def measured(
        cls,
        key: tuple[str, str],
        probabilities: Probabilities,
        reference: Probabilities,
        n_bytes: int,
        latencies_ms: Sequence[float],
        start: tuple[float | None, float | None],
    ) -> "Row":
        """Compare probabilities with torch's, both of shape (utterances, classes)."""
        differences = np.abs(probabilities - reference)
        return cls(
            runtime=key[0],
            form=key[1],
            largest=float(differences.max()),
            mean=float(differences.mean()),
            same_label=float((probabilities.argmax(1) == reference.argmax(1)).mean()),
            n_bytes=n_bytes,
            latency_ms=median(latencies_ms),
            best_ms=min(latencies_ms),
            cold_start_s=start[0],
            memory_mb=start[1],
        )

    def cells(self) -> list[str]:
        """Return the row as texts, one for each of `COLUMNS`."""
        return [
            self.runtime,
            self.form,
            f"{self.largest:.1e}",
            f"{self.mean:.1e}",
            f"{self.same_label:.1%}",
            f"{self.n_bytes / 1e6:.2f}",
            f"{self.latency_ms:.2f}",
            f"{self.best_ms:.2f}",
            NONE if self.cold_start_s is None else f"{self.cold_start_s:.2f}",
            NONE if self.memory_mb is None else f"{self.memory_mb:.0f}",
        ]


COLUMNS = (
    "runtime",
    "form",
    "max Δp",
    "mean Δp",
    "same label",
    "MB",
    "3 s, ms",
    "best, ms",
    "cold start, s",
    "memory, MB",
)


PAGE = """# Runtimes beside torch: `{run}`

{n_clips} recordings at other lengths, rates and levels, by `earnest parity --output`. Δp is how far a class'
probability lies from torch's; "same label" is the share of recordings with torch's label; MB are of the graph or the
weights. Times are of one thread: 3 s of sound, median and best; "cold start" is a new process up to its first answer,
and "memory" what it had at most.

{table}
"""


def write_rows(folder: Path, run: str, n_clips: int, rows: Sequence[Row]) -> None:
    """Write ``RUN.json`` and ``RUN.md``."""
    document = {"run": run, "n_clips": n_clips, "rows": [asdict(row) for row in rows]}
    write_json(folder / f"{run}.json", document)
    cells = [COLUMNS, ["---"] * 2 + ["---:"] * (len(COLUMNS) - 2), *(row.cells() for row in rows)]
    table = "\n".join(map(markdown_row, cells))
    page = PAGE.format(run=run, n_clips=n_clips, table=table)
    write_atomically(folder / f"{run}.md", page.encode())


def varied(paths: Sequence[Path], rate_hz: int) -> list[Waveform]:
    """Return recordings as a careless world has them: of other lengths, rates and levels, at ``rate_hz`` in the end.

    Lengths are drawn from half a second up to the utterance's own, or it is said three times; rates and gains from the
    constants above; what is too loud is clipped. What would be silent to `earnest predict` is left as it was.
    """
    rng = np.random.default_rng(0)
    clips = []
    for path in paths:
        # One in five is said three times; of the others six in ten are cut, the rest stays as long as it is.
        from_hz = int(rng.choice(RATES_HZ))
        waveform = load_waveform(path, from_hz)
        if rng.random() < 0.2:
            waveform = np.tile(waveform, 3)
        elif rng.random() < 0.6:
            waveform = waveform[: int(rng.uniform(min(0.5 * from_hz, len(waveform)), len(waveform)))]
        gain = 10 ** (float(rng.choice(GAINS_DB)) / 20)
        changed = load_waveform((np.clip(gain * waveform, -1, 1), from_hz), rate_hz)
        silent = is_silent(frame_levels_dbfs(changed, rate_hz))
        clips.append(load_waveform(path, rate_hz) if silent else changed)
    return clips


def compare_runtimes(run: Path, bundles: Sequence[Path], waveforms: Sequence[Waveform], clip: Path) -> list[Row]:
    """Answer about waveforms with torch and with every bundle, each on the runtimes that take it.

    Parameters
    ----------
    bundles : exported from ``run``; those for OpenVINO run there, the others on onnxruntime
    waveforms : each of shape (samples,), at the model's rate
    clip : a file for the cold start
    """
    classifier = load_run(run)
    rate_hz = classifier.front_end.settings.sample_rate_hz
    answers: dict[tuple[str, str], Answer] = {
        TORCH: lambda waveform: torch_outputs(classifier, [waveform])["probabilities"][0]
    }
    sizes = {TORCH: (run / WEIGHTS).stat().st_size}
    starts = {TORCH: (COLD_TORCH, str(run), "")}
    for folder in bundles:
        bundle = load_bundle(folder)
        if (bundle.info.classes, bundle.info.sample_rate_hz) != (classifier.classes, rate_hz):
            raise BundleError(f"{folder}: not exported from {run}: other classes, or another sample rate.")
        backend: Backend = "onnxruntime" if "model.onnx" in bundle.info.files else "openvino"
        key = (str(backend), str(bundle.info.format))
        answers[key] = _answer(bundle, backend)
        graphs = [name for name in bundle.info.files if name.startswith("model.")]
        sizes[key] = sum((bundle.folder / name).stat().st_size for name in graphs)
        starts[key] = (COLD, str(folder), backend)
    found = {key: np.stack([answer(waveform) for waveform in waveforms]) for key, answer in answers.items()}
    latencies = _latencies(answers, np.resize(waveforms[0], round(LATENCY_S * rate_hz)))
    return [
        Row.measured(key, probabilities, found[TORCH], sizes[key], latencies[key], _cold_start(*starts[key], str(clip)))
        for key, probabilities in found.items()
    ]


def _answer(bundle: Bundle, backend: Backend) -> Answer:
    graph = Graph(bundle, engine_for(bundle, backend=backend))
    return lambda waveform: graph.run([waveform], ("probabilities",))["probabilities"][0]


def _latencies(answers: Mapping[Any, Answer], waveform: Waveform) -> dict[Any, list[float]]:
    """Measure each call, in ms; they take turns, so that other work of the machine is spread evenly."""
    taken: dict[Any, list[float]] = {key: [] for key in answers}
    for _ in range(N_TIMED):
        for key, answer in answers.items():
            start = perf_counter()
            answer(waveform)
            taken[key].append(1e3 * (perf_counter() - start))
    return taken


def _cold_start(code: str, where: str, backend: str, clip: str) -> tuple[float, float | None]:
    """Return seconds and MB of a new process that answers once; only Linux says how much memory it had at most."""
    seconds, memory_mb = [], list[float]()
    for _ in range(N_STARTS):
        start = perf_counter()
        done = subprocess.run(
            [sys.executable, "-Pc", code + TELLS_PEAK, where, backend, clip],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EarnestError(f"{where}: a new process failed ({done.stderr.strip().splitlines()[-1:]}).")
        seconds.append(perf_counter() - start)
        memory_mb += [int(peak) / 1024 for peak in done.stdout.split()[-1:] if peak.isdecimal()]  # Linux counts in kB
    return min(seconds), min(memory_mb, default=None)
