"""What a caller asks: classes, and how sure an answer must be; and which words of quality it gets."""

import csv
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError
from earnest.runtime.prediction import ClassChoice, Options, with_notes

CLASSES = ("neutral", "calm", "happy", "sad")
INFO = BundleInfo("m", "1", CLASSES, 16_000, "CC0-1.0", {})
SHARES = np.array([0.1, 0.2, 0.3, 0.4])


def asked(*classes: str) -> list[float]:
    return list(ClassChoice(INFO, Options.of(classes or None)).of(SHARES))


def test_the_classes_asked_for_share_all_of_the_probability_in_the_order_asked() -> None:
    assert asked("sad", "happy") == pytest.approx([4 / 7, 3 / 7])
    assert asked(*CLASSES) == SHARES.tolist()
    assert asked() == SHARES.tolist()


def test_calm_counts_as_neutral_where_it_is_not_asked_for() -> None:
    assert asked("neutral", "happy") == pytest.approx([0.5, 0.5])
    assert asked("neutral", "calm") == pytest.approx([1 / 3, 2 / 3])
    assert asked("calm", "happy") == pytest.approx([0.4, 0.6])  # neutral is no kind of calm
    assert asked("happy", "sad") == pytest.approx([3 / 7, 4 / 7])


def test_rows_are_chosen_one_by_one_and_classes_that_are_impossible_are_equal() -> None:
    found = ClassChoice(INFO, Options.of("happy, sad")).of(np.stack([SHARES, SHARES[::-1], np.eye(4)[0]]))
    np.testing.assert_allclose(found, [[3 / 7, 4 / 7], [2 / 3, 1 / 3], [0.5, 0.5]])


def test_names_come_in_a_list_or_in_a_text() -> None:
    assert Options.of(" happy,sad ,,happy").classes == Options.of(["happy", "sad"]).classes == ("happy", "sad")
    with_comma = Options.of('"sad, deeply",happy, "say ""no"""')
    assert with_comma.classes == ("sad, deeply", "happy", 'say "no"') == Options.of(with_comma.classes_text).classes
    assert Options.of("").classes == Options.of(None).classes == ()
    assert Options.of(np.array(["happy", "sad"])).classes == ("happy", "sad")  # type: ignore[arg-type]
    with pytest.raises(EarnestError, match="classes: expected names such as 'angry', got 3"):
        Options.of([3, 4])  # type: ignore[list-item]
    assert Options.of("happy\rsad\n").classes == ("happy", "sad")
    before = csv.field_size_limit(131_072)  # as a new process has it; one that has read tables may have more
    try:
        with pytest.raises(EarnestError, match="Give names in a list"):
            Options.of("a" * 200_000)
    finally:
        csv.field_size_limit(before)


def test_a_class_that_macos_wrote_is_the_class_as_typed() -> None:
    choice = ClassChoice(replace(INFO, classes=("neutral", "fröhlich")), Options.of("fro\u0308hlich,fröhlich,neutral"))
    assert choice.classes == ("fröhlich", "neutral")


@pytest.mark.parametrize("empty", [[], (), [" "], np.array([], str)])
def test_an_empty_list_of_classes_is_not_taken_for_all(empty: Any) -> None:
    with pytest.raises(EarnestError, match="classes: the list is empty"):
        Options.of(empty)
    assert Options.of(**Options().words()) == Options()


def test_an_unknown_class_names_the_nearest_and_all() -> None:
    with pytest.raises(EarnestError, match=r"'m' has no class 'hapy', but neutral, calm, .*Did you mean 'happy'"):
        asked("sad", "hapy")
    with pytest.raises(EarnestError, match="A name with a comma stands in double quotes"):
        ClassChoice(replace(INFO, classes=("sad, deeply", "happy")), Options.of("happy,sad, deeply"))


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(EarnestError, match="two classes or more, not for 'sad' alone"):
        asked("sad", "sad")


def test_a_class_with_how_frequent_it_is_weighs_its_probability_by_that() -> None:
    # p·q / Σ p·q with q = 0.5, 0.25, 0.25 for happy, sad, calm
    assert asked("happy=0.5", "sad", "calm") == pytest.approx(np.array([0.15, 0.1, 0.05]) / 0.3)
    # Both of the two classes that count as neutral together have 0.6, so that each counts 0.3.
    assert asked("neutral = 0.6", "happy", "sad=.3") == pytest.approx(np.array([0.09, 0.03, 0.12]) / 0.24)
    equal = [f"{name}=0.25" for name in CLASSES]
    assert asked(*equal) == pytest.approx(SHARES)  # as the model takes them to be
    assert asked("happy=0.5", "sad=0.5") == pytest.approx(asked("happy", "sad"))


