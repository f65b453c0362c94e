"""Checks for packages outside: they find what is wrong, say it in words, and need neither pytest nor torch."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

import numpy as np
import pytest

from earnest.augment.base import AUGMENTATIONS, Augmentation
from earnest.corpora.base import CORPORA, Corpus, LabelsInNames, unknown_name
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, MissingExtraError
from earnest.testing import (
    Check,
    augmentation_checks,
    check_augmentation,
    check_corpus,
    corpus_checks,
    parametrize_with_checks,
)


@dataclass(frozen=True)
class Inverted(Augmentation):
    """Turn the sign; it has no settings."""

    is_random: ClassVar[bool] = False

    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return -waveform


class InPlace(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        waveform *= -1
        return waveform


class View(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform[::-1]


class Unchanged(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform.copy()


class OwnGenerator(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform * np.random.default_rng().random()


class GlobalGenerator(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform * np.random.rand()  # noqa: NPY002


class HiddenDraw(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform * rng.random()


class DividesByPeak(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        with np.errstate(all="ignore"):
            return -waveform / np.abs(waveform).max()


class Halved(Inverted):
    def apply(self, waveform: Any, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        return waveform[: (len(waveform) + 1) // 2].copy()


@dataclass(frozen=True)
class Undocumented(Inverted):
    """Turn the sign."""

    amount: float = 1.0


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def add(registry: Any, name: str, entry: Any) -> None:
        monkeypatch.setitem(registry._entries, name, entry)

    return add


def failing(checks: list[Check]) -> dict[str, str]:
    found = {}
    for check in checks:
        try:
            check()
        except AssertionError as error:
            found[check.promise.__name__] = str(error)
        except (ValueError, EarnestError) as error:  # a clip that can't be written to, or that training refuses
            found[check.promise.__name__] = str(error)
    return found


def test_an_augmentation_without_settings_needs_no_line_anywhere(register: Any) -> None:
    register(AUGMENTATIONS, "inverted", Inverted)
    check_augmentation("inverted")


@pytest.mark.parametrize(
    ("kind", "promise", "words"),
    [
        (InPlace, "clip_is_changed_but_its_own_samples_are_not", "read-only"),
        (View, "clip_is_changed_but_its_own_samples_are_not", "returns a view"),
        (Unchanged, "clip_is_changed_but_its_own_samples_are_not", "changes nothing"),
        (OwnGenerator, "same_seed_gives_the_same_samples", "draw from rng alone"),
        (GlobalGenerator, "global_generator_is_left_alone", "use rng"),
        (HiddenDraw, "another_seed_gives_another_result_where_something_is_drawn", "is_random is False"),
        (DividesByPeak, "hard_clips_are_survived_without_a_warning", "on silence: gives samples that are not finite"),
        (Halved, "length_is_kept_where_that_is_promised", "set keeps_length = False"),
        (Undocumented, "docstring_names_every_setting", "leaves out amount"),
    ],
)
def test_a_broken_promise_of_an_augmentation_is_found(
    kind: type[Augmentation], promise: str, words: str, register: Any
) -> None:
    register(AUGMENTATIONS, "broken", kind)
    assert words in failing(augmentation_checks("broken"))[promise]
    with pytest.raises((AssertionError, ValueError)):
        check_augmentation("broken")


class Whispers(LabelsInNames):
    """Names are SPEAKER_EMOTION_TAKE."""

    title, language, licence, commercial_use = "Whispers", "English", "CC0-1.0", True
    url, citation, access = "https://example.org", "Nobody (2026)", "Ask nobody."
    n_speakers, n_utterances = 2, 2
    example: ClassVar[dict[str, str]] = {"anna_happy_1.wav": "happy", "bert_sad_1.wav": "sad"}

    def utterance(self, path: Path) -> Utterance:
        words = path.stem.split("_")
        if len(words) != 3:
            raise unknown_name(path, "anna_happy_1.wav")
        speaker, emotion, _ = words
        return Utterance(path.stem, path, 0, None, "whispers", f"whispers-{speaker}", None, "", "", emotion, emotion)


class WrongSpeaker(Whispers):
    def utterance(self, path: Path) -> Utterance:
        return replace(super().utterance(path), speaker="anna")


class WrongLabel(Whispers):
    def utterance(self, path: Path) -> Utterance:
        return replace(super().utterance(path), emotion="calm")


class SameIds(Whispers):
    def read(self, root: Path) -> Iterator[Utterance]:
        return (replace(row, utterance_id="a") for row in super().read(root))


class Drops(Whispers):
    def recordings(self, root: Path) -> list[Path]:
        return [path for path in super().recordings(root) if "_" in path.stem]


class Lowercase(Whispers):
    def recordings(self, root: Path) -> list[Path]:
        return sorted(root.glob("*.wav"))


class WrongCounts(Whispers):
    class_counts: ClassVar[dict[str, int]] = {"happy": 1, "glad": 2}


class Unattainable(Whispers):
    access = ""


class ReadsNothing(Whispers):
    def read(self, root: Path) -> Iterator[Utterance]:
        return iter(())


def test_a_right_corpus_passes(register: Any) -> None:
    register(CORPORA, "whispers", Whispers)
    check_corpus("whispers")


@pytest.mark.parametrize(
    ("kind", "promise", "words"),
    [
        (WrongSpeaker, "rows_name_their_corpus_and_speaker_and_are_unique", "'anna' must begin with 'whispers-'"),
        (SameIds, "rows_name_their_corpus_and_speaker_and_are_unique", "same utterance_id"),
        (WrongLabel, "example_is_read_with_its_emotions_whatever_the_extension", "'anna_happy_1.wav': 'calm'"),
        (Drops, "unknown_recording_is_named_and_not_dropped", "is read or dropped"),
        (ReadsNothing, "empty_or_absent_folder_is_an_error_that_names_it", "must be a CorpusError"),
        (WrongCounts, "facts_agree_with_each_other", "class_counts sum to 3, n_utterances is 2"),
        (Unattainable, "facts_agree_with_each_other", "say in access how to get it"),
    ],
)
def test_a_broken_promise_of_a_corpus_is_found(kind: type[Corpus], promise: str, words: str, register: Any) -> None:
    register(CORPORA, "whispers", kind)
    assert words in failing(corpus_checks("whispers"))[promise]
    with pytest.raises(AssertionError):
        check_corpus("whispers")


def test_other_extensions_must_be_read_too(register: Any) -> None:
    register(CORPORA, "whispers", Lowercase)
    with pytest.raises(Exception, match="No recordings of Whispers"):
        check_corpus("whispers")


def test_a_check_of_what_is_not_installed_is_skipped_with_the_words_that_say_what_to_install() -> None:
    def promise(name: str) -> None:
        raise MissingExtraError(name, "ssl")

    with pytest.raises(SkipTest, match=r"earnest\[ssl\]\. Install them with: pip install "):
        Check("wav2vec", promise)()


def test_the_tests_of_pytest_are_named_after_entry_and_promise() -> None:
    mark = parametrize_with_checks(corpora=["emodb"], augmentations=["gain"])
    ids = [str(check) for check in mark.args[1]]
    assert "emodb-facts_agree_with_each_other" in ids
    assert "gain-docstring_names_every_setting" in ids


def test_checking_corpora_and_augmentations_loads_neither_pytest_nor_torch() -> None:
    code = (
        "import sys; from earnest.testing import check_corpus, augmentation_checks; check_corpus('emodb');"
        "augmentation_checks('gain')[0](); assert not {'torch', 'pytest', 'onnxruntime'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
