"""A journal holds whole lines, whatever happens between them."""

from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.files.writing import Journal, cut_half_line, whole_lines


def test_lines_are_found_again_and_a_half_written_one_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    journal = Journal(path)
    for text in ("one", "zwei – 二"):
        journal.append(text)
    journal.close()
    with path.open("ab") as file:
        file.write(b"a kill cu")
    assert [(number, line.decode()) for number, line in whole_lines(path)] == [(1, "one\n"), (2, "zwei – 二\n")]
    cut_half_line(path)
    again = Journal(path)
    again.append("three")
    assert path.read_text("utf-8") == "one\nzwei – 二\nthree\n"
    again.remove()
    assert not path.exists()


def test_a_line_that_cant_be_written_is_told_with_its_hint(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "rows.partial", "--resume keeps the rows so far.")
    journal._file.close()
    journal._file = (tmp_path / "rows.partial").open("rb", buffering=0)
    with pytest.raises(EarnestError, match=r"rows\.partial.*--resume keeps the rows so far\."):
        journal.append("one")
    journal.close()
