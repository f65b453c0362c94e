"""From corpus names to rows: where a corpus is, which of its clips are usable."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from earnest.corpora.base import CORPORA, Corpus
from earnest.corpora.manifest import Utterance, read_manifest
from earnest.errors import CorpusError, suggestion

ENVIRONMENT = "EARNEST_DATA"
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
    if name in folders:
        root = folders[name]
    elif environ.get(ENVIRONMENT):
        root = Path(environ[ENVIRONMENT]).expanduser() / name
    else:
        raise CorpusError(f"Where is {name}? Say --data {name}=DIR, or set {ENVIRONMENT} to the folder that holds it.")
    if not root.exists():
        raise CorpusError(
            f"{root}: no such folder. Say --data {name}=DIR; 'earnest corpus info {name}' tells its source."
        )
    return root


def load_corpus(name: str, root: Path) -> list[Utterance]:
    """Return all rows of one corpus, sorted by file name.

    Parameters
    ----------
    name : a registered corpus; or, where ``root`` is a manifest (a ``.csv`` file), any name
    root : the corpus' folder, or a manifest of its rows
    """
    if root.is_file():
        rows = [replace(row, corpus=row.corpus or name) for row in read_manifest(root)]
    else:
        rows = list(corpus_called(name).read(root))
    return sorted(rows, key=lambda row: (row.path.name, row.path, row.start_s))


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


def load_utterances(
    names: Sequence[str], folders: Mapping[str, Path], environ: Mapping[str, str] = os.environ
) -> list[Utterance]:
    """Return the usable rows of several corpora: in the order of ``names``, each sorted by file name.

    The rows left out (see `usable`) are counted in the log, with their reasons.
    """
    rows: list[Utterance] = []
    for name in names:
        found = usable(load_corpus(name, corpus_root(name, folders, environ)))
        if found.left_out:
            _log.warning("%s: %d of %d clips left out as unusable: %s", name, *_counted(found))
        rows += found.utterances
    return rows


def _counted(found: Usable) -> tuple[int, int, str]:
    lines = ", ".join(f"{key.partition('/')[2]} ({reason})" for key, reason in found.left_out.items())
    return len(found.left_out), len(found.left_out) + len(found.utterances), lines
