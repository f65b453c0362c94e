"""From corpus names to rows: where a corpus is, which rows are usable, their classes, their scale of affect."""

import logging
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeAlias

from earnest.corpora.base import CORPORA, Corpus
from earnest.corpora.manifest import Utterance, doubts_about, doubts_about_shared_names, read_manifest
from earnest.corpora.own.data import CORPUS as OWN
from earnest.corpora.own.data import OwnData, kinds_of
from earnest.corpora.own.read import read_own
from earnest.errors import N_NAMED, CorpusError, EarnestError, suggestion
from earnest.files.reading import opened
from earnest.labels import Scheme, in_canonical_order, scheme_called

Affect: TypeAlias = tuple[float, float, float]
ENVIRONMENT = "EARNEST_DATA"
LONGEST_HEADER = 1 << 16  # bytes
NEAR = 0.8  # letters in common of a corpus and a slip of the pen; "sheet" and "savee" have 0.6
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Usable:
    """The rows to work with, and why the others were left out.

    Attributes
    ----------
    left_out : key of an utterance ("crema-d/1076_MTI_SAD_XX") → reason
    """

    utterances: list[Utterance]
    left_out: Mapping[str, str]


def corpus_called(name: str) -> Corpus:
    """Return the reader of one corpus; a wrong name is an error that names the nearest right one."""
    if name not in CORPORA:
        raise CorpusError(f"There is no corpus '{name}'.{suggestion(name, CORPORA.names())}")
    return CORPORA.get(name)()


def rows_by_name(corpus: str, paths: Iterable[Path]) -> Iterator[Utterance]:
    """Yield the rows that a corpus makes of files' names; none for those that its recordings are not called like."""
    try:
        parse = corpus_called(corpus).parser(Path())
    except (EarnestError, OSError):  # one whose labels are in files beside, or of somebody's own
        return
    for path in paths:
        with suppress(EarnestError, ValueError, LookupError, OSError):
            yield parse(Path(path.name))


def corpus_root(name: str, folders: Mapping[str, Path], environ: Mapping[str, str] = os.environ) -> Path:
    """Return where a corpus is: the folder (or manifest) given for it, else ``$EARNEST_DATA/NAME``.

    Raises `CorpusError` when neither says where, or the place doesn't exist; the message says what to do.
    """
    base = environ.get(ENVIRONMENT)
    root = folders.get(name) or (Path(base).expanduser() / name if base else None)
    if root is not None and root.exists():
        return root
    if name in CORPORA:
        where = f"--data {name}=DIR; 'earnest corpus info {name}' says where to get it"
    elif Path(name).exists():
        where = f"--corpus {name}, for recordings of your own, and nothing of them in the recipe"
    else:
        near = get_close_matches(name, CORPORA.names(), n=1, cutoff=0.8)
        where = f"'{near[0]}', if that corpus is meant, or " if near else ""
        where += f"--data {name}=PATH, with the folder, table or manifest that these recordings were read from"
    if root is None:
        raise CorpusError(f"Where is {name}? Say {where}. Or set {ENVIRONMENT} to the folder that holds it.")
    raise CorpusError(f"{root}: no such folder. Say {where}.")


def load_corpus(name: str, root: Path) -> list[Utterance]:
    """Return all rows of one corpus, sorted by file name.

    Parameters
    ----------
    name : a registered corpus; any other name is that of own recordings
    root : the corpus' folder or a manifest of its rows; of own recordings, what `earnest.corpora.own.read_own` reads
    """
    if root.is_file() and (name in CORPORA or is_manifest(root)):
        rows = [replace(row, corpus=row.corpus or name) for row in read_manifest(root)]
        for doubt in () if name in CORPORA else doubts_about(Counter(row.word for row in rows), rows):
            _log.warning("%s: %s", name, doubt)
    elif name in CORPORA:
        rows = list(corpus_called(name).read(root))
    else:
        rows = _own_rows(name, root)
    return sorted(rows, key=lambda row: (row.path.name, row.path, row.start_s))


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest rather than a table of somebody's own."""
    with opened(path, CorpusError) as file:
        start = file.readline(LONGEST_HEADER).decode("utf-8-sig", errors="replace")
    return "utterance_id" in start.split(",")


def _own_rows(name: str, root: Path) -> list[Utterance]:
    """Read own recordings under the name of their corpus; what is wrong with single ones is told in the log."""
    try:
        found = read_own(root)
    except CorpusError as error:
        hint = suggestion(name, CORPORA.names()) if get_close_matches(name, CORPORA.names(), cutoff=NEAR) else ""
        raise CorpusError(f"{error}{hint}") from None
    for note in (*found.notes, *doubts_about(found.class_counts, found.utterances), *refused_sentences(found)):
        _log.warning("%s: %s", name, note)
    return [of_corpus(row, name) for row in found.utterances]


