"""Calibration of a recipe's percentages: on corpora left out of training, and on new speakers of its own corpora.

Usage: python scripts/left_out_table.py NAME [--shipped]

With --shipped the table of the bundle as it ships is printed, on corpora that it never heard; nothing else is needed.

Without --shipped it needs the run of the shipped bundle, runs/NAME, and finished evaluations, as far as there are:
runs/left-out/NAME (protocol leave-one-corpus-out; where a fold is missing, the shipped bundle stands in for corpora
that it never heard), runs/results/NAME-ravdess-6fold and NAME-emodb-loso. Every fold's model is exported and hears its
test recordings one by one (adapted: after those of the speaker before; folder adapted: after all of the speaker's), and
each test speaker's recordings as one recording with pauses of 0.75 s, in an order drawn with seed 7, in a quiet room
(noise of −60 dBFS all through it).

* Fitted, on RAVDESS, CREMA-D and EmoDB as corpora left out: a ratio, by which a model's temperature is greater than its
  validation speakers say, with which none of them is told surer than it is right, and the threshold for "unsure".
  (Scores of networks that learnt from other corpora are of other sizes, so it is no temperature for all.) nEMO, in
  another language, is never fitted on. A model that was not evaluated on all three has the numbers of `base`.
* The table is nested: each left-out corpus is scored with numbers that were fitted on the others. New speakers of known
  corpora and nEMO are scored with the numbers that ship.

Writes runs/left-out/NAME.json (what scripts/fit_heads.py puts into the bundle) and docs/results/left-out-NAME.md.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt
from fit_adaptation import with_temperatures

from earnest.audio.io import load_waveform
from earnest.audio.quality import active_part
from earnest.bundle import Bundle, load_bundle
from earnest.corpora.load import load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.export.card import TRUE_PERCENTAGES, percentages_table
from earnest.onnx.surgery import SURE_FROM_S
from earnest.runtime.adaptation import Adaptation, Adapter, BatchAdapter, Listener
from earnest.runtime.answers import AnswerBuilder
from earnest.runtime.prediction import Options, Span, Window
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import Over, Windower, Windowing, WindowSound
from earnest.training.record import read_record

ROOT = Path(__file__).parent.parent
SIX = ("neutral", "happy", "sad", "angry", "fearful", "disgust")
FITTED = ("ravdess", "crema-d", "emodb")
AS_IT_SHIPS = "never heard: "
PAUSE = np.zeros(12_000, np.float32)  # 0.75 s
ROOM_LEVEL = 1e-3  # −60 dBFS, all through a stream
RIGHT_FROM, SURE_FROM, N_BINS, SEED = 0.8, 0.8, 15, 7
WAYS = ("clip", "clip adapted", "folder adapted", "timeline", "stream", "stream adapted")
ONE_AT_A_TIME = Windowing()
RATIOS = tuple(float(value) for value in np.round(np.arange(0.8, 3.01, 0.05), 2))
THRESHOLDS = tuple(float(value) for value in np.round(np.arange(0.4, 0.96, 0.01), 2))
PLAIN, SURER_BY = ("clip", "stream"), 0.03

HEARD_AS = """\
Heard as: *clip* is a recording by itself, *clip adapted* after those of the speaker before it, *folder adapted*
after all of the speaker's. For *timeline* and *stream*, all recordings of a speaker follow each other, with pauses, in
a quiet room; *timeline* counts spans, *stream* windows (*adapted*: to what came before)."""

Numbers = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Place:
    """A model and what it is tested on: a run that is exported first, or a bundle as it is."""

    model: Path
    where: str
    rows: tuple[Utterance, ...]

    def bundle(self, name: str) -> Path:
        """Return the bundle's folder, made where it is missing."""
        if (self.model / "bundle.json").exists():
            return self.model
        from earnest.export.bundle import Identity, export_bundle

        folder = ROOT / "runs" / "left-out" / "bundles" / name / self.model.parent.name / self.model.name
        if not (folder / "bundle.json").exists():
            export_bundle(self.model, folder, Identity(f"{name}-{self.model.name}", "0", "for measuring only"))
        return folder


