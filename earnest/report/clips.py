"""Single answers: examples over all classes, and the mistakes the model was surest of, with spectrograms, players."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_root, load_corpus
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError, counted, in_percent
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.texts import NONE, ShownNumber
from earnest.frontends.mel import FLOOR_DB, log_mel
from earnest.report.section import Card, Places, Section, Table, data_address

RATE_HZ = 16_000
LONGEST_S = 15.0
OPEN_LICENCES = ("CC", "ODbL")
Key = tuple[str, str]


@dataclass
class PlayerBudget:
    """Bytes of sound that may still go into a page; each kind of utterance that got none is told once."""

    left: int = 6_000_000
    refused: set[str] = field(default_factory=set)

    @property
    def note(self) -> str:
        """What got no player, in a sentence; "" where all did."""
        return f"There are {'; '.join(sorted(self.refused))}." if self.refused else ""

    def player(self, row: Utterance, waveform: Waveform) -> str:
        """Return an utterance as a ``data:`` address, or "" and remember why not."""
        known = CORPORA.find(row.corpus)
        if known is None or not known.licence.startswith(OPEN_LICENCES):
            licence = known.licence if known else "not known"
            self.refused.add(f"no players for {row.corpus or 'these utterances'}, whose licence is {licence}")
            return ""
        if len(waveform) > LONGEST_S * RATE_HZ:
            self.refused.add(f"no players for utterances of more than {LONGEST_S:g} s")
            return ""
        address = data_address(flac(waveform), "audio/flac")
        if len(address) > self.left:
            self.refused.add("no more players, so that the page stays small")
            return ""
        self.left -= len(address)
        return address


@dataclass(frozen=True)
class Recordings:
    """Rows by (corpus, utterance id); ``missing`` says which corpora are not at hand."""

    rows: Mapping[Key, Utterance]
    missing: str = ""


def recordings_of(corpora: Iterable[str], folders: Mapping[str, Path]) -> Recordings:
    """Read the rows of the corpora that are at hand; those that ``folders`` names must be.

    A name may be that of a recipe, as for `earnest stress`, with a manifest of other corpora behind it.
    """
    wanted = set(corpora)
    rows: dict[Key, Utterance] = {}
    for name in sorted({*wanted, *folders} - {""}):
        try:
            found = load_corpus(name, corpus_root(name, folders))
        except CorpusError:
            if name in folders:
                raise
            found = []
        rows |= {(row.corpus, row.utterance_id): row for row in found}
    absent = sorted(wanted - {corpus for corpus, _ in rows})
    named = ", ".join(name or "the corpus, which the predictions don't name," for name in absent)
    places = " ".join(f"--data {name or 'NAME'}=PATH" for name in absent)
    return Recordings(rows, f"The recordings of {named} are not at hand; {places} says where." if absent else "")


def waveform_of(row: Utterance) -> Waveform | None:
    """Decode one utterance at 16 kHz, shape (samples,); None where it can't be read."""
    try:
        return load_waveform(row.source, RATE_HZ)
    except AudioError:
        return None


def spectrogram(waveform: Waveform) -> str:
    """Return a picture of an utterance's log-mels as a ``data:`` address; low frequencies lie below."""
    from matplotlib.image import imsave

    content = io.BytesIO()
    imsave(content, log_mel(waveform, RATE_HZ), cmap="magma", vmin=-FLOOR_DB, vmax=0, origin="lower", format="png")
    return data_address(content.getvalue(), "image/png")


def flac(waveform: Waveform) -> bytes:
    """Encode an utterance as 16-bit FLAC, which every browser plays."""
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, waveform.clip(-1, 1), RATE_HZ, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def licence_note(rows: Iterable[Utterance]) -> str:
    """Name the recordings' corpora, and the licences under which they may be passed on."""
    names = sorted({row.corpus for row in rows} & set(CORPORA.names()))
    known = [(name, CORPORA.get(name)) for name in names]
    return "; ".join(f"{name}: {one.citation}, licence {one.licence}, {one.url}" for name, one in known)


N_WORST = 8
COLUMNS = ("utterance", "speaker", "spoken", "answered", "probability of the answer")
NAMES = ("utterance_id", "speaker", "truth", "predicted", "confidence")  # in JSON


def examples_section(
    predictions: Predictions, recordings: Recordings, budget: PlayerBudget | None, n_examples: int, seed: int = 0
) -> Section:
    """Show examples of every class, hits and misses in turn, where there are both."""
    indices = drawn(predictions, n_examples, np.random.default_rng(seed))
    n_right = int((predictions.emotion[indices] == predictions.predicted[indices]).sum())
    lead = (
        f"{counted(len(indices), 'utterance')}, drawn with seed {seed} from all classes, hits and misses in turn: "
        f"{n_right} right, {len(indices) - n_right} wrong. Their share says nothing about accuracy.",
    )
    return _section("examples", "Examples", lead, predictions, indices, recordings, budget)


def worst_section(predictions: Predictions, recordings: Recordings, budget: PlayerBudget | None) -> Section:
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
    budget: PlayerBudget | None,
) -> Section:
    keys = [(predictions.corpus[index], predictions.utterance_id[index]) for index in indices.tolist()]
    rows = [recordings.rows.get(key) for key in keys]
    cards, places = list[Card](), Places(predictions.utterance_id)
    for index, row in zip(indices.tolist(), rows, strict=True):
        waveform = waveform_of(row) if row else None
        image = spectrogram(waveform) if waveform is not None else ""
        audio = budget.player(row, waveform) if budget and row and waveform is not None else ""
        name = places.shown(str(predictions.utterance_id[index]))
        cards.append(_card(predictions, index, name, image, audio))
    if not any(card.image for card in cards):
        cells = [(card.utterance_id, card.speaker, card.truth, card.predicted, card.confidence) for card in cards]
        tables = {title: Table(COLUMNS, cells, words=4, names=NAMES)} if cells else {}
        return Section(name, title, lead, tables=tables, missing=recordings.missing if cells else "")
    heard = [row for row, card in zip(rows, cards, strict=True) if row and card.audio]
    note = f"Recordings: {licence_note(heard)}." if heard else ""
    missing = " ".join(filter(None, [recordings.missing, budget.note if budget else ""]))
    return Section(name, title, [*lead, *([note] if note else [])], cards=cards, missing=missing)


def _confidence(probability: float) -> ShownNumber:
    if np.isnan(probability):
        return ShownNumber(NONE, None)
    return ShownNumber(f"{in_percent(probability)} %", round(probability, 6))


def _card(predictions: Predictions, index: int, name: str, image: str, audio: str) -> Card:
    true, answer = int(predictions.emotion[index]), int(predictions.predicted[index])
    probability = np.nan
    if predictions.probabilities is not None and answer >= 0:
        probability = float(predictions.probabilities[index, answer])
    return Card(
        utterance_id=name,
        speaker=str(predictions.speaker[index]),
        truth=predictions.classes[true],
        predicted=predictions.classes[answer] if answer >= 0 else "no answer",
        confidence=_confidence(probability),
        right=true == answer,
        image=image,
        audio=audio,
    )
