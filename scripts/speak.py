"""Speak made-up words in many languages and manners, for networks that should know more sounds than a corpus has.

Usage: python scripts/speak.py FOLDER [CLIPS [phrases|letters]]

Writes CLIPS (6,000) files, FOLDER/00000.wav and so on; what lies there already is kept. espeak-ng speaks three quarters
of them, flite (Debian: `apt install espeak-ng flite`) the rest. Nobody's voice or text is in them: phrases are random
syllables, read by the rules of a random language; letters are one letter, number, vowel or syllable. The same seed and
versions give the same files. Where $EARNEST_DATA is FOLDER's parent, a recipe of `python -m research distil` takes them
as `recordings`.
"""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

SEED = 20
N_CLIPS = 6_000
N_PROCESSES = 2
LANGUAGES = (
    *("af", "an", "az", "bs", "ca", "cs", "cy", "da", "de", "en-029", "en-gb", "en-gb-scotland", "en-gb-x-gbclan"),
    *(
        "en-gb-x-gbcwmd",
        "en-us",
        "en-us-nyc",
        "eo",
        "es",
        "es-419",
        "et",
        "eu",
        "fi",
        "fr-be",
        "fr-fr",
        "ga",
        "gd",
        "hr",
    ),
    *(
        "ht",
        "hu",
        "ia",
        "id",
        "is",
        "it",
        "ku",
        "la",
        "lt",
        "lv",
        "mi",
        "ms",
        "mt",
        "nb",
        "nl",
        "om",
        "pap",
        "pl",
        "pt",
    ),
    *("pt-br", "qu", "ro", "sk", "sl", "sq", "sv", "sw", "tn", "tr", "uz", "vi"),
)
VARIANTS = (
    *(
        "m1",
        "m2",
        "m3",
        "m4",
        "m5",
        "m6",
        "m7",
        "m8",
        "f1",
        "f2",
        "f3",
        "f4",
        "f5",
        "klatt2",
        "klatt4",
        "croak",
        "whisper",
    ),
    *("adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "gustave"),
    *(
        "iven",
        "john",
        "linda",
        "marcelo",
        "max",
        "michel",
        "miguel",
        "norbert",
        "pablo",
        "paul",
        "pedro",
        "quincy",
        "rob",
    ),
    *("robert", "sandro", "shelby", "steph", "travis", "victor", "zac", "Alicia", "Andy", "Annie", "Denis", "Diogo"),
    *("Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike"),
)
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
ONSETS = (*"bcdfghjklmnprstvwyz", "", "", "ch", "sh", "st", "tr", "pl", "br", "kr", "gl", "sk", "th", "fr", "sp", "qu")
NUCLEI = (*"aeiouaeiou", "ai", "au", "ea", "ee", "ei", "ie", "oa", "oo", "ou")
CODAS = ("", "", "", "", "", "n", "r", "s", "t", "l", "m", "k", "d", "p", "f", "g", "nd", "st", "nt", "sh", "rt", "ks")
ENDS = (".", ".", "!", "?", ",")
SYLLABLE = (ONSETS, NUCLEI, CODAS)
LETTERS, NUMBERS = tuple("abcdefghijklmnopqrstuvwxyz"), tuple(map(str, range(13)))


class Texts(NamedTuple):
    """Texts to speak, one after another, each in a manner of its own, and at most how many in a recording."""

    text: Callable[[np.random.Generator], str]
    most: int


def word(rng: np.random.Generator) -> str:
    """Return one to three syllables."""
    return "".join(str(rng.choice(part)) for _ in range(int(rng.integers(1, 4))) for part in SYLLABLE)


def phrase(rng: np.random.Generator) -> str:
    """Return one to four words with a mark at their end."""
    return " ".join(word(rng) for _ in range(int(rng.integers(1, 5)))) + str(rng.choice(ENDS))


def letter(rng: np.random.Generator) -> str:
    """Return a letter, a number, a vowel or a syllable, with a mark at its end."""
    kind = rng.random()
    parts = (LETTERS,) if kind < 0.4 else (NUMBERS,) if kind < 0.55 else (NUCLEI,) if kind < 0.7 else SYLLABLE
    return "".join(str(rng.choice(part)) for part in (*parts, ENDS))


PHRASES = Texts(phrase, 2)
KINDS = {"phrases": PHRASES, "letters": Texts(letter, 1)}


def espeak_command(path: Path, rng: np.random.Generator, texts: Texts = PHRASES) -> list[str]:
    """Return a command that speaks one text or several, each in its own manner."""
    voice = f"{rng.choice(LANGUAGES)}+{rng.choice(VARIANTS)}"
    pitch, speed = int(rng.integers(5, 96)), int(rng.integers(100, 260))
    said = ""
    for _ in range(int(rng.integers(1, texts.most + 1))):
        manner = (
            f'pitch="{rng.integers(-40, 60):+d}%" range="{rng.integers(10, 250)}%" '
            f'rate="{rng.integers(70, 140)}%" volume="{rng.integers(-8, 9):+d}dB"'
        )
        said += f"<prosody {manner}>{texts.text(rng)}</prosody> "
    return [
        "espeak-ng",
        "-m",
        "-v",
        voice,
        "-p",
        str(pitch),
        "-s",
        str(speed),
        "-w",
        str(path),
        f"<speak>{said}</speak>",
    ]


def flite_command(path: Path, rng: np.random.Generator, texts: Texts) -> list[str]:
    """Return a command that speaks one text or several."""
    settings = {
        "duration_stretch": rng.uniform(0.6, 1.5),
        "int_f0_target_mean": rng.uniform(70, 300),
        "int_f0_target_stddev": rng.uniform(3, 80),
    }
    told = [part for name, value in settings.items() for part in ("--setf", f"{name}={value:.2f}")]
    said = " ".join(texts.text(rng) for _ in range(int(rng.integers(1, texts.most + 1))))
    return ["flite", "-voice", str(rng.choice(FLITE_VOICES)), *told, "-t", said, "-o", str(path)]


def speak(folder: Path, number: int, texts: Texts) -> None:
    """Write one recording, unless it is there."""
    path = folder / f"{number:05d}.wav"
    if path.exists():
        return
    rng = np.random.default_rng([SEED, number])
    unfinished = path.with_suffix(".part")
    speaks = espeak_command if rng.random() < 0.75 else flite_command
    command = speaks(unfinished, rng, texts)
    subprocess.run(command, check=True, capture_output=True)
    unfinished.rename(path)


def main(folder: Path, n_clips: int = N_CLIPS, texts: Texts = PHRASES) -> None:
    """Speak what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(N_PROCESSES) as threads:
        list(threads.map(lambda number: speak(folder, number, texts), range(n_clips)))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4) or sys.argv[3:] not in ([], *([kind] for kind in KINDS)):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), *(KINDS[kind] for kind in sys.argv[3:]))
