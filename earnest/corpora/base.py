"""The interface of corpus readers, and the registry that finds them."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from earnest.corpora.folders import found_in
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, printable
from earnest.registry import Registry

_log = logging.getLogger(__name__)
SILENT = "silent"
Parser = Callable[[Path], Utterance]


@dataclass(frozen=True)
class Archive:
    """One file of a public archive.

    Attributes
    ----------
    checksum : "md5:…" or "sha256:…" as published, "" where the archive publishes none
    n_bytes : size as published, 0 if unknown
    """

    url: str
    checksum: str = ""
    n_bytes: int = 0


class Corpus(ABC):
    """A corpus reader: facts about the corpus as class attributes, and how one recording becomes a row.

    Attributes
    ----------
    title : full name with year
    language : English name of the spoken language
    licence : SPDX identifier or the corpus' own words
    commercial_use : whether the licence allows it
    url : where to get it
    citation : authors and year
    n_speakers : in the whole corpus
    n_utterances : in the whole corpus
    class_counts : canonical emotion → utterances in the whole corpus; empty where it is not fixed
    affect_range : lowest and highest rating of valence, arousal and dominance; empty where there are none
    folder : where recordings lie, if there is such a folder below the corpus' own; else they lie anywhere in it
    example : relative path → canonical emotion; tests build these files (made-up audio) and read them
    extra_files : relative path → text of label files that the example needs
    label_files : relative paths of files that hold labels or speakers, for `earnest corpus check`
    shortest_s : no published recording is shorter; `earnest corpus check` reports what is
    unusable : utterance id → why; `earnest.corpora.load` leaves these utterances out and counts them
    speakers_of : the corpus whose speakers these are too; "" where they are its own
    groups_share_audio : two recordings of one group have the same samples, as published
    lists_one_of_several : `published` names one recording of a group (one microphone), not all
    archives : what `earnest corpus fetch` downloads; empty where the corpus has no public archive
    access : how to get a corpus that has no public archive
    """

    title: str
    language: str
    licence: str
    commercial_use: bool
    url: str
    citation: str
    n_speakers: int
    n_utterances: int
    class_counts: Mapping[str, int] = {}
    affect_range: tuple[float, ...] = ()
    folder: str = ""
    example: Mapping[str, str]
    extra_files: Mapping[str, str] = {}
    label_files: Sequence[str] = ()
    shortest_s: float = 0.0
    unusable: Mapping[str, str] = {}
    speakers_of: str = ""
    groups_share_audio: bool = False
    lists_one_of_several: bool = False
    archives: Sequence[Archive] = ()
    access: str = ""

    @abstractmethod
    def parser(self, root: Path) -> Parser:
        """Load the label files below ``root`` and return what turns one recording into its row.

        The returned function raises `CorpusError` for a recording that the corpus doesn't know.
        """

    def recordings(self, root: Path) -> list[Path]:
        """All recordings of this corpus below ``root``, whether their names are right or not."""
        inside = root / self.folder
        return audio_files(inside if inside.is_dir() else root)

    def published(self, root: Path) -> Sequence[str] | None:
        """The ids of all utterances that the authors published, or None where no list is known.

        A rule, a list that ships with the package, or the label files below ``root``.
        """
        return None

    def read(self, root: Path) -> Iterator[Utterance]:
        """Yield one row an utterance, sorted by path.

        Raises `CorpusError` when ``root`` holds no recordings, or one that the corpus doesn't know: nothing is dropped
        silently.
        """
        paths = self.found(root)
        parse = self.parser(root)
        seen: dict[str, Path] = {}
        for path in paths:
            utterance = parse(path)
            other = seen.setdefault(utterance.utterance_id, path)
            if other != path:
                raise CorpusError(f"{path} and {other} are both '{utterance.utterance_id}'. Keep one of them.")
            yield utterance

    def found(self, root: Path) -> list[Path]:
        """Return `recordings`, or raise `CorpusError` when ``root`` is no folder or holds none."""
        if not root.is_dir():
            raise CorpusError(f"{root}: no such folder. It should hold {self.title}; get it from {self.url}.")
        paths = self.recordings(root)
        if not paths:
            raise CorpusError(f"No recordings of {self.title} under {root}, where {min(self.example)} is expected.")
        return paths


class LabelsInNames(Corpus):
    """A corpus whose files' names say everything, so that there is nothing to load."""

    def parser(self, root: Path) -> Parser:
        return self.utterance

    @abstractmethod
    def utterance(self, path: Path) -> Utterance:
        """Turn one recording into its row, or raise `CorpusError` for one that the corpus doesn't know."""


CORPORA: Registry[type[Corpus]] = Registry("CORPORA", "corpus", "earnest.corpora", contract=Corpus)


def audio_files(root: Path) -> list[Path]:
    """All audio files below ``root``, in folders of any depth, sorted; the log tells what is left out."""
    found = found_in(str(root))
    if left_out := found.left_out():
        _log.warning("%s: %s", printable(str(root)), left_out)
    return sorted(path for path in map(Path, found.recordings) if path.is_file())


def matched(pattern: re.Pattern[str], path: Path, expected: str) -> re.Match[str]:
    """Match the name of a recording, without its suffix; one of another form is the error of `unknown_name`."""
    if match := pattern.fullmatch(path.stem):
        return match
    raise unknown_name(path, expected)


def unknown_name(path: Path, expected: str) -> CorpusError:
    """The error for a recording whose name is not of the corpus' form."""
    return CorpusError(f"{path}: expected a name like {expected}. Move the file elsewhere if it is not of this corpus.")
