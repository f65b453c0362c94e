"""Fit what stands beside a bundle's classes, and put it into its graph: sound head, distance, calibration.

Usage: python scripts/fit_heads.py BUNDLE EMBEDDINGS.npz|BEFORE [OUTPUT]

``EMBEDDINGS.npz`` is what scripts/hear_sounds.py wrote for this network. Printed, and written into bundle.json, is what
the sound head says of classes of sound that it was not fitted on (some classes left out at a time), of contributors of
vocal bursts that it was not fitted on, and of the speech of corpora that it was not fitted on. The calibration comes
from runs/left-out/NAME.json (scripts/left_out_table.py). The bundle is written anew, to OUTPUT or in place. One that
has its heads keeps its distance and its calibration: its sound head alone is fitted again. ``BEFORE`` is the bundle as
it was before its linear layers were fitted anew, or another one with the same encoder: as the embedding is the same,
all that hears it stays. Where it is the bundle itself, its graph's probabilities alone are built again.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from graph_heads import SoundHead, add_sounds, refit_sounds, soften

from earnest.audio.sound_file import length_by_header_s
from earnest.augment.noise_files import NoiseFiles
from earnest.bundle import NO_SPEECH, SOUNDS, SPEECH, Bundle, BundleInfo, TrainingCorpus, load_bundle, sha256_of
from earnest.corpora.load import corpus_root, load_utterances
from earnest.export.card import MODEL, write_bundle
from earnest.export.onnx import add_distance, finished, store_small
from earnest.learning.domain import fit_domain
from earnest.models.published import CorpusShare
from earnest.runtime.answers import SPEECH_FROM
from earnest.settings.limits import from_mapping

ROOT = Path(__file__).parent.parent
LAYERS = tuple(
    f"network.classifier.{name}" for name in ("network.output.", "network.gender.", "temperature", "gender_")
)
ENCODER = ".encoder."  # in the names of its tensors; the exporter's own constants are numbered anew in each export
STRENGTH = 3.0  # of the logistic regression, inverse
SPEECH_CORPORA, UNHEARD = ("crema-d", "emodb"), ("ravdess", "nemo")
MADE_UP = "made-up"  # words of nobody's voice (scripts/speak.py)
ESC_FOR_TESTS = ("baby-cry", "helicopter", "person-sneeze", "sea-waves")  # never fitted on, as in the recipes
TEST_EVERY = 4  # of the contributors of vocal bursts
WEIGHTS = {SPEECH: 4.0, "burst": 1.0, NO_SPEECH: 1.0}  # with 2 words said alone are refused, with 8 noise is heard

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Heard:
    """Embeddings (rows, width) with what is known of each row, see scripts/hear_sounds.py."""

    embedding: Floats
    kind: npt.NDArray[np.str_]
    corpus: npt.NDArray[np.str_]
    group: npt.NDArray[np.str_]
    change: npt.NDArray[np.str_]

    @classmethod
    def read(cls, path: Path) -> "Heard":
        """Read one network's file."""
        with np.load(path) as data:
            return cls(
                data["embedding"].astype(np.float64), *(data[name] for name in ("kind", "corpus", "group", "change"))
            )


