"""Side by side: differences, corrections, and what must be said about clips and protocols."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import earnest_cli
from made_up_results import made_up, write_result

from earnest.errors import CorpusError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.author_protocols import STAMP
from earnest.evaluation.comparison import compare, holm
from earnest.evaluation.predictions import joined
from earnest.report.comparison import REPEATED, RESEMBLING, TRAINED_ONCE, compare_results
from earnest.report.result import read_results
from tests.prediction_rows import PredictionRow, predictions_of


def folders(tmp_path: Path, n: int = 3) -> list[Path]:
    sharpness = (2.0, 0.5, 1.9)
    return [write_result(tmp_path / f"s{number}", made_up(number, sharpness[number])) for number in range(n)]


def test_each_is_compared_with_the_first_and_corrected_for_their_number(tmp_path: Path) -> None:
    results = read_results(folders(tmp_path))
    compared = compare_results(results)
    plain = [compare(results[0].predictions, other.predictions, np.random.default_rng(0)) for other in results[1:]]
    assert [pair.ua.value for pair in compared.pairs] == [pair.ua.value for pair in plain]
    assert [pair.ua.p for pair in compared.pairs] == holm([pair.ua.p for pair in plain])
    assert [pair.wa.p for pair in compared.pairs] == holm([pair.wa.p for pair in plain])
    assert [pair.p_mcnemar for pair in compared.pairs] == holm([pair.p_mcnemar for pair in plain])
    assert compared.pairs[0].p_mcnemar == 2 * plain[0].p_mcnemar
    assert compared.on_common is None
    assert any("corrected for 2 pairs" in note and "Intervals are not:" in note for note in compared.notes)


def test_repeats_are_no_other_clips_and_no_row_is_wrapped_in_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # as pytest's workers have it
    once, again = made_up(0), made_up(1)
    twice = joined([once, replace(again, fold=text_column(f"{fold}#2" for fold in again.fold))])
    name = "a-name-that-is-longer-than-most-names-of-results-are"
    paths = [write_result(tmp_path / name, once), write_result(tmp_path / "twice", twice)]
    compared = compare_results(read_results(paths))
    assert compared.on_common is None
    assert (compared.pairs[0].n, compared.pairs[0].n_pairs) == (60, 120)
    assert any("go by the intervals" in note for note in compared.notes)
    assert REPEATED in compared.notes and TRAINED_ONCE not in compared.notes
    told = earnest_cli("compare", *paths)
    assert any(line.startswith(name) and " speaker-independent " in line for line in told.splitlines())


def test_what_intervals_and_p_values_leave_out_is_told_on_the_terminal_and_in_json(tmp_path: Path) -> None:
    paths = folders(tmp_path, 2)
    told, document = earnest_cli("compare", *paths), json.loads(earnest_cli("compare", *paths, "--json"))
    for note in (TRAINED_ONCE, RESEMBLING):
        assert note in document["notes"]
        assert note in told
    assert not any("corrected" in note for note in document["notes"])


def test_clips_that_have_a_speaker_each_are_independent(tmp_path: Path) -> None:
    apart = [replace(made_up(n), speaker=text_column(f"s{row}" for row in range(60))) for n in range(2)]
    paths = [write_result(tmp_path / f"r{number}", one) for number, one in enumerate(apart)]
    assert RESEMBLING not in compare_results(read_results(paths)).notes


def test_without_speakers_no_note_speaks_of_other_speakers_or_calls_intervals_better(tmp_path: Path) -> None:
    nameless = [replace(made_up(n), speaker=same_text("", 60)) for n in range(2)]
    paths = [write_result(tmp_path / f"r{number}", one) for number, one in enumerate(nameless)]
    notes = compare_results(read_results(paths)).notes
    assert any("recordings are taken for independent" in note for note in notes)
    assert RESEMBLING not in notes and not any("other speakers" in note for note in notes)


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_text("utterance_id,emotion,predicted\na,sad,sad\nb,happy,sad\n")
    (tmp_path / "theirs.csv").write_text("utterance_id,emotion,predicted,topic\na,sad,sad,1\nb,happy,happy,2\n")
    told = earnest_cli("compare", tmp_path / "ours.csv", tmp_path / "theirs.csv")
    assert "theirs: Columns that are not read: topic." in told


def test_answers_that_are_never_true_are_told(tmp_path: Path) -> None:
    (tmp_path / "ours.csv").write_text("utterance_id,emotion,predicted\na,sad,sad\nb,happy,sad\n")
    (tmp_path / "theirs.csv").write_text("utterance_id,emotion,predicted\na,sad,sad\nb,happy,hap\n")
    told = earnest_cli("compare", tmp_path / "ours.csv", tmp_path / "theirs.csv")
    assert "theirs: Counted as a class and never true: 'hap' (1 answer). Say --map ANSWER=TRUTH to earnest" in told
    assert "ours: Counted" not in told


def test_recordings_whose_names_macos_wrote_are_those_whose_names_were_typed(tmp_path: Path) -> None:
    for corpus in ("", "Schön"):
        paths = [tmp_path / f"{form}{corpus}.csv" for form in ("NFC", "NFD")]
        for path in paths:
            rows = f"utterance_id,corpus,emotion,predicted\nfröhlich/ä.wav,{corpus},sad,sad\nb,{corpus},happy,sad\n"
            path.write_text(unicodedata.normalize(path.name[:3], rows), encoding="utf-8")  # type: ignore[arg-type]
        for results in (paths, paths[::-1]):
            compared = compare_results(read_results(results))
            assert (compared.pairs[0].n, compared.on_common) == (2, None)


def test_clips_of_no_fold_are_of_none_and_what_was_not_answered_is_told(tmp_path: Path) -> None:
    for name, rows in {"all": "a,sad,sad\nb,happy,happy\n", "part": "a,sad,\n"}.items():
        (tmp_path / f"{name}.csv").write_text(f"utterance_id,emotion,predicted\n{rows}")
    told = earnest_cli("compare", tmp_path / "all.csv", tmp_path / "part.csv")
    assert "Different utterances: all and part have 1 in common; 1 only in all, 0 only in part." in told
    assert "An utterance without an answer counts as wrong; answered: part 0.0 %." in told


def test_other_clips_are_said_and_scored_on_what_is_common(tmp_path: Path) -> None:
    whole, part = made_up(0), made_up(1).of_fold("f2")
    paths = [write_result(tmp_path / "whole", whole), write_result(tmp_path / "part", part)]
    compared = compare_results(read_results(paths))
    assert any("have 30 in common (of whole's f2); 30 only in whole, 0 only in part" in n for n in compared.notes)
    assert compared.on_common is not None
    own = whole.of_fold("f2")
    wa = f"{100 * (own.emotion == own.predicted).mean():.1f}"
    assert compared.on_common.rows[0][:3] == ["whole", "30", wa]


def test_other_protocols_are_said(tmp_path: Path) -> None:
    honest = write_result(tmp_path / "honest")
    other = write_result(tmp_path / "other", protocol="emocatcher-5fold", speaker_independent=False, selected_on="test")
    compared = compare_results(read_results([honest, other]))
    assert [one["stamp"] for one in compared.to_dict()["results"]] == [None, STAMP]
    notes = " ".join(compared.notes)
    assert "Different protocols: honest: speaker-5fold, speaker-independent; other: emocatcher-5fold" in notes
    assert "speaker-dependent, author's protocol: epoch chosen on TEST" in notes
    assert "too good" in notes


def test_other_folds_of_the_same_clips_are_said_unless_they_only_have_other_names(tmp_path: Path) -> None:
    ours, theirs = made_up(0), made_up(1)
    drawn = text_column(f"f{row % 2 + 1}" for row in range(60))
    for folds, is_told in ((drawn, True), (text_column(f"fold {name}" for name in theirs.fold), False)):
        paths = [tmp_path / f"{name}-{is_told}" for name in ("ours", "theirs")]
        for path, one in zip(paths, (ours, replace(theirs, fold=folds)), strict=True):
            write_result(path, one)
        notes = compare_results(read_results(paths)).notes
        assert any("Different folds: ours-True and theirs-True" in note for note in notes) is is_told


def test_equal_protocols_and_clips_need_no_warning(tmp_path: Path) -> None:
    notes = compare_results(read_results(folders(tmp_path, 2))).notes
    assert not any("Different" in note for note in notes)


@pytest.mark.parametrize("order", [("learnt", "evaluated"), ("evaluated", "learnt")])
def test_own_recordings_without_a_corpus_name_are_matched_by_utterance_id(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    write_result(tmp_path / "learnt", replace(made_up(0), corpus=same_text("own", 60)))
    write_result(tmp_path / "evaluated", replace(made_up(1), corpus=same_text("recordings", 60)))
    compared = compare_results(read_results([tmp_path / name for name in order]))
    assert [pair.n for pair in compared.pairs] == [60]
    note = "learnt: recordings without a corpus name, matched with recordings by utterance_id alone."
    assert note in compared.notes


@pytest.mark.parametrize("other", ["emodb", "own", "both"])
def test_a_file_that_names_no_corpus_is_matched_by_utterance_id(tmp_path: Path, other: str) -> None:
    column = text_column(("emodb", "nemo")[row % 2] if other == "both" else other for row in range(60))
    paths = [
        write_result(tmp_path / "named", replace(made_up(0), corpus=column)),
        write_result(tmp_path / "theirs", replace(made_up(1), corpus=same_text("", 60))),
    ]
    compared = compare_results(read_results(paths))
    assert [pair.n for pair in compared.pairs] == [60]
    (note,) = [note for note in compared.notes if "utterance_id alone" in note]
    names = "emodb, nemo" if other == "both" else other
    assert note == f"theirs: recordings without a corpus name, matched with {names} by utterance_id alone."


def test_answers_to_recordings_that_a_model_learnt_from_are_told(tmp_path: Path) -> None:
    own, scored, base = folders(tmp_path)
    metrics = json.loads((own / "metrics.json").read_text())
    (own / "metrics.json").write_text(json.dumps({**metrics, "protocol": "own-recordings"}))
    (own / "bundle.json").write_text(json.dumps({"name": "mine"}))
    for folder, model in ((scored, "mine"), (base, "base")):
        (folder / "metrics.json").write_text(json.dumps({**metrics, "models": [model]}))
    for order in ([own, scored, base], [base, scored, own]):
        told = [note for note in compare_results(read_results(order)).notes if "by heart" in note]
        assert len(told) == 1 and told[0].startswith(f"{scored.name}: answered by 'mine', which learnt from ")
    assert not any("by heart" in note for note in compare_results(read_results([own, base])).notes)


def test_a_file_that_names_no_corpus_is_not_matched_where_two_corpora_have_such_a_recording(tmp_path: Path) -> None:
    twins = [replace(made_up(0), corpus=same_text(name, 60)) for name in ("emodb", "nemo")]
    paths = [
        write_result(tmp_path / "named", joined(twins)),
        write_result(tmp_path / "theirs", replace(made_up(1), corpus=same_text("", 60))),
    ]
    with pytest.raises(CorpusError, match="by the columns corpus and utterance_id: write them alike in both"):
        compare_results(read_results(paths))


def test_own_recordings_are_matched_with_own_ones_where_another_corpus_has_such_names_too(tmp_path: Path) -> None:
    own = replace(made_up(0), corpus=same_text("own", 60))
    other = replace(made_up(0), corpus=same_text("emodb", 60), predicted=1 - made_up(0).predicted)
    write_result(tmp_path / "all", joined([own, other]))
    write_result(tmp_path / "theirs", own)
    compared = compare_results(read_results([tmp_path / "all", tmp_path / "theirs"]))
    assert compared.pairs[0].wa.value == 0
    assert not [note for note in compared.notes if "utterance_id alone" in note]


@pytest.mark.parametrize("n", [2, 3])
def test_a_p_value_that_so_few_speakers_cannot_make_smaller_is_told(tmp_path: Path, n: int) -> None:
    for number, share in enumerate((0.1, 0.9, 0.9)[:n]):
        rows = [
            PredictionRow(f"{row}", "made", f"s{row % 3}", "", "f", true, true if wrong < share else "sad", {})
            for row, (true, wrong) in enumerate((label, place / 10) for place in range(10) for label in "hash")
        ]
        write_result(tmp_path / f"r{number}", predictions_of(rows, ["h", "a", "s", "sad"]))
    compared = compare_results(read_results([tmp_path / f"r{number}" for number in range(n)]))
    assert compared.pairs[0].wa.interval.low > 0.5
    assert compared.pairs[0].wa.p == (0.25 if n == 2 else 0.5)
    notes = [note for note in compared.notes if "can't be below" in note]
    assert len(notes) == n - 1
    assert notes[0].startswith("r1: 3 speakers differ between both, so p can't be below 0.250 (2/2ⁿ")
    write_result(tmp_path / "same", predictions_of(rows, ["h", "a", "s", "sad"]))
    same = compare_results(read_results([tmp_path / f"r{n - 1}", tmp_path / "same"]))
    assert not any("can't be below" in note for note in same.notes)


def test_two_named_corpora_with_the_same_names_of_recordings_stay_apart(tmp_path: Path) -> None:
    named = [replace(made_up(), corpus=same_text(name, 60)) for name in ("here", "there")]
    paths = [write_result(tmp_path / one.corpus[0], one) for one in named]
    with pytest.raises(
        CorpusError, match=r"no recording in common: here/ann-happy-0 is in the first, there/ann-happy-0"
    ):
        compare_results(read_results(paths))


def test_other_labels_for_one_clip_are_refused(tmp_path: Path) -> None:
    predictions = made_up()
    changed = replace(predictions, emotion=(predictions.emotion + 1) % 3)
    paths = [write_result(tmp_path / "a", predictions), write_result(tmp_path / "b", changed)]
    with pytest.raises(CorpusError, match="ann-happy-0"):
        compare_results(read_results(paths))


def test_the_command_writes_a_page_and_json(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
    page = tmp_path / "out" / "compare.html"
    answer = json.loads(earnest_cli("compare", *folders(tmp_path), "--output", page, "--json"))
    assert [pair["result"] for pair in answer["pairs"]] == ["s1", "s2"]
    assert {"value", "interval", "p", "least_p"} == set(answer["pairs"][0]["ua"])
    assert [result["result"] for result in answer["results"]] == ["s0", "s1", "s2"]
    assert all(0 <= result["ua"] <= 1 for result in answer["results"])
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "Paired differences to s0" in text
    assert "s1 −" in text  # the picture's words


def test_the_terminal_shows_differences_and_warnings(tmp_path: Path) -> None:
    said = earnest_cli("compare", *folders(tmp_path, 2))
    assert "Against s0" in said
    assert "McNemar's p" in said
    assert "Mean ± standard deviation over folds" in said


def test_one_result_is_nothing_to_compare(tmp_path: Path) -> None:
    earnest_cli("compare", write_result(tmp_path / "only"), exit_code=2)
