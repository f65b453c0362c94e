"""The browser package gives Python's numbers, in Node and in headless Chromium."""

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import harness
import numpy as np
import onnxruntime
import pytest
import soundfile
import soxr
from stand_in import CLASSES, stand_in_adaptation, stand_in_model, write_adapting, write_bundle
from the_page import COMPILED_ONCE

import earnest
from earnest.audio.activity import NETWORK
from earnest.bundle import SHIPPED, SOUNDS
from earnest.errors import EarnestError
from earnest.export.onnx import MOODY_EIGHT, to_moody
from earnest.models.classifier import MODELS, build_classifier
from earnest.runtime.adaptation import Adaptation, Adapter
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.windows import Over, Windower, Windowing
from earnest.settings.front_end import PRESETS, Image, Segments
from earnest.settings.recipe import Recipe
from earnest.testing.sounds import voice

# From 0.913 of the lower Nyquist frequency on the two resamplers' slopes differ, and the models hear that far.
RESAMPLED = 5e-3  # another resampler than soxr; 0.0033 was measured with `small`, at 8 kHz or 48
DEMO = SHIPPED.parent / "demo"  # synthetic speech, five clips of 2.4 to 5.2 s


pytestmark = pytest.mark.usefixtures("built")


@pytest.fixture
def tasks(tmp_path: Path) -> harness.Tasks:
    folder = tmp_path / "tasks"
    folder.mkdir()
    return harness.Tasks(folder)


def adapting_bundle(folder: Path, **changes: Any) -> Path:
    model = stand_in_model(extra_outputs=True, sound=True)
    return write_adapting(folder, model=model, **{"out_of_domain_from": 1e-3, **changes})


def gated_bundle(folder: Path) -> Path:
    """Speech, laughter and the rest are told apart by how loud they are."""
    model = stand_in_model(extra_outputs=True, sound=True)
    return write_bundle(folder, model, sounds=SOUNDS, out_of_domain_from=0.15, abstain_below=0.2)


def demo(*names: str, pause_s: float = 1.0) -> Any:
    """Return synthetic speech at 16 kHz, with silence after each clip."""
    pause = np.zeros(round(pause_s * 16_000), np.float32)
    return np.concatenate(
        [part for name in names for part in (soundfile.read(DEMO / f"{name}.flac", dtype="float32")[0], pause)]
    )


def talk(sample_rate_hz: int) -> Any:
    """Return 14 s: speech, a pause, louder speech, a click, silence, speech up to the end."""
    parts = [
        voice(4.3, sample_rate_hz, seed=1),
        np.zeros(sample_rate_hz, np.float32),
        3 * voice(3.1, sample_rate_hz, 260.0, seed=2),
        np.zeros(sample_rate_hz, np.float32),
        voice(0.05, sample_rate_hz, seed=3),
        np.zeros(sample_rate_hz * 2, np.float32),
        0.5 * voice(2.9, sample_rate_hz, 120.0, seed=4),
    ]
    return np.concatenate(parts).astype(np.float32)


def with_tone(waveform: Any) -> Any:
    """Return sound at 48 kHz with a tone above what models hear, as loud as many a voice."""
    return (waveform + 0.05 * np.sin(2 * np.pi * 19_000 / 48_000 * np.arange(len(waveform)))).astype(np.float32)


def assert_same(found: Any, expected: Any, within: float = 1e-5) -> None:
    """Compare two JSON values; numbers may lie ``within`` apart."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert_same(found[name], value, within)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, within)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=within)
    else:
        assert found == expected


def test_the_unit_tests_pass() -> None:
    assert " fail 0\n" in harness.npm("test")  # behind a sign that every version of Node has another of


def test_types_and_lint_are_clean() -> None:
    harness.npm("run", "check")


def test_the_version_is_the_python_packages() -> None:
    from earnest import __version__

    assert json.loads((harness.WEB / "package.json").read_text("utf-8"))["version"] == __version__


def test_the_lock_file_names_the_public_registry_only() -> None:
    packages = json.loads((harness.WEB / "package-lock.json").read_text("utf-8"))["packages"]
    assert {url.split("/")[2] for item in packages.values() if (url := item.get("resolved"))} == {"registry.npmjs.org"}


def windows_of(waveform: Any, rate_hz: int, to_hz: int, windowing: Windowing, **how: bool) -> Any:
    """Return what Python's windower hands out, as ``bench/node.mjs`` writes it down."""
    windower = Windower(to_hz, rate_hz, windowing, **how)
    jobs: list[Any] = []
    for job in (*windower.accept(np.asarray(waveform, np.float32)), *windower.finish()):
        if isinstance(job, Over):
            jobs.append([job.extent.start, job.extent.end, None, None, None])
        else:
            heard = [len(job.sound), float(np.abs(job.sound.astype(np.float64)).sum())]
            jobs.append([job.extent.start, job.extent.end, job.segment_start, *heard])
    return {"jobs": jobs, "isWhole": windower.is_whole}


