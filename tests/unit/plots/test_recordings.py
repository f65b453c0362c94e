"""Recordings and corpora as pictures: what is drawn is what there is, and the rest is an error."""

import numpy as np
import pytest

from earnest.errors import EarnestError
from earnest.frontends.mel import log_mel
from earnest.plots.recordings import draw_affect, draw_counts, draw_durations, draw_spectrogram, draw_waveform
from earnest.plots.style import MUTED, new_figure

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")


@pytest.mark.parametrize("seconds", [0.01, 1.0, 30.0])
def test_log_mels_lie_in_80_decibels_and_stay_narrow(seconds: float) -> None:
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    bands = log_mel((0.5 * np.sin(2 * np.pi * 1_000 * time_s)).astype(np.float32), 16_000)
    assert (bands.shape[0], bands.shape[1] <= 257) == (64, True)
    assert (bands.max(), bands.min() >= -80) == (0, True)
    loudest = bands.mean(axis=1).argmax()
    assert 18 < loudest < 28  # 1 kHz: mel 1000 of 2840, that is band 22.5


def test_silence_is_drawn_as_silence() -> None:
    assert (log_mel(np.zeros(16_000, np.float32), 16_000) == -80).all()


def test_a_click_of_one_sample_is_in_the_picture_of_ten_seconds(axes):
    waveform = np.zeros(160_000, np.float32)
    waveform[80_001] = 0.7
    assert draw_waveform(axes, waveform, 16_000) is axes
    heights = [segment[:, 1].max() for lines in axes.collections for segment in lines.get_segments()]
    assert max(heights) == pytest.approx(0.7)
    assert axes.get_xlim() == (0, 10)


def test_what_trimming_takes_away_is_grey(axes):
    draw_waveform(axes, np.ones(16_000, np.float32), 16_000, kept_s=(0.25, 0.75))
    from matplotlib.colors import to_hex

    (grey,) = [lines for lines in axes.collections if to_hex(lines.get_color()[0]) == MUTED]
    times = np.array([segment[0, 0] for segment in grey.get_segments()])
    assert ((times < 0.25) | (times > 0.75)).all()
    assert len(times) == pytest.approx(400, abs=2)


def test_silence_and_one_sample_can_be_drawn_and_nothing_is_refused(axes):
    draw_waveform(axes, np.zeros(1, np.float32), 16_000)
    with pytest.raises(EarnestError, match="without samples"):
        draw_waveform(axes, np.zeros(0, np.float32), 16_000)


def test_a_tone_stands_at_its_own_tick(axes):
    tone = np.sin(2 * np.pi * 2_000 * np.arange(16_000) / 16_000).astype(np.float32)
    bands = log_mel(tone, 16_000)
    draw_spectrogram(axes, bands, 1.0, 8_000)
    places = {label.get_text(): place for label, place in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert bands.mean(axis=1).argmax() == pytest.approx(places["2"], abs=1.5)
    assert axes.images[0].get_extent() == [0, 1, 0, 64]


@pytest.fixture
def axes():
    return new_figure(4, 2).subplots()


def test_the_first_class_is_on_top_and_bars_tell_their_number(axes):
    assert draw_counts(axes, {"neutral": 96, "happy": 1920}) is axes
    height = {text.get_text(): text.xy[1] for text in axes.texts}
    assert height["96"] > height["1,920"]
    assert [bar.get_width() for bar in axes.patches] == [96, 1920]
    few = draw_counts(axes.figure.add_subplot(), {"sad": 2}).get_xticks()
    assert (few == few.round()).all()


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
