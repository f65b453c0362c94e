"""A run folder becomes a bundle: ``model.onnx``, ``bundle.json`` and ``card.md``; and the forms of its graph.

onnxruntime takes whole numbers of 8 bits or weights of 16 bits, OpenVINO a form of its own.
For 8 bits, ranges are measured on utterances of the run's own split, and others show whether accuracy was lost.
OpenVINO's form has weights in 32 or 16 bits, or whole numbers of 8 bits by NNCF. The front end computes in float in all
forms; where weights have 16 bits, so have its tables (log-mels move by less than 0.01 dB in the mean, a few by up to 1
dB).
"""

import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from earnest.audio.parts import load_waveforms
from earnest.audio.waveform import Waveform
from earnest.bundle import ADAPTATION, AdaptationEntry, BundleInfo, Format, classes_text, licence_in_words, sha256_of
from earnest.corpora.load import load_utterances, scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, EarnestError, needs_extra
from earnest.evaluation.author_protocols import STAMP, is_chosen_on_test
from earnest.export.card import BUNDLE, MODEL, NOTICE, read_result, write_bundle
from earnest.export.onnx import NETWORK, add_distance, finished, moody_classes, store_small, to_moody, traced
from earnest.files.reading import read_json
from earnest.files.writing import held_folder, refuse_changed, write_atomically
from earnest.installation import without_telemetry
from earnest.learning.domain import Domain
from earnest.models.classifier import SpeechClassifier
from earnest.models.pretrained import KNOWN_SPEAKERS, ORIGIN
from earnest.onnx.check import check_onnx
from earnest.runtime.engine import WITHOUT_OVERFLOW
from earnest.runtime.openvino_engine import EXACT, FACTS, GRAPH, WEIGHTS, openvino
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.record import RunRecord, read_record
from earnest.training.run import load_run
from earnest.training.runtime_statistics import domain_of, statistics_files

_log = logging.getLogger(__name__)
Probabilities: TypeAlias = npt.NDArray[np.float32]
Model = TypeVar("Model")


@dataclass(frozen=True)
class Identity:
    """The identity of a bundle, which a person decides."""

    name: str
    version: str
    licence: str
    notes: str = ""


@dataclass(frozen=True)
class Form:
    """The form of a bundle, and folders of the corpora that ranges are measured on.

    Attributes
    ----------
    folders : corpus name → folder, beside ``$EARNEST_DATA``; used by INT8 only
    """

    name: Format = "onnx"
    folders: Mapping[str, Path] | None = None


def export_bundle(
    run: Path,
    output: Path,
    identity: Identity,
    evaluations: Sequence[Path] = (),
    left_out: Sequence[str] = (),
    form: Form | None = None,
) -> BundleInfo:
    """Export a finished run.

    Parameters
    ----------
    run : folder of `earnest train`
    output : folder to make; files of an earlier export are replaced
    evaluations : folders of `earnest evaluate`, whose results go into the bundle
    left_out : which of `earnest.bundle.COMPANIONS` the bundle shall lack
    form : format of the graph; None for plain ONNX
    """
    form = form or Form()
    record, recipe = _exportable(run)
    adaptation = None if "adaptation" in left_out else adaptation_of(record)
    classifier = load_run(run)
    domain = None if "distance" in left_out else domain_of(run, record.domain)
    # For a training that starts from the bundle's weights.
    start = {ORIGIN: record.origin, KNOWN_SPEAKERS: json.dumps(sorted(classifier.network.known_speakers))}
    files = model_files(_graph(classifier, domain), form, run, facts_of(identity, record, recipe) | start)
    files |= {NOTICE: notice.encode()} if (notice := classifier.network.notice) else {}
    files |= statistics_files(run, [asdict(adaptation)] if adaptation else [])
    info = BundleInfo(
        name=identity.name,
        version=identity.version,
        classes=record.classes,
        sample_rate_hz=recipe.front_end.sample_rate_hz,
        licence=identity.licence,
        files={name: sha256_of(content) for name, content in files.items()},
        format=form.name,
        scheme=recipe.scheme,
        network=recipe.model,
        n_parameters=record.n_parameters,
        front_end=asdict(recipe.front_end),
        recipe=recipe.to_dict(),
        temperature=record.temperature,
        calibration=record.calibration,
        learned=record.learned,
        gender_temperature=record.gender_temperature,
        gender_calibration=record.gender_calibration,
        adaptation=adaptation,
        out_of_domain_from=domain.threshold if domain else None,
        training_corpora=record.training_corpora,
        origin=record.origin,
        results=tuple(read_result(folder, recipe) for folder in evaluations),
        notes=identity.notes,
    )
    write_bundle(output, files, info)
    if info.licence_in_words != info.licence:
        _log.warning("%s: %s; its licence '%s' doesn't say so.", output, info.forbidden_use, info.licence)
    return info


