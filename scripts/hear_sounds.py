"""Embeddings of speech, vocal bursts and other sound, that `scripts/fit_heads.py` learns from.

Usage: python scripts/hear_sounds.py OUTPUT BUNDLE [BUNDLE ...]

Writes OUTPUT/<bundle>.npz. Corpora come from $EARNEST_DATA, made-up sounds (scripts/make_sounds.py) from
cache/sounds. Heard are:

* speech: CREMA-D and EmoDB as they are, changed copies of some (noise, rooms, telephone, codecs, as recipes/base.toml
  has them), words of 0.4 to 1.5 s cut out of some, some under what speech is heard under (`HARD`), and some over
  anybody's microphone (`over_microphone`), whole and as words or syllables said alone; made-up speech of many languages
  (scripts/speak.py: phrases in cache/speech, letters in cache/letters) over such a microphone; speech while others
  speak; nEMO and RAVDESS as they are and some of them under all that too, to test on;
* vocal bursts: EmoGator, changed copies of some, and some over anybody's microphone, whole and as short as syllables;
* no speech: made-up sounds, babble of eight to sixteen speakers of CREMA-D, and ESC-10.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
from fit_heads import ESC_FOR_TESTS, MADE_UP, Floats
from hard_speech import drawn_voices, in_range, quiet, with_voices
from no_emotion import burst_kind

from earnest.audio.io import load_waveform
from earnest.audio.quality import FRAME_S, active_part, frame_levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import band_limited
from earnest.augment.base import mix_at_snr
from earnest.augment.codec import coded
from earnest.augment.coloured_noise import SLOPES, coloured_noise
from earnest.augment.level import at_level
from earnest.augment.noise_files import drawn_stretch
from earnest.augment.pitch_shift import pitch_shifted
from earnest.augment.reverb import reverberated, room_response
from earnest.augment.speed import at_speed
from earnest.augment.stress import clipped
from earnest.augment.telephone import over_telephone
from earnest.bundle import NO_SPEECH
from earnest.corpora.load import corpus_root, load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.runtime.predictor import Predictor
from earnest.settings.recipe import read_recipe
from earnest.training.batches import change_of

T = TypeVar("T")

ROOT = Path(__file__).parent.parent
RATE_HZ, LONGEST_S, SEED = 16_000, 3.0, 21
CHANGED = {"crema-d": 0.35, "emodb": 1.0, "emogator": 0.5}
WORDS = {"crema-d": 0.35, "emodb": 1.0}
ANYBODYS = {"crema-d": 0.35, "emodb": 1.0, "emogator": 0.5, "nemo": 0.3, "ravdess": 0.5}
ALONE = {"crema-d": 0.5, "emodb": 2.0, "nemo": 0.4, "ravdess": 0.6}
SYLLABLES = {"crema-d": 0.2, "emodb": 1.0, "emogator": 0.7, "nemo": 0.15, "ravdess": 0.35}
SHARE = {"crema-d": 0.5, "nemo": 0.6}
OTHERS_SPEAK = {"crema-d": 0.25, "emodb": 1.5, "nemo": 0.2, "ravdess": 0.3}
HARD_SHARE = {"crema-d": 0.5, "emodb": 1.0, "nemo": 0.6, "ravdess": 0.6}
HARD = (  # as often as they stand here
    *("voices", "voices", "voices", "speed", "speed", "clipped", "clipped", "quiet"),
    *("telephone", "narrow", "far", "sounds", "sounds", "pitch"),
)
VOICES_SNR_DB = {"voices": (4.0, 20.0), "one other speaks": (-3.0, 12.0), "others speak": (3.0, 15.0)}
ONE_OTHER = 0.65  # else two to twelve
SPEED, CLIPPED = (0.7, 1.4), (0.02, 0.5)  # rate, share of samples cut off
SOUNDS_SNR_DB, HIGHEST_HZ, SEMITONES = (0.0, 15.0), (1_500.0, 4_000.0), (-5.0, 8.0)
RT60_S, DIRECT_DB = (0.5, 1.8), (-7.0, 3.0)  # a hall, seconds until the sound has fallen by 60 dB
PAUSES_S, WHOLE_S = (0.0, 0.8), 4.0  # before and after; what `predict` hears at once
QUIET_DBFS, ROOM_DBFS = (-60.0, -40.0), (-85.0, -70.0)  # of the speech, of white noise behind it
N_BABBLE, SOUNDS_A_CLASS = 240, 30
ALONE_S = {  # shortest and longest
    "alone": (0.25, 1.5),
    "syllable": (0.12, 0.5),
    "letter": (1.0, 1.5),
    "short burst": (0.12, 1.0),
}
FADE_S = 0.02
OCTAVES_HZ, TILT_DB = 62.5 * 2.0 ** np.arange(8), 6.0  # where a microphone's response is drawn, and how far it strays
MICROPHONE_SNR_DB, MICROPHONE_DBFS = (12.0, 50.0), (-45.0, -12.0)
SMALL_ROOM_S, NEAR_DB = (0.15, 0.5), (0.0, 15.0)
CODED = ("opus", "vorbis", "mp3")


@dataclass(frozen=True)
class Item:
    """A recording to be heard: what it is, who speaks or what makes the noise, how it is changed, other voices."""

    path: str
    kind: str
    corpus: str
    group: str
    label: str
    change: str = ""
    more: tuple[str, ...] = ()


def items() -> Iterator[Item]:
    """Yield all, in a fixed order."""
    rng = np.random.default_rng(SEED)
    for corpus in ("crema-d", "emodb", "ravdess", "nemo", "emogator"):
        rows = usable(load_utterances([corpus], {})).utterances
        others = [str(row.path) for row in rows]
        for row in rows:
            if rng.random() < SHARE.get(corpus, 1.0):
                yield from _of(row, others, rng)
    speech = [row.path for row in usable(load_utterances(["crema-d"], {})).utterances]
    for number in range(N_BABBLE):
        chosen = tuple(str(speech[at]) for at in rng.choice(len(speech), int(rng.integers(8, 17))))
        yield Item(f"babble-{number}", NO_SPEECH, "babble", "babble", "", more=chosen)
    for path in sorted((ROOT / "cache" / "speech").glob("*.wav")):
        yield Item(str(path), "speech", MADE_UP, MADE_UP, "", change=str(rng.choice(["anybody's", "alone"])))
    for folder in sorted((ROOT / "cache" / "sounds").iterdir()):
        for path in islice(sorted(folder.glob("*.flac")), SOUNDS_A_CLASS):
            yield Item(str(path), NO_SPEECH, "sounds", folder.name, "")
    for path in sorted(path for path in (corpus_root("noise-esc10", {})).glob("*/*") if path.suffix != ".md"):
        yield Item(str(path), NO_SPEECH, "esc", path.parent.name, "")
    yield from short_items(np.random.default_rng([SEED, 1]))
    yield from items_while_others_speak(np.random.default_rng([SEED, 2]))


def short_items(rng: np.random.Generator) -> Iterator[Item]:
    """Yield syllables and letters said alone, and vocal bursts that are as short."""
    for corpus, share in SYLLABLES.items():
        change = "short burst" if corpus == "emogator" else "syllable"
        for row in usable(load_utterances([corpus], {})).utterances:
            if rng.random() < share:
                yield replace(_item(row), change=change)
    for path in sorted((ROOT / "cache" / "letters").glob("*.wav")):
        yield Item(str(path), "speech", MADE_UP, MADE_UP, "", change="letter")


def items_while_others_speak(rng: np.random.Generator) -> Iterator[Item]:
    """Yield speech that is to be heard while one other or several of the same corpus speak."""
    for corpus, times in OTHERS_SPEAK.items():
        rows = usable(load_utterances([corpus], {})).utterances
        others = {
            speaker: [str(row.path) for row in rows if row.speaker != speaker]
            for speaker in {row.speaker for row in rows}
        }
        for row in rows:
            for _ in range(rng.poisson(times)):
                is_one, choices = rng.random() < ONE_OTHER, others[row.speaker]
                behind = (str(rng.choice(choices)),) if is_one else drawn_voices(choices, rng)
                yield replace(_item(row), change="one other speaks" if is_one else "others speak", more=behind)


def _item(row: Utterance) -> Item:
    kind = burst_kind(row.native_emotion) if row.corpus == "emogator" else "speech"
    return Item(str(row.path), kind, row.corpus, row.speaker, row.emotion)


def _of(row: Utterance, others: Sequence[str], rng: np.random.Generator) -> Iterator[Item]:
    item = _item(row)
    yield item
    if rng.random() < CHANGED.get(row.corpus, 0):
        yield replace(item, change="changed")
    if rng.random() < WORDS.get(row.corpus, 0):
        yield replace(item, change="word")
    if rng.random() < ANYBODYS.get(row.corpus, 0):
        yield replace(item, change="anybody's")
    for _ in range(rng.poisson(ALONE.get(row.corpus, 0))):
        yield replace(item, change="alone")
    if rng.random() < HARD_SHARE.get(row.corpus, 0):
        behind = drawn_voices(others, rng)
        yield replace(item, change=str(rng.choice(HARD)), more=behind)


def sound_of(item: Item, number: int) -> Waveform | None:
    """Return the sound of one item, at most three or four seconds; None for silence."""
    rng = np.random.default_rng([SEED, number])
    n_most = int(LONGEST_S * RATE_HZ)
    if item.kind == NO_SPEECH and item.more:
        parts = [load_waveform(path, RATE_HZ) for path in item.more]
        waveform = np.zeros(max(map(len, parts)), np.float32)
        for part in parts:
            waveform[: len(part)] += np.roll(part, int(rng.integers(len(part)))) / (np.abs(part).max() + 1e-6)
        waveform /= 2 * np.abs(waveform).max()
    else:
        waveform = load_waveform(item.path, RATE_HZ)
    if item.change == "word":
        part = active_part(waveform, RATE_HZ)
        n_word = int(rng.uniform(0.4, 1.5) * RATE_HZ)
        if part is None or part[1] - part[0] <= n_word:
            return None
        start = int(rng.integers(part[0], part[1] - n_word))
        waveform = waveform[start : start + n_word]
    elif item.change == "changed":
        waveform = changed(waveform, rng)
    elif item.change in ALONE_S or item.change == "anybody's":
        said = said_alone(waveform, ALONE_S[item.change], rng) if item.change in ALONE_S else waveform
        if said is None:
            return None
        waveform = in_range(over_microphone(said, rng))
    elif item.change:
        waveform = in_range(hard(np.pad(waveform, pauses(rng)), item, rng))
        n_most = int(WHOLE_S * RATE_HZ)
    if len(waveform) > n_most:
        middle = int(rng.integers(0, len(waveform) - n_most + 1))
        waveform = waveform[middle : middle + n_most]
    return waveform if len(waveform) >= RATE_HZ // 10 and active_part(waveform, RATE_HZ) else None


def pauses(rng: np.random.Generator) -> tuple[int, int]:
    """Draw how many samples of silence stand before and after speech."""
    before, after = rng.uniform(*PAUSES_S, 2) * RATE_HZ
    return int(before), int(after)


def said_alone(waveform: Waveform, seconds: tuple[float, float], rng: np.random.Generator) -> Waveform | None:
    """Return a stretch of a length between two, from one quiet moment to another; None where there is no sound."""
    part = active_part(waveform, RATE_HZ)
    if part is None:
        return None
    levels = frame_levels_dbfs(waveform[part[0] : part[1]], RATE_HZ)
    n_most = min(int(rng.uniform(*seconds) / FRAME_S), len(levels))
    first = int(rng.integers(len(levels) - n_most + 1))
    # Each edge moves to the quietest frame within 0.1 s.
    edges = [at + int(np.argmin(levels[at : at + 4])) for at in (first, max(first + n_most - 4, first))]
    start, end = (part[0] + int(edge * FRAME_S * RATE_HZ) for edge in edges)
    said = waveform[start : max(end, start + int(seconds[0] * RATE_HZ))].copy()
    n_fade = min(int(FADE_S * RATE_HZ), len(said) // 4)
    ramp = np.linspace(0, 1, n_fade, dtype=np.float32)
    said[:n_fade] *= ramp
    said[len(said) - n_fade :] *= ramp[::-1]
    if rng.random() < 0.4:
        said = pitch_shifted(said, rng.uniform(*SEMITONES), RATE_HZ)
    return np.pad(said, pauses(rng))


def over_microphone(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Simulate a microphone, room, noise and codec on a recording, at some level.

    Vocal bursts come from hundreds of homes, speech from studios: without this a head tells these apart.
    """
    gains_db = rng.normal(0, TILT_DB, len(OCTAVES_HZ))
    n_fft = len(waveform) + RATE_HZ // 10
    frequencies_hz = np.maximum(np.fft.rfftfreq(n_fft, 1 / RATE_HZ), 1.0)
    gains = 10 ** (np.interp(np.log2(frequencies_hz), np.log2(OCTAVES_HZ), gains_db) / 20)
    heard = np.fft.irfft(np.fft.rfft(waveform, n_fft) * gains, n_fft)[: len(waveform)].astype(np.float32)
    if rng.random() < 0.5:
        heard = reverberated(heard, room_response(rng.uniform(*SMALL_ROOM_S), rng.uniform(*NEAR_DB), RATE_HZ, rng))
    if rng.random() < 0.3:
        heard = band_limited(heard, rng.uniform(3_400, 7_000), RATE_HZ)
    noise = coloured_noise(len(heard), RATE_HZ, rng.choice(sorted(SLOPES)), rng)
    heard = at_level(mix_at_snr(heard, noise, rng.uniform(*MICROPHONE_SNR_DB)), rng.uniform(*MICROPHONE_DBFS))
    if rng.random() < 0.5:
        heard = coded(heard, RATE_HZ, rng.choice(CODED), rng.uniform(0.5, 0.98))
    return heard


