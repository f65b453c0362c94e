"""A run folder becomes a bundle: ``model.onnx``, ``bundle.json`` and ``card.md``."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from onnx import ModelProto

from earnest.bundle import (
    ADAPTATION,
    AdaptationEntry,
    BundleInfo,
    Format,
    classes_text,
    licence_in_words,
    sha256_of,
)
from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import STAMP, is_chosen_on_test
from earnest.export.card import MODEL, NOTICE, read_result, write_bundle
from earnest.export.forms import int8_clips, to_int8, to_int8_ir, to_ir
from earnest.export.onnx import add_distance, finished, moody_classes, store_small, to_moody, traced
from earnest.files.writing import held_folder, refuse_changed, write_atomically
from earnest.learning.domain import Domain
from earnest.models.classifier import SpeechClassifier
from earnest.models.pretrained import KNOWN_SPEAKERS, ORIGIN
from earnest.onnx.check import check_onnx
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.record import RunRecord, read_record
from earnest.training.run import load_run
from earnest.training.runtime_statistics import domain_of, statistics_files

_log = logging.getLogger(__name__)


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
    record, recipe = read_record(run), read_recipe(run)
    refuse_changed(run)
    if is_chosen_on_test(record.protocol):
        raise EarnestError(f"{run}: {STAMP}. Such a run is for comparison only and never becomes a bundle.")
    adaptation = None if "adaptation" in left_out else adaptation_of(record)
    classifier = load_run(run)
    domain = None if "distance" in left_out else domain_of(run, record.domain)
    # For a training that starts from the bundle's weights.
    start = {ORIGIN: record.origin, KNOWN_SPEAKERS: json.dumps(sorted(classifier.network.known_speakers))}
    files = model_files(_graph(classifier, domain), form, run, facts_of(identity, record, recipe) | start)
    notice = classifier.network.notice
    files |= {NOTICE: notice.encode()} if notice else {}
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

    It is no bundle: its input and output are Moody's.
    """
    record, recipe, classifier = read_record(run), read_recipe(run), load_run(run)
    proto = to_moody(classifier, facts_of(identity, record, recipe))
    notice = classifier.network.notice
    with held_folder(output):
        if notice:
            write_atomically(output / NOTICE, notice.encode())
        write_atomically(output / "model.onnx", proto.SerializeToString())
    return moody_classes(record.classes)


def facts_of(identity: Identity, record: RunRecord, recipe: Recipe) -> dict[str, str]:
    """Return the metadata of an ONNX file, so that it can be used without ``bundle.json``."""
    limits = BundleInfo.shortest_s, BundleInfo.longest_s
    return {
        "name": identity.name,
        "version": identity.version,
        "licence": licence_in_words(identity.licence, record.training_corpora),
        "classes": classes_text(record.classes),
        "scheme": recipe.scheme,
        "sample_rate_hz": str(recipe.front_end.sample_rate_hz),
        "shortest_s": str(limits[0]),
        "longest_s": str(limits[1]),
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