def _exportable(run: Path) -> tuple[RunRecord, Recipe]:
    """Read what a run tells, unless it was changed, or chosen on test."""
    record, recipe = read_record(run), read_recipe(run)
    refuse_changed(run)
    if is_chosen_on_test(record.protocol):
        raise EarnestError(f"{run}: {STAMP}. Such a run is for comparison only and never becomes a bundle.")
    return record, recipe


def _graph(classifier: SpeechClassifier, domain: Domain | None) -> ModelProto:
    graph = traced(classifier)
    if domain:
        add_distance(graph, domain.mean, domain.directions)
    return graph


def adaptation_of(record: RunRecord) -> AdaptationEntry | None:
    """Return the entry of a run's adaptation network; the rule that earlier runs hold is none."""
    entry = record.adaptation
    if entry is None or entry.get("file") != ADAPTATION:
        return None
    return from_mapping(AdaptationEntry, entry, "run.json: adaptation")


def export_moody(run: Path, output: Path, identity: Identity) -> tuple[str, ...]:
    """Write ``model.onnx`` for Moody's web application, and the notice of its weights; return the classes' order.

    It is no bundle: its input and output are Moody's. What makes no bundle makes no such file, either.

    Raises `EarnestError` for a folder that holds a bundle, which would be left with another file than it lists.
    """
    if (output / BUNDLE).exists():
        raise EarnestError(f"{output}: holds a bundle. Choose another folder for what Moody's application reads.")
    (record, recipe), classifier = _exportable(run), load_run(run)
    facts = facts_of(identity, record, recipe)
    proto = to_moody(classifier, facts)
    notice = classifier.network.notice
    with held_folder(output):
        if notice:
            write_atomically(output / NOTICE, notice.encode())
        write_atomically(output / "model.onnx", proto.SerializeToString())
    if facts["licence"] != identity.licence:
        _log.warning("%s: licence of the weights: %s.", output, facts["licence"])
    return moody_classes(record.classes)


def facts_of(identity: Identity, record: RunRecord, recipe: Recipe) -> dict[str, str]:
    """Return the metadata of an ONNX file, so that it can be used without ``bundle.json``."""
    return {
        "name": identity.name,
        "version": identity.version,
        "licence": licence_in_words(identity.licence, record.training_corpora),
        "classes": classes_text(record.classes),
        "scheme": recipe.scheme,
        "sample_rate_hz": str(recipe.front_end.sample_rate_hz),
        "shortest_s": str(BundleInfo.shortest_s),
        "longest_s": str(BundleInfo.longest_s),
    }


def model_files(traced: ModelProto, form: Form, run: Path, facts: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files of a format.

    Parameters
    ----------
    traced : from `earnest.export.onnx.traced`
    run : whose own split INT8 is calibrated and judged on
    facts : metadata of the graph
    """
    facts = {**facts, "format": form.name}
    if form.name == "openvino-int8":
        return to_int8_ir(traced, *int8_clips(run, form.folders or {}), facts)
    if form.name.startswith("openvino"):
        return to_ir(traced, form.name == "openvino-fp16", facts)
    if form.name == "onnx-int8":
        traced = to_int8(traced, *int8_clips(run, form.folders or {}))
    else:
        store_small(traced, rounding=form.name == "onnx-fp16")
    data = finished(traced, facts).SerializeToString()
    check_onnx(data, Path(MODEL))
    return {MODEL: data}


SEED = 0
PARTS = ("train", "valid", "test")
N_CALIBRATION = 120
N_VALIDATION = 400


@dataclass(frozen=True)
class QuantisationClips:
    """Recordings at the model's rate, and the indices of their classes."""

    waveforms: Sequence[Waveform]
    targets: npt.NDArray[np.int64]

    def feeds(self) -> list[dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]]:
        """Return the graph's inputs, an utterance at a time."""
        return [
            {"waveform": waveform[None], "lengths": np.array([len(waveform)], np.int64)} for waveform in self.waveforms
        ]


