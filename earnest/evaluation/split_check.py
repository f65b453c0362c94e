"""What is wrong with a split file, and the file of ours that can be published."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.leakage import Digests, identical
from earnest.evaluation.split_files import Lookup, Plan
from earnest.evaluation.splits import SETS, Split, group_of, named, shared_values

MOST_NAMED = 20


@dataclass(frozen=True)
class Checked:
    """What is wrong with one fold of a split file.

    Attributes
    ----------
    n : set → clips
    problems : one sentence a kind of leak, with the names of what leaks
    """

    source: Path
    fold: str
    speaker_independent: bool
    n: Mapping[str, int]
    problems: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "file": str(self.source),
            "fold": self.fold,
            "speaker_independent": self.speaker_independent,
            "clips": dict(self.n),
            "problems": list(self.problems),
        }


def checked(plan: Plan, lookup: Lookup, speaker_independent: bool, digests: Digests | None) -> Checked:
    """Search one fold for everything that must not be in two sets.

    Parameters
    ----------
    digests : of the audio; None leaves it unheard
    """
    sets = plan.found(lookup)
    problems = [
        problem
        for first, second in combinations(SETS, 2)
        for problem in _leaks(plan, (first, second), (sets[first], sets[second]), speaker_independent, digests)
    ]
    if digests is not None:
        changed = [clip.key for clip in plan.clips if clip.sha256 and digests.get(clip.key) != clip.sha256]
        problems += [f"the audio is not what was published: {named(changed, MOST_NAMED)}"] if changed else []
    if not problems:
        try:
            train, valid, test = (sets[name] for name in SETS)
            Split(train, valid, test, plan.fold, speaker_independent, dialogue_partners=plan.dialogue_partners)
        except SplitError as error:
            problems.append(str(error))
    return Checked(
        plan.source, plan.fold, speaker_independent, {name: len(rows) for name, rows in sets.items()}, problems
    )


def _leaks(
    plan: Plan,
    names: tuple[str, str],
    rows: tuple[Sequence[Utterance], Sequence[Utterance]],
    speaker_independent: bool,
    digests: Digests | None,
) -> Iterable[str]:
    kinds: list[tuple[str, Callable[[Utterance], str]]] = [("utterance", lambda row: row.key)]
    if speaker_independent:
        kinds.append(("speaker", lambda row: row.speaker))
    if not (plan.dialogue_partners and names == ("valid", "test")):
        kinds.append(("group", group_of))
    both = " and ".join(names)
    for what, key_of in kinds:
        if shared := shared_values(*rows, key_of):
            yield f"{both} share the {what} {named(shared, MOST_NAMED)}"
    pairs = identical(*rows, digests or {})
    if different := [f"{one} = {other}" for one, other in pairs if one != other]:
        yield f"{both} share identical audio: {named(different, MOST_NAMED)}"


def split_document(split: Split, digests: Digests | None = None) -> dict[str, Any]:
    """Return a split as a file that can be published: keys, speakers and, where given, hashes of the samples."""
    rows = [row for members in split.sets.values() for row in members]
    facts = {row.key: {"speaker": row.speaker, **({"sha256": digests[row.key]} if digests else {})} for row in rows}
    return {**split.to_dict(), "clips": facts}
