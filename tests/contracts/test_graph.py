"""The graph alone is enough: whatever samples it is handed, it answers with finite numbers, on every runtime."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import harness
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest

from earnest.audio.io import load_waveform
from earnest.bundle import SHIPPED
from earnest.export.onnx import MOODY_RATE_HZ, MOODY_SAMPLES, MOODY_SEVEN, to_moody, to_onnx
from earnest.labels import scheme_called
from earnest.models.classifier import MODELS, SpeechClassifier, build_classifier
from earnest.runtime.openvino_engine import EXACT
from earnest.settings.recipe import Recipe, read_recipe
from earnest.testing.sounds import SILENT_ROW, Feeds, alone, extreme_feeds

Answers: TypeAlias = Mapping[str, npt.NDArray[np.float32]]
AnswersByName: TypeAlias = Mapping[str, Mapping[str, Answers]]  # graph → waveform → answers

RUNTIMES = ("onnxruntime", "openvino", "webassembly")
BUNDLES = tuple(sorted(folder.name for folder in SHIPPED.iterdir() if (folder / "model.onnx").is_file()))
PATHS = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
DEMO = SHIPPED.parent / "demo"
MOODY = "moody-alexnet"  # the recipe that is exported for Moody's page


@dataclass(frozen=True)
class Graph:
    """A file, what it is handed, and how many classes it tells apart."""

    path: Path
    feeds: Mapping[str, Feeds]
    n_classes: int

    @classmethod
    def read(cls, path: Path) -> "Graph":
        """Take what is needed from the metadata, as somebody without ``bundle.json`` would."""
        facts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        is_moodys = facts.get("profile") == "moody"
        feeds = moody_feeds() if is_moodys else extreme_feeds(int(facts["sample_rate_hz"]))
        return cls(path.resolve(), feeds, len(facts["classes"].split(",")))


def moody_feeds() -> dict[str, Feeds]:
    """The same for Moody's graph, ``input`` (batch, 46305): behind a clip's end is silence, what is too long is cut."""
    feeds = {}
    for name, given in extreme_feeds(MOODY_RATE_HZ).items():
        samples = np.zeros((len(given["lengths"]), MOODY_SAMPLES), np.float32)
        for row, (waveform, length) in enumerate(zip(given["waveform"], given["lengths"].clip(1), strict=True)):
            own = waveform[:length][:MOODY_SAMPLES]
            samples[row, : len(own)] = own
        feeds[name] = {"input": samples}
    return feeds


class Run(Protocol):
    """Hands every graph everything, on one runtime."""

    def __call__(self, graphs: Mapping[str, Graph], folder: Path) -> AnswersByName: ...


def by_onnxruntime(graphs: Mapping[str, Graph], folder: Path) -> AnswersByName:
    found: dict[str, dict[str, Answers]] = {}
    for name, graph in graphs.items():
        session = onnxruntime.InferenceSession(graph.path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found[name] = {
            waveform: dict(zip(names, session.run(names, feeds), strict=True))
            for waveform, feeds in graph.feeds.items()
        }
    return found


def by_openvino(graphs: Mapping[str, Graph], folder: Path) -> AnswersByName:
    openvino = pytest.importorskip("openvino")
    found: dict[str, dict[str, Answers]] = {}
    for name, graph in graphs.items():
        compiled = openvino.Core().compile_model(graph.path, "CPU", EXACT)
        names = [output.get_any_name() for output in compiled.outputs]
        found[name] = {}
        for waveform, feeds in graph.feeds.items():
            answers = compiled(feeds)
            found[name][waveform] = {output: np.array(answers[output]) for output in names}
    return found


def by_webassembly(graphs: Mapping[str, Graph], folder: Path) -> AnswersByName:
    """All in one process of Node: onnxruntime-web, as in browsers."""
    if missing := harness.missing_tools("node"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    if not (harness.WEB / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("onnxruntime-web not installed: run npm ci --ignore-scripts in web/")
    runs = [
        {"graph": str(graph.path), "inputs": list(written(feeds, folder)), "answers": f"{name} {waveform}.json"}
        for name, graph in graphs.items()
        for waveform, feeds in graph.feeds.items()
    ]
    (folder / "runs.json").write_text(json.dumps(runs), encoding="utf-8")
    command = ["node", "bench/graph.mjs", str(folder)]
    done = subprocess.run(command, cwd=harness.WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {
        name: {waveform: read_answers(folder / f"{name} {waveform}.json") for waveform in graph.feeds}
        for name, graph in graphs.items()
    }


def written(feeds: Feeds, folder: Path) -> Iterator[dict[str, Any]]:
    """Write the inputs' numbers into files and say where and what they are."""
    for name, values in feeds.items():
        file = f"{len(list(folder.iterdir()))}.bin"
        (folder / file).write_bytes(np.ascontiguousarray(values).tobytes())
        yield {"name": name, "type": str(values.dtype), "dims": values.shape, "file": file}


