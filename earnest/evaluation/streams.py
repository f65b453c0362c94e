"""Streams of a speaker's recordings with any shares of emotions: how adaptation does where nobody says how often which.

A corpus has every emotion equally often; a call, a diary or a game does not. So streams are drawn from the answers to
test recordings: as recorded, mostly neutral, of one emotion, of two, of several speakers mixed. Each is answered
plainly and adapted in every way, from plain probabilities alone, as at run time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from textwrap import fill
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.answers import TextColumn
from earnest.evaluation.calibration import reliability, softmax
from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions, among
from earnest.evaluation.texts import NONE, markdown_table, points

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
SetAnswer: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""Plain probabilities of one set (recordings, classes) → adapted ones, and the adaptation weights (recordings,)."""

Way: TypeAlias = Literal["batch", "ten", "causal"]
WAYS: Mapping[Way, str] = {
    "batch": "all recordings are heard, without labels, before any is answered",
    "ten": "ten recordings are heard, without labels, before any is answered",
    "causal": "each recording is answered with what was heard before it",
}
N_FIRST = 10  # recordings of "ten"
FEWEST = 2  # recordings; one alone says nothing about what its speaker does to others
LEAST = 1e-6  # a probability below says no more
LINE = 120  # letters of a line of Markdown


def adapted_in(way: Way, answer: SetAnswer, plain: Floats) -> tuple[Floats, Floats]:
    """Answer one stream.

    Parameters
    ----------
    plain : probabilities (recordings, classes) in the order in which they are heard; a recording at least

    Returns
    -------
    adapted probabilities (recordings, classes) and adaptation weights (recordings,)
    """
    first = {"batch": len(plain), "ten": min(N_FIRST, len(plain)), "causal": 1}[way]
    adapted, weights = plain.copy(), np.zeros(len(plain))  # of one recording alone: the plain answer
    if first >= FEWEST:
        adapted[:first], weights[:first] = answer(plain[:first])
    for row in range(first, len(plain)):
        # (heard, classes), the recording that is asked about last.
        heard = plain[: row + 1] if way == "causal" else np.vstack([plain[:first], plain[row]])
        one, weight = answer(heard)
        adapted[row], weights[row] = one[-1], weight[-1]
    return adapted, weights


How: TypeAlias = Literal["causal", "ten", "all", "one-emotion"]
HOWS: Mapping[How, tuple[Way, str]] = {
    "causal": (
        "causal",
        "each test speaker's utterances in a drawn order, each answered with what was heard before it",
    ),
    "ten": ("ten", "ten drawn utterances of each test speaker heard, without labels, before any is answered"),
    "all": ("batch", "each test speaker's utterances all heard, without labels, before any is answered"),
    "one-emotion": (
        "causal",
        "as causal, but a stream of its own for each emotion of a speaker; the hardest case, not a result",
    ),
}


def adapted_predictions(predictions: Predictions, answer: SetAnswer, how: How, seed: int) -> Predictions:
    """Answer the utterances of each speaker again; labels only divide the streams of "one-emotion".

    Parameters
    ----------
    predictions : plain answers with probabilities, of one model, to utterances whose speakers are known
    seed : draws the order of each speaker's utterances
    """
    assert predictions.probabilities is not None
    emotions = predictions.emotion if how == "one-emotion" else np.zeros_like(predictions.emotion)
    streams = sorted(set(zip(predictions.speaker, emotions, strict=True)))
    plain = predictions.probabilities.astype(np.float64)
    found, adapted = plain.copy(), np.zeros(len(plain), np.bool_)
    for number, (speaker, emotion) in enumerate(streams):
        rows = np.flatnonzero((predictions.speaker == speaker) & (emotions == emotion))
        rows = np.random.default_rng([seed, number]).permutation(rows)
        found[rows], weights = adapted_in(HOWS[how][0], answer, plain[rows])
        adapted[rows] = weights > 0
    predicted = np.where(adapted, found.argmax(axis=1), predictions.predicted)
    return replace(predictions, probabilities=found.astype(np.float32), predicted=predicted, adapted=adapted)