def in_a_hall(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Put a recording far away in a hall."""
    return reverberated(waveform, room_response(rng.uniform(*RT60_S), rng.uniform(*DIRECT_DB), RATE_HZ, rng))


@cache
def behind_speech() -> list[str]:
    """Return sounds to put behind speech: made-up ones, and the kinds of ESC-10 that training has heard."""
    esc = [path for path in corpus_root("noise-esc10", {}).glob("*/*.opus") if path.parent.name not in ESC_FOR_TESTS]
    return sorted(str(path) for path in (*esc, *(ROOT / "cache" / "sounds").glob("*/*.flac")))


def hard(waveform: Waveform, item: Item, rng: np.random.Generator) -> Waveform:
    """Return speech with other voices behind it, faster or slower, cut off, or quiet (scripts/hard_speech.py)."""
    if item.change in VOICES_SNR_DB:
        return with_voices(waveform, item.more, rng.uniform(*VOICES_SNR_DB[item.change]), rng)
    if item.change == "speed":
        return at_speed(waveform, rng.uniform(*SPEED))
    if item.change == "clipped":
        return clipped(waveform, rng.uniform(*CLIPPED))
    if item.change == "pitch":
        return pitch_shifted(waveform, rng.uniform(*SEMITONES), RATE_HZ)
    if item.change == "narrow":
        return band_limited(waveform, rng.uniform(*HIGHEST_HZ), RATE_HZ)
    if item.change == "far":
        return in_a_hall(waveform, rng)
    if item.change in ("telephone", "sounds"):
        noise = drawn_stretch(Path(str(rng.choice(behind_speech()))), len(waveform), RATE_HZ, rng)
        noisy = mix_at_snr(waveform, noise, rng.uniform(*SOUNDS_SNR_DB))
        return over_telephone(noisy, RATE_HZ) if item.change == "telephone" else noisy
    return quiet(waveform, rng.uniform(*QUIET_DBFS), rng.uniform(*ROOM_DBFS), rng)


def heard(numbered: tuple[int, Item]) -> list[dict[str, np.ndarray]] | None:
    """Return logits and embedding of one item from each network."""
    try:
        waveform = sound_of(numbered[1], numbered[0])
    except EarnestError:
        return None
    if waveform is None:
        return None
    runs = (network.graph.run([waveform], ("logits", "embedding")) for network in NETWORKS)
    return [{name: values[0] for name, values in run.items()} for run in runs]


def prepare(names: list[str]) -> None:
    """Load what a worker needs, once."""
    global NETWORKS, CHANGE  # noqa: PLW0603 (a worker process has nothing else to keep them in)
    NETWORKS = [Predictor.load(name) for name in names]
    CHANGE = change_of(read_recipe(ROOT / "recipes" / "base.toml"))


def changed(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Change a recording as recipes/base.toml changes training clips."""
    return CHANGE(waveform, rng)


def embeddings(
    names: list[str], every: Sequence[T], sound_of: Callable[[T, np.random.Generator], Waveform], seed: int
) -> list[Floats]:
    """Return what each network makes of sounds, (items, width), float64; ``sound_of`` draws from one seed an item."""
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=prepare, initargs=(names,)) as pool:
        answers = list(pool.map(partial(_embedded, sound_of, seed), enumerate(every), chunksize=32))
    return [np.stack(found).astype(np.float64) for found in zip(*answers, strict=True)]


def _embedded(
    sound_of: Callable[[T, np.random.Generator], Waveform], seed: int, numbered: tuple[int, T]
) -> list[Floats]:
    number, item = numbered
    waveform = sound_of(item, np.random.default_rng([seed, number]))
    return [network.graph.run([waveform], ("embedding",))["embedding"][0] for network in NETWORKS]


def main(folder: Path, names: list[str]) -> None:
    """Hear everything and write one file a network."""
    folder.mkdir(parents=True, exist_ok=True)
    every = list(items())
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=prepare, initargs=(names,)) as pool:
        answers = list(pool.map(heard, enumerate(every), chunksize=32))
    kept = [(item, answer) for item, answer in zip(every, answers, strict=True) if answer is not None]
    columns = ("path", "kind", "corpus", "group", "label", "change")
    facts = {name: np.array([getattr(item, name) for item, _ in kept]) for name in columns}
    for at, name in enumerate(names):
        found = {key: np.stack([answer[at][key] for _, answer in kept]) for key in ("logits", "embedding")}
        np.savez(folder / f"{Path(name).name}.npz", **facts, **found)
        sys.stdout.write(f"{folder / Path(name).name}.npz: {len(kept)} of {len(every)} heard\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