def int8_clips(run: Path, folders: Mapping[str, Path]) -> tuple[QuantisationClips, QuantisationClips]:
    """Draw at most 120 utterances of a run's ``train``, to measure ranges on, and 400 of ``valid``, to judge by.

    Validation speakers were not trained on, unless the run was refitted; test utterances are left alone.
    """
    found = split_clips(run, folders)
    return _drawn(run, "train", found, N_CALIBRATION), _drawn(run, "valid", found, N_VALIDATION)


def split_clips(run: Path, folders: Mapping[str, Path]) -> dict[str, list[tuple[Utterance, int]]]:
    """Return the utterances of a run's split, with their classes' indices, under "train", "valid" and "test".

    Parameters
    ----------
    folders : corpus name → folder, see `earnest.corpora.load.corpus_root`
    """
    path = run / "split.json"
    hint = "no such file, so the utterances that INT8 is measured on are unknown. Train, or import with --protocol."
    split = read_json(path, missing=hint)
    try:
        keys = {part: list(split[part]) for part in PARTS}
    except (ValueError, KeyError, TypeError) as error:
        raise EarnestError(f"{path}: not the split of a run ({error!r}).") from error
    recipe, classes = read_recipe(run), read_record(run).classes
    rows = {row.key: row for row in load_utterances(recipe.corpora, folders)}
    missing = [key for part in PARTS for key in keys[part] if key not in rows]
    if missing:
        raise CorpusError(f"{path}: {missing[0]} is not in the corpora. Say with --data where the run's corpora are.")
    scheme = scheme_of_rows(recipe.scheme, list(rows.values()))
    found: dict[str, list[tuple[Utterance, int]]] = {}
    for part in PARTS:
        chosen = [rows[key] for key in keys[part]]
        named = [(row, scheme.class_of(*row.labels)) for row in chosen]
        found[part] = [(row, classes.index(name)) for row, name in named if name in classes]
    return found


def load_clips(run: Path, rows: Sequence[tuple[Utterance, int]]) -> QuantisationClips:
    """Read utterances at the rate of a run's model."""
    rate_hz = read_recipe(run).front_end.sample_rate_hz
    waveforms = list(load_waveforms((row.source for row, _ in rows), rate_hz))
    return QuantisationClips(waveforms, np.array([target for _, target in rows], np.int64))


def _drawn(
    run: Path, part: str, found: Mapping[str, Sequence[tuple[Utterance, int]]], n_most: int
) -> QuantisationClips:
    rows = found[part]
    if not rows:
        raise CorpusError(f"{run}: its split has no {part} recordings, which INT8 needs. Train with a {part} set.")
    chosen = np.random.default_rng(SEED).permutation(len(rows))[:n_most]
    return load_clips(run, [rows[index] for index in sorted(chosen)])


MOST_LOST = 0.005  # of accuracy, as a share of utterances
MOST_CHANGED = 0.015  # of labels; 0.03 may, on clips that nobody has heard: more change there, 400 clips err by 0.005
BY_CHANCE = 1.645  # standard errors; one time in twenty chance alone goes further

RANKED = 4  # layers are ranked by every fourth utterance


@dataclass(frozen=True)
class Judge:
    """Utterances of validation speakers, and what the exact graph says about them.

    Attributes
    ----------
    exact : shape (utterances, classes)
    """

    clips: QuantisationClips
    exact: Probabilities

    def slack(self, found: Probabilities) -> float:
        """Return how far answers are from the limits on lost accuracy and changed labels: negative beyond them.

        Of a few hundred utterances half a point is one or two, so accuracy counts as lost only beyond chance
        (McNemar, 1947): were a changed answer as likely to become right as wrong, lost minus won would vary by the root
        of their sum.
        """
        was_right, is_right = (answers.argmax(axis=1) == self.clips.targets for answers in (self.exact, found))
        # The two cells that McNemar's test looks at.
        lost, won = (was_right & ~is_right).sum(), (is_right & ~was_right).sum()
        # (lost − won − 1.645·√(lost + won)) / n
        surely_lost = (lost - won - BY_CHANCE * np.sqrt(lost + won)) / len(self.exact)
        return float(min(MOST_LOST - surely_lost, MOST_CHANGED - self.changed(found)))

    def changed(self, found: Probabilities) -> float:
        """Return the share of labels that change.

        How far each utterance moves is held against how sure each other one was too: by these pairs the share varies
        half as much from one set of utterances to the next as by counting the few labels that did change.
        """
        margins = self._margins(self.exact)
        moves = margins - self._margins(found)  # (utterances,): how far the label's lead shrinks
        return float((moves[:, None] > margins).mean())  # over all pairs (one that moves, one that leads)

    def _margins(self, answers: Probabilities) -> Probabilities:
        """Return by how much the exact label's log-probability exceeds the best other one's, shape (utterances,)."""
        logs = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        is_label = np.arange(logs.shape[1]) == self.exact.argmax(axis=1)[:, None]
        best_other: Probabilities = np.where(is_label, -np.inf, logs).max(axis=1)
        # Each row has one True, so the boolean index gives (utterances,).
        margins: Probabilities = logs[is_label] - best_other
        return margins

    def moved(self, found: Probabilities) -> float:
        """Return the mean absolute difference of probabilities."""
        return float(np.abs(found - self.exact).mean())

    def only(self, numbers: Sequence[int]) -> "Judge":
        """Return a judge of some of the utterances."""
        waveforms = [self.clips.waveforms[number] for number in numbers]
        return Judge(QuantisationClips(waveforms, self.clips.targets[numbers]), self.exact[numbers])


