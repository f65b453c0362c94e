"""Fit the adaptation of shipped bundles: from simulated streams of answers to the corpora that they learnt from.

Usage: python scripts/fit_adaptation.py FOLDER BUNDLE [BUNDLE ...]

All corpora are heard once by every bundle's graph; what it said is kept in FOLDER. Training speakers are answered by
discriminants of the bundle's embedding that have not seen their labels, as in `earnest train`; how far what is told is
flattened (the hedge) and what is printed are streams of corpora that the bundle has not heard at all. Where speech of
these loses nowhere, folders are adapted to by default. The network is written into the bundle, in place. Corpora come
from $EARNEST_DATA.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx

from earnest.audio.io import load_waveform
from earnest.bundle import ADAPTATION, Bundle, BundleInfo, load_bundle, sha256_of
from earnest.corpora.load import load_utterances
from earnest.evaluation.answers import text_column
from earnest.evaluation.calibration import softmax
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.streams import WAYS, AnsweredStreams, answered_streams
from earnest.export.card import write_bundle
from earnest.labels import scheme_called
from earnest.learning.discriminant import Shrinkage
from earnest.models.adaptation import adaptation_graph
from earnest.models.whisper import WhisperSettings
from earnest.runtime.adaptation import Adaptation
from earnest.runtime.predictor import Predictor
from earnest.settings.limits import from_mapping
from earnest.training.runtime_statistics import Bank, LearnedAdaptation, answered_in_views, fit_adaptation

CORPORA = ("crema-d", "emodb", "ravdess", "ravdess-song", "nemo")
FOUR = ("neutral", "happy", "sad", "angry")
HEDGES = np.geomspace(0.3, 1.5, 15)
SONG, MOST_LOST = "ravdess-song", 0.01
REGRETS = (6.0, 8.0, 10.0)  # the first with which speech loses nowhere, else that with the smallest loss anywhere
RATE_HZ, SEED = 16_000, 0
Floats = npt.NDArray[np.floating]
Told: TypeAlias = Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]
"""Corpus → kind of stream → way → scores."""
NETWORKS: list[Predictor] = []


class Said(NamedTuple):
    """A bundle's answers to recordings: facts, embeddings (recordings, width), probabilities (recordings, classes)."""

    corpus: npt.NDArray[np.str_]
    speaker: npt.NDArray[np.str_]
    emotion: npt.NDArray[np.str_]
    embedding: Floats
    probabilities: Floats

    def only(self, rows: npt.NDArray[np.bool_]) -> "Said":
        """Return some recordings."""
        return Said(*(values[rows] for values in self))


def prepare(names: Sequence[str]) -> None:
    """Load what a worker needs, once."""
    NETWORKS.extend(Predictor.load(name) for name in names)


def heard(path: str) -> list[dict[str, Floats]]:
    """Return each network's outputs for one recording."""
    waveform = load_waveform(path, RATE_HZ)
    runs = (network.graph.run([waveform], ("embedding", "probabilities")) for network in NETWORKS)
    return [{name: values[0] for name, values in run.items()} for run in runs]


def hear(folder: Path, names: Sequence[str]) -> None:
    """Let every bundle hear all corpora, and keep what it said."""
    rows = load_utterances(CORPORA, {})
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=prepare, initargs=(names,)) as pool:
        answers = list(pool.map(heard, [str(row.path) for row in rows], chunksize=32))
    folder.mkdir(parents=True, exist_ok=True)
    known = ("corpus", "speaker", "emotion", "intensity")  # the last: for scripts/fit_intensity.py, fit_affect.py
    facts = {name: np.array([getattr(row, name) for row in rows]) for name in known}
    for at, name in enumerate(names):
        said = {key: np.stack([answer[at][key] for answer in answers]) for key in ("embedding", "probabilities")}
        np.savez(folder / f"{Path(name).name}.npz", **facts, **said)


