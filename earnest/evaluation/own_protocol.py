"""Which protocol suits recordings that no protocol was written for: chosen by what they say about speakers."""

from collections.abc import Sequence
from pathlib import Path

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.protocols import FEWEST_FOLDS
from earnest.evaluation.splits import named
from earnest.evaluation.splitters import partners_of

FEW_SPEAKERS, FOLDS = 10, 5
SPEAKER_DEPENDENT = "stratified-5fold"
_WITHOUT = (
    f"Without speakers a result says nothing about new speakers; --protocol {SPEAKER_DEPENDENT} splits single "
    "recordings, and its titles say speaker-dependent"
)


def suitable_protocol(rows: Sequence[Utterance], one_split: bool = False) -> str:
    """Name the protocol that keeps speakers apart: leave one out of up to ten, five folds of more.

    Speakers whom a dialogue or another group ties count as one.

    Parameters
    ----------
    one_split : for one training: every fifth speaker is tested

    Raises
    ------
    SplitError
        When there are no speakers, or fewer than three; it says what to do and what to type.
    """
    silent = [row.key for row in rows if not row.speaker]
    if len(silent) == len(rows):
        raise SplitError(
            f"The {len(rows)} recordings name no speakers. Name them: earnest corpus manifest PATH -o mine.csv "
            "--speaker-column NAME (of a table; of folders 'folder 1', 'folder 2') or --speaker-pattern REGEX, then "
            f"--corpus mine.csv. {_WITHOUT}."
        )
    if silent:
        raise SplitError(
            f"{len(silent)} of {len(rows)} recordings name no speaker: {named(silent)}. Name theirs too, or leave "
            f"these recordings out. {_WITHOUT}."
        )
    n_speakers = len({row.speaker for row in rows})
    partners = partners_of(rows)
    n_apart = len(set(partners.values()))
    if n_apart < FEWEST_FOLDS:
        tied = " of different groups" if n_apart < n_speakers else ""
        raise SplitError(
            f"Three speakers{tied} are needed: for training, validation and test. There are {n_apart}. Record "
            f"more, or say --protocol {SPEAKER_DEPENDENT}, whose titles say speaker-dependent."
        )
    if one_split:
        return "speaker-holdout"
    if n_apart < FOLDS:
        return f"speaker-{FEWEST_FOLDS}fold"
    is_few = n_apart == n_speakers <= FEW_SPEAKERS and all(Path(one).name == one for one in partners)
    return "loso" if is_few else f"speaker-{FOLDS}fold"  # folds of "loso" are folders with speakers' names