def fit_sounds(heard: Heard, rows: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Fit a logistic regression on rows, classes weighted; return weight (width, sounds) and bias."""
    kinds = heard.kind[rows]
    weights = np.zeros(len(kinds))
    is_burst = ~np.isin(kinds, (SPEECH, NO_SPEECH))
    for kind in set(kinds):  # rare kinds of burst count more than their number, but not as much as the others
        weights[kinds == kind] = 1 / np.sqrt((kinds == kind).sum())
    for name, members in ((SPEECH, kinds == SPEECH), ("burst", is_burst), (NO_SPEECH, kinds == NO_SPEECH)):
        weights[members] *= WEIGHTS[name] * len(kinds) / weights[members].sum()
    weight, bias = logistic(heard.embedding[rows], kinds, weights)
    order = [sorted(set(kinds)).index(name) for name in SOUNDS]
    return weight[:, order], bias[order]


def logistic(
    embedding: Floats, kinds: npt.NDArray[np.str_] | npt.NDArray[np.int_], weights: Floats
) -> tuple[Floats, Floats]:
    """Fit a multinomial logistic regression on rows (rows, width), each with its weight.

    Returns
    -------
    weight (width, kinds) and bias (kinds,), for embeddings as they are, of the kinds in their order
    """
    from sklearn.linear_model import LogisticRegression

    mean, deviation = embedding.mean(axis=0), embedding.std(axis=0) + 1e-6
    scale = deviation * np.sqrt(embedding.shape[1])
    model = LogisticRegression(C=STRENGTH, max_iter=500)
    model.fit((embedding - mean) / scale, kinds, sample_weight=weights)
    weight = (model.coef_ / scale).T
    return weight, model.intercept_ - mean @ weight


def shares_of(head: tuple[Floats, Floats], embedding: Floats) -> Floats:
    """Return probabilities (rows, kinds) of a head's weight and bias."""
    scores = embedding @ head[0] + head[1]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def learnt_from(heard: Heard) -> npt.NDArray[np.bool_]:
    """Return the rows that what ships is fitted on."""
    tested = tested_contributors(heard)
    others = np.isin(heard.corpus, ("sounds", "babble")) | (
        (heard.corpus == "esc") & ~np.isin(heard.group, ESC_FOR_TESTS)
    )
    return np.isin(heard.corpus, (*SPEECH_CORPORA, MADE_UP)) | ((heard.corpus == "emogator") & ~tested) | others


def kept_for_tests(contributors: Iterable[str]) -> list[str]:
    """Return the contributors of vocal bursts that nothing is fitted on."""
    return sorted(set(contributors))[::TEST_EVERY]


def tested_contributors(heard: Heard) -> npt.NDArray[np.bool_]:
    """Return which rows are vocal bursts of contributors that nothing is fitted on."""
    is_burst = heard.corpus == "emogator"
    return is_burst & np.isin(heard.group, kept_for_tests(heard.group[is_burst]))


def with_sounds(ledger: Sequence[TrainingCorpus]) -> list[dict[str, Any]]:
    """Return the licence ledger with whose bursts and noises the sound head is fitted on, beside speech."""
    bursts = load_utterances(("emogator",), {})
    tested = kept_for_tests(row.speaker for row in bursts)
    fitted = [row for row in bursts if row.speaker not in tested]
    hours = round(sum(length_by_header_s(row.path) for row in fitted) / 3600, 3)
    heard = CorpusShare("emogator", len(fitted), len({row.speaker for row in fitted}), hours)
    kinds = {path.name for path in corpus_root("noise-esc10", {}).iterdir()}
    noises = NoiseFiles("noise-esc10", names=tuple(sorted(kinds - {*ESC_FOR_TESTS})))
    lines = {one.name: one for one in (*ledger, heard.line(), *noises.ledger())}
    return [asdict(one) for one in lines.values()]


def measured(heard: Heard, head: tuple[Floats, Floats]) -> dict[str, Any]:
    """Measure a head on sound that it was not fitted on."""
    shares = shares_of(head, heard.embedding)
    is_speech = shares[:, 0] >= SPEECH_FROM

    def refused(members: npt.NDArray[np.bool_]) -> float:
        return round(100 * float((~is_speech[members]).mean()), 2)

    told: dict[str, Any] = {"speech refused, per cent": {}, "called speech, per cent": {}}
    for corpus in (*SPEECH_CORPORA, *UNHEARD):
        for change in sorted(set(heard.change[heard.corpus == corpus])):
            members = (heard.corpus == corpus) & (heard.change == change)
            told["speech refused, per cent"][f"{corpus} {change}".strip()] = refused(members)
    for name, members in (
        ("vocal bursts, other contributors", tested_contributors(heard) & (heard.change == "")),
        ("vocal bursts, anybody's microphone", tested_contributors(heard) & (heard.change == "anybody's")),
        ("vocal bursts, as short as syllables", tested_contributors(heard) & (heard.change == "short burst")),
        ("ESC-10, four classes", (heard.corpus == "esc") & np.isin(heard.group, ESC_FOR_TESTS)),
    ):
        told["called speech, per cent"][name] = round(100 - refused(members), 2)
    bursts = tested_contributors(heard) & (heard.change == "")
    kinds = np.array(SOUNDS)[1:6][shares[bursts][:, 1:6].argmax(axis=1)]
    told["kind of burst right, per cent"] = {
        kind: round(100 * float((kinds[heard.kind[bursts] == kind] == kind).mean()), 1) for kind in SOUNDS[1:6]
    }
    return told


def left_out_classes(heard: Heard, n_parts: int = 6) -> dict[str, Any]:
    """Fit without some classes of sound at a time, and say what was made of those."""
    is_sound = np.isin(heard.corpus, ("sounds", "esc", "babble"))
    names = sorted(set(heard.group[is_sound]))
    called: dict[str, float] = {}
    for part in range(n_parts):
        out = is_sound & np.isin(heard.group, names[part::n_parts])
        rows = (learnt_from(heard) | (heard.corpus == "esc")) & ~out
        shares = shares_of(fit_sounds(heard, rows), heard.embedding[out])
        for name in names[part::n_parts]:
            called[name] = 100 * float((shares[heard.group[out] == name][:, 0] >= SPEECH_FROM).mean())
    worst = {name: round(share, 1) for name, share in sorted(called.items(), key=lambda item: -item[1])[:6]}
    return {
        "classes": len(names),
        "called speech, mean per cent": round(float(np.mean([*called.values()])), 2),
        "worst": worst,
    }


def sounds_told(heard: Heard, kept: Path) -> tuple[tuple[Floats, Floats], dict[str, Any]]:
    """Fit the sound head and say what it is worth; what an earlier call found is in ``kept``."""
    if not kept.exists():
        weight, bias = fit_sounds(heard, learnt_from(heard))
        told = {**measured(heard, (weight, bias)), "leave classes out": left_out_classes(heard)}
        np.savez(kept, weight=weight, bias=bias, told=np.array(json.dumps(told)))
    with np.load(kept) as data:
        return (data["weight"], data["bias"]), json.loads(str(data["told"]))


def main(source: Path, embeddings: Path, output: Path) -> None:
    """Fit, measure, write."""
    bundle = load_bundle(source)
    if embeddings.is_dir():
        take_over(bundle, load_bundle(embeddings), output)
        return
    heard = Heard.read(embeddings)
    head, told = sounds_told(heard, embeddings.with_suffix(".heads.npz"))
    sys.stdout.write(f"{embeddings}: {json.dumps(told, indent=1)}\n")
    sounds = SoundHead(halves(head[0]), head[1].astype(np.float32))
    if bundle.info.sounds:
        facts = {"left_out": {**bundle.info.left_out, "sounds": told}}
        ledger = {"training_corpora": with_sounds(bundle.info.training_corpora)}
        write(bundle, output, partial(refit_sounds, head=sounds), facts | ledger)
        return
    own = np.isin(heard.corpus, SPEECH_CORPORA)
    plain, changed = own & (heard.change == ""), own & np.isin(heard.change, ("changed", "word"))
    domain = fit_domain(heard.embedding[plain], heard.embedding[changed], 3.0)
    assert domain is not None
    facts = trusted(bundle.info.name, SOUNDS, domain.threshold, {"sounds": told})
    facts["training_corpora"] = with_sounds(bundle.info.training_corpora)

    def with_heads(model: onnx.ModelProto) -> None:
        with_clamped_roots(model)
        add_distance(model, domain.mean, halves(domain.directions))
        add_sounds(model, sounds)
        softened(model, bundle.info, facts["temperature"], domain.threshold)
        store_small(model)

    write(bundle, output, with_heads, facts)


def trusted(
    name: str, sounds: Sequence[str], out_of_domain_from: float | None, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a bundle's entries about its heads for bundle.json, with the calibration that was fitted for it."""
    trust = json.loads((ROOT / "runs" / "left-out" / f"{name}.json").read_text("utf-8"))
    return {
        "temperature": trust["temperature"],
        "calibration": None,
        "sounds": list(sounds),
        "out_of_domain_from": out_of_domain_from,
        "abstain_below": trust["abstain_below"],
        "left_out": {**measured, **trust["told"]},
    }


def take_over(bundle: Bundle, before: Bundle, output: Path) -> None:
    """Give a bundle without heads those of one with the same encoder; its own linear layers answer."""
    old = before.info
    lines = {one.name: asdict(one) for one in (*bundle.info.training_corpora, *old.training_corpora)}
    facts: dict[str, Any] = {"temperature": old.temperature}
    if before.folder != bundle.folder:
        facts = trusted(bundle.info.name, old.sounds, old.out_of_domain_from, old.left_out)
    facts["training_corpora"] = [*lines.values()]
    own = onnx.load_from_string(bundle.model_bytes()).graph
    new, shapes = ({one.name: one for one in many} for many in (own.initializer, own.output))
    layers = [name for name in new if name.startswith(LAYERS)]
    encoder = {name for name in new if ENCODER in name}

    def answered(model: onnx.ModelProto) -> None:
        for one in model.graph.initializer:
            if one.name in layers:
                one.CopyFrom(new[one.name])
            elif one.name in encoder and one.SerializeToString() != new[one.name].SerializeToString():
                raise SystemExit(
                    f"{one.name} is another: the encoder is not the same, so its heads must be fitted anew."
                )
        for one in model.graph.output:
            if one.name in shapes:  # of as many classes as its own
                one.CopyFrom(shapes[one.name])
        softened(model, bundle.info, facts["temperature"], old.out_of_domain_from)

    write(bundle, output, answered, facts, before.model_bytes())


def softened(model: onnx.ModelProto, info: BundleInfo, temperature: float, out_of_domain_from: float | None) -> None:
    """Make strange sound and short speech less sure."""
    assert out_of_domain_from is not None
    soften(model, temperature, out_of_domain_from, info.sample_rate_hz / info.front_end["hop_length"])


def write_softening(bundle: Bundle, name: str, told: Mapping[str, Any], add: Callable[[onnx.ModelProto], None]) -> None:
    """Write a bundle anew, in place, with a head that makes answers less sure, and what is told of it by its name."""

    def with_head(model: onnx.ModelProto) -> None:
        add(model)
        softened(model, bundle.info, bundle.info.temperature, bundle.info.out_of_domain_from)

    write(bundle, bundle.folder, with_head, {"left_out": {**(bundle.info.left_out or {}), name: told}})


def halves(table: Floats) -> npt.NDArray[np.float32]:
    """Round to what float16 holds, which the graph stores in half the room."""
    return table.astype(np.float16).astype(np.float32)


def write(
    bundle: Bundle,
    output: Path,
    change: Callable[[onnx.ModelProto], None],
    facts: Mapping[str, Any],
    graph: bytes = b"",
) -> None:
    """Write the bundle with its graph (or ``graph``) changed in place, and facts for bundle.json."""
    own = onnx.load_from_string(bundle.model_bytes())
    model = onnx.load_from_string(graph) if graph else own
    named = {item.key: item.value for item in own.metadata_props if item.key != "weights_sha256"}
    named["version"] = bundle.info.version
    del model.graph.value_info[:]
    change(model)
    data = finished(model, named).SerializeToString()
    values = bundle.info.to_dict()
    values |= {**facts, "files": {**values["files"], MODEL: sha256_of(data)}}
    files = {name: bundle.listed_bytes(name) for name in bundle.info.files if name != MODEL}
    write_bundle(output, {**files, MODEL: data}, from_mapping(BundleInfo, values, "bundle.json"))


def with_clamped_roots(proto: onnx.ModelProto) -> None:
    """Put floors below the square roots of graphs that were exported before the exporter's were kept (silence: NaN)."""
    graph = proto.graph
    maker = {name: node for node in graph.node for name in node.output}
    nodes = list(graph.node)
    for root in [node for node in nodes if node.op_type == "Sqrt"]:
        source = root.input[0]
        if maker[source].op_type in ("Max", "Clip"):
            continue
        # As in earnest.frontends.log_mel, earnest.models.layers.
        floor = 1e-12 if root.name.startswith("front_end.") else 1e-8
        least, floored = f"{root.name}_least", f"{root.name}_floored"
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(floor, np.float32), least))
        root.input[0] = floored
        clamp = onnx.helper.make_node("Max", [source, least], [floored], name=f"{root.name}_clamp")
        nodes.insert(nodes.index(root), clamp)
    del graph.node[:]
    graph.node.extend(nodes)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[-1] if len(sys.argv) == 4 else sys.argv[1]))