CUT = {
    "segments at the model's rate": (talk(16_000), 16_000, 16_000),
    "another rate": (talk(44_100), 44_100, 16_000),
    "a model at another rate than activity detection": (talk(16_000), 16_000, 22_050),
    "as long as a window": (voice(3.0), 16_000, 16_000),
    "a sample longer than a window": (voice(3.1)[:48_001], 16_000, 16_000),
    "shorter than a frame": (voice(0.05)[:100], 16_000, 16_000),
    "silence": (np.zeros(80_000, np.float32), 16_000, 16_000),
    "a window would end in the silence that fills the last frame": (voice(6.0)[:79_990], 16_000, 16_000),
    "a click in a pause": (
        np.concatenate([voice(4.0), np.zeros(9_000), voice(0.05), np.zeros(9_000), voice(2.0)]),
        16_000,
        16_000,
    ),
    "a quiet beginning and end": (np.concatenate([np.zeros(7_777), voice(1.0), np.zeros(5_000)]), 16_000, 16_000),
}


def test_windows_are_pythons_to_the_sample(tasks: harness.Tasks, tmp_path: Path) -> None:
    expected = []
    for waveform, rate_hz, to_hz in CUT.values():
        for window_s, hop_s in ((3.0, 1.0), (1.5, 0.5), (0.4, 0.3)):
            for needs_activity, live in ((True, True), (False, True), (True, False), (False, False)):
                for piece in (997, len(waveform)):
                    how = {"needsActivity": needs_activity, "live": live, "windowS": window_s, "hopS": hop_s}
                    tasks.add("windows", waveform, rate_hz, toHz=to_hz, piece=piece, **how)
                windowing = Windowing(window_s, hop_s, "energy")
                row = windows_of(waveform, rate_hz, to_hz, windowing, needs_activity=needs_activity, live=live)
                expected += [row, row]
    assert all(not row["jobs"] or row["jobs"][-1][2] is None for row in expected)  # the last segment is always told
    assert any(row["isWhole"] and row["jobs"] for row in expected)
    for found, row in zip(tasks.by_node(write_bundle(tmp_path / "bundle")), expected, strict=True):
        assert [job[:4] for job in found["jobs"]] == [job[:4] for job in row["jobs"]]
        sums = [job[4] for job in row["jobs"] if job[4] is not None]
        assert [job[4] for job in found["jobs"] if job[4] is not None] == pytest.approx(sums, rel=1e-4)
        assert found["isWhole"] == row["isWhole"]


def test_node_answers_about_recordings_as_python_does(tasks: harness.Tasks) -> None:
    predictor, expected = Predictor.load("small"), []
    rng = np.random.default_rng(0)
    recordings = {
        "ok": (voice(1.3), 16_000),
        "48 kHz": (voice(2.2, 48_000), 48_000),
        "a tone that nobody hears": (with_tone(voice(2.2, 48_000)), 48_000),
        "telephone": (voice(1.5, 8_000), 8_000),
        "telephone and a tone above": (with_tone(soxr.resample(voice(1.5, 8_000), 8_000, 48_000)), 48_000),
        "clipped": (np.clip(20 * voice(1.0), -1, 1), 16_000),
        "noisy": ((voice(1.0, level=0.02) + rng.normal(0, 0.3, 16_000)).astype(np.float32), 16_000),
        "little speech": (np.concatenate([voice(1.0), rng.normal(0, 0.002, 20 * 16_000)]).astype(np.float32), 16_000),
        "silence": (np.zeros(16_000, np.float32), 16_000),
        "short": (voice(0.09), 16_000),
        "longer than the longest window": (np.concatenate([voice(30.5), np.zeros(16_000)]).astype(np.float32), 16_000),
    }
    for name, (waveform, rate_hz) in recordings.items():
        tasks.add("predict", waveform, rate_hz, path=name)
        expected.append(predictor.predict((waveform, rate_hz)).to_dict() | {"path": name})
    resampled = {name for name, (_, rate_hz) in recordings.items() if rate_hz != 16_000}
    words = {word for row in expected for word in (row["status"], *row["quality"])}
    assert words >= {"no-speech", "too-short", "clipped", "noisy", "too-quiet", "low-bandwidth"}
    for found, row in zip(tasks.by_node(SHIPPED / "small", NETWORK), expected, strict=True):
        assert_same(found, row, within=RESAMPLED if row["path"] in resampled else 1e-4)


