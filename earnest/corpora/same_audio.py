"""Digests of the samples of utterances, by which the same sound is found under whatever name."""

from collections.abc import Callable, Sequence

from earnest.audio.io import decode
from earnest.corpora.examine import SILENT_PEAK, digest_of, examine_all, is_silent
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError

MOST_NAMED = 5


def audio_digests(utterances: Sequence[Utterance], on_progress: Callable[[], object] = lambda: None) -> dict[str, str]:
    """Decode every utterance and return its key → a digest of its samples at their own rate, "" for silence.

    Raises
    ------
    CorpusError
        When recordings can't be read, naming them.
    """
    whole = [row for row in utterances if not row.start_s and row.end_s is None]
    digests, failures = {}, []
    for row, sound in zip(whole, examine_all([row.path for row in whole]), strict=True):
        on_progress()
        digests[row.key] = sound.digest if sound.peak >= SILENT_PEAK else ""
        failures += [sound.error] if sound.error else []
    if failures:
        raise CorpusError(f"{len(failures)} recordings can't be read: " + " ".join(failures[:MOST_NAMED]))
    for row in utterances:
        if row.key not in digests:
            on_progress()
            digests[row.key] = _digest_of_part(row)
    return digests


def _digest_of_part(row: Utterance) -> str:
    recording = decode(row.path)
    first = round(row.start_s * recording.sample_rate_hz)
    last = None if row.end_s is None else round(row.end_s * recording.sample_rate_hz)
    part = recording.waveform[first:last]
    return "" if is_silent(part) else digest_of(part, recording.sample_rate_hz)
