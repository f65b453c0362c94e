"""How published numbers were chosen on test data: for comparison with honest ones, and for nothing else.

`fit` has no parameter for test data. Here the test clips take the place of the validation clips, in a split of a type
of its own whose protocol, fold and title say so, so that whatever comes of it carries the words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from earnest.errors import RecipeError, SplitError, suggestion
from earnest.evaluation.folds import fold_and_repeat, repeat_name
from earnest.evaluation.protocols import Protocol, protocol_called
from earnest.evaluation.splits import Split

STAMP = "author's protocol: epoch chosen on TEST"
SUFFIX = "-epoch-on-test"
AUTHOR_PROTOCOLS: Mapping[str, str] = {
    "emocatcher-5fold": "ravdess-6fold",
    "emocatcher-holdout": "ravdess-6fold",
    "moody-random": "speaker-5fold",
}
"""Protocol whose authors chose the epoch on test → the honest one of the same task, with unseen speakers."""


@dataclass(frozen=True)
class ChosenOnTest(Split):
    """A split whose validation clips are its test clips.

    Raises
    ------
    SplitError
        When they aren't the same, when a clip of them is trained on, or when protocol and fold don't say it.
    """

    def __post_init__(self) -> None:
        Split(self.train, (), self.test, self.fold, self.speaker_independent, self.protocol)  # is checked as any
        for name in ("train", "valid", "test"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.valid != self.test:
            raise SplitError(f"{self.title}: validation clips must be the test clips here.")
        if not (self.protocol.endswith(SUFFIX) and fold_and_repeat(self.fold)[0].endswith(SUFFIX)):
            raise SplitError(f"{self.title}: protocol and fold must end in {SUFFIX}.")


def chosen_on_test(split: Split) -> ChosenOnTest:
    """Return the author's version of a split: train on all but the test clips, choose on those."""
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
    """Return the protocol under the name and with the stamp that its results must bear."""
    honest_protocol(protocol.name)
    return replace(protocol, name=protocol.name + SUFFIX, description=f"{protocol.description}; {STAMP}", stamp=STAMP)


def honest_protocol(name: str) -> Protocol:
    """Return what a protocol with numbers chosen on test is compared with."""
    if name not in AUTHOR_PROTOCOLS:
        raise RecipeError(
            f"Of {name} it is not known that its authors chose on test.{suggestion(name, AUTHOR_PROTOCOLS)}"
        )
    return protocol_called(AUTHOR_PROTOCOLS[name])


def is_chosen_on_test(protocol: str) -> bool:
    """Say whether a run or a result of this protocol was chosen on test clips."""
    return protocol.endswith(SUFFIX)