def blind_mean(plain: Floats) -> Floats:
    """Return softmax(log p − its mean over the stream): right for balanced streams, and wrong for all others."""
    logs = np.log(np.maximum(plain, LEAST))
    logs -= logs.mean(axis=1, keepdims=True)
    # The stream's mean point, (classes,), is taken for what speaker and channel add to each.
    return softmax(logs - logs.mean(axis=0))


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Labels that streams are drawn from: speakers and emotions of recordings.

    Attributes
    ----------
    emotion, speaker : shape (recordings,)
    neutral : the number of neutral among the emotions, −1 where it is none
    """

    emotion: Rows
    speaker: TextColumn
    neutral: int

    @property
    def by_speaker(self) -> dict[str, Rows]:
        """Each speaker's recordings."""
        return {name: np.flatnonzero(self.speaker == name) for name in sorted(set(self.speaker))}

    def of(self, rows: Rows, *emotions: int) -> Rows:
        """Return the rows of some emotions."""
        return rows[np.isin(self.emotion[rows], emotions)]

    def emotions_of(self, rows: Rows) -> list[int]:
        """Return the emotions that occur."""
        return [int(emotion) for emotion in np.unique(self.emotion[rows])]


Draw: TypeAlias = Callable[[LabelledRows, np.random.Generator], Iterator[Rows]]
NEUTRAL_SHARE, FEWEST_NEUTRAL = 0.8, 4
N_MIXED = 3


def _balanced(recordings: LabelledRows, _rng: np.random.Generator) -> Iterator[Rows]:
    yield from recordings.by_speaker.values()


def _neutral_heavy(recordings: LabelledRows, rng: np.random.Generator) -> Iterator[Rows]:
    for rows in recordings.by_speaker.values():
        neutral = recordings.of(rows, recordings.neutral)
        others = rng.permutation(np.setdiff1d(rows, neutral))
        if len(neutral) < FEWEST_NEUTRAL or not len(others):
            continue
        # n_neutral / (n_neutral + n_others) = 0.8, so n_others is n_neutral·(1/0.8 − 1), a quarter of it.
        n_others = max(1, round(len(neutral) * (1 / NEUTRAL_SHARE - 1)))
        emotions = recordings.emotion[others]
        # How many recordings of the same emotion come before each: sorted by that, all emotions come in turn.
        turns = [np.count_nonzero(emotions[:place] == emotion) for place, emotion in enumerate(emotions)]
        yield np.concatenate([neutral, others[np.argsort(turns, kind="stable")][:n_others]])  # emotions take turns


def _one_emotion(recordings: LabelledRows, _rng: np.random.Generator) -> Iterator[Rows]:
    for rows in recordings.by_speaker.values():
        for emotion in recordings.emotions_of(rows):
            yield recordings.of(rows, emotion)


def _two_emotions(recordings: LabelledRows, _rng: np.random.Generator) -> Iterator[Rows]:
    for rows in recordings.by_speaker.values():
        for pair in combinations(recordings.emotions_of(rows), 2):
            yield recordings.of(rows, *pair)


def _mixed_speakers(recordings: LabelledRows, rng: np.random.Generator) -> Iterator[Rows]:
    speakers = list(recordings.by_speaker.values())
    order = rng.permutation(len(speakers))
    n_groups = len(speakers) // N_MIXED  # who is left over joins one of them
    for group in range(n_groups):
        yield np.concatenate([speakers[place] for place in order[group::n_groups]])


KINDS: Mapping[str, tuple[Draw, str]] = {
    "balanced": (_balanced, "all of a speaker's recordings"),
    "neutral-heavy": (_neutral_heavy, "80 % neutral, the other emotions in turn"),
    "one emotion": (_one_emotion, "a stream for each emotion of a speaker"),
    "two emotions": (_two_emotions, "a stream for each two emotions of a speaker"),
    "mixed speakers": (_mixed_speakers, "all recordings of three speakers together, where a fold tests as many"),
}
PLAIN, BLIND = "plain", "blind mean"
N_DRAWS, SEED = 3, 0
LATE = 20  # from this recording of a stream on, causal adaptation must have most of what there is to gain


