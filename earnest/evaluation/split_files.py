"""Split files of ours and of others: read, checked for leaks, and written to be published."""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError, counted, named, suggestion
from earnest.evaluation.protocols import Protocol
from earnest.evaluation.splits import SETS, Digests, Split, group_of, identical, problem_with, shared_values
from earnest.evaluation.splitters import Parts
from earnest.files.reading import read_json, read_text
from earnest.files.tables import numbered_rows
from earnest.labels import composed

_log = logging.getLogger(__name__)
NAME = "split-files"
COLUMNS = ("utterance_id", "path", "corpus", "speaker", "fold", "set")
_SET_WORDS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid", "test": "test"}
_FILE_NAME = re.compile(rf"(?:(.*?)[-_.])?({'|'.join(_SET_WORDS)})(?:[-_.](.*))?", re.IGNORECASE)


@dataclass(frozen=True)
class SplitEntry:
    """An utterance as a file names it; what the file doesn't say is empty."""

    key: str = ""
    path: str = ""
    speaker: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """The utterance's name in messages."""
        return self.key or self.path


@dataclass(frozen=True)
class Plan:
    """The sets of one fold as a file states them; nothing about them has been checked.

    Attributes
    ----------
    source : the file, for messages
    """

    source: Path
    fold: str
    sets: Mapping[str, Sequence[SplitEntry]]
    speaker_independent: bool | None = None
    dialogue_partners: bool = False

    @property
    def clips(self) -> list[SplitEntry]:
        """Those of all sets."""
        return [clip for name in SETS for clip in self.sets.get(name, ())]

    def found(self, lookup: "Lookup") -> dict[str, list[Utterance]]:
        """Return the utterances of each set.

        Raises `SplitError` for utterances that aren't in the data, that several there could be, or that have another
        speaker there.
        """
        absent = [clip.name for clip in self.clips if not lookup.candidates(clip)]
        if absent:
            raise SplitError(f"{self.source}: {counted(len(absent), 'recording')} not in the data: {named(absent)}.")
        return {name: [self._one(clip, lookup) for clip in self.sets.get(name, ())] for name in SETS}

    def _one(self, clip: SplitEntry, lookup: "Lookup") -> Utterance:
        rows = lookup.candidates(clip)
        if len(rows) > 1:
            could_be = named([row.path.as_posix() for row in rows])
            raise SplitError(f"{self.source}: '{clip.name}' fits several files: {could_be}. Write more of its path.")
        if clip.speaker and clip.key and rows[0].speaker and composed(clip.speaker) != composed(rows[0].speaker):
            raise SplitError(
                f"{self.source}: {clip.name} has the speaker {clip.speaker}, but {rows[0].speaker} in the "
                "data. Correct one of them."
            )
        return rows[0]


class Lookup:
    """Finds utterances by key, by id, or by the end of their path."""

    def __init__(self, utterances: Iterable[Utterance]) -> None:
        self._by_key: dict[str, list[Utterance]] = defaultdict(list)
        self._by_file: dict[str, list[Utterance]] = defaultdict(list)
        for row in utterances:
            for name in {composed(row.key), composed(row.utterance_id)}:
                self._by_key[name].append(row)
            self._by_file[composed(row.path.stem)].append(row)

    def candidates(self, clip: SplitEntry) -> list[Utterance]:
        """Return all that the utterance's names fit.

        Of paths, name (without its suffix) and folder must agree, for others keep their corpora elsewhere; of several
        such utterances, those whose paths agree the furthest up.
        """
        if clip.key:
            return self._by_key.get(composed(clip.key), [])
        wanted = _parts(PurePosixPath(clip.path.replace("\\", "/")))
        agreed = {row.key: _n_agreed(row.path, wanted) for row in self._by_file.get(wanted[-1], ())}
        most = max(agreed.values(), default=0)
        if most < min(2, len(wanted)):
            return []
        return [row for row in self._by_file[wanted[-1]] if agreed[row.key] == most]