@dataclass(frozen=True, eq=False)
class Recording:
    """A network's answers to one recording, window by window, and the truth of its parts (samples, class).

    Attributes
    ----------
    temperature : of its validation, by which scores are divided; 1 where they are those of the bundle's probabilities
    """

    where: str
    bundle: Path
    speaker: str
    is_stream: bool
    n_samples: int
    temperature: float
    jobs: tuple[tuple[WindowSound | Over, Numbers], ...]
    parts: tuple[tuple[int, int, str], ...]


def places(name: str) -> Iterator[Place]:
    """Yield the models and test sets that are there."""
    shipped = ROOT / "earnest" / "bundles" / name
    heard_already = {line.name for line in load_bundle(shipped).info.training_corpora}
    for corpus in (*FITTED, "nemo"):
        run = ROOT / "runs" / "left-out" / name / f"to-{corpus}"
        if (run / "run.json").exists():
            yield Place(run, f"left out: {corpus}", _tested(run, corpus))
        elif corpus not in heard_already:
            yield Place(shipped, f"left out: {corpus}", _all(corpus))
    for protocol, corpus in (("ravdess-6fold", "ravdess"), ("emodb-loso", "emodb")):
        for fold in sorted((ROOT / "runs" / "results" / f"{name}-{protocol}").glob("*/run.json")):
            yield Place(fold.parent, f"known: {corpus}", _tested(fold.parent, corpus))


def as_shipped(name: str) -> Iterator[Place]:
    """Yield the shipped bundle on the corpora that it never heard."""
    shipped = load_bundle(ROOT / "earnest" / "bundles" / name)
    heard_already = {line.name for line in shipped.info.training_corpora}
    for corpus in (*FITTED, "nemo"):
        if corpus not in heard_already:
            yield Place(shipped.folder, f"{AS_IT_SHIPS}{corpus}", _all(corpus))


def _all(corpus: str) -> tuple[Utterance, ...]:
    return tuple(row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in SIX)


def _tested(run: Path, corpus: str) -> tuple[Utterance, ...]:
    test = set(json.loads((run / "split.json").read_text("utf-8"))["test"])
    return tuple(row for row in load_utterances([corpus], {}) if row.key in test)


def heard(task: tuple[Path, str, str, Sequence[Utterance]]) -> list[Recording]:
    """Hear one speaker's recordings, one by one and as one recording."""
    folder, where, speaker, rows = task
    predictor = Predictor([load_bundle(folder)])
    rate_hz = predictor.info.sample_rate_hz
    clips = [load_waveform(row.source, rate_hz) for row in rows]
    labels = [row.emotion if row.emotion in predictor.info.classes else row.native_emotion for row in rows]
    found = [
        _recording(predictor, folder, where, speaker, clip, ((0, len(clip), label),), False)
        for clip, label in zip(clips, labels, strict=True)
    ]
    parts, sound, at = [], [], 0
    for number in np.random.default_rng(SEED).permutation(len(rows)):
        sound += [clips[number], PAUSE]
        parts.append((at, at + len(clips[number]), labels[number]))
        at += len(clips[number]) + len(PAUSE)
    talk = np.concatenate(sound)
    talk += np.random.default_rng(SEED).normal(0, ROOM_LEVEL, len(talk)).astype(np.float32)
    return [*found, _recording(predictor, folder, where, speaker, talk, tuple(parts), True)]


def _recording(
    predictor: Predictor, folder: Path, where: str, speaker: str, sound: Numbers, parts: Any, is_stream: bool
) -> Recording:
    rate_hz = predictor.info.sample_rate_hz
    windower = Windower(rate_hz, rate_hz, ONE_AT_A_TIME, needs_activity=False, live=False)

    def jobs() -> Iterator[WindowSound | Over]:
        for start in range(0, len(sound), 10 * rate_hz):
            yield from windower.accept(sound[start : start + 10 * rate_hz].astype(np.float32))
        yield from windower.finish()

    ships = where.startswith(AS_IT_SHIPS)
    answered = []
    for job in jobs():
        if isinstance(job, Over):
            answered.append((job, np.empty(0)))
            continue
        if ships:
            logits = np.log(predictor.graph.run([job.sound], ("probabilities",))["probabilities"][0])
        else:
            logits = predictor.graph.run([job.sound], ("logits",))["logits"][0] * heard_share(job.sound, rate_hz)
        answered.append((replace(job, sound=np.empty(0, np.float32)), logits))
    temperature = 1.0 if ships else _temperature_of_validation(folder)
    return Recording(where, folder, speaker, is_stream, len(sound), temperature, tuple(answered), parts)


