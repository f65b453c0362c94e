"""Every registered corpus keeps the same promises; a new reader is checked without a line here."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from corpus_examples import build_example

from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_called
from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import CorpusError
from earnest.labels import EMOTIONS

NAMES = CORPORA.names()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", ".FLAC"])
def test_the_example_is_read_with_its_emotions_whatever_the_extension(name, suffix, tmp_path):
    expected = build_example(name, tmp_path, suffix)
    rows = list(corpus_called(name).read(tmp_path))
    assert {row.path.relative_to(tmp_path).as_posix(): row.emotion for row in rows} == expected
    assert [row.path for row in rows] == sorted(row.path for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_rows_name_their_corpus_their_speaker_and_are_unique(name, tmp_path):
    build_example(name, tmp_path)
    rows = list(corpus_called(name).read(tmp_path))
    assert {row.corpus for row in rows} == {name}
    assert len({row.utterance_id for row in rows}) == len(rows)
    family = name.removesuffix("-song").removesuffix("-8k")
    assert all(row.speaker.startswith(f"{family}-") for row in rows)
    assert all(row.native_emotion or row.emotion == "other" for row in rows)


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_of_the_example_comes_back_unchanged(name, tmp_path):
    build_example(name, tmp_path)
    rows = list(corpus_called(name).read(tmp_path))
    write_manifest(rows, tmp_path / "manifest.csv")
    assert read_manifest(tmp_path / "manifest.csv") == rows


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_that_the_corpus_does_not_know_is_named_not_dropped(name, tmp_path):
    build_example(name, tmp_path)
    first = next(
        path for path in sorted(tmp_path.rglob("*")) if path.stem == Path(min(corpus_called(name).example)).stem
    )
    first.rename(first.with_stem("stranger"))
    with pytest.raises(CorpusError, match="stranger"):
        list(corpus_called(name).read(tmp_path))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_or_absent_folder_is_an_error_that_says_what_belongs_there(name, tmp_path):
    for root in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CorpusError) as error:
            list(corpus_called(name).read(root))
        assert str(root) in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_the_expected_numbers_agree_with_each_other(name):
    corpus = corpus_called(name)
    if corpus.class_counts:
        assert sum(corpus.class_counts.values()) == corpus.n_utterances
    assert set(corpus.class_counts) | set(corpus.example.values()) <= set(EMOTIONS)
    assert corpus.archives or corpus.access


@pytest.mark.parametrize("name", ["ravdess", "ravdess-song", "emodb", "crema-d", "savee", "emogator"])
def test_published_names_parse_to_the_published_counts(name, tmp_path):
    corpus = corpus_called(name)
    names = corpus.published(tmp_path)
    parse = corpus.parser(tmp_path)
    folder = "Actor/" if name != "savee" else ""
    rows = [parse(Path(f"{folder}{stem}.wav")) for stem in names]
    assert [row.utterance_id for row in rows] == list(names)
    assert Counter(row.emotion for row in rows) == corpus.class_counts
    assert len({row.speaker for row in rows}) == corpus.n_speakers
    assert set(corpus.unusable) <= set(names)


def test_listing_corpora_imports_neither_torch_nor_a_reader():
    script = (
        "import sys; from earnest.corpora.base import CORPORA; print(*CORPORA.names());"
        "assert not {'torch', 'numpy', 'soundfile', 'earnest.corpora.emodb'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"ravdess", "ravdess-song", "emodb", "crema-d", "iemocap", "iemocap-8k"} <= set(done.stdout.split())
    assert {"thai-ser", "savee", "tess", "jl-corpus", "nemo", "emogator"} <= set(done.stdout.split())
