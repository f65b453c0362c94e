"""What the sections say, against numbers that are known."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from made_up_results import HISTORY, LEAKAGE, made_up, write_result, write_run

from earnest.evaluation.calibration import reliability
from earnest.evaluation.metrics import score
from earnest.report.result import Facts, Result, read_result
from earnest.report.section import ReportPicture, Table, picture
from earnest.report.sections import (
    calibration_section,
    classes_section,
    confusion_section,
    gender_and_affect_section,
    groups_section,
    history_section,
    leakage_section,
    noise_section,
)

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")


@pytest.fixture(scope="module")
def result() -> Result:
    predictions = made_up()
    return Result("made", predictions, score(predictions, np.random.default_rng(0)), Facts())


def test_leakage_is_told_over_all_folds() -> None:
    section = leakage_section(Facts(leakage=tuple(LEAKAGE)))
    assert section.tables is not None
    table = section.tables["Shared"]
    assert list(table.columns) == ["sets", "speakers", "sentences", "duplicates"]
    assert table.rows == [["train and test", "0", "2–3", "–"], ["train and valid", "0", "1", "–"]]
    assert section.lead[0] == "No speaker of a test set is in another set."


def test_speakers_and_copies_in_a_test_set_come_first() -> None:
    shared = {"sets": ["train", "test"], "shared": {"speakers": 4, "duplicates": 2}}
    elsewhere = {"sets": ["train", "valid"], "shared": {"speakers": 9, "duplicates": 9}}
    section = leakage_section(Facts(leakage=(shared, elsewhere)))
    assert section.lead[0].startswith("Up to 4 speakers of a test set stood in another set too")
    assert section.lead[1].startswith("Up to 2 utterances of a test set stood in another set")


def test_gender_and_affect_are_tables_in_the_unit_of_the_ratings(result: Result) -> None:
    answered = replace(result.predictions, predicted_gender=result.predictions.gender)
    affect = {
        "valence": {"rmse": 0.8307, "ccc": 0.5, "n": 12, "scale": [1, 5]},
        "arousal": {"rmse": 0.25, "ccc": None, "n": 12, "scale": [1, 5]},
        "strange": {"rmse": "much"},
    }
    scores = score(answered, np.random.default_rng(0))
    section = gender_and_affect_section(Result("made", answered, scores, Facts(affect=affect)))
    assert section.tables is not None
    assert section.lead[0] == "Gender right: 100.0 % of 60 utterances."
    assert [row[:3] for row in section.tables["Gender"].rows] == [
        ["all", "60", "100.0"],
        ["female", "30", "100.0"],
        ["male", "30", "100.0"],
    ]
    assert section.tables["Affect"].rows == [
        ["valence", "1 to 5", "12", "0.500", "0.831"],
        ["arousal", "1 to 5", "12", "–", "0.250"],
    ]
    assert "neither gender nor affect" in gender_and_affect_section(result).missing


def test_where_nobody_names_speakers_nothing_is_promised() -> None:
    section = leakage_section(Facts(leakage=({"sets": ["train", "test"], "shared": {"speakers": None, "groups": 0}},)))
    assert section.lead[0].startswith("The recordings name no speakers")


def test_strange_leakage_lines_are_left_out() -> None:
    lines = ({"sets": "train", "shared": {}}, {"sets": ["a", "b"], "shared": {"speakers": "many"}}, {})
    section = leakage_section(Facts(leakage=lines))
    assert section.tables is not None
    assert section.tables["Shared"].rows == [["a and b", "–"]]


def test_the_chosen_epoch_stands_beside_validation_and_test(tmp_path) -> None:
    folder = write_result(tmp_path / "made")
    write_run(folder / "f2", "f2", HISTORY)
    read = read_result(folder)
    section = history_section(read)
    assert section.tables is not None
    ((fold, epoch, valid, last, test),) = section.tables["Epochs"].rows
    assert (fold, epoch, valid) == ("f2", "2 of 3", "62.5")
    assert last == "50.8"  # of all three
    assert test == f"{100 * read.scores.folds['f2']['ua']:.1f}"
    assert "epoch 2 was chosen" in section.pictures[0].alt
    assert "chosen on validation utterances" in section.lead[0]


def test_the_last_ten_epochs_have_a_mean(tmp_path) -> None:
    folder = write_result(tmp_path / "mine")
    later = "".join(f"{epoch},0.5,1.0,{0.5 + epoch / 100}\n" for epoch in range(4, 14))
    for fold in ("f1", "f2"):
        write_run(folder / fold, fold, HISTORY + later)
    section = history_section(read_result(folder))
    assert section.tables is not None
    assert [row[3] for row in section.tables["Epochs"].rows] == ["58.5"] * 2


def test_what_was_wrong_with_a_training_stands_beside_its_curve(tmp_path) -> None:
    folder = write_result(tmp_path / "mine")
    for fold in ("f1", "f2"):
        path = write_run(folder / fold, fold, HISTORY) / "run.json"
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"warnings": ["The loss explodes."] if fold == "f2" else []}))
    assert history_section(read_result(folder)).lead[1:] == ("Fold f2: The loss explodes.",)


def test_a_closed_form_has_no_training_history(tmp_path) -> None:
    folder = write_result(tmp_path / "made")
    path = write_run(folder / "f1") / "run.json"
    assert "closed form" in history_section(read_result(folder)).missing
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": ["Nobody rated valence."]}))
    assert list(history_section(read_result(folder)).lead) == ["Fold f1: Nobody rated valence."]


def test_the_confusion_matrix_is_there_in_counts_and_names_the_most_frequent_mistake(result) -> None:
    section = confusion_section(result)
    table = section.pictures[0].table
    assert table is not None
    assert [[int(cell) for cell in row[1:]] for row in table.rows] == [list(row) for row in result.scores.confusion]
    wrong = max(n for i, row in enumerate(result.scores.confusion) for j, n in enumerate(row) if i != j)
    assert f"({wrong} times)" in section.lead[0]


def test_classes_are_listed_as_scored(result) -> None:
    table = classes_section(result).pictures[0].table
    assert table is not None
    one = result.scores.per_class["sad"]
    assert ["sad", "20", *(f"{100 * value:.1f}" for value in (one.precision, one.recall, one.f1))] in table.rows


def test_the_calibration_error_of_all_and_of_each_fold_stands_beside_what_chance_gives(result) -> None:
    section = calibration_section(result)
    assert section.tables is not None
    rows = section.tables["Calibration error of all test utterances and of each fold"].rows
    whole = result.scores.calibration
    limits = whole.expected_ece.mean, whole.expected_ece.q95
    assert rows[0] == ["all", "60", f"{whole.ece:.3f}", *(f"{one:.3f}" for one in limits)]
    assert whole.sentence in section.lead[0]
    part = result.predictions.of_fold("f2")
    ece = reliability(part.probabilities, part.emotion).ece
    chance = result.scores.folds["f2"]["expected_ece"], result.scores.folds["f2"]["expected_ece_q95"]
    assert [row[0] for row in rows] == ["all", "f1", "f2"]
    assert rows[2] == ["f2", "30", f"{ece:.3f}", f"{chance[0]:.3f}", f"{chance[1]:.3f}"]
    order = np.argsort(-result.predictions.probabilities.max(axis=1))[:48]
    right = 100 * (result.predictions.predicted == result.predictions.emotion)[order].mean()
    assert f"{right:.1f} % are right instead of {100 * result.scores.wa:.1f} %" in section.lead[1]


def test_words_about_probabilities_say_of_how_many_answers_and_of_which_class(tmp_path) -> None:
    made = made_up()
    some = np.where(np.arange(60)[:, None] < 12, made.probabilities, np.nan).astype(np.float32)
    section = calibration_section(read_result(write_result(tmp_path / "some", replace(made, probabilities=some))))
    assert " of 12 of 60 answers, " in section.lead[0]
    right = 100 * (made.probabilities[:12].argmax(axis=1) == made.emotion[:12]).mean()
    assert section.lead[1].startswith("Of the 12 of 60 answers with probabilities, answering the surest 80 % only, ")
    assert f"instead of {right:.1f} %" in section.lead[1]  # 48 rows without any are not wrong for that

    unsure = replace(made, predicted=np.where(np.arange(60) < 20, -1, made.predicted))
    section = calibration_section(read_result(write_result(tmp_path / "unsure", unsure)))
    told = reliability(made.probabilities[20:], made.emotion[20:]).ece
    words = (
        "ECE counts rows without an answer too (20 of 60 rows), by their likeliest class; of those with one alone it is"
    )
    assert section.lead[1] == f"{words} {told:.3f}."
    assert section.lead[2].startswith("By the likeliest class, answering the surest 80 % only, ")

    other = replace(made, predicted=(made.predicted + 1) % 3)
    section = calibration_section(read_result(write_result(tmp_path / "other", other)))
    assert section.lead[1].startswith(
        "ECE goes by the likeliest class, which in 60 rows is another than the one answered"
    )


def test_what_calibration_changed_is_told_where_the_run_says_it(tmp_path) -> None:
    folder = write_result(tmp_path / "made")
    path = write_run(folder / "f1") / "run.json"
    fitted = {"method": "temperature"}
    fitted |= {"before": {"ece": 0.2, "nll": 1.5, "n": 9}, "after": {"ece": 0.0625, "nll": 1.25, "n": 9}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "calibration": fitted}))
    tables = calibration_section(read_result(folder)).tables
    assert tables is not None
    (table,) = [table for caption, table in tables.items() if caption.startswith("Before and after")]
    assert table.rows == [["f1", "temperature", "1.00", "0.200", "0.062", "1.500", "1.250"]]


def test_groups_have_their_gaps(result) -> None:
    section = groups_section(result, {})
    assert any(line.startswith("Gap between") and "(by chance, were all alike: " in line for line in section.lead)
    assert any("the 4 speakers" in line.replace("UA of ", "") for line in section.lead)
    assert "Style and intensity" in section.missing
    table = section.pictures[0].table
    assert table is not None
    assert [row[:2] for row in table.rows] == [[name, "15"] for name in ("ann", "ben", "cem", "dora")]


def test_noise_that_was_not_evaluated_is_said(result) -> None:
    assert noise_section(result).missing.startswith("Not evaluated")


def test_noise_in_the_recordings_of_other_folds_is_not_shown(tmp_path) -> None:
    folder = write_result(tmp_path / "noisy")
    row = '{"snr_db": 0, "wa": {"mean": 0.5, "sd": null}, "ua": {"mean": 0.5, "sd": null}}'
    for folds, is_shown in ((read_result(folder).predictions.folds, True), (["f9"], False)):
        text = f'{{"n": 7, "folds": {json.dumps(folds)}, "levels": [{row.replace("0,", "null,", 1)}, {row}]}}'
        (folder / "metrics-noise.json").write_text(text)
        assert bool(noise_section(read_result(folder)).pictures) == is_shown


def test_noise_levels_are_listed_from_faint_to_loud(tmp_path) -> None:
    folder = write_result(tmp_path / "made")
    level = '{"snr_db": %s, "wa": {"mean": %s, "sd": null}, "ua": {"mean": 0.5, "sd": null}}'
    levels = ", ".join(level % pair for pair in (("null", 0.9), ("0", 0.3), ("20", 0.8)))
    (folder / "metrics-noise.json").write_text('{"n": 7, "levels": [' + levels + "]}")
    table = noise_section(read_result(folder)).pictures[0].table
    assert table is not None
    assert [row[:2] for row in table.rows] == [["clean", "90.0"], ["20 dB", "80.0"], ["0 dB", "30.0"]]


def drawn(width_in: float = 1) -> ReportPicture:
    from earnest.plots.style import INK, new_figure

    figure = new_figure(width_in, 1)
    figure.subplots().plot([0, 1], [0, 1], color=INK)
    return picture(figure, "line", "A line", "A rising line")


def test_the_same_picture_has_the_same_bytes() -> None:
    first, second = drawn(), drawn()
    assert (first.svg, first.png) == (second.svg, second.png)


def test_a_picture_that_is_wider_than_a_phone_says_so() -> None:
    assert not drawn().is_wide
    assert drawn(width_in=7).is_wide


def test_the_file_keeps_plain_colours_and_the_page_variables() -> None:
    assert b"#1a1a1a" in drawn().svg
    assert b"var(" not in drawn().svg


@pytest.mark.parametrize("name", [r"$\frac{$", "a\x01--b<&>", "สวัสดี", "$"])
def test_any_name_can_be_drawn(name: str) -> None:
    predictions = made_up(names={"ann": name})
    classes = (name, *predictions.classes[1:])
    predictions = replace(predictions, classes=classes)
    result = Result("made", predictions, score(predictions, np.random.default_rng(0), 1), Facts())
    pictures = [*confusion_section(result).pictures, *classes_section(result).pictures]
    pictures += groups_section(result, {}).pictures
    assert len(pictures) == 4
    for one in pictures:
        ElementTree.fromstring(one.svg)


def test_markdown_cells_cant_break_their_table() -> None:
    text = Table(("a", "n"), [["x|y\nz <b> [l](u) `c`", "1"]]).markdown()
    assert text.splitlines() == [
        "| a | n |",
        "| --- | ---: |",
        r"| x\|y z \<b\> \[l\](u) \`c\` | 1 |",
    ]
