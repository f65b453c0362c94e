"""Tables that commands wrote, as tests read them."""

import csv
from pathlib import Path


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, column → cell as it is written."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
