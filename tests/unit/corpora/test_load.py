"""Corpus names → folders → usable rows."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.load import (
    affect_of,
    affect_scale,
    corpus_called,
    corpus_root,
    load_corpus,
    load_utterances,
    scheme_of_rows,
    usable,
)
from earnest.corpora.manifest import Utterance, write_manifest
from earnest.errors import CorpusError, RecipeError
from earnest.labels import count_labels
from earnest.testing.corpora import build_example


def write_crema_d(root: Path, stems: list[str]) -> None:
    build_example("crema-d", root)
    for stem in stems:
        soundfile.write(root / f"AudioWAV/{stem}.wav", np.zeros(800), 16_000)


def test_a_folder_given_by_name_comes_before_the_environment(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "emodb").mkdir()
    environ = {"EARNEST_DATA": str(tmp_path)}
    assert corpus_root("emodb", {"emodb": tmp_path / "given"}, environ) == tmp_path / "given"
    assert corpus_root("emodb", {}, environ) == tmp_path / "emodb"


@pytest.mark.parametrize("environ", [{}, {"EARNEST_DATA": "/nowhere/at/all"}])
def test_a_corpus_that_is_nowhere_is_an_error_that_says_what_to_type(environ):
    with pytest.raises(CorpusError, match="--data emodb=DIR"):
        corpus_root("emodb", {}, environ)


def test_a_table_in_place_of_a_corpus_name_is_told_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").touch()
    with pytest.raises(CorpusError, match=r"Say --corpus mine\.csv, for recordings of your own"):
        corpus_root("mine.csv", {}, {"EARNEST_DATA": str(tmp_path / "corpora")})


def test_a_misspelt_corpus_is_told_beside_the_folder_that_is_missing(tmp_path: Path) -> None:
    for environ in ({}, {"EARNEST_DATA": str(tmp_path)}):
        with pytest.raises(CorpusError, match=r"Say 'ravdess', if that corpus is meant, or --data ravdes=PATH"):
            corpus_root("ravdes", {}, environ)


def test_a_wrong_corpus_name_gets_the_nearest_right_one():
    with pytest.raises(CorpusError, match="Did you mean 'crema-d'"):
        corpus_called("cremad")


def test_rows_come_corpus_by_corpus_sorted_by_file_name(tmp_path):
    folders = {name: tmp_path / name for name in ("ravdess", "emodb")}
    for name, folder in folders.items():
        build_example(name, folder)
    rows = load_utterances(["ravdess", "emodb"], folders)
    names = [row.path.name for row in rows]
    assert [row.corpus for row in rows] == ["ravdess"] * 3 + ["emodb"] * 3
    assert names == sorted(names[:3]) + sorted(names[3:])


def test_unusable_clips_are_left_out_and_counted_with_their_reasons(tmp_path, caplog):
    write_crema_d(tmp_path, ["1076_MTI_SAD_XX", "1013_WSI_SAD_XX", "1013_WSI_DIS_XX", "1013_WSI_HAP_XX"])
    with caplog.at_level(logging.WARNING, "earnest"):
        rows = load_utterances(["crema-d"], {"crema-d": tmp_path})
    assert [row.utterance_id for row in rows] == ["1001_IEO_HAP_HI", "1002_DFA_NEU_XX", "1013_WSI_HAP_XX"]
    assert "3 of 6 utterances left out" in caplog.text
    assert "1076_MTI_SAD_XX (silent)" in caplog.text


def test_seven_clips_of_crema_d_are_unusable():
    corpus = corpus_called("crema-d")
    assert len(corpus.published(Path())) - len(corpus.unusable) == 7435


def test_a_manifest_stands_for_its_corpus_under_any_name(tmp_path):
    build_example("emodb", tmp_path)
    rows = load_corpus("emodb", tmp_path)
    write_manifest(rows, tmp_path / "mine.csv")
    assert load_utterances(["mine"], {"mine": tmp_path / "mine.csv"}) == rows


def test_speakers_in_two_tables_of_ones_own_or_spelled_in_two_ways_are_told(tmp_path, caplog):
    """The names that tables are given by are not those of their corpora, which the rows have."""
    for name, speakers in (("one", ("anna", "Anna", "bert")), ("other", ("anna", "carl"))):
        write_manifest(rows_of(tmp_path, name, speakers), tmp_path / f"{name}.csv")
    load_utterances(["a", "b"], {"a": tmp_path / "one.csv", "b": tmp_path / "other.csv"})
    assert "a: Speakers that may be one are taken for several: Anna, anna. Write them alike." in caplog.text
    assert "a and b both have the speaker anna, taken for two people." in caplog.text


def test_speakers_of_two_manifests_with_the_same_names_are_said_to_be_taken_for_one_person(tmp_path, caplog):
    for name in ("one", "other"):
        rows = [replace(row, speaker=row.native_speaker) for row in rows_of(tmp_path, name, ("01", "02"))]
        write_manifest(rows, tmp_path / f"{name}.csv")
    load_utterances(["a", "b"], {"a": tmp_path / "one.csv", "b": tmp_path / "other.csv"})
    assert "a and b both have the speaker 01, 02, taken for one person. If these are two, write the" in caplog.text


def rows_of(folder, corpus, speakers, **more):
    names = {who: f"{corpus}-{who}" if corpus else who for who in speakers}
    return [
        Utterance(who, folder / f"{who}.wav", corpus=corpus, speaker=name, **{"emotion": "sad", **more})
        for who, name in names.items()
    ]


def test_speakers_of_other_corpora_and_classes_that_are_one_are_not_doubted(tmp_path, caplog):
    for name in ("one", "other"):
        write_manifest(rows_of(tmp_path, "", (f"anna {name}", "")), tmp_path / f"{name}.csv")
    words = [replace(row, native_emotion=word) for row in rows_of(tmp_path, "x", ("c", "d")) for word in ("Sad", "sad")]
    both = [*rows_of(tmp_path, "esd", ("0011",)), *rows_of(tmp_path, "mine", ("11",))]
    write_manifest([*words, *both], tmp_path / "third.csv")
    load_utterances(["one", "other", "third"], {name: tmp_path / f"{name}.csv" for name in ("one", "other", "third")})
    assert not caplog.text


def test_rows_of_unknown_corpora_are_all_usable(tmp_path):
    build_example("emodb", tmp_path)
    rows = load_corpus("emodb", tmp_path)
    assert usable(rows).utterances == rows
    assert usable(rows).left_out == {}


def row(emotion: str, word: str, corpus: str = "mine") -> Utterance:
    return Utterance(f"{corpus}-{word}", Path("x.wav"), corpus=corpus, emotion=emotion, native_emotion=word)


def test_own_words_are_classes_behind_canonical_emotions() -> None:
    rows = [row("other", "zornig"), row("sad", "traurig"), row("other", "froh"), row("angry", "angry")]
    scheme = scheme_of_rows("native", rows)
    assert scheme.classes == ("sad", "angry", "froh", "zornig")
    assert [scheme.class_of(*one.labels) for one in rows] == [
        "zornig",
        "sad",
        "froh",
        "angry",
    ]
    counts = count_labels(scheme, (one.labels for one in rows))
    assert counts.sentence() == "4 kept"


def test_what_a_published_corpus_calls_other_stays_one_class() -> None:
    rows = [row("other", "xxx", "iemocap"), row("other", "dis", "iemocap"), row("sad", "sad", "iemocap")]
    scheme = scheme_of_rows("native", rows)
    assert scheme.classes == ("sad", "other")
    assert scheme.class_of("other", "iemocap", "xxx") == "other"


def test_other_schemes_are_as_they_are() -> None:
    assert scheme_of_rows("four", [row("other", "zornig")]).classes == ("neutral", "happy", "sad", "angry")
    with pytest.raises(RecipeError, match="no label scheme 'fourr'"):
        scheme_of_rows("fourr", [])


def test_ratings_are_scaled_by_the_range_of_their_corpus() -> None:
    row = Utterance("a", Path("a.wav"), corpus="iemocap", valence=1.0, arousal=5.5, dominance=3.5)
    assert affect_of(row) == (0.0, 1.0, 0.625)
    assert affect_of(row, (1.0, 6.0)) == pytest.approx((0.0, 0.9, 0.5))
    unknown = Utterance("a", Path("a.wav"), corpus="my-own", valence=1.0)
    assert np.isnan(affect_of(unknown)).all()
    assert np.isnan(affect_of(unknown, (0, 2))).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("corpora", "limits", "scale"),
    [
        (["iemocap", "iemocap-8k"], (), (1, 5)),
        (["iemocap", "ravdess"], (), (0, 1)),
        (["made-up"], (), (0, 1)),
        (["iemocap", "made-up"], (1, 7), (1, 7)),
    ],
)
def test_affect_has_the_unit_that_its_corpora_share(
    corpora: list[str], limits: tuple[float, ...], scale: tuple[float, float]
) -> None:
    assert affect_scale(corpora, limits) == scale