@dataclass(frozen=True, eq=False)
class AnsweredStreams:
    """Streams of one kind, one below the other, answered in every way.

    Attributes
    ----------
    n_streams : how many there are
    emotion : shape (recordings,), numbers of the classes that were asked for
    speaker : shape (recordings,)
    place : in the stream, from 1, shape (recordings,)
    answers : `PLAIN`, `BLIND` and each of `WAYS` → probabilities (recordings, classes asked for)
    """

    n_streams: int
    emotion: Rows
    speaker: TextColumn
    place: Rows
    answers: Mapping[str, Floats]

    @classmethod
    def joined(cls, parts: "Sequence[AnsweredStreams]") -> "AnsweredStreams":
        """Put the streams of several folds below each other; a part at least."""
        return cls(
            n_streams=sum(part.n_streams for part in parts),
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("emotion", "speaker", "place")
            },
            answers={way: np.concatenate([part.answers[way] for part in parts]) for way in parts[0].answers},
        )

    def scores(self, from_place: int = 1) -> "dict[str, StreamScores]":
        """Score each way, over the recordings from one place in the stream on; empty where there are none."""
        rows = np.flatnonzero(self.place >= from_place)
        if not len(rows):
            return {}
        asked = self.emotion[rows], self.speaker[rows]
        plain = self.answers[PLAIN][rows]
        return {way: StreamScores.of(answers[rows], plain, *asked) for way, answers in self.answers.items()}


@dataclass(frozen=True)
class StreamScores:
    """Scores of one way to answer, on streams of one kind; shares from 0 to 1.

    Attributes
    ----------
    wa, ua, ece : over all recordings; 15 bins
    speaker_wa, speaker_ua : means over speakers
    worst_speaker, worst_wa : the speaker with the lowest WA
    largest_loss_of, largest_loss : the speaker whose WA falls most against the plain answers, and by how much
    """

    n: int
    wa: float
    ua: float
    ece: float
    speaker_wa: float
    speaker_ua: float
    worst_speaker: str
    worst_wa: float
    largest_loss_of: str
    largest_loss: float

    @classmethod
    def of(cls, answers: Floats, plain: Floats, emotion: Rows, speaker: TextColumn) -> "StreamScores":
        """Score probabilities (recordings, classes) against the plain ones of the same recordings."""
        names = sorted(set(speaker))
        parts = [np.flatnonzero(speaker == name) for name in names]
        whole = _wa_and_ua(answers, emotion)
        each = np.array([_wa_and_ua(answers[rows], emotion[rows]) for rows in parts])  # (speakers, 2)
        # (speakers,): WA of the plain answers less WA of these, above 0 where something is lost.
        losses = [_wa_and_ua(plain[rows], emotion[rows])[0] for rows in parts] - each[:, 0]
        worst, most = int(each[:, 0].argmin()), int(losses.argmax())
        return cls(
            n=len(emotion),
            wa=whole[0],
            ua=whole[1],
            ece=reliability(answers, emotion).ece,
            speaker_wa=float(each[:, 0].mean()),
            speaker_ua=float(each[:, 1].mean()),
            worst_speaker=names[worst],
            worst_wa=float(each[worst, 0]),
            largest_loss_of=names[most],
            largest_loss=float(losses[most]),
        )


def _wa_and_ua(answers: Floats, emotion: Rows) -> tuple[float, float]:
    n_classes = answers.shape[1]
    found = headline_scores(confusion_counts(emotion, answers.argmax(axis=1).astype(np.int64), n_classes))
    return float(found["wa"]), float(found["ua"])


def answered_streams(predictions: Predictions, answer: SetAnswer, classes: Sequence[str]) -> dict[str, AnsweredStreams]:
    """Draw streams of every kind from the test recordings of one model and one corpus, and answer them in every way.

    Raises `CorpusError` when a recording has no speaker or no probabilities.

    Parameters
    ----------
    predictions : plain answers, with calibrated probabilities and speakers
    answer : the adaptation of that model
    classes : those asked for: streams are of recordings of these, and answered among these alone

    Returns
    -------
    kind → streams, each drawn `N_DRAWS` times, in orders of their own; without kinds that the recordings can't give
    (three speakers mixed of two, neutral of no class)
    """
    places = [predictions.classes.index(name) for name in classes]
    # The model's number of a class → its place among those asked for, −1 for others.
    number = np.full(len(predictions.classes), -1, np.int64)
    number[places] = np.arange(len(places))
    asked = predictions.take(np.flatnonzero(number[predictions.emotion] >= 0))
    if asked.probabilities is None or np.isnan(asked.probabilities).any() or "" in set(asked.speaker):
        raise CorpusError("Streams are drawn from answers with probabilities to recordings whose speakers are known.")
    plain = asked.probabilities.astype(np.float64)
    neutral = classes.index("neutral") if "neutral" in classes else -1
    recordings = LabelledRows(number[asked.emotion], asked.speaker, neutral)
    found = {}
    for kind, (draw, _) in enumerate(KINDS.values()):
        streams = []
        for turn in range(N_DRAWS):
            rng = np.random.default_rng([SEED, kind, turn])
            streams += [rng.permutation(rows) for rows in draw(recordings, rng)]
        if streams:
            found[list(KINDS)[kind]] = _answered(recordings, plain, streams, answer, places)
    return found