def test_what_is_asked_at_once_is_answered_as_if_it_were_asked_alone(tasks: harness.Tasks) -> None:
    spoken = demo("lively", "plain", "whispered")
    spoken = spoken[: len(spoken) // 1_600 * 1_600]
    tasks.add("together", spoken, 16_000, piece=1_600)
    expected = Predictor.load("small").predict((spoken, 16_000)).to_dict() | {"path": "array"}
    (found,) = tasks.by_node(SHIPPED / "small", NETWORK)
    for answer in found:
        assert_same(answer, expected, within=1e-4)


def test_a_model_that_was_learnt_answers_as_in_python(tasks: harness.Tasks, tmp_path: Path) -> None:
    names = ["plain", "lively", "slow-and-low", "loud-and-fast"]
    rows = [f"{DEMO / name}.flac,{start},{start + 1.2},{name}" for name in names for start in (0, 0.6, 1.2)]
    (tmp_path / "mine.csv").write_text("path,start_s,end_s,label\n" + "\n".join(rows))
    learned = earnest.learn(tmp_path / "mine.csv", tmp_path / "mine", model="small", report=False)
    predictor, expected = Predictor.load(learned.path), []
    for name in names:
        tasks.add("predict", demo(name), 16_000, path=name)
        expected.append(predictor.predict((demo(name), 16_000)).to_dict() | {"path": name})
    for found, row in zip(tasks.by_node(learned.path, NETWORK), expected, strict=True):
        assert_same(found, row)


SPOKEN = {
    "a short clip": ["loud-and-fast"],
    "two segments": ["loud-and-fast", "slow-and-low"],
    "several segments": ["whispered", "lively", "plain", "loud-and-fast", "slow-and-low"],
}
ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"classes": ["sad", "happy", "disgust"]},
    {"classes": "happy, fearful"},
    {"abstain_below": 0.0},
    {"abstain_below": 0.87},
    {"classes": ["neutral", "sad", "fearful"], "abstain_below": 0.45},
    {"classes": ["neutral", "happy", "sad"], "abstain_below": 0.0},
)


def in_typescript(asked: dict[str, Any]) -> dict[str, Any]:
    return {{"abstain_below": "abstainBelow"}.get(name, name): value for name, value in asked.items()}


def test_predictions_and_timelines_of_speech_are_pythons(tasks: harness.Tasks) -> None:
    predictor, expected = Predictor.load("small"), []
    both = demo("lively")[:32_000] + demo("whispered")[:32_000]
    for waveform in (*(demo(*names) for names in SPOKEN.values()), both, np.zeros(48_000, np.float32)):
        for asked in ASKED:
            for call in ("predict", "timeline"):
                tasks.add(call, waveform, 16_000, path="array", options=in_typescript(asked))
                method = predictor.predict if call == "predict" else predictor.timeline
                expected.append(method((waveform, 16_000), **asked).to_dict())
    assert {row["status"] for row in expected} >= {"ok", "unsure", "no-speech"}
    assert any(row["shares"] and len(row["shares"]) > 1 for row in expected)
    assert {"overlapped-speech" in row["quality"] for row in expected} == {True, False}
    for found, row in zip(tasks.by_node(SHIPPED / "small", NETWORK), expected, strict=True):
        assert list(found["shares"] or {}) == list(row["shares"] or {})  # the largest first
        assert list(found["probabilities"]) == list(row["probabilities"])
        assert_same(found, row, within=1e-4)


def test_speech_on_an_offset_is_found_as_in_python(tasks: harness.Tasks) -> None:
    waveform = (0.1 * demo("lively", "plain") + 0.5).astype(np.float32)
    tasks.add("timeline", waveform, 16_000)
    expected = Predictor.load("small").timeline((waveform, 16_000))
    (found,) = tasks.by_node(SHIPPED / "small", NETWORK)
    assert found["speech_s"] == pytest.approx(expected.speech_s) and expected.speech_s > 3
    # An offset is most of the spectrum's power: the graphs' sums round by more than elsewhere.
    assert_same(found, expected.to_dict() | {"path": found["path"]}, within=1e-2)


