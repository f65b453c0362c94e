import numpy as np
import pytest

from earnest.errors import EarnestError
from earnest.plots.recordings import draw_affect, draw_counts, draw_durations
from earnest.plots.style import new_figure

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")


@pytest.fixture
def axes():
    return new_figure(4, 2).subplots()


def test_the_first_class_is_on_top_and_bars_tell_their_number(axes):
    assert draw_counts(axes, {"neutral": 96, "happy": 1920}) is axes
    height = {text.get_text(): text.xy[1] for text in axes.texts}
    assert height["96"] > height["1,920"]
    assert [bar.get_width() for bar in axes.patches] == [96, 1920]


def test_every_recording_is_in_the_histogram_also_the_longest(axes):
    durations_s = [*np.linspace(1, 3, 300), 600.0]
    draw_durations(axes, durations_s)
    assert sum(bar.get_height() for bar in axes.patches) == 301
    assert axes.get_xlim()[1] < 4
    assert axes.get_legend().get_texts()[0].get_text() == "median 2.00 s"


def test_affect_is_in_the_corpus_own_unit(axes):
    draw_affect(axes, [1.0, 3.0, 5.0, 5.0], "arousal")
    assert axes.get_xlabel() == "arousal"
    assert (axes.patches[0].get_x(), axes.get_legend().get_texts()[0].get_text()) == (1.0, "mean 3.50")


@pytest.mark.parametrize("draw", [draw_durations, lambda axes, values: draw_affect(axes, values, "valence")])
def test_nothing_is_refused(axes, draw):
    with pytest.raises(EarnestError, match="There are no"):
        draw(axes, [])