def _parts(path: PurePath) -> tuple[str, ...]:
    """Return folders and name, without its suffix."""
    return (*map(composed, path.parent.parts), composed(path.stem))


def _n_agreed(path: Path, wanted: Sequence[str]) -> int:
    """Return how many parts of two paths, from the last, are the same."""
    pairs = zip(reversed(_parts(path)), reversed(wanted), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


@dataclass(frozen=True)
class FromFiles:
    """Sets as files state them."""

    plans: Sequence[Plan]

    def __call__(self, utterances: Sequence[Utterance], classes: Sequence[str]) -> list[Parts]:
        """Return one `Parts` a fold."""
        lookup = Lookup(utterances)
        parts = [Parts(plan.fold, *plan.found(lookup).values()) for plan in self.plans]
        used = {row.key for one in parts for row in (*one.train, *one.valid, *one.test)}
        if len(used) < len(utterances):
            _log.warning("%s: %d of %d utterances are in no set", NAME, len(utterances) - len(used), len(utterances))
        return parts


def protocol_of_files(paths: Sequence[Path], speaker_dependent: bool = False) -> Protocol:
    """Return a protocol whose folds are split files; folders stand for the files in them.

    Parameters
    ----------
    speaker_dependent : whether files that don't say it themselves may share speakers between sets
    """
    plans = read_plans(paths)
    if untested := next((plan for plan in plans if not plan.sets.get("test")), None):
        raise SplitError(
            f"{untested.source}: nothing is tested in the fold '{untested.fold}'. Name its test recordings."
        )
    stated = {plan.speaker_independent for plan in plans} - {None}
    if len(stated) > 1:
        raise SplitError(
            "Some of these split files are speaker-independent and some are not. Check them in two commands."
        )
    names = ", ".join(path.name for path in paths)
    return Protocol(
        name=NAME,
        description=f"sets read from {names}",
        divide=FromFiles(plans),
        speaker_independent=bool(stated.pop()) if stated else not speaker_dependent,
        dialogue_partners=all(plan.dialogue_partners for plan in plans),
    )


def read_plans(paths: Sequence[Path]) -> list[Plan]:
    """Read split files: ``.json`` of ours; ``.csv`` with the columns path or utterance_id and set, and perhaps fold.

    `earnest.files.tables.delimiter_of` says how cells are parted.
    A CSV without a column ``set`` is one set, which its name says: "train.csv", "fold1_test.csv".
    """
    plans: list[Plan] = []
    sets: dict[str, dict[str, list[SplitEntry]]] = defaultdict(lambda: defaultdict(list))
    sources: dict[str, Path] = {}
    for path in [inside for given in paths for inside in _files_in(given)]:
        if path.suffix.lower() == ".json":
            plans.append(_read_json(path))
            continue
        for fold, name, clip in _read_csv(path):
            sets[fold][name].append(clip)
            sources.setdefault(fold, path)
    plans += [Plan(sources[fold], fold, found) for fold, found in sets.items()]
    folds = [plan.fold for plan in plans]
    if twice := sorted({fold for fold in folds if folds.count(fold) > 1}):
        raise SplitError(f"The fold {twice[0]} is in several of these files.")
    if not plans:
        raise SplitError(f"{', '.join(map(str, paths))}: names no recordings.")
    return plans


def _files_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(item for item in path.iterdir() if item.suffix.lower() in (".json", ".csv"))
    if not found:
        raise SplitError(f"{path}: holds no split files (.json or .csv).")
    return found


def _read_json(path: Path) -> Plan:
    values = read_json(path, SplitError, hint="A split file must be JSON.")
    facts = values.pop("clips", {}) if isinstance(values, dict) else {}
    problem = problem_with(values) or _problem_with_clips(facts)
    if problem:
        raise SplitError(f"{path}: not a split file: {problem}")
    return Plan(
        source=path,
        fold=values["fold"] or path.stem,
        sets={name: [SplitEntry(key, **facts.get(key, {})) for key in values[name]] for name in SETS},
        speaker_independent=values["speaker_independent"],
        dialogue_partners=values["dialogue_partners"],
    )


def _problem_with_clips(facts: object) -> str | None:
    if not isinstance(facts, dict):
        return "'clips' must be an object."
    for key, values in facts.items():
        known = isinstance(values, dict) and values.keys() <= {"speaker", "sha256"}
        if not known or not all(isinstance(value, str) for value in values.values()):
            return f"'clips', '{key}': expected texts called speaker and sha256."
    return None


def _read_csv(path: Path) -> Iterable[tuple[str, str, SplitEntry]]:
    rows, _ = numbered_rows(read_text(path, SplitError, what="split file"), path, SplitError)
    header = [name.strip() for name in rows[0][1]] if rows else []
    if not {"path", "utterance_id"} & set(header):
        wrong = header[0] if header else ""
        raise SplitError(f"{path}: needs a column path or utterance_id.{suggestion(wrong, COLUMNS)}")
    fold, own_set = _fold_and_set(path)
    for number, cells in rows[1:]:
        row = dict(zip(header, cells, strict=False))
        word = row.get("set", "") if "set" in header else own_set
        name = _SET_WORDS.get(word.strip().lower())
        if name is None:
            raise SplitError(f"{path}, row {number}: '{word}' is not a set. Expected train, valid or test.")
        yield row.get("fold", "").strip() or fold, name, _clip_of(row, f"{path}, row {number}")


def _clip_of(row: Mapping[str, str], where: str) -> SplitEntry:
    texts = {name: row.get(name, "").strip() for name in COLUMNS}
    if not (texts["utterance_id"] or texts["path"]):
        raise SplitError(f"{where}: names no recording.")
    key = "/".join(filter(None, [texts["corpus"], texts["utterance_id"]])) if texts["utterance_id"] else ""
    return SplitEntry(key, texts["path"], texts["speaker"])


def _fold_and_set(path: Path) -> tuple[str, str]:
    """Parse fold and set from a file's name: fold1_train.csv; a bare train.csv is of the fold named by its folder."""
    match = _FILE_NAME.fullmatch(path.stem)
    if match is None:
        return path.stem, ""
    before, word, behind = match.groups()
    return "-".join(filter(None, [before, behind])) or path.resolve().parent.name, word


MOST_NAMED = 20


@dataclass(frozen=True)
class Checked:
    """The check of one fold of a split file: its problems.

    Attributes
    ----------
    n : set → utterances
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
        pairs = [pair for name in SETS for pair in zip(plan.sets.get(name, ()), sets[name], strict=True)]
        changed = [clip.key for clip, row in pairs if clip.sha256 and digests.get(row.key) != clip.sha256]
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
    if digests is None and (shared := _files_twice(*rows)):  # else they are identical audio
        yield f"{both} share the recording {named(shared, MOST_NAMED)}"
    pairs = identical(*rows, digests or {})
    if different := [f"{one} = {other}" for one, other in pairs if one != other]:
        yield f"{both} share identical audio: {named(different, MOST_NAMED)}"


def _files_twice(first: Sequence[Utterance], second: Sequence[Utterance]) -> list[str]:
    """Name the files, or parts of files, that two sets have under different names."""
    known = {(row.path, row.start_s, row.end_s): row.key for row in first}
    return [str(row.path) for row in second if known.get((row.path, row.start_s, row.end_s), row.key) != row.key]


def split_document(split: Split, digests: Digests | None = None) -> dict[str, Any]:
    """Return a split as a file that can be published: keys, speakers and, where given, hashes of the samples."""
    rows = [row for members in split.sets.values() for row in members]
    facts = {row.key: {"speaker": row.speaker, **({"sha256": digests[row.key]} if digests else {})} for row in rows}
    return {**split.to_dict(), "clips": facts}