def read(path: Path, bundle: Bundle) -> tuple[Said, npt.NDArray[np.int64]]:
    """Return the answers to recordings whose emotion is one of the bundle's classes, and its number."""
    with np.load(path) as data:
        said = Said(*(data[name] for name in Said._fields))
    scheme, classes = scheme_called(bundle.info.scheme, said.emotion.tolist()), bundle.info.classes
    targets = np.array(
        [classes.index(label) if (label := scheme.class_of(one)) else -1 for one in said.emotion.tolist()]
    )
    return said.only(targets >= 0), targets[targets >= 0]


def points_of(probabilities: Floats) -> Floats:
    """Return log-probabilities less their mean (recordings, classes)."""
    logs = np.log(np.maximum(probabilities, 1e-6))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True))


def shrinkage_of(recipe: Mapping[str, Any]) -> Shrinkage:
    """Return how the discriminant of a bundle's recipe is shrunk."""
    share = float(recipe["training"]["shrinkage"])
    if recipe["model"] != "whisper-statistics":
        return Shrinkage(share)
    return Shrinkage(share, from_mapping(WhisperSettings, recipe["network"], "[network]").value_weights)


def banks_of(said: Said, targets: npt.NDArray[np.int64], bundle: Bundle) -> tuple[list[Bank], float]:
    """Answer the recordings of the bundle's own corpora; return the answers, and the sharpness that they need."""
    shrinkage, n_classes = shrinkage_of(bundle.info.recipe), len(bundle.info.classes)
    embeddings = said.embedding.astype(np.float64)
    facts = targets, said.speaker.tolist(), said.corpus.tolist()
    views = answered_in_views(embeddings, *facts, shrinkage, n_classes)
    known = np.concatenate([one.points for bank in views[0] if not bank.strange for one in bank.speakers])
    # The bundle's temperature is another than that of the banks: what it says is spread otherwise.
    sharpness = float(known.std() / points_of(said.probabilities).std())
    sys.stdout.write(f"{len(views)} views, {len(known)} clips; sharpness {sharpness:.2f}\n")
    return [bank for view in views for bank in view], sharpness


def learn(
    banks: Sequence[Bank], sharpness: float, regret: float, said: Said, targets: npt.NDArray[np.int64], bundle: Bundle
) -> tuple[bytes, Told]:
    """Train a network, and let it answer streams of what is said of corpora never heard."""
    learned = adaptation_graph(fit_adaptation(banks, bundle.info.classes, SEED, regret=regret))
    graph = with_temperatures(learned, sharpness, 1.0)
    hedge = hedge_of([found for _, _, found in streams(said, targets, graph, bundle)])
    graph = with_temperatures(learned, sharpness, hedge)
    sys.stdout.write(f"{bundle.info.name}: regret {regret:g}, hedge {hedge:.2f}\n")
    told: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for corpus, kind, found in streams(said, targets, graph, bundle):
        scores = found.scores()
        told.setdefault(corpus, {})[kind] = {
            way: {"wa": one.wa, "ua": one.ua, "ece": one.ece} for way, one in scores.items()
        }
        shown = ", ".join(
            f"{way} {100 * one.wa:.1f} / {100 * one.ua:.1f} ({100 * one.ece:.0f})" for way, one in scores.items()
        )
        sys.stdout.write(f"  {corpus}, {kind}: {shown}\n")
    return graph, told


def streams(
    said: Said, targets: npt.NDArray[np.int64], graph: bytes, bundle: Bundle
) -> Iterator[tuple[str, str, AnsweredStreams]]:
    """Yield streams of corpora that the bundle has not heard, by corpus and kind, among four classes."""
    classes = bundle.info.classes
    adaptation = Adaptation.read(graph, len(classes), bundle.info.name)
    for corpus in sorted(set(said.corpus.tolist())):
        rows = said.corpus == corpus
        part, texts = said.only(rows), text_column("" for _ in range(int(rows.sum())))
        predictions = Predictions(
            classes=classes,
            utterance_id=texts,
            corpus=text_column(part.corpus.tolist()),
            speaker=text_column(part.speaker.tolist()),
            gender=texts,
            fold=texts,
            emotion=targets[rows],
            predicted=part.probabilities.argmax(axis=1),
            probabilities=part.probabilities.astype(np.float32),
        )
        for kind, found in answered_streams(predictions, adaptation.answer, FOUR).items():
            yield corpus, kind, found


