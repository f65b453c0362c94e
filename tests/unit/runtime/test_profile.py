"""Profiles: what is kept of a speaker, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError
from earnest.runtime import profile as profiles
from earnest.runtime.profile import MOST_BYTES, MOST_ROWS, Profile

CLASSES = ("happy", "sad")
INFO = BundleInfo("base", "3", CLASSES, 16_000, "CC0-1.0", {"model.onnx": "a" * 64, "adaptation.onnx": "b" * 64})


def profile(n_rows: int = 3) -> Profile:
    happy = np.linspace(0, 1, n_rows)
    rows, weights = np.stack([happy, 1 - happy], axis=1), np.linspace(0.1, 1, n_rows)
    return Profile.of("base", "3", CLASSES, 12.5, rows, weights, INFO.network_digest)


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    one = profile()
    one.write(tmp_path / "voice.json")
    one.write(str(tmp_path / "named.json"))
    other = Profile.read(str(tmp_path / "voice.json"))
    assert Profile.read(tmp_path / "named.json").to_json() == other.to_json()
    assert (other.model, other.model_version, other.classes, other.speech_s) == ("base", "3", CLASSES, 12.5)
    assert other.model_digest == "a" * 12
    np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-6)
    np.testing.assert_allclose(other.weights, one.weights, atol=1e-6)
    other.check(INFO)


def test_a_profile_says_what_it_is_and_shows_none_of_its_answers() -> None:
    assert repr(profile()) == "<Profile of 'base' 3: 12.5 s of speech, 3 answers>"


def test_a_profiles_dictionary_is_what_is_written() -> None:
    one = profile()
    assert one.to_dict() == json.loads(one.to_json())
    assert Profile.from_values(one.to_dict(), "profile").to_json() == one.to_json()


def test_of_many_rows_some_of_all_of_the_time_are_kept() -> None:
    long = profile(5 * MOST_ROWS)
    assert long.probabilities.shape == (MOST_ROWS, 2)
    assert (long.probabilities[0, 0], long.probabilities[-1, 0]) == (0, 1)
    assert len(np.unique(long.probabilities[:, 0])) == MOST_ROWS
    with pytest.raises(EarnestError, match="no speech"):
        profile(0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "small"}, "made with the model 'small 3', not with 'base 3'"),
        ({"model_version": "2"}, "made with the model 'base 2'"),
        ({"classes": ["sad", "happy"]}, "its classes are 'sad, happy'"),
        ({"model_digest": "c" * 12}, r"made with another network than the 'base 3'.*Make it again"),
    ],
)
def test_a_profile_of_another_model_is_refused(changes: dict[str, Any], message: str) -> None:
    values = json.loads(profile().to_json()) | changes
    with pytest.raises(EarnestError, match=message):
        Profile.parsed(json.dumps(values), "voice.json").check(INFO, "voice.json")


def test_a_profile_outlives_a_new_adaptation_and_one_without_a_digest_is_used_with_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "_TOLD", set())
    profile().check(replace(INFO, files={**INFO.files, "adaptation.onnx": "d" * 64}))
    assert not caplog.records
    values = json.loads(profile().to_json())
    del values["model_digest"]
    for where in ("old.json", "profile"):  # where it is read, and where it is used
        Profile.from_values(values, where).check(INFO, where)
    (record,) = caplog.records
    assert "old.json: an earlier earnest wrote it" in record.message
    assert "adapts wrongly. Make it again with `earnest adapt`." in record.message


@pytest.mark.parametrize("variants", ["", " (tta speed)"])
def test_a_profile_of_several_models_is_theirs_in_any_order(variants: str) -> None:
    values = json.loads(profile().to_json()) | {"model": f"small+base{variants}", "model_version": "2+3"}
    of_both = Profile.parsed(json.dumps(values), "voice.json")
    of_both.check(replace(INFO, name=f"base+small{variants}", version="3+2"))
    others = (
        ("base+small", "2+3"),
        ("base+small+tiny", "3+2+1"),
        ("base+small (tta gain)", "3+2"),
        ("base+large", "3+2"),
    )
    for name, version in others:
        with pytest.raises(EarnestError, match="made with the model"):
            of_both.check(replace(INFO, name=name, version=version))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 0},
        {"format": "2"},
        {"other": 1},
        {"model": "a\x1b[2J"},
        {"model": 3},
        {"classes": ["happy"]},
        {"classes": ["happy", "happy"]},
        {"classes": ["happy", ""]},
        {"classes": ["happy", "sad\n"]},
        {"speech_s": -1},
        {"speech_s": float("nan")},
        {"probabilities": []},
        {"probabilities": [[0.5, 0.5]] * (MOST_ROWS + 1), "weights": [1] * (MOST_ROWS + 1)},
        {"probabilities": [[0.5, 0.5]] * 2},
        {"probabilities": [[0.5, 0.5], [0.5, 0.5], [1.0]]},
        {"probabilities": [[0.5, 0.6]] * 3},
        {"probabilities": [[-0.5, 1.5]] * 3},
        {"probabilities": [[float("nan"), 0.5]] * 3},
        {"probabilities": "text"},
        {"weights": [1, 1]},
        {"weights": [0, 1, 1]},
        {"weights": [1e-50, 1, 1]},
        {"weights": [1, 1, 2]},
    ],
)
def test_what_is_no_profile_is_refused(changes: dict[str, Any]) -> None:
    text = json.dumps(json.loads(profile().to_json()) | changes)
    with pytest.raises(EarnestError, match=r"voice\.json.*Make it again with `earnest adapt`\."):
        Profile.parsed(text, "voice.json")


def test_a_profile_of_a_newer_version_says_that() -> None:
    values = profile().to_dict() | {"format": 2, "tempo": 1}
    with pytest.raises(EarnestError, match=r"^voice\.json: made by a newer earnest \(format 2; .* reads 1\)\. Upgrade"):
        Profile.parsed(json.dumps(values), "voice.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[" * 100_000, '{"format": 1}'])
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "voice.json").write_text(text)
    with pytest.raises(EarnestError, match=r"voice\.json"):
        Profile.read(tmp_path / "voice.json")


@pytest.mark.parametrize(("text", "told"), [(" " * (MOST_BYTES + 1), "larger than"), ("[[],", "more lists")])
def test_what_is_larger_than_any_profile_is_refused_before_its_json_is_read(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "parsed_json", None)
    with pytest.raises(EarnestError, match=rf"^profile: .*{told}.*Make it again"):
        Profile.parsed(text if text[0] == " " else text * MOST_ROWS * 2, "profile")


def test_the_largest_profile_with_brackets_in_its_names_is_read() -> None:
    n_classes = 256
    names = tuple(f"[{number}]" for number in range(n_classes))
    shares = np.full((MOST_ROWS, n_classes), 1 / n_classes)
    largest = Profile.of("base", "1", names, 600.0, shares, np.ones(MOST_ROWS))
    assert Profile.parsed(largest.to_json(), "profile").classes == names
