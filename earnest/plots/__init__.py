"""Pictures of recordings, corpora, trainings and answers: matplotlib axes go in and come out."""

from earnest.frontends.mel import log_mel
from earnest.plots.recordings import (
    draw_affect,
    draw_attention,
    draw_counts,
    draw_durations,
    draw_feature_maps,
    draw_filters,
    draw_saliency,
    draw_spectrogram,
    draw_waveform,
)
from earnest.plots.results import draw_confusion, draw_curves, draw_history, draw_prediction, draw_top
from earnest.plots.style import headline, new_figure

__all__ = [
    "draw_affect",
    "draw_attention",
    "draw_confusion",
    "draw_counts",
    "draw_curves",
    "draw_durations",
    "draw_feature_maps",
    "draw_filters",
    "draw_history",
    "draw_prediction",
    "draw_saliency",
    "draw_spectrogram",
    "draw_top",
    "draw_waveform",
    "headline",
    "log_mel",
    "new_figure",
]
