"""Write docs/results/stress/: the stress tables of finished `earnest stress`, two systems beside each other.

    python scripts/stress_tables.py runs/stress/small-plain runs/stress/small

Each folder holds a metrics-stress.json, both of the same recordings and conditions; copies of them are kept.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any

from earnest.errors import EarnestError
from earnest.evaluation.stress import CLEAN, StressCheck, StressRow, yes_or_no
from earnest.evaluation.texts import markdown_row, points
from earnest.files.writing import write_atomically
from earnest.plots.results import plot_stress

KEPT = Path(__file__).parent.parent / "docs" / "results" / "stress"
TEXT = """# {title}

{what}

![ΔUA of every condition]({first}-and-{second}.png)

{table}

ser-tests on all {n_checked} clips as they are:

{checks}

```sh
{commands}
```
"""

WHAT = (
    "UA (unweighted accuracy, the mean recall over classes) has its 95 % interval over speakers. ΔUA is its difference "
    'to the same utterances as they are, in points. Unchanged is the share of answers that stay the same. "Holds" says '
    "whether the thresholds of ser-tests are reached, where it has some. All in per cent. "
    "[The conditions](../../stress.md)."
)


@dataclass(frozen=True)
class Table:
    """The content of one metrics-stress.json."""

    name: str
    document: dict[str, Any]
    rows: list[StressRow]
    checks: list[StressCheck]


def main(folders: Sequence[Path]) -> None:
    """Write one page and one picture of both."""
    first, second = tables = [read(folder) for folder in folders]
    if [row.condition for row in first.rows] != [row.condition for row in second.rows]:
        raise EarnestError("The two have other conditions.")
    if first.document["n"] != second.document["n"]:
        raise EarnestError("The two have other utterances.")
    KEPT.mkdir(parents=True, exist_ok=True)
    for folder, table in zip(folders, tables, strict=True):
        shutil.copy(folder / "metrics-stress.json", KEPT / f"{table.name}.json")
    stem, title = f"{first.name}-and-{second.name}", f"{first.name} and {second.name} under stress"
    clips = sentence(first.document)
    write_atomically(KEPT / f"{stem}.png", plot_stress({table.name: table.rows for table in tables}, title, clips))
    text = TEXT.format(
        title=title,
        what=fill(f"{clips} {WHAT}", 120, break_on_hyphens=False),
        first=first.name,
        second=second.name,
        table=rows_beside(first, second),
        n_checked=first.document["n_checked"],
        checks=checks_beside(first, second),
        commands="\n".join(
            line for table in tables for line in (table.document["evaluation"], table.document["command"])
        ),
    )
    (KEPT / f"{stem}.md").write_text(text, encoding="utf-8")


def read(folder: Path) -> Table:
    """Read one result, named as its folder."""
    path = folder / "metrics-stress.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    rows = [StressRow.from_dict(row, str(path)) for row in document["rows"]]
    return Table(
        folder.resolve().name, document, rows, [StressCheck.from_dict(one, str(path)) for one in document["checks"]]
    )


def sentence(document: dict[str, Any]) -> str:
    """Describe the recordings in a sentence."""
    few = f", at most {document['n_clips_a_fold']} of each fold" if document["n_clips_a_fold"] else ""
    folds = f"{len(document['folds'])} of {document['of_folds']} folds"
    return f"{document['title']}: {document['n']} {document['part']} utterances of {folds}{few}."


def rows_beside(first: Table, second: Table) -> str:
    """Return the conditions as a Markdown table."""
    head = ["clips"]
    for table in (first, second):
        head += [f"{table.name}: UA", "ΔUA", "unchanged", "holds"]
    lines = [head, ["---", *["---:", "---:", "---:", "---"] * 2]]
    for one, other in zip(first.rows, second.rows, strict=True):
        lines.append([one.condition, *cells(one), *cells(other)])
    return "\n".join(map(markdown_row, lines))


def cells(row: StressRow) -> list[str]:
    """Return one system's cells of a line."""
    interval = f"{100 * row.interval.low:.0f} to {100 * row.interval.high:.0f}"
    ua = f"{100 * row.ua:.1f} ({interval})"
    if row.condition == CLEAN:
        return [ua, "", "", ""]
    return [ua, points(row.change), f"{100 * row.unchanged:.0f}", yes_or_no(row.holds)]


def checks_beside(first: Table, second: Table) -> str:
    """Return the checks of clean recordings as a Markdown table."""
    lines = [["", "ser-tests", first.name, "holds", second.name, "holds"], ["---", "---", "---:", "---", "---:", "---"]]
    for one, other in zip(first.checks, second.checks, strict=True):
        name, _, _, limit, _ = one.cells()
        found = [text for check in (one, other) for text in (value_text(check), yes_or_no(check.holds))]
        lines.append([name, limit, *found])
    return "\n".join(map(markdown_row, lines))


def value_text(check: StressCheck) -> str:
    """Return a check's value and where it is."""
    return f"{100 * check.value:.1f}" + (f" ({check.where})" if check.where else "")


if __name__ == "__main__":
    main([Path(word) for word in sys.argv[1:]])
