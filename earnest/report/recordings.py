"""The recordings behind predictions, where the corpora are at hand: rows, spectrograms, players."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.base import CORPORA
from earnest.corpora.load import corpus_root, load_corpus
from earnest.corpora.manifest import Utterance
from earnest.errors import AudioError, CorpusError
from earnest.frontends.mel import mel_filters
from earnest.report.picture import data_address

RATE_HZ, N_FFT, HOP, N_MELS, FLOOR_DB = 16_000, 512, 160, 64, 80.0
MOST_FRAMES = 256  # a card is some 300 pixels wide
LONGEST_S = 15.0
OPEN_LICENCES = ("CC", "ODbL")
Key = tuple[str, str]


@dataclass
class Budget:
    """Bytes of sound that may still go into a page; each kind of clip that got none is told once."""

    left: int = 6_000_000
    refused: set[str] = field(default_factory=set)

    def player(self, row: Utterance, waveform: Waveform) -> str:
        """Return a clip as a ``data:`` address, or "" and remember why not."""
        known = CORPORA.get(row.corpus) if row.corpus in CORPORA.names() else None
        if known is None or not known.licence.startswith(OPEN_LICENCES):
            licence = known.licence if known else "not known"
            self.refused.add(f"no players for {row.corpus or 'these clips'}, whose licence is {licence}")
            return ""
        if len(waveform) > LONGEST_S * RATE_HZ:
            self.refused.add(f"no players for clips of more than {LONGEST_S:g} s")
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
    """Read the rows of the corpora that are at hand; one that ``folders`` names must be."""
    rows: dict[Key, Utterance] = {}
    absent = []
    for name in sorted(set(corpora)):
        try:
            found = load_corpus(name, corpus_root(name, folders)) if name else []
        except CorpusError:
            if name in folders:
                raise
            found = []
        if not found:
            absent.append(name or "the corpus, which the predictions don't name,")
        rows |= {(row.corpus, row.utterance_id): row for row in found}
    named = ", ".join(absent)
    return Recordings(rows, f"The recordings of {named} are not at hand; --data NAME=DIR says where." if absent else "")


def waveform_of(row: Utterance) -> Waveform | None:
    """Decode one clip at 16 kHz, shape (samples,); None where it can't be read."""
    try:
        return load_waveform(row.path, RATE_HZ, row.start_s, row.end_s)
    except AudioError:
        return None


def log_mel(waveform: Waveform) -> npt.NDArray[np.float64]:
    """Return decibels below the loudest value, shape (64, at most 257 frames), −80 to 0; from 0 to 8 kHz."""
    hop = max(HOP, len(waveform) // MOST_FRAMES)
    padded = np.pad(waveform, (0, max(0, N_FFT - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::hop] * np.hanning(N_FFT)
    power = np.abs(np.fft.rfft(frames)) ** 2
    bands = mel_filters(RATE_HZ, N_FFT, N_MELS, 0.0, RATE_HZ / 2) @ power.T
    decibels = 10 * np.log10(np.maximum(bands, 1e-10))
    return np.asarray(np.maximum(decibels - decibels.max(), -FLOOR_DB))


def spectrogram(waveform: Waveform) -> str:
    """Return a picture of a clip's log-mels as a ``data:`` address; low frequencies lie below."""
    from matplotlib.image import imsave

    content = io.BytesIO()
    imsave(content, log_mel(waveform), cmap="magma", vmin=-FLOOR_DB, vmax=0, origin="lower", format="png")
    return data_address(content.getvalue(), "image/png")


def flac(waveform: Waveform) -> bytes:
    """Encode a clip as 16-bit FLAC, which every browser plays."""
    import soundfile

    content = io.BytesIO()
    soundfile.write(content, waveform.clip(-1, 1), RATE_HZ, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def licence_note(rows: Iterable[Utterance]) -> str:
    """Say whose recordings these are and under which licence they may be passed on."""
    names = sorted({row.corpus for row in rows} & set(CORPORA.names()))
    known = [(name, CORPORA.get(name)) for name in names]
    return "; ".join(f"{name}: {one.citation}, licence {one.licence}, {one.url}" for name, one in known)
