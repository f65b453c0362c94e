"""A page about one corpus: counts, durations, affect, one recording in several forms, a spectrogram a class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from earnest.audio.activity import ACTIVITY_HZ, FRAME_S, FRAME_SAMPLES, segments_in
from earnest.audio.sound_file import length_by_header_s
from earnest.audio.waveform import Waveform
from earnest.augment.base import build_chain
from earnest.corpora.base import CORPORA
from earnest.corpora.load import scheme_of_rows
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.texts import percent, shown_number
from earnest.export.card import begun_in
from earnest.files.writing import write_atomically, write_json
from earnest.frontends.mel import log_mel
from earnest.labels import AFFECT
from earnest.plots.recordings import draw_affect, draw_durations, draw_spectrogram, draw_waveform
from earnest.plots.style import INK, new_figure
from earnest.report.clips import RATE_HZ, PlayerBudget, licence_note, waveform_of
from earnest.report.section import Section, Table, counts_picture, picture, render, write_pictures

AUGMENTED: Mapping[str, Mapping[str, Any]] = {  # what is heard → augmentation; the same draw every time
    "pink noise at 10 dB": {"name": "coloured-noise", "colours": ["pink"], "snr_db": [10, 10]},
    "five semitones higher": {"name": "pitch-shift", "semitones": [5, 5]},
    "slower, rate 0.8": {"name": "time-stretch", "rate": [0.8, 0.8]},
}
SEED = 0
Show = Callable[[int, int], object]


@dataclass(frozen=True)
class Clip:
    """One recording with its player; ``audio`` is a ``data:`` address."""

    title: str
    name: str
    audio: str


@dataclass(frozen=True)
class Shown:
    """A section, and the utterances that may be heard below it."""

    section: Section
    clips: Sequence[Clip] = ()


@dataclass(frozen=True)
class CorpusPage:
    """All that is shown of one corpus.

    Attributes
    ----------
    n_speakers : None where nobody names them
    hours : of the recordings that can be read
    licence : "" where it is not known
    unreadable : names of files that can't be decoded
    """

    name: str
    title: str
    n_recordings: int
    n_speakers: int | None
    hours: float
    licence: str
    parts: Sequence[Shown]
    unreadable: Sequence[str]

    @property
    def facts(self) -> dict[str, str]:
        """Facts at the top of the page."""
        return {
            "recordings": f"{self.n_recordings:,}",
            "speakers": "unknown" if self.n_speakers is None else f"{self.n_speakers:,}",
            "hours": f"{self.hours:.2f}",
            "licence": self.licence or "not known",
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``corpus.json``."""
        sections = [part.section.to_dict() for part in self.parts]
        return {
            "corpus": self.name,
            "n_recordings": self.n_recordings,
            "n_speakers": self.n_speakers,
            "hours": round(self.hours, 6),
            "licence": self.licence or None,
            "unreadable": list(self.unreadable),
            "sections": sections,
        }


def build_page(name: str, rows: Sequence[Utterance], with_audio: bool, show: Show) -> CorpusPage:
    """Look at every recording's length, and at some as a whole.

    Raises `CorpusError` when no recording can be read.

    Parameters
    ----------
    show : is called with how many recordings are done, and of how many
    """
    lengths_s: dict[str, float] = {}
    for number, row in enumerate(rows, 1):
        lengths_s[row.key] = length_s(row)
        show(number, len(rows))
    heard = [row for row in rows if not np.isnan(lengths_s[row.key])]
    if not heard:
        raise CorpusError(
            f"{name}: none of its recordings can be read ({len(rows):,}). Run: earnest corpus check {name}"
        )
    known = CORPORA.find(name)
    budget = PlayerBudget() if with_audio else None
    parts = [
        Shown(_counts(rows)),
        Shown(_durations(heard, lengths_s)),
        Shown(_affect(rows)),
        _forms(_middle(heard, lengths_s), budget),
        _one_a_class(heard, lengths_s, budget),
    ]
    return CorpusPage(
        name,
        known.title if known else name,
        n_recordings=len(rows),
        n_speakers=len({row.speaker for row in rows if row.speaker}) or None,
        hours=sum(lengths_s[row.key] for row in heard) / 3600,
        licence=known.licence if known else "",
        parts=parts,
        unreadable=[row.path.name for row in rows if np.isnan(lengths_s[row.key])],
    )