def heard_share(sound: Numbers, rate_hz: int) -> float:
    """Return the factor for logits of short speech, as in the graphs that ship (scripts/graph_heads.py)."""
    first, end = active_part(sound, rate_hz) or (0, len(sound))
    return min((end - first) / (SURE_FROM_S * rate_hz), 1.0)


@dataclass(frozen=True)
class Row:
    """One answer: its weight (seconds), the true class, what was told, how sure, and whether it was answered."""

    weight: float
    true: str
    told: str
    confidence: float
    is_answered: bool


class Replay:
    """Answers recordings again with other calibrations, without the network."""

    def __init__(self, ratio: float, abstain_below: float) -> None:
        self._ratio, self._below = ratio, abstain_below

    def rows(self, recordings: Sequence[Recording], way: str) -> list[Row]:
        """Return the answers of one way; none of bundles that can't adapt where the way is adapted."""
        speakers: dict[tuple[Path, str, str], list[Recording]] = {}
        for recording in recordings:
            if recording.is_stream != way.startswith(("clip", "folder")):
                speakers.setdefault((recording.bundle, recording.where, recording.speaker), []).append(recording)
        return [row for (folder, *_), heard in speakers.items() for row in self._of_speaker(folder, heard, way)]

    def _of_speaker(self, folder: Path, heard: Sequence[Recording], way: str) -> Iterator[Row]:
        """Answer a speaker's recordings in turn, or the stream of them."""
        bundle, adaptation = _bundle(folder), _adaptation(folder, self._ratio)
        adapter: Listener | None = None
        if way.endswith("adapted"):
            if adaptation is None:
                return
            adapter = Adapter(adaptation)
        if adaptation is not None and way == "folder adapted":
            adapter = whole = BatchAdapter(adaptation)
            for recording in heard:  # the first of two passes
                list(self._answers(recording, bundle, whole, way))
            whole.finish()
        for recording in heard:
            yield from self._answers(recording, bundle, adapter, way)

    def _answers(self, recording: Recording, bundle: Bundle, adapter: Listener | None, way: str) -> Iterator[Row]:
        info = replace(bundle.info, sounds=(), abstain_below=self._below)
        rate_hz, temperature = info.sample_rate_hz, self._ratio * recording.temperature
        answers = AnswerBuilder(info, rate_hz, ONE_AT_A_TIME, Options(), adapter)
        answers.tally.n_samples = recording.n_samples
        for job, logits in recording.jobs:
            if isinstance(job, Over):
                events = list(answers.segment(job))
            else:
                events = list(answers.window(job, {"probabilities": _softmax(logits / temperature)}))
            for event in events if recording.is_stream else ():
                if isinstance(event, Window) and way.startswith("stream"):
                    told = max(event.probabilities, key=event.probabilities.__getitem__)
                    confidence = event.probabilities[told]
                    true = _true_of(recording, event.start_s, event.end_s, rate_hz)
                    yield Row(1.0, true, told, confidence, confidence >= self._below)
                elif isinstance(event, Span) and way == "timeline":
                    for start, end, true in recording.parts:
                        shared = min(end / rate_hz, event.end_s) - max(start / rate_hz, event.start_s)
                        if shared > 0:
                            sure = event.emotion != "unsure"
                            yield Row(shared, true, event.emotion, event.confidence, sure)
        if not recording.is_stream:
            whole = answers.prediction("-", is_whole=recording.n_samples <= 4 * rate_hz)
            likeliest = max(whole.probabilities, key=whole.probabilities.__getitem__, default="")
            yield Row(1.0, recording.parts[0][2], likeliest, whole.confidence or 0.0, whole.status == "ok")


@cache
def _bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


@cache
def _adaptation(folder: Path, ratio: float) -> Adaptation | None:
    """Prepare the adaptation, which learnt from answers at the temperature of validation."""
    info = _bundle(folder).info
    if info.adaptation is None:
        return None
    graph = with_temperatures(_bundle(folder).listed_bytes(info.adaptation.file), ratio, 1.0)
    return Adaptation.read(graph, len(info.classes), info.name, info.adaptation.least_speech_s)


