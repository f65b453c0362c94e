"""``python -m fuzz.page`` writes docs/security/fuzz.md from the counts of `fuzz.campaign`."""

from fuzz.campaign import COUNTS, Count, read_counts
from fuzz.readers import readers

PAGE = COUNTS.with_suffix(".md")
HEAD = """# Fuzzing: executions and crashes

Written by `python -m fuzz.page` from `docs/security/fuzz.json`, which `make fuzz SECONDS=60` adds to. A target is one
reader of files from outside (`fuzz/readers.py`); [atheris](https://github.com/google/atheris) changes its seeds so
that more of the code is reached. A crash is anything but an `EarnestError`: another exception, more than {longest:g} s
for one file, more than 3 GiB of memory, or the end of the process. *Open* are those of the last run. Every reader is
also held to damaged files in each test run (`tests/contracts/test_readers.py`), without coverage.
"""


def page() -> str:
    """Return the page as Markdown."""
    from fuzz.damage import LONGEST_S

    counts = {name: count for name, count in read_counts().items() if name in readers()}
    lines = [HEAD.format(longest=LONGEST_S)]
    for title, costly in (("Readers of text and tables", False), ("Decoders and models", True)):
        chosen = {name: count for name, count in counts.items() if count.costly is costly}
        lines += ["", f"## {title}", "", "| target | executions | minutes | unique crashes found | open |"]
        lines += ["|---|---:|---:|---:|---:|", *(_row(name, count) for name, count in chosen.items())]
        total = Count(executions=sum(count.executions for count in chosen.values()))
        total.seconds = sum(count.seconds for count in chosen.values())
        for count in chosen.values():
            total.found += count.found
            total.open += count.open
        lines.append(_row("**all**", total))
    found = [(name, crash) for name, count in counts.items() for crash in count.found]
    lines += ["", "## What was found", "", *(f"* {name}: `{crash}`" for name, crash in found)]
    return "\n".join(lines).rstrip() + "\n"


def _row(name: str, count: Count) -> str:
    cells = (name, f"{count.executions:,}", f"{count.seconds / 60:.1f}", str(len(count.found)), str(len(count.open)))
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
