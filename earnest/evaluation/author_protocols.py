"""Authors' protocols: published numbers made otherwise than ours; for comparison, and for nothing else.

Some were chosen on test data. `fit` has no parameter for test data. Here the test utterances take the place of the
validation utterances, in a split of a type of its own whose protocol, fold and title say so, so that whatever comes of
it carries the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from earnest.errors import RecipeError, SplitError
from earnest.evaluation.protocols import Protocol, protocol_called
from earnest.evaluation.splits import Split, fold_and_repeat, repeat_name

STAMP = "author's protocol: epoch chosen on TEST"
SUFFIX = "-epoch-on-test"


@dataclass(frozen=True)
class PublishedNumber:
    """The origin of a published number.

    Attributes
    ----------
    honest : the protocol of the same task with unseen speakers; the published one itself where it has them
    chosen_on : which utterances chose the epoch
    """

    honest: str
    chosen_on: Literal["test", "validation"]


AUTHOR_PROTOCOLS: Mapping[str, PublishedNumber] = {
    "emocatcher-5fold": PublishedNumber("ravdess-6fold", "test"),
    "emocatcher-holdout": PublishedNumber("ravdess-6fold", "test"),
    "moody-random": PublishedNumber("speaker-5fold", "test"),
    "vino-random": PublishedNumber("speaker-5fold", "validation"),
    "vino-random5": PublishedNumber("speaker-5fold", "validation"),
    "multitask-random": PublishedNumber("speaker-5fold", "validation"),
    "iemocap-10speaker": PublishedNumber("iemocap-10speaker", "validation"),
    "thai-ser-ntu": PublishedNumber("thai-ser-ntu", "validation"),
}
"""Protocol of the authors of a published number → how it was made."""


@dataclass(frozen=True)
class ChosenOnTest(Split):
    """A split whose validation utterances are its test utterances.

    Raises `SplitError` when they aren't the same, when an utterance of them is trained on, or when protocol and fold
    don't say it.
    """

    def __post_init__(self) -> None:
        Split(self.train, (), self.test, self.fold, self.speaker_independent, self.protocol)  # is checked as any
        for name in ("train", "valid", "test"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.valid != self.test:
            raise SplitError(f"{self.title}: validation and test recordings must be the same here.")
        if not (self.protocol.endswith(SUFFIX) and fold_and_repeat(self.fold)[0].endswith(SUFFIX)):
            raise SplitError(f"{self.title}: protocol and fold must end in {SUFFIX}.")


def chosen_on_test(split: Split) -> ChosenOnTest:
    """Return the author's version of a split: train on all but the test utterances, choose on those."""
    fold, repeat = fold_and_repeat(split.fold)
    return ChosenOnTest(
        train=(*split.train, *split.valid),
        valid=split.test,
        test=split.test,
        fold=repeat_name(fold + SUFFIX, repeat),
        speaker_independent=split.speaker_independent,
        protocol=split.protocol + SUFFIX,
    )


def author_protocol(protocol: Protocol) -> Protocol:
    """Return the protocol under the name and with the stamp that results must bear that were chosen on test.

    Raises `RecipeError` where its authors are not known to have chosen on test.
    """
    if published_as(protocol.name).chosen_on != "test":
        raise RecipeError(f"{protocol.name}: its authors chose on validation recordings, as `earnest evaluate` does.")
    return replace(protocol, name=protocol.name + SUFFIX, description=f"{protocol.description}; {STAMP}", stamp=STAMP)


def published_as(name: str) -> PublishedNumber:
    """Return how the published number of a protocol was made.

    Raises `RecipeError` for a protocol under which none of the five systems published.
    """
    if name not in AUTHOR_PROTOCOLS:
        raise RecipeError(
            f"{name} is not the protocol of a published number. Take a recipe of the five systems on its own "
            f"corpora, or name one of: {', '.join(AUTHOR_PROTOCOLS)}."
        )
    return AUTHOR_PROTOCOLS[name]


def honest_protocol(name: str) -> Protocol:
    """Return the protocol with unseen speakers that a published number is compared with."""
    return protocol_called(published_as(name).honest)


def is_chosen_on_test(protocol: str) -> bool:
    """Whether a run or a result of this protocol was chosen on test utterances."""
    return protocol.endswith(SUFFIX)


def stamp_of(document: Mapping[str, Any]) -> str:
    """Return `STAMP` where a result, as in its ``metrics.json``, is of an epoch that test utterances chose, else ""."""
    return STAMP if document.get("selected_on") == "test" else ""