def _answered(
    recordings: LabelledRows, plain: Floats, streams: Sequence[Rows], answer: SetAnswer, places: Sequence[int]
) -> AnsweredStreams:
    ways: dict[str, Callable[[Floats], Floats]] = {PLAIN: lambda heard: heard, BLIND: blind_mean}
    ways |= {way: lambda heard, way=way: adapted_in(way, answer, heard)[0] for way in WAYS}  # type: ignore[misc]
    rows = np.concatenate(streams)
    answers = {
        name: among(np.concatenate([way(plain[stream]) for stream in streams]), places) for name, way in ways.items()
    }
    place = np.concatenate([np.arange(1, len(stream) + 1) for stream in streams])
    return AnsweredStreams(len(streams), recordings.emotion[rows], recordings.speaker[rows], place, answers)


def streams_document(corpora: Mapping[str, Mapping[str, AnsweredStreams]]) -> dict[str, Any]:
    """Score streams, and say how they were drawn.

    Parameters
    ----------
    corpora : corpus → kind → streams

    Returns
    -------
    ``cells``, one a corpus and kind, with the scores of each way over all recordings, and over those from the 20th of
    their streams on; and ``mean``, kind → way → mean over corpora
    """
    cells: list[dict[str, Any]] = []
    for corpus, kinds in corpora.items():
        for kind, streams in kinds.items():
            scores = {name: asdict(one) for name, one in streams.scores().items()}
            late = {name: asdict(one) for name, one in streams.scores(LATE).items()}
            cells.append(
                {"corpus": corpus, "kind": kind, "streams": streams.n_streams, "ways": scores, f"from_{LATE}": late}
            )
    return {
        "draws": N_DRAWS,
        "seed": SEED,
        "kinds": {kind: words for kind, (_, words) in KINDS.items()},
        "ways": dict(WAYS),
        "cells": cells,
        "mean": {kind: _means([one["ways"] for one in cells if one["kind"] == kind]) for kind in KINDS},
        f"mean_from_{LATE}": {
            kind: _means([one[f"from_{LATE}"] for one in cells if one["kind"] == kind]) for kind in KINDS
        },
    }


MEASURES = ("wa", "ua", "ece", "speaker_wa", "speaker_ua")


