"""Contract of corpus readers, tried on the files of their example with made-up audio."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

from earnest.corpora.base import Corpus
from earnest.corpora.load import corpus_called
from earnest.corpora.manifest import Utterance, read_manifest, write_manifest
from earnest.errors import CorpusError
from earnest.labels import EMOTIONS
from earnest.testing import Promise, expect


def build_example(name: str, root: Path, suffix: str = "") -> dict[str, str]:
    """Write the example of a corpus, noise of 0.25 s a file; return relative path → canonical emotion.

    Parameters
    ----------
    suffix : of all recordings (".FLAC"), "" for those that the example names
    """
    corpus = corpus_called(name)
    rng = np.random.default_rng(0)
    written = {}
    for relative, emotion in corpus.example.items():
        path = (root / relative).with_suffix(suffix or Path(relative).suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        form = path.suffix[1:].upper()
        soundfile.write(path, rng.normal(0, 0.1, 4_000).astype(np.float32), 16_000, format=form)
        written[path.relative_to(root).as_posix()] = emotion
    for relative, text in corpus.extra_files.items():
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
        (root / relative).write_text(text, encoding="utf-8")
    return written


@contextmanager
def _example(name: str) -> Iterator[tuple[Corpus, Path]]:
    with TemporaryDirectory() as folder:
        build_example(name, Path(folder))
        yield corpus_called(name), Path(folder)


def _rows(name: str) -> list[Utterance]:
    with _example(name) as (corpus, root):
        return list(corpus.read(root))


def example_is_read_with_its_emotions_whatever_the_extension(name: str) -> None:
    """Every file of the example becomes one row, sorted by path."""
    for suffix in ("", ".FLAC"):
        with TemporaryDirectory() as folder:
            root = Path(folder)
            expected = build_example(name, root, suffix)
            rows = list(corpus_called(name).read(root))
            found = {row.path.relative_to(root).as_posix(): row.emotion for row in rows}
        expect(found == expected, f"{name}: its example is read as {found}, and says itself {expected}")
        paths = [row.path for row in rows]
        expect(paths == sorted(paths), f"{name}: rows must be sorted by path")


def rows_name_their_corpus_and_speaker_and_are_unique(name: str) -> None:
    """Speakers carry the name of their corpus, so that those of two corpora are never mixed up."""
    rows, prefix = _rows(name), corpus_called(name).speakers_of or name
    ids = [row.utterance_id for row in rows]
    expect(len(set(ids)) == len(ids), f"{name}: two rows have the same utterance_id: {sorted(ids)}")
    for row in rows:
        expect(row.corpus == name, f"{name}: the corpus of {row.path.name} is '{row.corpus}'")
        expect(row.speaker.startswith(f"{prefix}-"), f"{name}: the speaker '{row.speaker}' must begin with '{prefix}-'")
        labelled = bool(row.native_emotion) or row.emotion == "other"
        expect(labelled, f"{name}: {row.path.name} is {row.emotion} without a native_emotion; say the corpus' own word")


def manifest_comes_back_unchanged(name: str) -> None:
    """A manifest of `write_manifest` is read by `read_manifest` as the same rows."""
    with _example(name) as (corpus, root):
        rows = list(corpus.read(root))
        write_manifest(rows, root / "manifest.csv")
        expect(read_manifest(root / "manifest.csv") == rows, f"{name}: its rows change on the way through a manifest")


def unknown_recording_is_named_and_not_dropped(name: str) -> None:
    """A recording with another name is an error that says which one."""
    with _example(name) as (corpus, root):
        stem = Path(min(corpus.example)).stem
        first = next(path for path in sorted(root.rglob("*")) if path.stem == stem)
        first.rename(first.with_stem("stranger"))
        try:
            list(corpus.read(root))
        except CorpusError as error:
            expect("stranger" in str(error), f"{name}: the error doesn't name the recording stranger: {error}")
        else:
            raise AssertionError(f"{name}: a recording called stranger is read or dropped; raise a CorpusError")


def empty_or_absent_folder_is_an_error_that_names_it(name: str) -> None:
    """The message says where recordings were looked for."""
    with TemporaryDirectory() as folder:
        for root in (Path(folder), Path(folder) / "absent"):
            try:
                list(corpus_called(name).read(root))
            except CorpusError as error:
                expect(str(root) in str(error), f"{name}: the error doesn't name the folder {root}: {error}")
            else:
                raise AssertionError(f"{name}: an empty or absent folder must be a CorpusError")


def facts_agree_with_each_other(name: str) -> None:
    """Counts sum up, emotions are canonical, and a user is told where to get it."""
    corpus = corpus_called(name)
    total = sum(corpus.class_counts.values())
    if corpus.class_counts:
        expect(
            total == corpus.n_utterances, f"{name}: class_counts sum to {total}, n_utterances is {corpus.n_utterances}"
        )
    strange = sorted((set(corpus.class_counts) | set(corpus.example.values())) - set(EMOTIONS))
    expect(not strange, f"{name}: not canonical emotions: {', '.join(strange)}")
    expect(bool(corpus.archives or corpus.access), f"{name}: say in access how to get it, or give its archives")


PROMISES: tuple[Promise, ...] = (
    example_is_read_with_its_emotions_whatever_the_extension,
    rows_name_their_corpus_and_speaker_and_are_unique,
    manifest_comes_back_unchanged,
    unknown_recording_is_named_and_not_dropped,
    empty_or_absent_folder_is_an_error_that_names_it,
    facts_agree_with_each_other,
)
