"""Is speech whispered, in wind, slowed, sped up or thin? Fit a head for it, so that such answers are less sure.

Usage: python scripts/fit_mismatch.py BUNDLE [BUNDLE ...]

A network hears such speech clearly enough to be sure and gets it wrong more often than its percentages say, in corpora
that it never heard too. Heard are CREMA-D and EmoDB as they are, under changes that do no such harm (`USUAL`), and
under those that do (`MISMATCHED`), by themselves or over anybody's microphone, in halls or changed as recipes/base.toml
changes training clips. The head is a multinomial logistic regression on the embedding; how much less sure each kind is
made is `SOFTER`. It goes into the graph's distance (scripts/graph_heads.py), and so such speech is "out-of-domain".
Printed, and written into bundle.json, is the share that is called so: of RAVDESS and nEMO, which it was not fitted on.
Corpora come from $EARNEST_DATA.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from fit_heads import Floats, halves, logistic, shares_of, write_softening
from graph_heads import MismatchHead, add_mismatch
from hard_speech import drawn_voices, in_range, with_hum, with_voices
from hear_sounds import changed, embeddings, in_a_hall, over_microphone
from odd_sound import Change, high_passed, whispered, wind

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.base import mix_at_snr
from earnest.augment.pitch_shift import pitch_shifted
from earnest.augment.speed import at_speed
from earnest.augment.time_stretch import stretched
from earnest.bundle import load_bundle
from earnest.corpora.load import load_utterances, usable

RATE_HZ, SEED, LONGEST_S = 16_000, 41, 4.0
CLIPS = {"crema-d": 800, "emodb": 440, "ravdess": 300, "nemo": 300}
FITTED = ("crema-d", "emodb")
AS_IT_IS, N_USUAL = "as it is", 5  # changes of a clip that do no harm
USUAL_WEIGHT = 3.0  # beside each kind of mismatch


def rephased(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Whisper in another way: frames of 16 ms keep their spectrum, and lose their phases."""
    n, hop = 256, 64
    window, padded = np.hanning(n + 1)[:-1], np.pad(waveform, n)
    found = np.zeros(len(padded))
    for start in range(0, len(padded) - n, hop):
        levels = np.abs(np.fft.rfft(padded[start : start + n] * window))
        found[start : start + n] += window * np.fft.irfft(levels * np.exp(2j * np.pi * rng.random(len(levels))), n)
    return found[n:-n].astype(np.float32)