def test_what_the_classes_asked_for_leave_belongs_to_the_others() -> None:
    choice = ClassChoice(INFO, Options.of("happy=0.1,sad=0.3"))
    assert choice.classes == ("happy", "sad", "neutral", "calm")
    np.testing.assert_allclose(choice.of(SHARES), np.array([0.03, 0.12, 0.03, 0.06]) / 0.24)
    assert ClassChoice(INFO, Options.of("neutral=0.6")).classes == ("neutral", "happy", "sad")  # calm is neutral then


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_how_frequent_classes_are_counts_for_the_part_that_is_not_adapted(weight: float) -> None:
    choice = ClassChoice(INFO, Options.of("neutral=0.6,happy=0.1,sad=0.3"))
    ratios = np.array([0.3, 0.1, 0.3]) ** (1 - weight)  # neutral and calm count as one
    expected = ratios * [SHARES[0] + SHARES[1], SHARES[2], SHARES[3]]
    np.testing.assert_allclose(choice.of(SHARES, weight), expected / expected.sum())
    plain = ClassChoice(INFO, Options.of("happy,sad"))
    np.testing.assert_allclose(plain.of(SHARES, weight), SHARES[2:] / SHARES[2:].sum())


def test_how_frequent_classes_are_comes_in_a_mapping_too() -> None:
    assert Options.of({"neutral": np.float64(0.6), "happy": None}).classes == ("neutral=0.6", "happy")
    assert Options.of({"neutral": 0.6}) == Options.of("neutral=0.6")


def test_a_class_may_have_an_equals_sign_in_its_name() -> None:
    choice = ClassChoice(replace(INFO, classes=("a=0.2", "b")), Options.of("a=0.2=0.75,b"))
    np.testing.assert_allclose(choice.of(np.array([0.5, 0.5])), [0.75, 0.25])
    assert ClassChoice(replace(INFO, classes=("a=0.2", "b")), Options.of("b,a=0.2")).classes == ("b", "a=0.2")


@pytest.mark.parametrize(
    ("classes", "why"),
    [
        ("neutral=most", r"'neutral=most': how frequent it is lies between 0 and 1: neutral=0\.6"),
        ("neutral=0,sad", "lies between 0 and 1"),
        ("neutral=1", "lies between 0 and 1"),
        ("neutral=nan", "lies between 0 and 1"),
        ("hapy=0.6", "no class 'hapy'.*Did you mean 'happy'"),
        ("neutral=0.6,happy=0.5", r"is 1\.1 together\. It must be 1\."),
        ("neutral=0.6,happy=0.4,sad", r"is 1 together\. It must be something less, for sad\."),
        ("neutral=0.2,calm=0.2,happy=0.2,sad=0.2", r"is 0\.8 together\. It must be 1\."),
        ("neutral=0.6,neutral=0.2", "'neutral' is named with several shares"),
        ("sad,happy,sad=0.5", "'sad' is named with several shares"),
    ],
)
def test_how_frequent_classes_are_has_to_add_up(classes: str, why: str) -> None:
    with pytest.raises(EarnestError, match=why):
        ClassChoice(INFO, Options.of(classes))


@pytest.mark.parametrize("below", [-0.1, 1.1, float("nan"), "0.5", True])
def test_a_threshold_is_a_probability(below: Any) -> None:
    with pytest.raises(EarnestError) as caught:
        Options.of(abstain_below=below)
    assert type(caught.value) is EarnestError  # no recipe is wrong
    told = f"abstain_below: expected a confidence from 0 to 1, got {below!r}. 0 tells every answer"
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ((), ("other-tracks",)),
        (("noisy",), ("noisy", "other-tracks")),
        (("noisy", "out-of-domain"), ("noisy", "other-tracks", "out-of-domain")),
        (("overlapped-speech", "out-of-domain"), ("other-tracks", "overlapped-speech", "out-of-domain")),
        (("out-of-domain", "not-adapted"), ("other-tracks", "out-of-domain", "not-adapted")),  # of a server
    ],
)
def test_what_was_heard_of_a_whole_stands_behind_words_of_sound_once(
    quality: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    assert with_notes(quality, ("other-tracks",)) == expected
    assert with_notes(quality, ()) == quality
