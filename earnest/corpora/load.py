"""From corpus names to rows: where a corpus is, which of its clips are usable."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import combinations
from pathlib import Path

from earnest.corpora.base import CORPORA, Corpus
from earnest.corpora.manifest import Utterance, read_manifest
from earnest.corpora.own.data import CORPUS as OWN
from earnest.corpora.own.data import OwnData, doubts_about
from earnest.corpora.own.read import read_own
from earnest.errors import CorpusError, printable, suggestion
from earnest.files.reading import opened

ENVIRONMENT = "EARNEST_DATA"
LONGEST_HEADER = 1 << 16  # bytes
N_NAMED = 3
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
    if name not in CORPORA.names():
        raise CorpusError(f"There is no corpus '{name}'.{suggestion(name, CORPORA.names())}")
    return CORPORA.get(name)()


def corpus_root(name: str, folders: Mapping[str, Path], environ: Mapping[str, str] = os.environ) -> Path:
    """Return where a corpus is: the folder (or manifest) given for it, else ``$EARNEST_DATA/NAME``.

    Raises
    ------
    CorpusError
        When neither says where, or the place doesn't exist; the message says what to do.
    """
    base = environ.get(ENVIRONMENT)
    root = folders.get(name) or (Path(base).expanduser() / name if base else None)
    if root is not None and root.exists():
        return root
    if name in CORPORA.names():
        where = f"--data {name}=DIR; 'earnest corpus info {name}' says where to get it"
    elif Path(name).exists():
        where = f"--corpus {name}, for recordings of your own, and nothing of them in the recipe"
    else:
        where = f"--data {name}=PATH, with the folder, table or manifest that these recordings were read from"
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
    if root.is_file() and (name in CORPORA.names() or is_manifest(root)):
        rows = [replace(row, corpus=row.corpus or name) for row in read_manifest(root)]
        for doubt in () if name in CORPORA.names() else doubts_about({row.word for row in rows}, rows):
            _log.warning("%s: %s", name, doubt)
    elif name in CORPORA.names():
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
        hint = suggestion(name, CORPORA.names()) if get_close_matches(name, CORPORA.names()) else ""
        raise CorpusError(f"{error}{hint}") from None
    for note in (*found.notes, *doubts_about(found.class_counts, found.utterances), *refused_sentences(found)):
        _log.warning("%s: %s", name, note)
    return [of_corpus(row, name) for row in found.utterances]


def refused_sentences(found: OwnData) -> list[str]:
    """Tell how many recordings are left out, and why the first ones are."""
    if not found.refused:
        return []
    first = "; ".join(f"{one.where}: {one.reason}" for one in found.refused[:N_NAMED])
    n_refused = len(found.refused)
    return [f"{n_refused} of {n_refused + len(found.utterances)} recordings left out: {first}."]


def of_corpus(row: Utterance, name: str) -> Utterance:
    """Return an own row under the name of its corpus, its speaker too; one whose table names a corpus stays."""
    if row.corpus != OWN:
        return row
    return replace(row, corpus=name, speaker=row.speaker and f"{name}{row.speaker.removeprefix(OWN)}")


def usable(utterances: Sequence[Utterance]) -> Usable:
    """Leave out the clips that their corpus' reader calls unusable: of CREMA-D 7,435 of 7,442 stay.

    Those are three recordings that each appear under two different labels, and one silent clip.
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
    rows, own = list[Utterance](), dict[str, dict[str, str]]()
    for name in names:
        found = usable(load_corpus(name, corpus_root(name, folders)))
        if found.left_out:
            _log.warning("%s: %d of %d clips left out as unusable: %s", name, *_counted(found))
        rows += found.utterances
        if name not in CORPORA.names():
            own[name] = {row.native_speaker: row.speaker for row in found.utterances}
    _doubt_shared_names(own)
    return rows


AS_TWO = "two people. If it is one, put both into one table"
AS_ONE = "one person. If these are two, write the corpus before the name"  # in manifests, whose names stay as they are


def _doubt_shared_names(own: Mapping[str, Mapping[str, str]]) -> None:
    """Say which names of speakers two corpora of own recordings both have, and for how many people that is taken.

    Parameters
    ----------
    own : corpus → name that a speaker has there → name that is unique over all corpora
    """
    for one, other in combinations(own, 2):
        shared: dict[str, list[str]] = {AS_TWO: [], AS_ONE: []}
        for name in sorted((own[one].keys() & own[other].keys()) - {""}):
            shared[AS_ONE if own[one][name] == own[other][name] else AS_TWO].append(name)
        for people, names in shared.items():
            if names:
                told = ", ".join(map(printable, names[:N_NAMED])) + (" …" if len(names) > N_NAMED else "")
                _log.warning("%s and %s both have the speaker %s, taken for %s.", one, other, told, people)


def _counted(found: Usable) -> tuple[int, int, str]:
    lines = ", ".join(f"{key.partition('/')[2]} ({reason})" for key, reason in found.left_out.items())
    return len(found.left_out), len(found.left_out) + len(found.utterances), lines
