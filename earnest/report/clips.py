"""Single answers: examples drawn over all classes, and the mistakes the model was surest of."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earnest.evaluation.predictions import Predictions
from earnest.report.picture import Table
from earnest.report.recordings import Budget, Recordings, licence_note, spectrogram, waveform_of
from earnest.report.section import Card, Section

N_WORST = 8
COLUMNS = ("clip", "speaker", "spoken", "answered", "probability of the answer")


def examples_section(
    predictions: Predictions, recordings: Recordings, budget: Budget | None, n_examples: int, seed: int = 0
) -> Section:
    """Show examples of every class, hits and misses in turn, where there are both."""
    indices = drawn(predictions, n_examples, np.random.default_rng(seed))
    n_right = int((predictions.emotion[indices] == predictions.predicted[indices]).sum())
    lead = (
        f"{len(indices)} clips, drawn with seed {seed} from all classes, hits and misses in turn: {n_right} right, "
        f"{len(indices) - n_right} wrong. Their share says nothing about accuracy.",
    )
    return _section("examples", "Examples", lead, predictions, indices, recordings, budget)


def worst_section(predictions: Predictions, recordings: Recordings, budget: Budget | None) -> Section:
    """Show the wrong answers with the highest probability."""
    if predictions.probabilities is None:
        missing = "The predictions have no probabilities, so no mistake is worse than another."
        return Section("worst", "Worst mistakes", missing=missing)
    indices = surest_mistakes(predictions)
    lead = ("The wrong answers that the model gave the highest probability.",) if len(indices) else ("No mistakes.",)
    return _section("worst", "Worst mistakes", lead, predictions, indices, recordings, budget)


def drawn(predictions: Predictions, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw up to ``n`` rows: classes in turn, of each a hit, then a miss, as long as there are any."""
    order = rng.permutation(len(predictions))
    right = predictions.emotion[order] == predictions.predicted[order]
    queues = []
    for number in range(len(predictions.classes)):
        own = predictions.emotion[order] == number
        hits, misses = order[own & right].tolist(), order[own & ~right].tolist()
        paired = min(len(hits), len(misses))
        in_turn = [index for pair in zip(hits, misses, strict=False) for index in pair]
        queues.append([*in_turn, *hits[paired:], *misses[paired:]])
    longest = max(map(len, queues))
    turns = [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
    return np.array(turns[:n], dtype=np.int64)


def surest_mistakes(predictions: Predictions, n: int = N_WORST) -> npt.NDArray[np.int64]:
    """Return up to ``n`` rows that are wrong, the highest probability of the answer first."""
    assert predictions.probabilities is not None
    answered = np.maximum(predictions.predicted, 0)
    confidence = predictions.probabilities[np.arange(len(predictions)), answered].astype(np.float64)
    wrong = (predictions.predicted >= 0) & (predictions.predicted != predictions.emotion) & ~np.isnan(confidence)
    indices = np.flatnonzero(wrong)
    return indices[np.argsort(-confidence[indices], kind="stable")][:n].astype(np.int64)


def _section(
    name: str,
    title: str,
    lead: Sequence[str],
    predictions: Predictions,
    indices: npt.NDArray[np.int64],
    recordings: Recordings,
    budget: Budget | None,
) -> Section:
    keys = [(predictions.corpus[index], predictions.utterance_id[index]) for index in indices.tolist()]
    rows = [recordings.rows.get(key) for key in keys]
    cards = []
    for index, row in zip(indices.tolist(), rows, strict=True):
        waveform = waveform_of(row) if row else None
        image = spectrogram(waveform) if waveform is not None else ""
        audio = budget.player(row, waveform) if budget and row and waveform is not None else ""
        cards.append(_card(predictions, index, image, audio))
    if not any(card.image for card in cards):
        cells = [(card.utterance_id, card.speaker, card.truth, card.predicted, card.confidence) for card in cards]
        tables = {title: Table(COLUMNS, cells, words=4)} if cells else {}
        return Section(name, title, lead, tables=tables, missing=recordings.missing if cells else "")
    heard = [row for row, card in zip(rows, cards, strict=True) if row and card.audio]
    note = f"Recordings: {licence_note(heard)}." if heard else ""
    refused = f"There are {'; '.join(sorted(budget.refused))}." if budget and budget.refused else ""
    missing = " ".join(filter(None, [recordings.missing, refused]))
    return Section(name, title, [*lead, *([note] if note else [])], cards=cards, missing=missing)


def _card(predictions: Predictions, index: int, image: str, audio: str) -> Card:
    true, answer = int(predictions.emotion[index]), int(predictions.predicted[index])
    probability = np.nan
    if predictions.probabilities is not None and answer >= 0:
        probability = float(predictions.probabilities[index, answer])
    return Card(
        utterance_id=str(predictions.utterance_id[index]),
        speaker=str(predictions.speaker[index]),
        truth=predictions.classes[true],
        predicted=predictions.classes[answer] if answer >= 0 else "no answer",
        confidence="–" if np.isnan(probability) else f"{100 * probability:.0f} %",
        right=true == answer,
        image=image,
        audio=audio,
    )
