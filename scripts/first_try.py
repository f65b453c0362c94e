"""A new user's first own model, timed: commands, seconds of the clock, words that have to be read.

    python scripts/first_try.py recordings/ --speaker-pattern '([A-Z0-9]+)_'

Words are those of the README (what it is, installing, own labels), of each command's output, and,
in a line of their own, of `earnest learn --help`, which most read when something is not as they want it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
READ_FIRST = ("", "Install", "Your own labels, your own model")  # "" is what stands before the first heading


def words_in(text: str) -> int:
    """Return how many words a text has that hold a letter or a digit: bars and rules of tables are none."""
    return sum(any(letter.isalnum() for letter in word) for word in text.split())


def section(text: str, title: str) -> str:
    """Return a section of a Markdown page, "" for what stands before the first."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return parts[0] if not title else parts[parts.index(title) + 1]


def step(*words: str, folder: Path) -> tuple[float, str]:
    """Run a command of earnest; return seconds and what was to be read."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "earnest", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return time.perf_counter() - start, done.stdout + done.stderr


def main(words: Sequence[str]) -> None:
    """Try, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--speaker-pattern", required=True)
    asked = parser.parse_args(words)
    source, readme = str(asked.recordings.resolve()), README.read_text(encoding="utf-8")
    one = str(min(path for path in asked.recordings.resolve().rglob("*") if path.is_file()))
    learn = ("learn", source, "--output", "mine")
    tries = {
        "no speakers named: it says so and how to": learn,
        "again, with a pattern": (*learn, "--speaker-pattern", asked.speaker_pattern, "--overwrite"),
        "an answer": ("predict", one, "--model", "mine"),
        "the help, for those who read it": ("learn", "--help"),
    }
    read = sum(words_in(section(readme, title)) for title in READ_FIRST)
    rows = [("README: what it is, installing, own labels", 0.0, read)]
    with tempfile.TemporaryDirectory() as folder:
        for name, command in tries.items():
            seconds, said = step(*command, folder=Path(folder))
            rows.append((name, seconds, words_in(said)))
    for name, seconds, count in rows:
        sys.stdout.write(f"| {name} | {f'{seconds:.1f}' if seconds else ''} | {count} |\n")
    told = [count for name, _, count in rows if "help" not in name]
    sys.stdout.write(f"| all but the help | {sum(row[1] for row in rows[:-1]):.0f} | {sum(told)} |\n")


if __name__ == "__main__":
    main(sys.argv[1:])