def controlled(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, QuantisationClips], Probabilities],
    judge: Judge,
    ranking: Callable[[], Sequence[str]],
) -> Model:
    """Quantise as many layers as the judge allows.

    Where all of them are too many, those that ``ranking`` names last stay in float, one more until the limits are kept.
    """
    found = quantised(layers)
    if judge.slack(answers(found, judge.clips)) >= 0:
        return found
    left = list(ranking())
    while left:
        left.pop()
        found = quantised(left)
        if judge.slack(answers(found, judge.clips)) >= 0:
            break
    return found


def ranked(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, QuantisationClips], Probabilities],
    judge: Judge,
) -> list[str]:
    """Try each layer alone; those that move probabilities most come last."""
    few = judge.only(range(0, len(judge.exact), RANKED))
    harm = {layer: few.moved(answers(quantised([layer]), few.clips)) for layer in layers}
    return sorted(layers, key=lambda layer: harm[layer])


QUANTISED = ("MatMul", "Gemm", "Conv")
ANSWERS = ("logits", "gender", "affect", "distance", "sound")
PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}  # spares the advice to do what `traced` has done


def to_int8(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> ModelProto:
    """Quantise the graph of `earnest.export.onnx.traced`: weights per channel, activations by ranges over utterances.

    Ranges are fixed, not found anew for each batch: so an utterance's answer doesn't depend on its neighbours. In float
    stays what `layers_of` leaves out, and what `controlled` finds to cost too much on ``validation``.
    """
    layers, judge = layers_of(traced), Judge(validation, _answers(traced, validation))
    with TemporaryDirectory() as folder:
        quantise = _Quantiser(traced, calibration, Path(folder)).quantised
        ranking = partial(ranked, layers, quantise, _answers, judge)
        quantised = controlled(layers, quantise, _answers, judge, ranking)
    store_small(quantised)
    return quantised


def ranked_layers(traced: ModelProto, calibration: QuantisationClips, validation: QuantisationClips) -> list[str]:
    """Return the names of the layers that may be quantised, those that move answers most last."""
    with TemporaryDirectory() as folder:
        quantise = _Quantiser(traced, calibration, Path(folder)).quantised
        return ranked(layers_of(traced), quantise, _answers, Judge(validation, _answers(traced, validation)))


class _Quantiser:
    """Quantises some layers of a graph; ranges are measured once."""

    def __init__(self, traced: ModelProto, calibration: QuantisationClips, folder: Path) -> None:
        source = ModelProto()
        source.CopyFrom(traced)
        onnx.helper.set_model_props(source, PREPARED)
        onnx.save(source, folder / "float.onnx")
        self._traced, self._calibration, self._folder = traced, calibration, folder

    def quantised(self, layers: Sequence[str]) -> ModelProto:
        """Return the graph with these layers, by name, in 8 bits."""
        result = ModelProto()
        if not layers:
            result.CopyFrom(self._traced)
            return result
        quantize_static(
            self._folder / "float.onnx",
            self._folder / "int8.onnx",
            _Reader(self._calibration.feeds()),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_quantize=list(layers),
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
            calibration_cache_path=self._folder / "ranges.json",
        )
        result.CopyFrom(onnx.load(self._folder / "int8.onnx"))
        del result.metadata_props[:]
        result.producer_name, result.producer_version = self._traced.producer_name, ""
        return result


def _answers(model: ModelProto, clips: QuantisationClips) -> Probabilities:
    """Return probabilities of each utterance, shape (utterances, classes)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*WITHOUT_OVERFLOW)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], feed)[0] for feed in clips.feeds()])


def layers_of(traced: ModelProto) -> list[str]:
    """Return the names of the layers that may be quantised.

    Not among them: everything up to the logarithm, the first convolution behind it (decibels have a wide range),
    products of two activations, and the last layer of every answer.
    """
    constants = {tensor.name for tensor in traced.graph.initializer}
    behind = [node for node in traced.graph.node if node.name.startswith(NETWORK) and node.op_type in QUANTISED]
    delicate = {next((node.name for node in behind if node.op_type == "Conv"), ""), *_last_layers(traced)}
    return [node.name for node in behind if node.name not in delicate and node.input[1] in constants]


def _last_layers(traced: ModelProto) -> set[str]:
    """Return the names of the quantisable nodes from which no other lies on the way to an answer."""
    source = {output: node for node in traced.graph.node for output in node.output}
    waiting = [source[name] for name in ANSWERS if name in source]
    found, seen = set(), set()
    while waiting:
        node = waiting.pop()
        if node.op_type in QUANTISED:
            found.add(node.name)
        elif node.name not in seen:
            seen.add(node.name)
            waiting += [source[name] for name in node.input if name in source]
    return found


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands out one utterance after another."""

    def __init__(self, feeds: Sequence[Mapping[str, Any]]) -> None:
        self._feeds: Iterator[Mapping[str, Any]] = iter(feeds)

    def get_next(self) -> Mapping[str, Any] | None:
        """Return the next utterance, None at the end."""
        return next(self._feeds, None)


def to_ir(traced: ModelProto, halves: bool, facts: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Convert to ``model.xml`` and ``model.bin``; ``halves`` stores the weights in 16 bits, ``facts`` are metadata."""
    return _files(_read(traced), halves, facts)


def to_int8_ir(
    traced: ModelProto,
    calibration: QuantisationClips,
    validation: QuantisationClips,
    facts: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """Quantise the graph of `earnest.export.onnx.traced` with NNCF, to ``model.xml`` and ``model.bin``.

    The layers are those of `earnest.export.bundle.to_int8`, and so are the limits and the order in which layers go
    back to float: NNCF measures ranges anew whenever it is asked, and its own accuracy control asks for every layer.
    """
    nncf, model = _nncf(), _read(traced)
    clips = nncf.Dataset(calibration.feeds())

    def quantised(layers: Sequence[str]) -> Any:
        if not layers:
            return model
        with redirect_stdout(io.StringIO()):  # its progress bars
            return nncf.quantize(
                model,
                clips,
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(calibration.waveforms),
                ignored_scope=nncf.IgnoredScope(names=_all_but(layers, model), validate=False),
            )

    judge = Judge(validation, _openvino_answers(model, validation))
    ranking = partial(ranked_layers, traced, calibration, validation)
    return _files(controlled(layers_of(traced), quantised, _openvino_answers, judge, ranking), True, facts)


def _all_but(layers: Sequence[str], model: Any) -> list[str]:
    """Return the operations that stay in float; those of a layer with a bias have its name and more behind a slash."""
    names = {node.get_friendly_name() for node in model.get_ops()}
    return sorted(name for name in names if name.partition("/")[0] not in layers)


def _openvino_answers(model: Any, clips: QuantisationClips) -> Probabilities:
    """Return probabilities of each utterance, shape (utterances, classes)."""
    compiled = openvino().Core().compile_model(model, "CPU", EXACT)
    return np.concatenate([compiled(feed)["probabilities"] for feed in clips.feeds()])


def _read(traced: ModelProto) -> Any:
    return openvino().Core().read_model(traced.SerializeToString())


def _files(model: Any, halves: bool, facts: Mapping[str, str] | None) -> dict[str, bytes]:
    for name, value in (facts or {}).items():
        model.set_rt_info(value, [FACTS, name])
    with TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH
        openvino().save_model(model, path, compress_to_fp16=halves)
        return {name: (Path(folder) / name).read_bytes() for name in (GRAPH, WEIGHTS)}


def _nncf() -> Any:
    without_telemetry()
    with needs_extra("INT8 for OpenVINO", "quantise"):
        import nncf
    nncf.set_log_level(logging.ERROR)
    return nncf
