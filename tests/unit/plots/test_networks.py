import numpy as np
import pytest

from earnest.errors import EarnestError
from earnest.plots.recordings import draw_attention, draw_feature_maps, draw_filters, draw_saliency
from earnest.plots.style import new_figure

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")


@pytest.fixture
def axes():
    return new_figure(4, 2).subplots()


def test_every_filter_is_a_tile_on_one_scale_around_zero(axes):
    filters = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((1, 3, 2), np.float32)
    assert draw_filters(axes, filters) is axes
    (image,) = axes.images
    values = np.ma.filled(image.get_array(), np.nan)
    assert [int((values == number).sum()) for number in range(5)] == [6] * 5
    assert image.get_clim() == (-4, 4)


def test_low_frequencies_of_a_filter_lie_below(axes):
    filters = np.zeros((1, 3, 2))
    filters[0, 0] = 1
    draw_filters(axes, filters)
    assert axes.images[0].get_array()[:, 0].tolist() == [0, 0, 1]


def test_what_is_no_stack_of_tiles_is_refused(axes):
    with pytest.raises(EarnestError, match=r"not \(3, 2\)"):
        draw_filters(axes, np.zeros((3, 2)))


def test_of_many_maps_the_first_are_drawn_and_their_number_is_told(axes):
    draw_feature_maps(axes, np.random.default_rng(0).normal(size=(100, 4, 4)))
    assert axes.get_title(loc="left") == "the first 64 of 100"


def test_low_frequencies_of_a_feature_map_lie_below(axes):
    maps = np.zeros((1, 4, 6))
    maps[0, 0] = 1  # the lowest band
    draw_feature_maps(axes, maps)
    assert axes.images[0].get_array()[:, 0].tolist() == [0, 0, 0, 1]


def test_maps_over_time_alone_are_one_picture(axes):
    draw_feature_maps(axes, np.zeros((32, 50)))
    assert axes.images[0].get_array().shape == (32, 50)


def test_attention_peaks_where_its_weight_does(axes):
    draw_attention(axes, np.zeros((40, 20)), np.array([0.1, 0.7, 0.2]), 3.0)
    heights, edges, _ = axes.patches[-1].get_data()
    assert (edges[heights.argmax()], heights.max()) == (1.0, 40)


def test_saliency_shines_where_it_is_large_and_nowhere_else(axes):
    saliency = np.zeros((10, 20))
    saliency[3, 5:15] = 2.0
    draw_saliency(axes, np.zeros((10, 20)), saliency, 1.0)
    opacity = axes.images[1].get_alpha()
    assert (opacity[3, 5:15] == 1).all()
    assert opacity.sum() == 10


def test_saliency_of_another_shape_is_refused(axes):
    with pytest.raises(EarnestError, match=r"Saliency \(10, 21\) and spectrogram \(10, 20\)"):
        draw_saliency(axes, np.zeros((10, 20)), np.zeros((10, 21)), 1.0)
