"""Words and dialogues of strangers: are they heard as speech? And what is made of their laughs and cries?

Usage: python scripts/strangers.py FOLDER [MODEL ...]

FOLDER holds recordings that Debian ships with games and a telephone exchange, spoken by volunteers, actors and
announcers on microphones of their own:

    mkdir FOLDER && cd FOLDER
    apt-get download ktuberling-data hedgewars-data fillets-ng-data-cs fillets-ng-data-nl tuxpaint-stamps-default
    apt-get download asterisk-core-sounds-{en,es,fr,it,ru}-wav asterisk-prompt-it-menardi-wav asterisk-moh-opsound-wav
    apt-get download klettres-data
    for package in *.deb; do dpkg-deb -x $package .; done

Nothing was trained with them. Writes docs/results/strangers.md.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from earnest.errors import AudioError
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "strangers.md"
BURST = re.compile(r"Laugh|Poison|Ow\d|Ouch|Ooff|Hmm|Nooo|Jump|Firepunch|Kamikaze")
DESCRIBED = re.compile(r"_desc_?[a-zA-Z_]*$")
WORD_BYTES = 24_000  # 1.5 s of 8 kHz and 16 bits
MOST = 400
GROUPS = 10
HEAD = """# Strangers' words

Written by `python scripts/strangers.py FOLDER {words}`: recordings that Debian ships (the script says where
from), by volunteers, actors and announcers, each with a microphone of their own; nothing was trained with them. *Words*
are those of ktuberling, one at a time, said by volunteers in {n_languages} languages: "hat", "nose". *Dialogues* are of
two actors a language, in Czech and Dutch (fillets-ng). *Battle cries* are exaggerated phrases of 15 voices, some of
them distorted, and *bursts* their laughs, groans and screams (hedgewars; told apart by the names of files).
*Descriptions* are of volunteers in 13 languages ("a red apple"; tuxpaint). *Announcements* are of six professional
voices in five languages at 8 kHz (asterisk), *announced words* those below 1.5 s: digits, letters, names of days; and
*music on hold* is what callers hear meanwhile. *Letters* and syllables are said alone by volunteers in {n_alphabets}
languages (klettres). Of groups with more than {most} recordings so many are drawn with seed 0, but for the words. Per
cent.

| model | recordings | n | s, median | heard as speech | vocal burst | no speech | told an emotion | the most told |
|---|---|---:|---:|---:|---:|---:|---:|---|
"""


class Recording(NamedTuple):
    """A file and the group that it is counted with."""

    path: Path
    group: str


def recordings(folder: Path) -> Iterator[Recording]:
    """Yield all that are there."""
    words = sorted(folder.glob("usr/share/ktuberling/sounds/*/*.*"))
    # Serbian lies there under four names.
    yield from (Recording(path, "words") for path in words if "@" not in path.parent.name and "tux-" not in path.name)
    rng = np.random.default_rng(0)

    def drawn(paths: Iterable[Path], group: str) -> Iterator[Recording]:
        every = sorted(paths)
        yield from (Recording(every[at], group) for at in sorted(rng.permutation(len(every))[:MOST]))

    for language in ("cs", "nl"):
        said = folder.glob(f"usr/share/games/fillets-ng/sound/*/{language}/*-[mv]-*.ogg")
        yield from drawn(said, f"dialogues, {language}")
    for path in sorted(folder.glob("usr/share/games/hedgewars/Data/Sounds/voices/*/*.ogg")):
        yield Recording(path, "bursts" if BURST.match(path.stem) else "battle cries")
    stamps = folder.glob("usr/share/tuxpaint/stamps/**/*.ogg")
    yield from drawn((path for path in stamps if DESCRIBED.search(path.stem)), "descriptions")
    announced = [path for path in folder.glob("usr/share/asterisk/sounds/*/**/*.wav") if "silence" not in path.parts]
    is_word = {path: path.stat().st_size < WORD_BYTES for path in announced}
    yield from drawn((path for path in announced if not is_word[path]), "announcements")
    yield from drawn((path for path in announced if is_word[path]), "announced words")
    yield from drawn(folder.glob("usr/share/asterisk/moh/*.wav"), "music on hold")
    yield from drawn(folder.glob("usr/share/klettres/*/*/*.ogg"), "letters")


def rows(model: Predictor, every: Sequence[Recording]) -> Iterator[str]:
    """Predict everything; yield a line of the table for each group."""
    for group in dict.fromkeys(one.group for one in every):
        answers = []
        for one in every:
            if one.group == group:
                try:
                    answers.append(model.predict(one.path))
                except AudioError as error:  # a few hold no sound
                    sys.stderr.write(f"{error}\n")
        n = len(answers)
        status = Counter(answer.status for answer in answers)
        told = Counter(answer.emotion for answer in answers if answer.emotion)
        refused = status["vocal-burst"] + status["no-speech"]
        shares = (n - refused, status["vocal-burst"], status["no-speech"], told.total())
        most = ", ".join(f"{emotion} {100 * count / n:.0f}" for emotion, count in told.most_common(3))
        seconds = float(np.median([answer.duration_s for answer in answers]))
        cells = (group, str(n), f"{seconds:.1f}", *(f"{100 * share / n:.1f}" for share in shares), most)
        yield f"| {model.info.name} | {' | '.join(cells)} |\n"


def main(folder: Path, names: Sequence[str]) -> None:
    """Predict with each model and write."""
    every = list(recordings(folder))
    if len({one.group for one in every}) < GROUPS:
        raise SystemExit(f"{folder}: not all packages lie there.\n\n{__doc__}")
    languages = {one.path.parent.name for one in every if one.group == "words"}
    n_alphabets = len(list(folder.glob("usr/share/klettres/*/alpha")))
    text = HEAD.format(words=" ".join(names), n_languages=len(languages), n_alphabets=n_alphabets, most=MOST)
    for name in names:
        for line in rows(Predictor.load(name), every):
            sys.stdout.write(line)
            text += line
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or ["base", "large", "small"])