def write_page(page: CorpusPage, folder: Path) -> Path:
    """Write ``index.html``, its pictures as SVG and PNG, and ``corpus.json`` into a folder; return the page's path."""
    with begun_in(folder):
        write_pictures(folder, [part.section for part in page.parts])
        write_json(folder / "corpus.json", page.to_dict())
        write_atomically(folder / "index.html", render("corpus.html", page=page).encode())
    return folder / "index.html"


def length_s(row: Utterance) -> float:
    """Return the length of a recording in seconds, NaN where it can't be read."""
    file_s = _file_s(row.path)
    if not np.isnan(file_s):
        length = (file_s if row.end_s is None else min(row.end_s, file_s)) - row.start_s
        return length if length > 0 else float("nan")
    waveform = waveform_of(row)  # a format that only av reads, or no sound at all
    return float("nan") if waveform is None else len(waveform) / RATE_HZ


_file_s = lru_cache(maxsize=1)(length_by_header_s)  # the parts of one recording stand one after the other


def speech_extent(waveform: Waveform) -> tuple[float, float]:
    """Return where speech begins and ends, in seconds; all of it where none is found.

    Parameters
    ----------
    waveform : shape (samples,), at 16 kHz
    """
    assert RATE_HZ == ACTIVITY_HZ
    padded = np.pad(waveform, (0, -len(waveform) % FRAME_SAMPLES)).reshape(-1, FRAME_SAMPLES)
    segments = segments_in(padded)
    if not segments:
        return 0.0, len(waveform) / RATE_HZ
    return segments[0][0] * FRAME_S, min(segments[-1][1] * FRAME_S, len(waveform) / RATE_HZ)