def hedge_of(found: Sequence[AnsweredStreams]) -> float:
    """Return the power of what is told that makes streams of all kinds likeliest, each counting the same."""

    def loss(hedge: float) -> float:
        losses = []
        for one in found:
            told = softmax(hedge * np.log(np.maximum(one.answers["batch"], 1e-9)))
            losses.append(-np.mean(np.log(told[np.arange(len(told)), one.emotion])))
        return float(np.mean(losses))

    return float(min(HEDGES, key=loss))


def serves_folders(told: Told) -> bool:
    """Whether no kind of stream of speech loses more than a point, adapted in any way."""
    return largest_loss(told) <= MOST_LOST


def largest_loss(told: Told) -> float:
    """Return the largest loss over kinds of streams of speech, of WA or UA, 0 to 1; the blind mean left out."""
    return max(
        ways["plain"][score] - row[score]
        for corpus, kinds in told.items()
        if corpus != SONG
        for ways in kinds.values()
        for way, row in ways.items()
        if way in WAYS
        for score in ("wa", "ua")
    )


def write(bundle: Bundle, folder: Path, graph: bytes, told: Told) -> None:
    """Write the network, and what was measured, into the bundle's folder."""
    files = {name: bundle.listed_bytes(name) for name in bundle.info.files if not name.startswith("adaptation.")}
    files[ADAPTATION] = graph
    values = bundle.info.to_dict() | {
        "files": {name: sha256_of(content) for name, content in files.items()},
        "adaptation": asdict(LearnedAdaptation(graph).entry()) | {"folders": serves_folders(told)},
    }
    left_out = dict(values["left_out"])
    table = {
        corpus: {how: row for how, row in rows.items() if "adapted" not in how}
        for corpus, rows in left_out.get("table", {}).items()
    }
    values["left_out"] = {**left_out, "table": table, "streams": dict(told)}
    write_bundle(folder, files, from_mapping(BundleInfo, values, "bundle.json"))


def with_temperatures(graph: bytes, sharpness: float, hedge: float) -> bytes:
    """Return an adaptation graph for plain answers of another temperature, and with a power of what it tells.

    Parameters
    ----------
    sharpness : the temperature of today's plain answers by that of those the network was trained on
    """
    proto = onnx.load_from_string(graph)
    for tensor in proto.graph.initializer:
        for name, value in (("sharpness", sharpness), ("hedge", hedge)):
            if tensor.name.endswith(f".{name}"):
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(np.full(list(tensor.dims), value, np.float32), tensor.name)
                )
    return bytes(proto.SerializeToString())


def main(folder: Path, names: Sequence[str]) -> None:
    """Hear, learn, measure, write."""
    if not all((folder / f"{Path(name).name}.npz").exists() for name in names):
        hear(folder, names)
    for name in names:
        bundle = load_bundle(name)
        said, targets = read(folder / f"{Path(name).name}.npz", bundle)
        own = np.isin(said.corpus, [corpus.name for corpus in bundle.info.training_corpora])
        banks, sharpness = banks_of(said.only(own), targets[own], bundle)
        found: list[tuple[bytes, Told]] = []
        for regret in REGRETS:
            found.append(learn(banks, sharpness, regret, said.only(~own), targets[~own], bundle))
            if serves_folders(found[-1][1]):
                break
        best = min(found, key=lambda one: max(largest_loss(one[1]), MOST_LOST))
        write(bundle, Path(name) if Path(name).is_dir() else bundle_folder(name), *best)


def bundle_folder(name: str) -> Path:
    """Return where a shipped bundle lies in this checkout."""
    return Path(__file__).parent.parent / "earnest" / "bundles" / name


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
