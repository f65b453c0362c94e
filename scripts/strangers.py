"""Words and dialogues of strangers: are they heard as speech? And what is made of their laughs and cries?

Usage: python scripts/strangers.py FOLDER [MODEL ...]

FOLDER holds recordings of games that Debian ships, spoken by volunteers and actors on microphones of their own:

    mkdir FOLDER && cd FOLDER
    apt-get download ktuberling-data hedgewars-data fillets-ng-data-cs fillets-ng-data-nl
    for package in *.deb; do dpkg-deb -x $package .; done

Nothing was trained with them. Writes docs/results/strangers.md.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from earnest.errors import AudioError
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "strangers.md"
BURST = re.compile(r"Laugh|Poison|Ow\d|Ouch|Ooff|Hmm|Nooo|Jump|Firepunch|Kamikaze")
MOST_DIALOGUES = 400
HEAD = """# Strangers' words

Written by `python scripts/strangers.py FOLDER {words}`: recordings of games that Debian ships (the script says
where from), by volunteers and actors, each with a microphone of their own; nothing was trained with them. *Words* are
those of ktuberling, one at a time, said by volunteers in {n_languages} languages: "hat", "nose". *Dialogues* are of two
actors a language, in Czech and Dutch (fillets-ng), {most} recordings drawn of each with seed 0. *Battle cries* are
exaggerated phrases of 15 voices, some of them distorted, and *bursts* their laughs, groans and screams (hedgewars;
told apart by the names of files). Per cent.

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
    for language in ("cs", "nl"):
        said = sorted(folder.glob(f"usr/share/games/fillets-ng/sound/*/{language}/*-[mv]-*.ogg"))
        chosen = sorted(rng.permutation(len(said))[:MOST_DIALOGUES])
        yield from (Recording(said[at], f"dialogues, {language}") for at in chosen)
    for path in sorted(folder.glob("usr/share/games/hedgewars/Data/Sounds/voices/*/*.ogg")):
        yield Recording(path, "bursts" if BURST.match(path.stem) else "battle cries")


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
    if len({one.group for one in every}) < 5:
        raise SystemExit(f"{folder}: not all four packages lie there.\n\n{__doc__}")
    languages = {one.path.parent.name for one in every if one.group == "words"}
    text = HEAD.format(words=" ".join(names), n_languages=len(languages), most=MOST_DIALOGUES)
    for name in names:
        for line in rows(Predictor.load(name), every):
            sys.stdout.write(line)
            text += line
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or ["base", "large", "small"])
