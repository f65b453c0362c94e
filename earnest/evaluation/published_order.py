"""The order in which published code met its files: a seeded draw over clips follows from it, and from nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.splitters import Divide, Parts


@dataclass(frozen=True)
class InPublishedOrder:
    """Divides the clips in the order of a published list of file names instead of in that of their names.

    Attributes
    ----------
    names : file names without suffix, called when clips are divided
    source : what published the list, for messages
    divide : draws by position
    """

    names: Callable[[], Sequence[str]]
    source: str
    divide: Divide

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return the `Parts` of ``divide``."""
        position = {name: number for number, name in enumerate(self.names())}
        strange = [utterance for utterance in utterances if utterance.path.stem not in position]
        if strange:
            raise SplitError(
                f"{strange[0].path.name}: not among the files of {self.source}, whose order makes these sets. Name the "
                "files as they were published, or take a protocol over any manifest, such as stratified-5fold."
            )
        order = sorted(range(len(utterances)), key=lambda index: position[utterances[index].path.stem])
        return self.divide([utterances[index] for index in order], [classes[index] for index in order])


def emocatcher_order() -> list[str]:
    """Return RAVDESS' 1,440 speech clips in the row order of ``meta.csv`` in EmoCatcher's repository (hwang9u, 2022).

    That is how one directory listing gave them. The table has a line an actor: its number, then emotion, intensity,
    statement and repetition of each clip, one digit each.
    """
    lines = (files("earnest.corpora") / "published" / "emocatcher.txt").read_text(encoding="utf-8").splitlines()
    return [
        f"03-01-{'-'.join(f'0{digit}' for digit in clip)}-{actor}"
        for actor, *clips in map(str.split, lines)
        for clip in clips
    ]