def _means(cells: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return way → score → mean over corpora, of those that have such streams."""
    full = [one for one in cells if one]
    if not full:
        return {}
    return {way: {name: float(np.mean([one[way][name] for one in full])) for name in MEASURES} for way in full[0]}


BRIEF_COLUMNS = ("corpus", "streams", PLAIN, BLIND, *WAYS)
COLUMNS = (*BRIEF_COLUMNS, f"from the {LATE}th: {PLAIN}", "batch", "causal")
SPEAKER_COLUMNS = ("corpus", "streams", PLAIN, *WAYS, f"worst speaker: {PLAIN}", *WAYS, "largest loss, batch")
MEAN = "mean"


def streams_table(document: Mapping[str, Any]) -> list[list[str]]:
    """Return rows of `COLUMNS`: UA / WA in per cent and ECE, a row a corpus and kind, then means over corpora."""
    rows = []
    for one in _cells_and_means(document):
        late = one[f"from_{LATE}"]
        cells = [_cell(one["ways"].get(way)) for way in (PLAIN, BLIND, *WAYS)]
        rows.append([one["corpus"], one["kind"], *cells, *(_cell(late.get(way)) for way in (PLAIN, "batch", "causal"))])
    return rows


def brief_table(document: Mapping[str, Any], measure: Literal["wa", "ua"]) -> list[list[str]]:
    """Return rows of `BRIEF_COLUMNS`: one score in per cent, a row a corpus and kind, then means over corpora."""
    ways = (PLAIN, BLIND, *WAYS)
    return [
        [one["corpus"], one["kind"], *(f"{100 * one['ways'][way][measure]:.1f}" for way in ways)]
        for one in _cells_and_means(document)
    ]


def speakers_table(document: Mapping[str, Any]) -> list[list[str]]:
    """Return rows of `SPEAKER_COLUMNS`, in per cent and points.

    These are the mean UA over speakers, the WA of the worst speaker, and whom batch adaptation costs most.
    """
    rows = []
    for one in document["cells"]:
        ways = one["ways"]
        means = [f"{100 * ways[way]['speaker_ua']:.1f}" for way in (PLAIN, *WAYS)]
        worst = [f"{100 * ways[way]['worst_wa']:.1f}" for way in (PLAIN, *WAYS)]
        most = ways["batch"]
        loss = f"{points(-most['largest_loss'])} ({most['largest_loss_of']})"
        rows.append([one["corpus"], one["kind"], *means, *worst, loss])
    return rows


def losses_sentence(document: Mapping[str, Any]) -> str:
    """Name the lowest gain of each way to adapt over the plain answers, in points of the mean WA over speakers."""
    parts = []
    for way in WAYS:
        gains = [one["ways"][way]["speaker_wa"] - one["ways"][PLAIN]["speaker_wa"] for one in document["cells"]]
        place = int(np.argmin(gains))
        where = document["cells"][place]
        parts.append(f"{way} {points(gains[place])} ({where['corpus']}, {where['kind']})")
    return f"Mean WA over speakers against plain, in points, where it is lowest: {'; '.join(parts)}."


def streams_legend(document: Mapping[str, Any]) -> str:
    """Return the legend of the tables, as Markdown."""
    lines = [
        _wrapped(
            "UA (unweighted accuracy, the mean recall over classes) / WA (weighted accuracy, the share that is right) "
            "in per cent, and the expected calibration error (ECE, 15 bins). Streams are drawn "
            f"{document['draws']} times with seed {document['seed']}, each in an order of its own."
        ),
        "",
        *(f"* *{kind}*: {words}." for kind, words in document["kinds"].items()),
        f"* *{PLAIN}*: each recording is answered by itself.",
        *(f"* *{way}*: {words}." for way, words in document["ways"].items()),
        f"* *{BLIND}*: the stream's mean log-probability is subtracted, for comparison: this is best where all",
        "  emotions are equally frequent.",
        f"* *from the {LATE}th*: answers from the {LATE}th recording of a stream on.",
        "",
    ]
    return "\n".join(lines)


def streams_markdown(document: Mapping[str, Any]) -> str:
    """Return both tables, see `streams_table` and `speakers_table`."""
    lines = [
        f"Among {', '.join(document['classes'])}:",
        "",
        *markdown_table(COLUMNS, "ll" + "r" * (len(COLUMNS) - 2), streams_table(document)),
        "",
        "Mean UA over speakers, WA of the worst speaker, and the speaker whose WA falls most with batch adaptation, in",
        "per cent and points:",
        "",
        *markdown_table(SPEAKER_COLUMNS, "ll" + "r" * (len(SPEAKER_COLUMNS) - 2), speakers_table(document)),
        "",
        _wrapped(losses_sentence(document)),
        "",
    ]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return fill(text, LINE, break_long_words=False, break_on_hyphens=False)


def _cells_and_means(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    cells = list(document["cells"])
    if len({one["corpus"] for one in cells}) > 1:
        late = document[f"mean_from_{LATE}"]
        cells += [
            {"corpus": MEAN, "kind": kind, "ways": ways, f"from_{LATE}": late[kind]}
            for kind, ways in document["mean"].items()
            if ways
        ]
    return cells


def _cell(scores: Mapping[str, float] | None) -> str:
    if scores is None:
        return NONE
    return f"{100 * scores['ua']:.1f} / {100 * scores['wa']:.1f} ({scores['ece']:.2f})"