def read_answers(path: Path) -> Answers:
    told = json.loads(path.read_text(encoding="utf-8"))
    # What JSON can't tell is null there, and NaN here.
    return {name: np.array(one["values"], np.float32).reshape(one["dims"]) for name, one in told.items()}


RUNS: Mapping[str, Run] = {
    "onnxruntime": by_onnxruntime,
    "openvino": by_openvino,
    "webassembly": by_webassembly,
}


def kind_of(recipe: Recipe) -> tuple[Any, ...]:
    """What makes front ends, and what stands between them and networks, compute something else."""
    front_end, image = recipe.front_end, recipe.image
    own = (front_end.level, front_end.trim, front_end.scale, front_end.decibel_reference, front_end.pre_emphasis > 0)
    return (*own, recipe.segments.mode, image.scaling, image.normalise, image.channels_from)


def one_of_each_kind() -> dict[str, Recipe]:
    """Recipes by name, those first whose networks `small_model` makes small: half of an export is the network's.

    The networks themselves are exported and handed silence in ``test_models.py``.
    """
    kinds: dict[tuple[Any, ...], str] = {}
    recipes = {path.stem: read_recipe(path) for path in PATHS}
    for name, recipe in sorted(recipes.items(), key=lambda item: not MODELS.get(item[1].model).reduced):
        kinds.setdefault(kind_of(recipe), name)
    return {name: recipes[name] for name in kinds.values()}


KINDS = one_of_each_kind()


def small_model(recipe: Recipe) -> SpeechClassifier:
    network = {key: value for key, value in recipe.network.items() if key not in ("weights", "source")}
    small = replace(recipe, network={**network, **MODELS.get(recipe.model).reduced})
    return build_classifier(small, scheme_called(recipe.scheme).classes, seed=0).eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Graph]:
    """One graph of each kind of front end, and Moody's."""
    folder = tmp_path_factory.mktemp("exported")
    models = {name: small_model(recipe) for name, recipe in KINDS.items()}
    assert set(models[MOODY].classes) == set(MOODY_SEVEN)
    protos = {name: to_onnx(model) for name, model in models.items() if name != MOODY}
    protos[MOODY] = to_moody(models[MOODY], {})
    for name, proto in protos.items():
        onnx.save(proto, folder / f"{name}.onnx")
    return {name: Graph.read(folder / f"{name}.onnx") for name in KINDS}


@pytest.fixture(scope="session")
def shipped() -> Mapping[str, Graph]:
    return {name: Graph.read(SHIPPED / name / "model.onnx") for name in BUNDLES}


@pytest.fixture(scope="session", params=RUNTIMES)
def of_shipped(
    request: pytest.FixtureRequest, shipped: Mapping[str, Graph], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, AnswersByName]:
    return request.param, RUNS[request.param](shipped, tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="session", params=RUNTIMES)