def _by_class(rows: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Return class → its rows, canonical emotions first, then the words of own recordings that are none."""
    scheme = scheme_of_rows("native", rows)
    found: dict[str, list[Utterance]] = {name: [] for name in scheme.classes}
    for row in rows:
        found[scheme.class_of(*row.labels) or row.emotion].append(row)
    return found


def _counts(rows: Sequence[Utterance]) -> Section:
    by_class = _by_class(rows)
    ordered = {name: len(own) for name, own in by_class.items()}
    cells = []
    for name, own in by_class.items():
        genders = [shown_number(sum(row.gender == gender for row in own)) for gender in ("female", "male")]
        speakers = {row.speaker for row in own if row.speaker}
        cells.append(
            (name, shown_number(len(own)), percent(len(own) / len(rows)), *genders, shown_number(len(speakers)))
        )
    columns = ("emotion", "recordings", "per cent", "female", "male", "speakers")
    names = ("emotion", "n_recordings", "percent", "n_female", "n_male", "n_speakers")
    table = Table(columns, cells, names=names)
    return Section("counts", "Classes", pictures=[counts_picture(ordered, "counts", "Recordings a class", table)])


def _durations(rows: Sequence[Utterance], lengths_s: Mapping[str, float]) -> Section:
    all_s = [lengths_s[row.key] for row in rows]
    figure = new_figure(6.4, 3.2)
    draw_durations(figure.subplots(), all_s)
    cells = []
    for name, of_class in _by_class(rows).items():
        own = sorted(lengths_s[row.key] for row in of_class)
        cells.append((name, *(shown_number(value, ".2f") for value in (own[0], median(own), own[-1]))))
    columns = ("emotion", "shortest in s", "median in s", "longest in s")
    table = Table(columns, cells, names=("emotion", "shortest_s", "median_s", "longest_s"))
    alt = f"Histogram of durations, {min(all_s):.2f} to {max(all_s):.2f} s, median {np.median(all_s):.2f} s"
    return Section(
        "durations", "Durations", pictures=[picture(figure, "durations", "How long recordings are", alt, table)]
    )


def _affect(rows: Sequence[Utterance]) -> Section:
    rated = {name: [value for row in rows if (value := getattr(row, name)) is not None] for name in AFFECT}
    rated = {name: values for name, values in rated.items() if values}
    if not rated:
        return Section("affect", "Affect", missing="Nobody rated valence, arousal or dominance in this corpus.")
    figure = new_figure(3.6 * len(rated), 3.0)
    for axes, (name, values) in zip(figure.subplots(1, len(rated), squeeze=False)[0], rated.items(), strict=True):
        draw_affect(axes, values, name)
    cells = [
        (
            name,
            shown_number(len(values)),
            *(shown_number(value, ".2f") for value in (min(values), mean(values), max(values))),
        )
        for name, values in rated.items()
    ]
    columns = ("rating", "recordings", "lowest", "mean", "highest")
    table = Table(columns, cells, names=("rating", "n_recordings", "lowest", "mean", "highest"))
    alt = "Histograms of " + ", ".join(f"{name} with mean {np.mean(values):.2f}" for name, values in rated.items())
    lead = ("In the unit of the corpus.",)
    return Section("affect", "Affect", lead, [picture(figure, "affect", "Rated affect", alt, table)])


def _middle(rows: Sequence[Utterance], lengths_s: Mapping[str, float]) -> Utterance:
    """Return the recording whose length is nearest to the median, the first by name of several."""
    median_s = float(np.median([lengths_s[row.key] for row in rows]))
    return min(rows, key=lambda row: (round(abs(lengths_s[row.key] - median_s), 3), row.key))


def _forms(row: Utterance, budget: PlayerBudget | None) -> Shown:
    """Show one recording raw, trimmed and augmented."""
    title, waveform = "One recording, raw, trimmed, augmented", waveform_of(row)
    if waveform is None:
        return Shown(Section("waveforms", title, missing=f"{row.path.name} can't be decoded."))
    first_s, last_s = speech_extent(waveform)
    trimmed = waveform[round(first_s * RATE_HZ) : round(last_s * RATE_HZ)]
    forms = {"raw": waveform, "trimmed to speech": trimmed}
    for what, settings in AUGMENTED.items():
        forms[what] = build_chain([settings], RATE_HZ)(trimmed, np.random.default_rng(SEED))
    figure = new_figure(8.0, 1.5 * len(forms))
    longest_s = max(map(len, forms.values())) / RATE_HZ
    for number, (axes, (what, form)) in enumerate(
        zip(figure.subplots(len(forms), 1, sharex=True), forms.items(), strict=True)
    ):
        draw_waveform(axes, form, RATE_HZ, None if number else (first_s, last_s))
        axes.set_xlim(0, longest_s)
        axes.set_title(what if number else f"{what}, speech marked", loc="left", fontsize=9, color=INK)
        if number < len(forms) - 1:
            axes.set_xlabel("")
    clips = [Clip(what, row.utterance_id, budget.player(row, form)) for what, form in forms.items()] if budget else []
    lead = (
        f"{row.utterance_id} ({', '.join(_by_class([row]))}), a recording of median length. Speech is what voice "
        "activity detection finds; the augmentations are three of those a recipe can ask for, with a fixed draw.",
    )
    alt = f"Waveforms of {row.utterance_id}: {', '.join(forms)}; speech from {first_s:.2f} to {last_s:.2f} s"
    drawing = picture(figure, "waveforms", row.utterance_id, alt)
    return Shown(Section("waveforms", title, lead, [drawing]), [clip for clip in clips if clip.audio])


def _one_a_class(rows: Sequence[Utterance], lengths_s: Mapping[str, float], budget: PlayerBudget | None) -> Shown:
    """Show the recording of median length of each class."""
    chosen = {name: _middle(own, lengths_s) for name, own in _by_class(rows).items()}
    waveforms = {name: waveform_of(row) for name, row in chosen.items()}
    heard = {name: waveform for name, waveform in waveforms.items() if waveform is not None}
    clips = (
        [Clip(name, chosen[name].utterance_id, budget.player(chosen[name], form)) for name, form in heard.items()]
        if budget
        else []
    )
    if not heard:
        return Shown(
            Section("spectrograms", "A spectrogram a class", missing="None of the recordings can be read."), []
        )
    columns = min(4, len(heard))
    n_rows = -(-len(heard) // columns)
    figure = new_figure(3.0 * columns, 2.3 * n_rows)
    panels = list(figure.subplots(n_rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.axis("off")
    for axes, (name, form) in zip(panels, heard.items(), strict=False):
        axes.axis("on")
        draw_spectrogram(axes, log_mel(form, RATE_HZ), len(form) / RATE_HZ, RATE_HZ / 2)
        axes.set_title(name, loc="left", fontsize=10, color=INK)
    lead = ["Of each class the recording of median length."]
    players = [clip for clip in clips if clip.audio]
    lead += [f"Recordings: {licence_note(rows)}."] if players else []
    drawing = picture(figure, "spectrograms", "Log-mel spectrograms", f"Log-mel spectrograms of {', '.join(heard)}")
    missing = budget.note if budget else ""
    return Shown(Section("spectrograms", "A spectrogram a class", lead, [drawing], missing=missing), players)