@cache
def _temperature_of_validation(folder: Path) -> float:
    """Return the temperature of a bundle that was just exported, or of the run that a shipped one was made of."""
    shipped = folder.parent == ROOT / "earnest" / "bundles"
    return read_record(ROOT / "runs" / folder.name).temperature if shipped else _bundle(folder).info.temperature


def _softmax(logits: Numbers) -> Numbers:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _true_of(recording: Recording, start_s: float, end_s: float, rate_hz: int) -> str:
    def shared(part: tuple[int, int, str]) -> float:
        return min(part[1] / rate_hz, end_s) - max(part[0] / rate_hz, start_s)

    return max(recording.parts, key=shared)[2]


def scores(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return WA and UA of all, and of what was answered: coverage, accuracy, ECE (15 bins), accuracy at ≥ 80 %."""
    weight = np.array([row.weight for row in rows])
    right = np.array([row.told == row.true for row in rows])
    sure = np.array([row.confidence for row in rows])
    answered = np.array([row.is_answered for row in rows])
    true = np.array([row.true for row in rows])

    def mean(members: npt.NDArray[np.bool_]) -> float | None:
        return float(np.average(right[members], weights=weight[members])) if members.any() else None

    all_rows = np.ones(len(rows), bool)
    high = answered & (sure >= SURE_FROM)
    return {
        "n": len(rows),
        "wa": mean(all_rows),
        "ua": float(np.mean([mean(true == name) for name in sorted(set(true))])),
        "coverage": float(np.average(answered, weights=weight)),
        "right": mean(answered),
        "ece": _ece(sure[answered], right[answered], weight[answered]),
        "ece_all": _ece(sure, right, weight),
        "coverage_80": float(np.average(high, weights=weight)),
        "right_80": mean(high),
    }


def _ece(sure: Numbers, right: Numbers, weight: Numbers) -> float | None:
    """Expected calibration error: Σ_b (weight of bin b) · |share right − mean confidence|, 15 bins of equal width."""
    if not len(sure):
        return None
    bins = np.minimum((sure * N_BINS).astype(int), N_BINS - 1)
    gaps = [
        weight[bins == b].sum() * abs(np.average(right[bins == b] - sure[bins == b], weights=weight[bins == b]))
        for b in set(bins)
    ]
    return float(sum(gaps) / weight.sum())


class Told:
    """Rows of every way of hearing, computed once for each calibration that is tried."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._known: dict[tuple[str, str, float], list[Row]] = {}

    def rows(self, where: str, way: str, ratio: float, below: float) -> list[Row]:
        """Return the rows; but for timelines, whose spans depend on it, the threshold is applied afterwards."""
        if way == "timeline":
            part = [one for one in self._recordings if one.where == where]
            return Replay(ratio, below).rows(part, way)
        key = (where, way, ratio)
        if key not in self._known:
            part = [one for one in self._recordings if one.where == where]
            self._known[key] = Replay(ratio, 0.0).rows(part, way)
        return [replace(row, is_answered=row.confidence >= below) for row in self._known[key]]


def fitted(told: Told, corpora: Sequence[str]) -> dict[str, float]:
    """Fit the temperature's ratio and the threshold on corpora that were left out.

    The ratio is the smallest with which none of the corpora is told more than 3 points surer than it is right;
    the threshold is the lowest above which 80 % is right, mean over corpora. Both are of plain answers: the adaptation
    network learned to give calibrated answers itself.
    """
    places = [f"left out: {corpus}" for corpus in corpora]
    below = 0.0
    for ratio in RATIOS:
        below = _threshold([told.rows(where, way, ratio, 0.0) for where in places for way in PLAIN])
        if _is_safe([told.rows(where, way, ratio, below) for where in places for way in PLAIN]):
            break
    return {"ratio": ratio, "abstain_below": below}


def _threshold(parts: Sequence[Sequence[Row]]) -> float:
    def right(below: float) -> float:
        answered = [[row.told == row.true for row in part if row.confidence >= below] for part in parts]
        return float(np.mean([np.mean(one) if one else 1.0 for one in answered]))

    return next((below for below in THRESHOLDS if right(below) >= RIGHT_FROM), THRESHOLDS[-1])


def _is_safe(parts: Sequence[Sequence[Row]]) -> bool:
    for part in parts:
        answered = [row for row in part if row.is_answered]
        if answered and np.mean([row.confidence - (row.told == row.true) for row in answered]) > SURER_BY:
            return False
    return True


def carried_over() -> dict[str, float]:
    """Return the numbers of `base`."""
    numbers = json.loads((ROOT / "runs" / "left-out" / "base.json").read_text("utf-8"))
    return {key: numbers[key] for key in ("ratio", "abstain_below")}


def all_heard(name: str, found: Iterable[Place]) -> list[Recording]:
    """Hear what is tested in each place, a speaker at a time."""
    tasks = []
    for place in found:
        folder = place.bundle(name)
        speakers = sorted({row.speaker for row in place.rows})
        tasks += [(folder, place.where, who, [row for row in place.rows if row.speaker == who]) for who in speakers]
    recordings = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for number, of_speaker in enumerate(pool.map(heard, tasks)):
            recordings += of_speaker
            sys.stderr.write(f"\r{number + 1} of {len(tasks)} speakers heard")
    return recordings


def tell_shipped(name: str) -> None:
    """Print the table of the bundle as it ships."""
    recordings = all_heard(name, as_shipped(name))
    told, below = Told(recordings), load_bundle(ROOT / "earnest" / "bundles" / name).info.abstain_below
    table = {}
    for where in dict.fromkeys(one.where for one in recordings):
        table[where] = {way: scores(told.rows(where, way, 1.0, below)) for way in ("clip", "timeline", "stream")}
        table[where]["timeline"] |= {"wa": None, "ua": None}
    sys.stdout.write("\n".join(percentages_table(table)) + "\n")


def main(name: str) -> None:
    """Hear, fit, score, write."""
    temperature = read_record(ROOT / "runs" / name).temperature
    recordings = all_heard(name, places(name))
    told = Told(recordings)
    corpora = [corpus for corpus in FITTED if f"left out: {corpus}" in {one.where for one in recordings}]
    numbers = fitted(told, corpora) if set(corpora) == set(FITTED) else carried_over()
    table = {}
    for where in dict.fromkeys(one.where for one in recordings):
        corpus = where.removeprefix("left out: ")
        nested = numbers
        if set(corpora) == set(FITTED) and corpus in FITTED:
            nested = fitted(told, [other for other in corpora if other != corpus])
        rows = {way: told.rows(where, way, nested["ratio"], nested["abstain_below"]) for way in WAYS}
        table[where] = {way: scores(found) for way, found in rows.items() if found} | {"numbers": nested}
        table[where]["timeline"] |= {"wa": None, "ua": None}  # an unsure span has no emotion that could be right
    numbers |= {"temperature": temperature * numbers["ratio"]}
    written = numbers | {"told": {"table": table}}
    (ROOT / "runs" / "left-out" / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    page(name, table, numbers)


def page(name: str, table: dict[str, Any], numbers: dict[str, float]) -> None:
    """Write the table as Markdown; what people wrote below it stays."""
    told = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in numbers.items())
    info = load_bundle(ROOT / "earnest" / "bundles" / name).info
    ships = f"temperature {info.temperature:.3g}, abstain below {info.abstain_below:.3g}"
    what = fill(TRUE_PERCENTAGES.replace("NAME", name), 120, break_on_hyphens=False)
    head = [f"# How true the percentages of `{name}` are", "", what, "", HEARD_AS, ""]
    lines = [*head, *percentages_table(table), "", f"Fitted on all of them: {told}. What ships: {ships}.", ""]
    path = ROOT / "docs" / "results" / f"left-out-{name}.md"
    below = path.read_text("utf-8").partition("What ships: ")[2].partition("\n")[2] if path.exists() else ""
    path.write_text("\n".join(lines) + below, encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [bundle] if not bundle.startswith("-"):
            main(bundle)
        case [bundle, "--shipped"]:
            tell_shipped(bundle)
        case _:
            sys.exit(__doc__)
