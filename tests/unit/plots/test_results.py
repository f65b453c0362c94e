import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earnest.errors import EarnestError, MissingExtraError
from earnest.evaluation.intervals import Slice, Spread
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.report import NoiseCurve
from earnest.files import writing
from earnest.plots import results as plots
from earnest.plots import style
from earnest.plots.results import draw_noise_curves
from earnest.plots.style import BLUE, ORANGE, new_figure
from tests.prediction_rows import PredictionRow, predictions_of

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
from matplotlib.colors import to_hex


@pytest.fixture
def scores() -> Scores:
    rows = [
        PredictionRow(f"u{index}", "made", "", "", "f1", emotion, predicted, {})
        for index, (emotion, predicted) in enumerate(
            [("happy", "happy"), ("happy", "sad"), ("happy", "sad"), ("happy", ""), ("sad", "sad")]
        )
    ]
    return score(predictions_of(rows, ["happy", "sad"]), np.random.default_rng(0), n_resamples=10)


@pytest.fixture
def drawn(monkeypatch) -> list[Any]:
    """The figures that were saved."""
    figures: list[Any] = []
    make = plots.new_figure

    def remember(width_in: float, height_in: float) -> Any:
        figures.append(make(width_in, height_in))
        return figures[-1]

    monkeypatch.setattr(plots, "new_figure", remember)
    return figures


def test_a_speaker_dependent_matrix_says_so_in_its_title(scores, drawn):
    picture = plots.plot_confusion(scores, "emocatcher-5fold", speaker_independent=False)
    assert "emocatcher-5fold (speaker-dependent)" in drawn[0].get_suptitle()
    assert picture.startswith(b"\x89PNG")