def of_exported(
    request: pytest.FixtureRequest, exported: Mapping[str, Graph], tmp_path_factory: pytest.TempPathFactory
) -> AnswersByName:
    return RUNS[request.param](exported, tmp_path_factory.mktemp("answers"))


def wrong_in(answers: Answers, n_rows: int, n_classes: int) -> list[str]:
    """Say what is wrong with the answers to one batch."""
    wrong = [f"{name} not finite" for name, values in answers.items() if not np.isfinite(values).all()]
    wrong += [f"{name} has {len(values)} rows" for name, values in answers.items() if len(values) != n_rows]
    for name in answers.keys() & {"logits", "probabilities", "output"}:
        if answers[name].shape != (n_rows, n_classes):
            wrong.append(f"{name} has the shape {answers[name].shape}")
    for name in answers.keys() & {"probabilities", "gender"}:
        if not wrong and np.abs(answers[name].sum(axis=1) - 1).max() > 1e-5:
            wrong.append(f"{name} don't sum to one")
    return wrong


def all_wrong_in(answers: Mapping[str, Answers], graph: Graph) -> dict[str, list[str]]:
    """Name the waveforms that have a wrong answer."""
    assert answers.keys() == graph.feeds.keys()
    found = {
        waveform: wrong_in(answers[waveform], len(next(iter(feeds.values()))), graph.n_classes)
        for waveform, feeds in graph.feeds.items()
    }
    return {waveform: wrong for waveform, wrong in found.items() if wrong}


def assert_neighbours_are_untouched(answers: Mapping[str, Answers], rows: tuple[int, ...]) -> None:
    for name in answers[SILENT_ROW].keys() & {"probabilities", "output", "gender"}:
        for row in rows:
            together, lone = answers[SILENT_ROW][name][row], answers[alone(row)][name][0]
            np.testing.assert_allclose(together, lone, rtol=0, atol=1e-5, err_msg=f"{name} of row {row}")


@pytest.mark.parametrize("name", BUNDLES)
def test_a_shipped_graph_answers_any_samples_with_finite_numbers(
    name: str, of_shipped: tuple[str, AnswersByName], shipped: Mapping[str, Graph]
) -> None:
    _, answers = of_shipped
    wrong = all_wrong_in(answers[name], shipped[name])
    assert not wrong


@pytest.mark.parametrize("name", BUNDLES)
def test_a_silent_neighbour_changes_no_answer_of_a_shipped_graph(
    name: str, of_shipped: tuple[str, AnswersByName]
) -> None:
    assert_neighbours_are_untouched(of_shipped[1][name], rows=(0, 2))


@pytest.mark.parametrize("name", BUNDLES)
def test_an_offset_of_the_microphone_changes_no_answer_of_a_shipped_graph(name: str) -> None:
    waveform = load_waveform(DEMO / "slow-and-low.flac", 16_000)[None]
    session = onnxruntime.InferenceSession(SHIPPED / name / "model.onnx", providers=["CPUExecutionProvider"])
    lengths = np.array([waveform.shape[1]])
    given = (waveform, waveform + np.float32(0.3) * np.abs(waveform).max())
    plain, moved = (session.run(["probabilities"], {"waveform": one, "lengths": lengths})[0] for one in given)
    np.testing.assert_allclose(moved, plain, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_an_exported_graph_answers_any_samples_with_finite_numbers(
    name: str, of_exported: AnswersByName, exported: Mapping[str, Graph]
) -> None:
    assert not all_wrong_in(of_exported[name], exported[name])


@pytest.mark.parametrize("name", KINDS)
def test_a_silent_neighbour_changes_no_answer_of_an_exported_graph(name: str, of_exported: AnswersByName) -> None:
    assert_neighbours_are_untouched(of_exported[name], rows=(0, 1, 2))


def test_moodys_example_is_among_the_exported() -> None:
    assert MOODY in KINDS
