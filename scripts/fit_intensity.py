"""Fit how strongly an emotion is expressed, and put it into bundles' graphs as the output ``intensity``.

Usage: python scripts/fit_intensity.py FOLDER BUNDLE [BUNDLE ...]

``FOLDER`` holds what scripts/fit_adaptation.py heard of all corpora. A ridge regression of the embedding learns the
levels that CREMA-D's actors were asked for: neutral 0, low 1/3, medium 2/3, high 1; its penalty is the one whose
answers to speakers left out (five folds) rank the three levels best. RAVDESS, which it was not fitted on, has two
levels, normal and strong; printed, and written into bundle.json, is how often it ranks a strong recording above a
normal one.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from graph_heads import add_intensity
from scipy.stats import spearmanr

from earnest.bundle import BundleInfo, load_bundle, sha256_of
from earnest.errors import EarnestError
from earnest.export.card import write_bundle
from earnest.export.onnx import finished
from earnest.settings.limits import from_mapping

BUNDLES = Path(__file__).parent.parent / "earnest" / "bundles"
MODEL = "model.onnx"
LEVELS = {"low": 1 / 3, "medium": 2 / 3, "high": 1.0}
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
N_FOLDS = 5

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


class Heard:
    """Embeddings (recordings, width) of all corpora with what is known of each recording."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            self.embedding = data["embedding"].astype(np.float64)
            self.corpus, self.speaker, self.emotion, self.level = (
                data[name] for name in ("corpus", "speaker", "emotion", "intensity")
            )
        self.asked = (self.corpus == "crema-d") & np.isin(self.level, list(LEVELS))
        self.learnt_from = self.asked | ((self.corpus == "crema-d") & (self.emotion == "neutral"))
        self.target = np.array([LEVELS.get(level, 0.0) for level in self.level.tolist()])


def ridge(embedding: Floats, target: Floats, penalty: float) -> tuple[Floats, float]:
    """Return weight (width,) and bias of a ridge regression on standardised values."""
    mean, deviation = embedding.mean(axis=0), embedding.std(axis=0) + 1e-6
    values = (embedding - mean) / deviation
    # w = Zᵀ(Z·Zᵀ/D + λ·I)⁻¹(y − ȳ)/D: the dual form, D values and fewer clips.
    kernel = values @ values.T / values.shape[1]
    kernel[np.diag_indices(len(kernel))] += penalty
    weight = values.T @ np.linalg.solve(kernel, target - target.mean()) / values.shape[1] / deviation
    return weight, float(target.mean() - mean @ weight)


def left_out(heard: Heard, penalty: float) -> Floats:
    """Return answers to CREMA-D's recordings (recordings,) of a regression that has not seen their speaker."""
    speakers = sorted(set(heard.speaker[heard.learnt_from].tolist()))
    fold = np.array([speakers.index(one) % N_FOLDS if one in speakers else -1 for one in heard.speaker.tolist()])
    answers = np.full(len(fold), np.nan)
    for number in range(N_FOLDS):
        rows = heard.learnt_from & (fold != number)
        weight, bias = ridge(heard.embedding[rows], heard.target[rows], penalty)
        answers[fold == number] = np.clip(heard.embedding[fold == number] @ weight + bias, 0, 1)
    return answers


def above(answers: Floats, strong: Rows) -> float:
    """Return the share of pairs in which the strong one has more; ties count half (area under the ROC curve)."""
    gaps = answers[strong][:, None] - answers[~strong][None]
    return float(((gaps > 0) + 0.5 * (gaps == 0)).mean())


def measured(heard: Heard, answers: Floats, corpus: str) -> dict[str, float]:
    """Measure how well a corpus' two levels are ranked: over all recordings, and within each speaker and emotion."""
    rows = (heard.corpus == corpus) & (heard.emotion != "neutral") & np.isin(heard.level, ("normal", "strong"))
    strong = heard.level == "strong"
    groups = {(who, what) for who, what in zip(heard.speaker[rows], heard.emotion[rows], strict=True)}
    parts = [rows & (heard.speaker == who) & (heard.emotion == what) for who, what in sorted(groups)]
    within = [above(answers[part], strong[part]) for part in parts if 0 < strong[part].sum() < part.sum()]
    return {
        "strong above normal": round(above(answers[rows], strong[rows]), 3),
        "within speaker and emotion": round(float(np.mean(within)), 3),
    }


def main(folder: Path, names: list[str]) -> None:
    """Fit, measure, write."""
    for name in names:
        source = Path(name) if Path(name).is_dir() else BUNDLES / name
        heard = Heard(folder / f"{source.name}.npz")
        asked = heard.target[heard.asked]
        ranks = {one: float(spearmanr(left_out(heard, one)[heard.asked], asked)[0]) for one in PENALTIES}
        penalty = max(ranks, key=ranks.__getitem__)
        weight, bias = ridge(heard.embedding[heard.learnt_from], heard.target[heard.learnt_from], penalty)
        weight = weight.astype(np.float16).astype(np.float64)
        answers = np.clip(heard.embedding @ weight + bias, 0, 1)
        told: dict[str, object] = {"crema-d, speakers left out, rank correlation": round(ranks[penalty], 3)}
        told |= {corpus: measured(heard, answers, corpus) for corpus in ("ravdess", "ravdess-song")}
        sys.stdout.write(f"{name}: penalty {penalty}, {told}\n")
        write(source, partial(added, weight=weight, bias=bias, source=source), "intensity", told)


def write(source: Path, add: Callable[[onnx.ModelProto], None], name: str, told: Mapping[str, object]) -> None:
    """Write a bundle with its graph changed by ``add``, and what was measured of it under ``name``."""
    bundle = load_bundle(source)
    model = onnx.load_from_string(bundle.model_bytes())
    facts = {item.key: item.value for item in model.metadata_props if item.key != "weights_sha256"}
    del model.graph.value_info[:]
    add(model)
    data = finished(model, facts).SerializeToString()
    files = {name: bundle.listed_bytes(name) for name in bundle.info.files if name != MODEL} | {MODEL: data}
    values = bundle.info.to_dict()
    values["files"] = {name: sha256_of(content) for name, content in files.items()}
    values["left_out"] = {**values["left_out"], name: told}
    write_bundle(source, files, from_mapping(BundleInfo, values, "bundle.json"))


def added(model: onnx.ModelProto, weight: Floats, bias: float, source: Path) -> None:
    """Add the output."""
    if any(output.name == "intensity" for output in model.graph.output):
        raise EarnestError(f"{source}: has an intensity already. Export it again first (scripts/make_models.py).")
    add_intensity(model, weight.astype(np.float32), bias)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
