"""The browser package learns what `earnest learn` learns: the same weights and temperature, the same answers."""

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import harness
import numpy as np
import onnx
import pytest
import soundfile
from onnx import numpy_helper
from stand_in import as_shipped, stand_in_model, with_mismatch, with_overlap, write_bundle

import earnest
from earnest.audio.activity import NETWORK
from earnest.bundle import SHIPPED, load_bundle
from earnest.testing.sounds import voice

RATE_HZ = 16_000
DEMO = SHIPPED.parent / "demo"
SPEAKERS = ("anna", "bert", "cleo", "dora")


pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture(scope="module", params=["scores are made otherwise", "scores and added heads as in what ships"])
def base(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    told = {"name": "base-of-tests"}
    if "ships" not in request.param:
        return write_bundle(tmp_path_factory.mktemp("base"), stand_in_model(), **told)
    model = with_overlap(with_mismatch(as_shipped(stand_in_model()), 0.11), 0.1)  # as some of the clips
    return write_bundle(tmp_path_factory.mktemp("base"), model, **told, out_of_domain_from=2.0)


def clip(label: str, speaker: int, number: int) -> Any:
    """Return a voice whose level is its class, not quite; and no two are alike."""
    rng = np.random.default_rng([speaker, number, len(label)])
    level = {"tired": 0.04, "wide awake": 0.08, "angry": 0.11}[label] * rng.uniform(0.6, 1.5)
    return voice(0.5, RATE_HZ, 150 + 20 * speaker, level, seed=int(rng.integers(1 << 30)))


def write_clips(folder: Path, n_each: int = 6) -> Path:
    for label in ("tired", "wide awake", "angry"):
        (folder / label).mkdir(parents=True)
        for number in range(n_each):
            speaker = number % len(SPEAKERS)
            name = f"{SPEAKERS[speaker]}_{number}.wav"
            soundfile.write(folder / label / name, clip(label, speaker, number), RATE_HZ, subtype="FLOAT")
    return folder


def in_node(folder: Path, base: Path, output: Path, named: Container[str]) -> Any:
    """Let Node learn from a folder for each class, with these speakers; return what it says that the model is worth."""
    (output.parent / f"{output.name}-tasks").mkdir()
    tasks = harness.Tasks(output.parent / f"{output.name}-tasks")
    examples = []
    for path in sorted(folder.rglob("*.wav")):
        waveform = soundfile.read(path, dtype="float32")[0]
        speaker = path.name.partition("_")[0]
        speaker = speaker if speaker in named else ""
        names = {"name": path.relative_to(folder).as_posix(), "label": path.parent.name, "speaker": speaker}
        examples.append({"waveform": tasks.write(waveform), "sampleRateHz": RATE_HZ, **names})
    tasks.add_learning(examples, "mine", output)
    return tasks.by_node(base, NETWORK)[0]


def constants_of(bundle: Path) -> dict[str, Any]:
    """Return what was added to the graph, by name."""
    graph = onnx.load(bundle / "model.onnx").graph
    return {one.name: numpy_helper.to_array(one) for one in graph.initializer if one.name.startswith("learned.")}


@pytest.mark.parametrize("knows_speakers", [True, False])
def test_node_and_python_learn_the_same_model(base: Path, tmp_path: Path, knows_speakers: bool) -> None:
    clips = write_clips(tmp_path / "clips", n_each=20)
    more = {"speaker_pattern": "([a-z]+)_[0-9]+"} if knows_speakers else {}
    learned = earnest.learn(clips, tmp_path / "python", model=base, report=False, name="mine", **more)
    told = in_node(clips, base, tmp_path / "node", SPEAKERS if knows_speakers else ())

    expected, found = constants_of(tmp_path / "python"), constants_of(tmp_path / "node")
    assert set(found) == set(expected)
    for name, values in expected.items():
        if name != "learned.directions":  # a direction may point either way
            sign = np.sign(values / found[name]) if name == "learned.origin" else 1
            np.testing.assert_allclose(found[name] * sign, values, rtol=2e-4, atol=1e-6, err_msg=name)
    ours, theirs = load_bundle(tmp_path / "python").info, load_bundle(tmp_path / "node").info
    has_last_layer = "last_weights" in {one.name for one in onnx.load(base / "model.onnx").graph.initializer}
    assert ({"learned.mismatch_start", "learned.overlap_start"} <= set(found)) == has_last_layer
    assert [("what the base says" in one.notes) for one in (ours, theirs)] == [has_last_layer] * 2
    assert theirs.temperature == pytest.approx(ours.temperature, rel=1e-4)
    assert theirs.out_of_domain_from == pytest.approx(ours.out_of_domain_from, rel=1e-4)
    for name in ("classes", "abstain_below", "n_parameters", "origin", "sounds", "longest_s", "shortest_s", "licence"):
        assert getattr(theirs, name) == getattr(ours, name)
    assert theirs.training_corpora[-1].n_utterances == ours.training_corpora[-1].n_utterances == learned.n
    assert told["folds"] == learned.folds
    for name, value in (
        ("wa", learned.wa),
        ("ua", learned.ua),
        ("uaOverFolds", learned.ua_over_folds),
        ("uaSd", learned.ua_sd),
        ("ece", learned.ece),
    ):
        assert told[name] == pytest.approx(value, abs=1e-4), name
    assert told["eceByChance"] == pytest.approx(learned.ece_by_chance, abs=0.02)  # drawn there, exact here
    assert [(one["name"], one["n"], one["recall"]) for one in told["classes"]] == [
        (one.name, one.n, pytest.approx(one.recall)) for one in learned.classes
    ]
    assert any("NOT speaker-independent" in one for one in told["warnings"]) is not knows_speakers

    one = DEMO / "plain.flac"
    answers = [earnest.load(tmp_path / who).predict(one).probabilities for who in ("python", "node")]
    assert answers[1] == pytest.approx(answers[0], abs=1e-5)


@pytest.mark.parametrize("named", [SPEAKERS, (), SPEAKERS[:2], SPEAKERS[:1]], ids=["all", "none", "some", "one"])
def test_node_and_python_say_the_same_of_the_speakers_and_give_the_same_advice(
    tmp_path: Path, named: tuple[str, ...]
) -> None:
    base = write_bundle(tmp_path / "base", stand_in_model(), name="base-of-tests")
    clips = write_clips(tmp_path / "clips", n_each=20)
    for path in clips.rglob("*.wav"):
        if len(named) == 1 and not path.name.startswith(named):
            path.unlink()
    pattern = f"({'|'.join(named)})_[0-9]+" if named else None
    learned = earnest.learn(clips, tmp_path / "python", model=base, report=False, speaker_pattern=pattern)
    told = in_node(clips, base, tmp_path / "node", named)
    assert (told["nSpeakers"], told["folds"]) == (learned.n_speakers, learned.folds)
    for about in ("NOT speaker-independent", "never says"):
        assert [one for one in told["warnings"] if about in one] == [one for one in learned.warnings if about in one]
    # What Python measures with halves of the speakers is no business of a page.
    advice = [one for one in learned.advice if "half of the" not in one]
    assert [one.replace("“", "'").replace("”", "'") for one in told["advice"]] == [
        re.sub(r" \(--speaker.*?\)", "", one) for one in advice
    ]