def _drawn(rng: np.random.Generator, lowest: float, highest: float) -> float:
    """Draw evenly on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))


def _comb(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    delay = int(_drawn(rng, 3, 160))
    return waveform + np.float32(rng.uniform(0.4, 1.0)) * np.pad(waveform, (delay, 0))[:-delay]


def _driven(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    return np.tanh(waveform / np.abs(waveform).max() * _drawn(rng, 2, 40)).astype(np.float32)


def _short(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    start = int(rng.uniform(0.2, 0.5) * len(waveform))
    return waveform[start : start + int(rng.uniform(0.4, 1.5) * RATE_HZ)]


USUAL: dict[str, Change] = {
    "changed": changed,
    "anybody's": over_microphone,
    "in a hall": in_a_hall,
    "mains hum": lambda waveform, rng: with_hum(waveform, rng.uniform(-6, 10)),
    "comb": _comb,
    "driven": _driven,
    "short": _short,
    "stretched a little": lambda waveform, rng: stretched(waveform, _drawn(rng, 0.8, 1.25), RATE_HZ),
    "pitched a little": lambda waveform, rng: pitch_shifted(waveform, rng.uniform(-3, 3), RATE_HZ),
    "a little thin": lambda waveform, rng: high_passed(waveform, _drawn(rng, 80, 320)),
}
VOICES = "voices"  # of the same corpus, among the usual
MISMATCHED: dict[str, tuple[Change, ...]] = {
    "whispered": (whispered, rephased),
    "in wind": (lambda waveform, rng: mix_at_snr(waveform, wind(len(waveform), rng), rng.uniform(-12, 0)),),
    "slowed": (lambda waveform, rng: at_speed(waveform, _drawn(rng, 0.6, 0.8)),),
    "sped up": (lambda waveform, rng: at_speed(waveform, _drawn(rng, 1.3, 1.6)),),
    "thin": (lambda waveform, rng: high_passed(waveform, _drawn(rng, 450, 900)),),
}
SOFTER = {"whispered": 1.7, "in wind": 2.1, "slowed": 2.4, "sped up": 2.1, "thin": 2.4}
"""What the temperature is multiplied by (docs/results/experiments.md, "Speech that is heard well and told badly")."""


@dataclass(frozen=True)
class Item:
    """A recording to be heard, how it is changed, and voices behind it."""

    corpus: str
    change: str
    path: str
    voices: tuple[str, ...] = ()

    @property
    def kind(self) -> int:
        """0 for usual speech, else the number of the mismatch, from 1 on."""
        return list(MISMATCHED).index(self.change) + 1 if self.change in MISMATCHED else 0


def items(corpus: str) -> Iterator[Item]:
    """Yield the sounds of one corpus, in a fixed order."""
    rng = np.random.default_rng([SEED, len(corpus)])
    rows = usable(load_utterances([corpus], {})).utterances
    for at in sorted(rng.permutation(len(rows))[: CLIPS[corpus]]):
        path = str(rows[at].path)
        strangers = [str(row.path) for row in rows if row.speaker != rows[at].speaker]
        usual = rng.choice([*USUAL, VOICES], N_USUAL, replace=False)
        for change in (AS_IT_IS, *usual, *MISMATCHED):
            yield Item(corpus, str(change), path, drawn_voices(strangers, rng) if change == VOICES else ())


def sound_of(item: Item, rng: np.random.Generator) -> Waveform:
    """Return the sound of one item, shape (samples,), at most four seconds."""
    speech = load_waveform(item.path, RATE_HZ)[: int(LONGEST_S * RATE_HZ)]
    if item.change == VOICES:
        return in_range(with_voices(speech, item.voices, rng.uniform(5, 20), rng))
    if item.change in USUAL:
        return in_range(USUAL[item.change](speech, rng))
    if item.change in MISMATCHED:
        ways = MISMATCHED[item.change]
        speech = ways[int(rng.integers(len(ways)))](speech, rng)
        then = rng.random()
        if then < 0.5:
            again = in_a_hall if then < 0.1 else over_microphone if then < 0.25 else changed
            speech = again(in_range(speech), rng)
    return in_range(speech)[: int(LONGEST_S * RATE_HZ)]


def head_of(embedding: Floats, kinds: npt.NDArray[np.int_]) -> MismatchHead:
    """Fit on embeddings (rows, width) of usual speech, 0, and of each kind of mismatch."""
    weight, bias = logistic(embedding, kinds, np.where(kinds == 0, USUAL_WEIGHT, 1.0))
    return MismatchHead(halves(weight), bias, np.array([*SOFTER.values()]))


def called(head: MismatchHead, out_of_domain_from: float, embedding: Floats) -> npt.NDArray[np.bool_]:
    """Return which rows lie out of domain by the head alone."""
    shares = shares_of((head.weight, head.bias), embedding)[:, 1:]
    return np.asarray(shares @ (out_of_domain_from + np.log(head.softer)) > out_of_domain_from)


def main(folders: list[str]) -> None:
    """Hear everything once, and write into each bundle."""
    every = [item for corpus in CLIPS for item in items(corpus)]
    corpora, changes = (np.array([getattr(item, name) for item in every]) for name in ("corpus", "change"))
    kinds, own = np.array([item.kind for item in every]), np.isin(corpora, FITTED)
    for folder, embedding in zip(folders, embeddings(folders, every, sound_of, SEED), strict=True):
        bundle = load_bundle(Path(folder))
        start = bundle.info.out_of_domain_from
        assert start is not None
        head = head_of(embedding[own], kinds[own])
        strange = called(head, start, embedding)

        def share(corpus: str, change: str, strange: npt.NDArray[np.bool_] = strange) -> float:
            return round(100 * float(strange[(corpora == corpus) & (changes == change)].mean()), 1)

        ways = (AS_IT_IS, *USUAL, VOICES, *MISMATCHED)
        told: dict[str, Any] = {
            corpus: {way: share(corpus, way) for way in ways} for corpus in CLIPS if corpus not in FITTED
        }
        sys.stdout.write(f"{folder}, per cent called out-of-domain: {json.dumps(told, indent=1)}\n")
        write_softening(bundle, "mismatch", told, partial(add_mismatch, head=head, out_of_domain_from=start))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