def test_the_gate_is_pythons(tasks: harness.Tasks, tmp_path: Path) -> None:
    bundle = gated_bundle(tmp_path / "bundle")
    predictor, expected, pause = Predictor.load(bundle), [], np.zeros(16_000)
    loudness = {"speech": 0.25, "laughter": 0.6, "crying": 1.2, "another": 1.8, "nothing": 0.06}
    sounds = {name: voice(2.5, level=level) for name, level in loudness.items()}
    recordings = [
        *sounds.values(),
        np.random.default_rng(0).normal(0, 0.01, 32_000),
        np.zeros(16_000),
        voice(0.08, level=0.3),
        *(np.concatenate([sounds[one], pause, sounds[other]]) for one, other in pairwise([*sounds, *sounds])),
        np.concatenate([voice(4.0, level=level) for level in (0.2, 0.6, 0.3, 0.08)]),
    ]
    for recording in recordings:
        waveform = np.float32(recording)
        for asked in ({}, {"classes": ["sad", "neutral"], "abstain_below": 0.52}):
            for call in ("predict", "timeline", "stream"):
                tasks.add(call, waveform, 16_000, path="array", piece=4_321, options=in_typescript(asked))
            predicted = predictor.predict((waveform, 16_000), **asked)
            timeline = predictor.timeline((waveform, 16_000), **asked)
            expected += [predicted.to_dict(), timeline.to_dict(), timeline.to_dict()]
    assert {row["status"] for row in expected} == {"ok", "unsure", "vocal-burst", "no-speech", "too-short"}
    assert len({burst["kind"] for row in expected for burst in row["vocal_bursts"]}) > 2
    assert any(row["vocal_bursts"] and row["emotion"] for row in expected)
    assert {"out-of-domain" in row["quality"] for row in expected} == {True, False}
    for found, row in zip(tasks.by_node(bundle, NETWORK), expected, strict=True):
        if "events" in found:
            bursts = [event for event in found["events"] if event["event"] == "vocal-burst"]
            assert_same(bursts, [{"event": "vocal-burst", **burst} for burst in row["vocal_bursts"]], within=1e-4)
        else:
            assert_same(found, row, within=1e-4)


def test_a_speaker_is_known_from_recordings_or_a_profile_as_in_python(tasks: harness.Tasks, tmp_path: Path) -> None:
    bundle = adapting_bundle(tmp_path / "bundle", sounds=SOUNDS)
    recordings = [talk(16_000) * np.float32(3), voice(2.0, level=0.6), voice(1.5, level=0.25)]  # one is no speech
    heard = np.concatenate([voice(2.8, level=0.3), np.zeros(20_000), voice(4.0, level=0.25)]).astype(np.float32)
    adapt = [tasks.write(recording) for recording in recordings]
    predictor = Predictor.load(bundle)
    profile = predictor.profile([(recording, 16_000) for recording in recordings])
    tasks.add("predict", heard, 16_000, path="array", adapt=adapt)
    tasks.add_profile(adapt)
    expected = predictor.predict((heard, 16_000), predictor.adapter(profile)).to_dict()
    assert expected["adapted"] and expected["adaptation_weight"]
    found, values = tasks.by_node(bundle, NETWORK)
    assert_same(found, expected, within=1e-4)
    assert_same(values, json.loads(profile.to_json()), within=1e-4)
    Profile.from_values(values, "profile").check(predictor.info)