def refused_sentences(found: OwnData) -> list[str]:
    """Report how many recordings are left out, and the most frequent reasons."""
    if not found.refused:
        return []
    kinds, n_refused = kinds_of(found.refused), len(found.refused)
    told = f"{n_refused} of {n_refused + len(found.utterances)} recordings left out: {'; '.join(kinds[:N_NAMED])}."
    return [f"{told} `earnest corpus check` names all." if n_refused > len(kinds[:N_NAMED]) else told]


def of_corpus(row: Utterance, name: str) -> Utterance:
    """Return an own row under the name of its corpus, its speaker too; one whose table names a corpus stays."""
    if row.corpus != OWN:
        return row
    return replace(row, corpus=name, speaker=row.speaker and f"{name}{row.speaker.removeprefix(OWN)}")


def usable(utterances: Sequence[Utterance]) -> Usable:
    """Leave out the utterances that their corpus' reader calls unusable: of CREMA-D 7,435 of 7,442 stay.

    Those are three recordings that each appear under two different labels, and one silent utterance.
    """
    known = set(CORPORA.names())
    reasons = {
        f"{corpus}/{utterance_id}": reason
        for corpus in sorted({row.corpus for row in utterances} & known)
        for utterance_id, reason in CORPORA.get(corpus).unusable.items()
    }
    left_out = {row.key: reasons[row.key] for row in utterances if row.key in reasons}
    return Usable([row for row in utterances if row.key not in left_out], left_out)


def load_utterances(names: Sequence[str], folders: Mapping[str, Path]) -> list[Utterance]:
    """Return the usable rows of several corpora: in the order of ``names``, each sorted by file name.

    The rows left out (see `usable`) are counted in the log, with their reasons.
    """
    rows, own = list[Utterance](), dict[str, list[Utterance]]()
    for name in names:
        found = usable(load_corpus(name, corpus_root(name, folders)))
        if found.left_out:
            _log.warning("%s: %d of %d utterances left out as unusable: %s", name, *_counted(found))
        rows += found.utterances
        if name not in CORPORA:
            own[name] = found.utterances
    for doubt in doubts_about_shared_names(own):
        _log.warning("%s", doubt)
    return rows


def _counted(found: Usable) -> tuple[int, int, str]:
    lines = ", ".join(f"{key.partition('/')[2]} ({reason})" for key, reason in found.left_out.items())
    return len(found.left_out), len(found.left_out) + len(found.utterances), lines


def affect_range(corpus: str, limits: Sequence[float] = ()) -> tuple[float, ...]:
    """Return lowest and highest rating of a corpus: ``limits`` where they are given; empty where none are known."""
    return tuple(limits) or (tuple(known.affect_range) if (known := CORPORA.find(corpus)) else ())


def affect_scale(corpora: Iterable[str], limits: Sequence[float] = ()) -> tuple[float, float]:
    """Return lowest and highest rating of corpora that share their unit; 0 and 1 where they don't, or have none.

    Parameters
    ----------
    limits : what a recipe says instead of the corpora; empty for nothing
    """
    of_each = {affect_range(name) for name in corpora}
    found = tuple(limits) or (of_each.pop() if len(of_each) == 1 else ())
    return (found[0], found[1]) if found else (0.0, 1.0)


def affect_of(utterance: Utterance, limits: Sequence[float] = ()) -> Affect:
    """Return valence, arousal and dominance on a scale from 0 to 1, NaN where unknown.

    Parameters
    ----------
    limits : lowest and highest rating; where it is empty, those of the corpus. Without either all is unknown
    """
    ends = affect_range(utterance.corpus, limits)
    if not ends:
        return math.nan, math.nan, math.nan
    low, high = ends

    def scaled(rating: float | None) -> float:
        return math.nan if rating is None else min(max((rating - low) / (high - low), 0.0), 1.0)

    return scaled(utterance.valence), scaled(utterance.arousal), scaled(utterance.dominance)


def scheme_of_rows(name: str, rows: Iterable[Utterance]) -> Scheme:
    """Return a scheme by name; "native" has as classes whatever the rows say.

    These are canonical emotions, in canonical order, and behind them the words of own recordings that are none, in
    that of the alphabet. Own recordings are those of no registered corpus; what a corpus' reader calls "other" stays
    one class.

    Raises `RecipeError` for an unknown name, with the nearest right one.
    """
    if name != "native":
        return scheme_called(name)
    words, emotions = dict[tuple[str, str], str](), set[str]()
    for row in rows:
        if row.emotion == "other" and row.native_emotion and row.corpus not in CORPORA:
            words[row.corpus, row.native_emotion] = row.native_emotion
        else:
            emotions.add(row.emotion)
    return Scheme("native", in_canonical_order({*emotions, *words.values()}), native=words)