def test_rows_are_true_classes_normalised_by_row_with_counts(scores, drawn):
    plots.plot_confusion(scores, "p", speaker_independent=True)
    (axes,) = drawn[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["happy (4)", "sad (1)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["happy", "sad", "no answer"]
    assert axes.images[0].get_array().tolist() == [[0.25, 0.5, 0.25], [0.0, 1.0, 0.0]]
    texts = {tuple(np.round(text.get_position())): text.get_text() for text in axes.texts if "%" in text.get_text()}
    assert texts == {(0, 0): "25 %", (1, 0): "50 %", (2, 0): "25 %", (1, 1): "100 %"}
    assert sorted(text.get_text() for text in axes.texts if "%" not in text.get_text()) == ["1", "1", "1", "2"]


def test_the_words_are_not_repeated_in_a_title_that_has_them():
    assert plots.titled("p (speaker-dependent)", False) == "p (speaker-dependent)"
    assert plots.titled("p", True) == "p (speaker-independent)"


def test_the_training_history_marks_the_chosen_epoch_and_skips_what_was_not_measured(drawn):
    history = [{"epoch": epoch, "train_loss": 2 / epoch, "valid_loss": "", "valid_ua": epoch / 10} for epoch in (1, 2)]
    plots.plot_history(history, "f1", chosen_epoch=2)
    loss, ua = drawn[0].axes
    assert [line.get_label() for line in loss.lines] == ["train", "chosen: epoch 2"]
    assert loss.lines[-1].get_xdata()[0] == 2
    assert ua.lines[0].get_ydata().tolist() == [10, 20]


def test_a_history_of_one_epoch_is_a_point_over_a_whole_number(drawn):
    history = [{"epoch": 1, "train_loss": 2.0, "valid_loss": 1.5, "valid_ua": 0.5}]
    plots.plot_history(history, "f1", chosen_epoch=1)
    for axes in drawn[0].axes:
        assert all(line.get_marker() == "o" for line in axes.lines[:-1])
        assert [tick for tick in axes.get_xticks() if 0.9 < tick < 1.1] == [1]


def test_an_empty_history_is_refused():
    with pytest.raises(EarnestError, match="no history"):
        plots.plot_history([], "f1", 1)


def test_without_matplotlib_the_error_names_the_extra(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"earnest\[report\]"):
        plots.plot_confusion(scores, "p", speaker_independent=True)


def test_drawing_leaves_pyplot_alone():
    for path in Path(plots.__file__).parent.glob("*.py"):
        assert "pyplot" not in path.read_text(encoding="utf-8")


def test_several_runs_are_one_line_each_with_their_best_epoch_marked():
    axes = new_figure(4, 2).subplots()
    runs = {
        "first": [{"epoch": 1, "valid_ua": 0.2}, {"epoch": 2, "valid_ua": 0.5}, {"epoch": 3, "valid_ua": 0.4}],
        "second": [{"epoch": "1", "valid_ua": "0.3"}, {"epoch": "2", "valid_ua": ""}],
    }
    assert plots.draw_curves(axes, runs, "valid_ua") is axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["first: 0.5 in epoch 2", "second: 0.3 in epoch 1"]
    assert axes.lines[1].get_xdata() == [2]


def test_the_best_of_a_loss_is_the_lowest():
    axes = new_figure(4, 2).subplots()
    plots.draw_curves(axes, {"run": [{"epoch": 1, "valid_loss": 2.0}, {"epoch": 2, "valid_loss": 1.0}]}, "valid_loss")
    assert axes.get_legend().get_texts()[0].get_text() == "run: 1 in epoch 2"


def test_a_run_without_the_quantity_is_named():
    with pytest.raises(EarnestError, match="second: its history has no 'valid_ua'"):
        plots.draw_curves(new_figure(4, 2).subplots(), {"second": [{"epoch": 1}]}, "valid_ua")


def test_the_most_probable_class_is_on_top_and_the_truth_stands_out():
    axes = new_figure(4, 2).subplots()
    plots.draw_top(axes, {"happy": 0.2, "sad": 0.7, "calm": 0.06, "angry": 0.04}, truth="happy")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sad", "happy", "calm"]
    assert axes.get_yticks()[0] > axes.get_yticks()[1]
    colours = [to_hex(bar.get_facecolor()) for bar in axes.patches]
    assert colours == [BLUE, ORANGE, BLUE]


@pytest.mark.parametrize(
    ("truth", "title"), [("", "most probable: sad"), ("sad", "sad: right"), ("happy", "sad, spoken happy: wrong")]
)
def test_a_card_says_whether_the_answer_is_right(truth, title):
    above, below = new_figure(4, 4).subplots(2, 1)
    plots.draw_prediction(above, below, np.ones(8_000, np.float32), 16_000, {"happy": 0.3, "sad": 0.7}, truth)
    assert above.get_title(loc="left") == title
    assert above.get_xlim() == (0, 0.5)


def test_the_mean_over_speakers_is_told_by_its_line():
    figure = plots.draw_speakers([Slice("speaker", name, 4, ua, ua) for name, ua in (("ann", 0.5), ("ben", 0.7))])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["mean over speakers: 60.0 %"]


@pytest.mark.parametrize(("sd", "told"), [(0.1, "UA in %, bars are standard deviations over folds"), (None, "UA in %")])
def test_the_bars_of_a_noise_curve_say_what_they_are(sd, told):
    point = (Spread(0.9, sd), Spread(0.9, sd))
    (axes,) = draw_noise_curves({"made": NoiseCurve(point, {20.0: point}, 9)}).axes
    assert axes.get_ylabel() == told


def test_a_name_in_another_script_is_drawn_by_a_font_that_is_installed(monkeypatch) -> None:
    monkeypatch.setattr(style, "OTHER_SCRIPTS", ("No Such Font", "STIXGeneral"))  # the second comes with matplotlib
    figure = style.new_figure(2, 1)
    plain, other = figure.text(0, 0.8, "talk $5.wav"), figure.text(0, 0.2, "面接.wav")
    style.picture(figure)
    assert other.get_fontfamily() == [*plain.get_fontfamily(), "STIXGeneral"]


@pytest.mark.skipif(sys.platform == "win32", reason="on Windows a link needs a right")
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_not_written_through_a_link_that_others_put_there(
    scores: Scores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    (victim := tmp_path / "victim").write_text("theirs")
    (folder := tmp_path / "folder").mkdir()
    made_anew = writing._make_anew

    def planted(path: Path) -> None:
        made_anew(path)
        path.unlink()
        path.symlink_to(victim)

    monkeypatch.setattr(writing, "_make_anew", planted)
    data = style.picture(plots.draw_confusion(scores, "true"), suffix)
    with pytest.raises(EarnestError, match="not writable"):
        writing.write_atomically(folder / f"cm{suffix}", data)
    assert (victim.read_text(), [*folder.iterdir()]) == ("theirs", [])