def test_wrong_options_are_refused_with_pythons_advice(tasks: harness.Tasks, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    predictor, expected = Predictor.load(bundle), []
    for asked in (
        {"classes": "hapy,sad"},
        {"classes": ["anger", "sad"]},
        {"classes": ["xyz", "sad"]},
        {"classes": ["sad", " sad "]},
        {"abstain_below": 1.5},
    ):
        tasks.add("predict", voice(1.0), 16_000, options=in_typescript(asked))
        with pytest.raises(EarnestError) as refused:
            predictor.predict((voice(1.0), 16_000), **asked)
        told = f"EarnestError: {refused.value}"
        expected.append(told.replace("abstain_below", "abstainBelow").replace("None", "null"))
    assert [found["failure"] for found in tasks.by_node(bundle)] == expected


def test_timelines_and_streams_are_pythons(tasks: harness.Tasks, tmp_path: Path) -> None:
    rate_hz = 44_100
    bundle, waveform = adapting_bundle(tmp_path / "bundle"), talk(rate_hz)
    predictor, expected = Predictor.load(bundle), []
    for adapt in (False, True):
        tasks.add("timeline", waveform, rate_hz, path="array", adapt=adapt)
        adapter = predictor.adapter() if adapt else None
        expected.append(predictor.timeline((waveform, rate_hz), adapter=adapter).to_dict())
    assert 0 < expected[1]["adaptation_weight"] < 0.5
    assert expected[1]["adapted"] and expected[0]["quality"] and len(expected[0]["spans"]) > 1
    assert expected[1]["windows"] != expected[0]["windows"]
    tasks.add("stream", waveform, rate_hz, piece=997)
    *timelines, stream = tasks.by_node(bundle, NETWORK)
    for found, row in zip(timelines, expected, strict=True):
        assert_same(found, row)
    told = [event for event in stream["events"] if event["event"] == "span"]
    assert_same([{**event, "event": 0} for event in told], [{**span, "event": 0} for span in expected[0]["spans"]])


def test_without_the_network_the_level_tells_speech_as_in_python(tasks: harness.Tasks, tmp_path: Path) -> None:
    bundle, waveform = write_bundle(tmp_path / "bundle"), talk(16_000)
    tasks.add("timeline", waveform, 16_000, path="array")
    expected = Predictor.load(bundle).timeline((waveform, 16_000), Windowing(activity="energy")).to_dict()
    assert len(expected["segments"]) > 1
    assert_same(tasks.by_node(bundle)[0], expected)


@pytest.mark.parametrize("known", [0, 4])
def test_the_adaptation_network_says_what_it_says_in_python(known: int, tasks: harness.Tasks, tmp_path: Path) -> None:
    bundle = adapting_bundle(tmp_path / "bundle", least_speech_s=7.0)
    plain = np.random.default_rng(6).dirichlet(np.ones(len(CLASSES)), 40).astype(np.float32)
    network = Adaptation.read(stand_in_adaptation(), len(CLASSES), "stand-in", least_speech_s=7.0)
    profile = Profile.of("stand-in", "1", CLASSES, 9.0, plain[:known], np.ones(known)) if known else None
    adapter = Adapter(network, profile)
    expected = [adapter.hear(row, 3.0, new_s) for new_s in (1.0, 0.0) for row in plain]
    values = json.loads(profile.to_json()) if profile else None
    tasks.add_answers(np.concatenate([plain, plain]), seconds=3, newS=[1, 0], profile=values)
    (found,) = tasks.by_node(bundle)
    told = [row and {"probabilities": row.probabilities.tolist(), "weight": row.weight} for row in expected]
    assert_same(found, told)
    assert [row is None for row in told[:8]] == [not known] * 6 + [False] * 2


def test_a_network_or_profile_that_does_not_fit_is_refused(tasks: harness.Tasks, tmp_path: Path) -> None:
    plain = np.full((3, len(CLASSES)), 1 / len(CLASSES))
    with pytest.raises(RuntimeError, match=r"stand-in: adaptation\.onnx: from probabilities, weights to answers"):
        tasks.by_node(adapting_bundle(tmp_path / "names", network=stand_in_adaptation(names=("answers", "weight"))))
    for network in (stand_in_adaptation(4), stand_in_adaptation(weight=3.0)):
        folder = adapting_bundle(tmp_path / f"bundle-{len(list(tmp_path.iterdir()))}", network=network)
        tasks.add_answers(plain, seconds=1, newS=[9])
        with pytest.raises(RuntimeError, match=r"stand-in: adaptation\.onnx: .*Export the bundle again"):
            tasks.by_node(folder)


def test_the_resampler_is_as_good_as_soxr(tasks: harness.Tasks, tmp_path: Path) -> None:
    rates_hz = [(48_000, 16_000), (44_100, 16_000), (22_050, 16_000), (8_000, 16_000), (16_000, 22_050)]
    # Faded in and out: an edge would hold frequencies that no filter keeps.
    waveforms = [(voice(0.5, hz) * np.hanning(round(0.5 * hz))).astype(np.float32) for hz, _ in rates_hz]
    for waveform, (from_hz, to_hz) in zip(waveforms, rates_hz, strict=True):
        tasks.add("resample", waveform, from_hz, toHz=to_hz, piece=1_111)
    answers = tasks.by_node(write_bundle(tmp_path / "bundle"))
    for found, waveform, (from_hz, to_hz) in zip(answers, waveforms, rates_hz, strict=True):
        expected = soxr.resample(waveform, from_hz, to_hz, quality="HQ")
        assert len(found) == len(expected)
        np.testing.assert_allclose(found, expected, atol=2e-4)  # noise where the slopes of the two filters differ


@pytest.fixture(scope="module")
def site(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Path]]:
    """Give Chromium, an address that serves ``web/`` and a folder that is served as ``/tasks/``."""
    pytest.importorskip("selenium")
    if missing := harness.missing_tools("chromium", "chromedriver"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    folder = tmp_path_factory.mktemp("served")
    soundfile.write(folder / "talk.wav", np.tile(demo("lively"), 3), 16_000)
    folders = {"web": harness.WEB, "models": SHIPPED, "tasks": folder}
    with harness.served(**folders) as address, harness.chromium(folder / "talk.wav", COMPILED_ONCE) as driver:
        yield driver, address, folder


def opened(site: tuple[Any, str, Path], page: str, ready: str = "window.ready") -> tuple[Any, str]:
    driver, address, _ = site
    driver.get(f"{address}/{page}")
    harness.wait_for(driver, ready)
    return driver, address


def assert_quiet(driver: Any, address: str) -> None:
    """No complaint on the console, no request to another host."""
    assert harness.complaints(driver) == []
    known = (address, f"blob:{address}", "data:")
    assert [url for url in harness.requested(driver) if not url.startswith(known)] == []


def test_chromium_answers_as_python_does(site: tuple[Any, str, Path]) -> None:
    driver, address = opened(site, "web/bench/page.html")
    shutil.copy(NETWORK, site[2] / "silero_vad.onnx")
    tasks, predictor, expected = harness.Tasks(site[2]), Predictor.load("small"), []
    recordings = ((voice(1.3), 16_000), (np.zeros(9_000), 16_000), (voice(2.0, 48_000), 48_000))
    for waveform, rate_hz in recordings:
        tasks.add("predict", waveform, rate_hz, path="array")
        expected.append(predictor.predict((np.float32(waveform), rate_hz)).to_dict())
    asked = {"classes": ["happy", "sad", "angry"], "abstain_below": 0.6}
    for call, method in (("predict", predictor.predict), ("timeline", predictor.timeline)):
        waveform = demo(*SPOKEN["two segments"])
        tasks.add(call, waveform, 16_000, path="array", options=in_typescript(asked))
        expected.append(method((waveform, 16_000), **asked).to_dict())
    tasks.add("predict", [np.nan], 16_000)
    tasks.add("predict", voice(1.0), 16_000, options={"classes": "sad,hapy"})
    tasks.save()
    network = f"{address}/tasks/silero_vad.onnx"
    *found, refused, unknown = harness.awaited(driver, "window.answers(a, b)", f"{address}/models/small", network)
    resampled = found.pop(2), expected.pop(2)
    assert_same(found, expected, within=1e-4)
    assert_same(*resampled, within=RESAMPLED)
    assert unknown["failure"].endswith("Did you mean 'happy'?")
    assert refused["failure"].startswith("AudioError: The waveform holds NaN")
    assert_quiet(driver, address)


def test_a_damaged_model_is_refused_in_the_page(site: tuple[Any, str, Path]) -> None:
    driver, address = opened(site, "web/bench/page.html")
    write_bundle(site[2] / "damaged")
    (site[2] / "damaged" / "model.onnx").write_bytes(b"another")
    with pytest.raises(RuntimeError, match=r"BundleError: .*its sha256 is not the one in bundle\.json"):
        harness.awaited(driver, "window.answers(a)", f"{address}/tasks/damaged")


def test_parts_of_a_decoded_file_arrive_whole_in_the_page(site: tuple[Any, str, Path]) -> None:
    driver, address = opened(site, "web/bench/page.html")
    script = """{
        const model = await earnest.load(a);
        const file = await (await fetch(b)).blob();
        const { waveform, sampleRateHz } = await earnest.decode(new Uint8Array(await file.arrayBuffer()));
        const again = (await earnest.decode(file, "talk.wav", null)).waveform;
        const same = again.every((sample, place) => sample === waveform[place]);
        const stream = await model.stream(sampleRateHz);
        for (let start = 0; start < waveform.length; start += 4096) {
            await stream.accept(waveform.subarray(start, start + 4096));
        }
        return { same, heardS: stream.receivedS, lengthS: waveform.length / sampleRateHz };
    }"""
    found = harness.awaited(driver, script, f"{address}/models/small", f"{address}/tasks/talk.wav")
    assert found["same"] and found["heardS"] == found["lengthS"] > 6
    assert_quiet(driver, address)


@pytest.mark.parametrize("served", [(), ("ort-wasm-simd-threaded.mjs",)])
def test_a_missing_runtime_is_told_in_the_page(served: tuple[str, ...], site: tuple[Any, str, Path]) -> None:
    driver, address = opened(site, "web/bench/page.html")
    folder = site[2] / "runtime"
    folder.mkdir(exist_ok=True)
    for name in served:
        shutil.copy(harness.WEB / "dist" / name, folder)
    told = rf"{address}/tasks/runtime/\S+\.mjs and \S+\.wasm: the runtime doesn't start \(.*\)\. Serve ort-wasm-simd"
    with pytest.raises(RuntimeError, match=told):
        script = "earnest.load(a, { runtimeUrl: b })"
        harness.awaited(driver, script, f"{address}/models/small", f"{address}/tasks/runtime/")
    harness.complaints(driver)  # of what is missing: not the next test's


def test_the_microphone_is_heard_and_told_as_events(site: tuple[Any, str, Path]) -> None:
    driver, address = opened(site, "web/bench/page.html")
    script = """{
        const model = await earnest.load(a);
        const events = [];
        const onEvent = (event) => events.push(event);
        const listening = await model.listen({ windowS: 1, hopS: 0.5, abstainBelow: 0, onEvent });
        await new Promise((resolve) => setTimeout(resolve, 4000));
        const prediction = await listening.stop();
        return { events, prediction, same: (await listening.ended).duration_s };
    }"""
    found = harness.awaited(driver, script, f"{address}/models/small")
    assert {"window", "span", "segment"} <= {event["event"] for event in found["events"]}
    assert found["prediction"]["status"] in ("ok", "mixed")  # on a busy machine other parts of the clip are heard
    assert 2 < found["prediction"]["duration_s"] == found["same"] < 8
    assert_quiet(driver, address)


def test_a_model_exported_for_moody_runs_in_its_page(site: tuple[Any, str, Path]) -> None:
    (site[2] / "moody.onnx").write_bytes(exported_for_moody())
    ready = "document.getElementById('status').textContent === 'Ready.'"
    driver, address = opened(site, "web/examples/moody.html?model=/tasks/moody.onnx", ready)
    clip = voice(2.1, 22_050)
    soundfile.write(site[2] / "clip.wav", clip, 22_050, subtype="FLOAT")
    driver.find_element("id", "file").send_keys(str(site[2] / "clip.wav"))
    rows = harness.wait_for(driver, "document.getElementById('shares').innerText.trim()").split("\n")
    assert len(clip) == 46_305
    session = onnxruntime.InferenceSession(site[2] / "moody.onnx")
    (logits,) = session.run(["output"], {"input": (clip / np.sqrt(np.mean(clip**2)))[None]})
    expected = np.exp(logits[0, :7]) / np.exp(logits[0, :7]).sum()
    assert [row.split("\t")[0] for row in rows] == list(MOODY_EIGHT[:7])
    found = [float(row.split("\t")[1].removesuffix(" %")) / 100 for row in rows]
    np.testing.assert_allclose(found, expected, atol=6e-4)  # shown to a tenth of a per cent
    assert np.ptp(found) > 0.01
    assert_quiet(driver, address)


def exported_for_moody() -> bytes:
    """Return what `earnest export --profile moody` makes of Moody's AlexNet at reduced width, with random weights."""
    recipe = Recipe(
        "made-up",
        "moody-alexnet",
        front_end=PRESETS["moody"],
        segments=Segments("crop", 2.1),
        image=Image(low_at_bottom=False),
        network=MODELS.get("moody-alexnet").reduced,
    )
    model = build_classifier(recipe, tuple(sorted(MOODY_EIGHT)), seed=0).eval()
    model.temperature.fill_(0.1)  # untrained logits lie close together
    return to_moody(model, {}).SerializeToString()
