"""Every registered corpus keeps the same promises; a new reader is checked without a line here."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_called
from earnest.testing import Check, parametrize_with_checks


@parametrize_with_checks(corpora=CORPORA.names())
def test_a_corpus_keeps_its_contract(check: Check) -> None:
    check()


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
