"""Answers for people on a terminal: predictions one line a recording, and a timeline as rows of emotions."""

import os
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import click

from earnest.audio.io import OTHER_TRACKS, SEPARATE
from earnest.audio.source import common_folder, recording_and_start
from earnest.errors import counted, in_percent, printable
from earnest.labels import UNSURE
from earnest.runtime.prediction import HIGHEST_SHOWN, Prediction, Span, VocalBurst, percent, tells_emotional_talk
from earnest.runtime.timeline import Timeline
from earnest.runtime.timeline_plot import clock, label_colour, shares_over_time, tick_step_s

_FULL_BARS = 10
_CONFIDENCE = _FULL_BARS + 6
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = "▁▁▂▃▄▅▆▇█"
_LEAST_WORD, _MOST_WORD = 11, 24  # for an emotion or a status: "vocal-burst", and labels of one's own
_LEAST_NAME = 16  # where the terminal is narrow, lines wrap: a name that is cut to its ending tells nothing
MOST_SPEAKERS = 12
_RIGHT_PART = 2 + _CONFIDENCE + 2 + 24  # two more classes in the last column


class PredictionTable:
    """Formats rows for a terminal of a given width."""

    def __init__(
        self, paths: Sequence[str], width: int, top: int = 3, classes: Sequence[str] = (), has_texts: bool = False
    ) -> None:
        """Lay out the columns.

        Parameters
        ----------
        paths : of the rows; none where they are not known yet
        top : classes in a row
        classes : those of the model
        has_texts : whether a row's last column is what is said, in place of more classes
        """
        self._width, self._n_next, self._has_texts = width, top - 1, has_texts
        self._word_width = min(max([_LEAST_WORD, *map(_cells, classes)]), _MOST_WORD)
        self._recording = _common_recording(paths)
        self._folder = "" if self._recording else _common_folder(paths)
        longest = max((_cells(self._name(path)) for path in paths), default=width)
        self._name_width = max(4, min(longest, _LEAST_NAME), min(longest, width - self._word_width - _RIGHT_PART - 2))

    def header(self) -> str:
        """Return the line above the rows."""
        last = "Said" if self._has_texts else "Next"
        first = "Time" if self._recording else "File"
        line = f"{first:<{self._name_width}}  {'Emotion':<{self._word_width}}  {'Confidence':<{_CONFIDENCE}}  {last}"
        title = f"{printable(self._folder)}{os.sep}\n" if self._folder else ""
        if self._recording:
            title = f"{printable(_plain(self._recording))}\n"
        return title + click.style(line, bold=True)

    def row(self, prediction: Prediction) -> str:
        """Return one recording's line; an error takes as many as it needs."""
        name = _fitted(self._name(prediction.path), self._name_width)
        if prediction.error is not None:
            return click.style(f"{name}  {'error':<{self._word_width}}  {self._message(prediction)}", fg="red")
        if prediction.emotion is None or prediction.confidence is None:
            status = click.style(f"{prediction.status:<{self._word_width}}", fg="yellow")
            more = f"{'':<{_CONFIDENCE}}  {self._said(prediction)}" if self._has_texts else ""
            return f"{name}  {status}  {more or details(prediction, self._n_next + 1)}".rstrip()
        emotion = click.style(_padded(prediction.emotion, self._word_width), bold=True)
        return f"{name}  {emotion}  {_confidence(prediction.confidence)}  {self._more(prediction)}".rstrip()

    def burst_row(self, burst: VocalBurst) -> str:
        """Return the line of a vocal burst, which stands below its recording's."""
        kind = f"{f'({burst.kind})':<{self._word_width}}"
        times = f"{burst.start_s:.1f}–{burst.end_s:.1f} s"
        return f"{times:>{self._name_width}}  {kind}  {_confidence(burst.confidence)}"

    def _name(self, path: str) -> str:
        if self._recording:
            start, _, end = path.removeprefix(f"{self._recording}@").partition("-")
            return "–".join(exact_clock(float(time)) if time else "" for time in (start, end))
        plain = _plain(path)
        return printable(plain.removeprefix(self._folder).lstrip(os.sep) if self._folder else plain)

    def _more(self, prediction: Prediction) -> str:
        """Format shares or the next classes, and what is wrong with the sound.

        Where a line would wrap for the sake of the latter, it has fewer classes.
        """
        if self._has_texts:
            return self._said(prediction)
        words, shares = _quality(prediction), _of_the_speech(prediction, self._n_next + 1)
        told = [shares] if shares else _next_classes(prediction, self._n_next)
        if not shares and self._fits(told):
            while told and not self._fits([*told, words]):
                told.pop()
        return "  ".join(filter(None, [*told, words]))

    def _said(self, prediction: Prediction) -> str:
        """Return who says what, in what is left of the line or half a line more."""
        left = self._width - self._name_width - self._word_width - _CONFIDENCE - 6
        told = filter(None, (prediction.speaker, prediction.text))
        return _begun(": ".join(map(printable, told)), max(left, self._width // 2))

    def _fits(self, told: Sequence[str]) -> bool:
        """Whether this has a place at the end of a line."""
        left_part = self._name_width + 2 + self._word_width + 2 + _CONFIDENCE
        return left_part + sum(2 + _cells(word) for word in told) <= self._width

    def _message(self, prediction: Prediction) -> str:
        """Wrap the error under itself, without the path that stands in the first column."""
        text = printable(prediction.error or "").removeprefix(f"{printable(prediction.path)}: ")
        indent = self._name_width + self._word_width + 4
        lines = textwrap.wrap(text, max(self._width - indent, 20)) or [""]
        return ("\n" + " " * indent).join(lines)


def _common_recording(paths: Sequence[str]) -> str:
    """Return the recording that all of several rows are parts of; "" for none."""
    first, *others = map(recording_and_start, paths) if len(paths) > 1 else [("", None)]
    are_alike = all(one[0] == first[0] and one[1] is not None for one in (first, *others))
    return first[0] if are_alike else ""


def _common_folder(paths: Sequence[str]) -> str:
    """Return the folder that all files of a longer list lie in, as their paths spell it; "" for none."""
    return common_folder([_plain(path) for path in paths]) if len(paths) > 1 else ""


def _plain(path: str) -> str:
    return path.removeprefix(f"{os.curdir}{os.sep}")


def answer_words(prediction: Prediction) -> str:
    """Format an answer in words: "sad 73% [noisy]", or a status with its details in parentheses."""
    if prediction.emotion is not None and prediction.confidence is not None:
        shares = f"({shares})" if (shares := _of_the_speech(prediction)) else ""
        told = (prediction.emotion, percent(prediction.confidence), shares, _quality(prediction))
        return " ".join(filter(None, told))
    more = details(prediction)
    return f"{prediction.status} ({more})" if more else prediction.status


def details(prediction: Prediction, most: int | None = None) -> str:
    """Format the details of a status without an emotion: the likeliest two or shares of the speech, kinds of bursts.

    What is wrong with the sound stands behind them in brackets; where no speech was found, it is the details.

    Parameters
    ----------
    most : shares that are told, the largest; None for all
    """
    told = ", ".join(dict.fromkeys(burst.kind for burst in prediction.vocal_bursts))
    if prediction.status in ("unsure", "mixed"):
        is_whole = prediction.status == "unsure" and not prediction.answered_shares
        likeliest = ", ".join(f"{name} {percent(share)}" for name, share in prediction.top(2))
        told = likeliest if is_whole else _of_the_speech(prediction, most)
    return " ".join(filter(None, [told, _quality(prediction)])) if told else ", ".join(prediction.quality)


def _quality(prediction: Prediction) -> str:
    """Format what is wrong with the sound: "[clipped, noisy]", or ""."""
    return f"[{', '.join(prediction.quality)}]" if prediction.quality else ""


@dataclass
class NoteCounter:
    """Counts recordings of which more should be known than the answer.

    Their channels take turns, there are several tracks (`earnest.audio.io.AudioStream`), or more of a talk is told as
    emotional than as neutral (`Prediction.is_emotional_talk`; of a talk that is answered turn by turn, of all turns).

    Attributes
    ----------
    ask : the options with which a command hears each channel by itself
    classes : those asked for; None where a command takes none
    n_whole : recordings that were answered as a whole
    turns : recording → seconds of its turns by emotion, and in all as ""
    separate, of_tracks, emotional : recordings by what is to be known of them
    """

    ask: str
    classes: Sequence[str] | None = None
    n_whole: int = 0
    turns: dict[str, Counter[str]] = field(default_factory=dict)
    separate: set[str] = field(default_factory=set)
    of_tracks: set[str] = field(default_factory=set)
    emotional: set[str] = field(default_factory=set)

    def count(self, prediction: Prediction) -> None:
        """Count one recording, or one turn of a recording."""
        recording, start_s = recording_and_start(prediction.path)
        if start_s is None:
            self.n_whole += 1
        else:
            heard = {name: own_s for name, own_s in prediction.seconds.items() if name in prediction.probabilities}
            self.turns.setdefault(recording, Counter()).update({**heard, "": prediction.speech_s or 0.0})
        for note, of_which in ((SEPARATE, self.separate), (OTHER_TRACKS, self.of_tracks)):
            if note in prediction.quality:
                of_which.add(recording)
        if prediction.is_emotional_talk:
            self.emotional.add(recording)

    def tell(self) -> None:
        """Write a note on standard error, with the command that hears the rest; nothing where there is none."""
        n_recordings = self.n_whole + len(self.turns)
        if self.separate:
            of_all = f"In {len(self.separate)} of {n_recordings} recordings channels"
            whose = "Its channels" if n_recordings == 1 else of_all
            answers = "the answer is" if len(self.separate) == 1 else "the answers are"
            told = f"{whose} take turns, like two sides of a call: {answers} about all channels together."
            click.echo(f"{told} For each by itself: {self.ask}.", err=True)
        if self.of_tracks:
            of_all = f"In {len(self.of_tracks)} of {n_recordings} recordings there are"
            whose = "It has" if n_recordings == 1 else of_all
            told = f"{whose} more sound tracks, of which the first was heard."
            click.echo(f"{told} For the second: ffmpeg -i talk.mkv -map 0:a:1 second.wav", err=True)
        emotional = self.emotional.union(filter(self._is_emotional, self.turns))
        if emotional and self.classes is not None and not self.classes:
            of_all = f"In {len(emotional)} of {n_recordings} recordings more"
            whose = "More" if n_recordings == 1 else of_all
            told = f"{whose} of the speech is told as emotional than as neutral."
            natural = "When people talk and don't act, most of it is neutral; to say how much"
            click.echo(f"{told} {natural}: --classes neutral=0.6", err=True)

    def _is_emotional(self, recording: str) -> bool:
        seconds = {**self.turns[recording]}
        return tells_emotional_talk(seconds, seconds.pop(""))


class SpeakerSums:
    """Adds up what each speaker says how, for the end of a table."""

    def __init__(self, width: int) -> None:
        self._width, self._seconds = width, dict[str, Counter[str]]()

    def add(self, prediction: Prediction) -> None:
        """Add one answer; what has no speaker, or no speech, adds nothing."""
        if prediction.speaker and prediction.speech_s:
            self._seconds.setdefault(prediction.speaker, Counter()).update(prediction.seconds)

    def lines(self) -> Iterator[str]:
        """Return a line for each speaker, who speaks most first: their speech, and shares of what was told of it."""
        totals = sorted(((own.total(), name) for name, own in self._seconds.items()), key=lambda one: (-one[0], one[1]))
        shown = totals[:MOST_SPEAKERS]
        if not shown:
            return
        name_width = min(max(_cells(printable(name)) for _, name in (*shown, (0.0, "Speaker"))), self._width // 3)
        times = [clock(round(total_s), 60 + totals[0][0]) for total_s, _ in shown]
        time_width = max(map(len, (*times, "Speech")))
        yield ""
        yield click.style(f"{'Speaker':<{name_width}}  {'Speech':>{time_width}}  Told of it", bold=True)
        for (total_s, name), time in zip(shown, times, strict=True):
            shares = ", ".join(
                f"{label} {in_percent(own_s / total_s)}%" for label, own_s in self._seconds[name].most_common()
            )
            yield f"{_fitted(printable(name), name_width)}  {time:>{time_width}}  {shares}"
        if len(totals) > MOST_SPEAKERS:
            yield f"… and {counted(len(totals) - MOST_SPEAKERS, 'speaker')} more. All, as a page: earnest report"


def _of_the_speech(prediction: Prediction, most: int | None = None) -> str:
    """Format the largest shares of the speech; "" where it was answered as a whole, or one emotion held all."""
    shares = prediction.shares or {}
    if len(shares) == 1 and prediction.emotion in shares:
        return ""
    largest = sorted(shares.items(), key=lambda one: -one[1])[:most]
    return ", ".join(f"{name} {in_percent(share)}%" for name, share in largest) + (" of the speech" if shares else "")


def bar(share: float, width: int, most: float = HIGHEST_SHOWN) -> str:
    """Draw a share in exactly ``width`` cells; what is above ``most`` is not told apart."""
    eighths = round(8 * width * min(share, most))
    drawn = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return f"{drawn:<{width}}"


def _confidence(share: float) -> str:
    return f"{bar(share, _FULL_BARS)} {percent(share):>5}"


def _next_classes(prediction: Prediction, count: int) -> list[str]:
    others = prediction.top(count + 1)[1:]
    return [f"{_HEIGHTS[round(8 * share)]} {name} {in_percent(share)}" for name, share in others]


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)


def _fitted(name: str, width: int) -> str:
    """Return the name in exactly ``width`` cells; of a longer one the end is kept, which tells files apart."""
    if _cells(name) > width:
        while _cells(name) > width - 1:
            name = name[1:]
        name = f"…{name}"
    return _padded(name, width)


def _begun(text: str, width: int) -> str:
    """Return the text in at most ``width`` cells; of a longer one the beginning is kept."""
    if _cells(text) > width:
        while _cells(text) > width - 1:
            text = text[:-1]
        text = f"{text.rstrip()}…"
    return text


def _padded(text: str, width: int) -> str:
    """Return text in at least ``width`` cells."""
    return text + " " * (width - _cells(text))


MAX_SPANS = 40
_BARS = " ▁▂▃▄▅▆▇█"
_BAR = 12


def chart(timeline: Timeline, columns: int) -> Iterator[str]:
    """Yield the lines: what it is, the chart, its spans, and where these are too many seconds of each emotion."""
    prediction, longest_s = timeline.prediction, timeline.duration_s
    speech = f"{exact_clock(prediction.speech_s or 0)} of speech in {exact_clock(longest_s)}"
    title = f"{printable(timeline.path)}  {speech}"
    yield click.style(title, bold=True)
    yield click.style(answer_words(prediction), fg=None if prediction.emotion else "yellow")
    if not timeline.entries():
        return
    yield ""
    names = _leading(timeline)
    width = max(map(len, [*names, *(entry.emotion for entry in timeline.entries())]))
    shares = shares_over_time(timeline, max(columns - width - 2, 20))
    for name in names:
        row = "".join(_BARS[round(8 * float(share))] for share in shares[timeline.classes.index(name)])
        yield f"{printable(name):>{width}}  {_coloured(row, timeline, name)}".rstrip()
    yield " " * (width + 2) + _axis(longest_s, shares.shape[1])
    yield ""
    yield from _span_rows(timeline, width)


def _leading(timeline: Timeline) -> list[str]:
    """Return the emotions that lead in a span or a window, those that led the longest first."""
    leading = {name: 0 for name in timeline.seconds_by_emotion() if name != UNSURE}
    for window in timeline.windows:
        best = max(window.probabilities, key=window.probabilities.__getitem__)
        leading[best] = leading.get(best, 0) + 1
    return sorted(leading, key=lambda name: -leading[name])


def _coloured(text: str, timeline: Timeline, label: str) -> str:
    colour = label_colour(label, timeline.classes)
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return click.style(text, fg=(red, green, blue))


def _axis(longest_s: float, n_columns: int) -> str:
    """Return marks at round times, as many as fit."""
    step_s = tick_step_s(longest_s, n_columns / 12)
    line = ""
    for number in range(int(longest_s / step_s) + 1):
        mark = clock(number * step_s, longest_s)
        column = round(number * step_s * n_columns / longest_s)
        if column >= len(line) and column + len(mark) <= n_columns + 2:
            line = f"{line:<{column}}{mark}"
    return line


def _span_rows(timeline: Timeline, width: int) -> Iterator[str]:
    yield click.style(f"{'Start':>10}  {'End':>10}  {'Emotion':<{width}}  Confidence", bold=True)
    shown, left = _telling(timeline.entries())
    for span in shown:
        yield _span_row(span, timeline, width)
    if left:
        kinds = Counter(printable(span.emotion) for span in left).most_common()
        told = ", ".join(f"{count} {name}" for name, count in kinds)
        yield f"… and {counted(len(left), 'span')} not shown: {told}. To see all: --format csv"
        yield "Seconds of each in all spans:"
        for name, seconds in timeline.seconds_by_emotion().items():
            yield f"  {printable(name):<{width}}  {seconds:9.1f}"


def _telling(entries: Sequence[Span]) -> tuple[Sequence[Span], Sequence[Span]]:
    """Return as many spans as a terminal shows, in order of time, and the others: those that tell least, the shortest.

    A span tells something where it has an emotion; one that is neutral or calm tells less, one that is unsure least.
    """

    def rank(span: Span) -> tuple[bool, bool, float]:
        return span.emotion == UNSURE, span.emotion in ("neutral", "calm"), span.start_s - span.end_s

    ranked = sorted(entries, key=rank)
    return sorted(ranked[:MAX_SPANS], key=lambda span: span.start_s), ranked[MAX_SPANS:]


def _span_row(span: Span, timeline: Timeline, width: int) -> str:
    times = f"{exact_clock(span.start_s):>10}  {exact_clock(span.end_s):>10}"
    name = f"{printable(span.emotion):<{width}}"
    confidence = _coloured(bar(span.confidence, _BAR), timeline, span.emotion)
    return f"{times}  {name}  {confidence} {percent(span.confidence):>5}"


def exact_clock(seconds: float) -> str:
    """Return hours, minutes and seconds with a tenth: 1:02:03.4."""
    tenths = round(10 * seconds)
    hours, rest = divmod(tenths, 36_000)
    minutes, rest = divmod(rest, 600)
    start = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02d}.{rest % 10}"
