"""Texts of any kind survive CSV, and none of them is a formula."""

import csv
import os
import re
import sys
from io import StringIO
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.run_files import FORMULAS, ODD_NAMES
from earnest.errors import EarnestError
from earnest.files.tables import (
    csv_row,
    csv_rows,
    delimiter_of,
    has_text,
    load_pyarrow,
    marked,
    numbered_rows,
    text_rows,
    unmarked,
    without_points,
)

TERMINAL_PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "terminal.md"
TEXTS = st.text(st.one_of(st.sampled_from("'=+-@\t\r\n\",;＝ a1"), st.characters(codec="utf-8")), max_size=8)


@given(cells=st.lists(TEXTS, min_size=2, max_size=5))
def test_a_row_reads_back_as_it_was_written(cells: list[str]) -> None:
    text = f"{csv_row(cells)}\n{csv_row(cells)}\n"
    assert list(csv_rows(StringIO(text, newline=""))) == [cells, cells]


@given(text=TEXTS)
def test_a_cell_never_begins_as_a_formula_does(text: str) -> None:
    assert not marked(text).startswith(("=", "+", "@", "\t", "\r", "\n", "＝"))
    assert unmarked(marked(text)) == text


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_spreadsheet_is_given_text_where_a_name_looks_like_a_formula(formula: str) -> None:
    (cells,) = csv.reader(StringIO(csv_row([formula, -0.5, None]), newline=""))
    assert cells == [f"'{formula}", "-0.5", ""]


def test_a_name_with_a_line_end_makes_one_row_for_any_reader() -> None:
    names = [name.decode() for name in ODD_NAMES if name.isascii()]
    text = "".join(f"{csv_row([name, 'ok'])}\n" for name in names)
    assert len(list(csv.reader(StringIO(text, newline="")))) == len(names)


def test_the_expression_that_the_documentation_gives_takes_the_marks_away() -> None:
    (expression,) = re.findall(r'str\.replace\(r"(.+?)", "", regex=True\)', TERMINAL_PAGE.read_text("utf-8"))
    names = [os.fsdecode(name) for name in ODD_NAMES]
    assert [re.sub(expression, "", marked(name), flags=re.DOTALL) for name in names] == names


def test_a_long_cell_is_read() -> None:
    assert list(csv_rows(StringIO(csv_row(["a" * 200_000, "b"]) + "\n", newline=""))) == [["a" * 200_000, "b"]]


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        (["1.0", "", "-2.0"], ["1", "", "-2"]),
        (["1", "2.0"], ["1", "2"]),
        (["1.0", "2.5"], ["1.0", "2.5"]),
        (["1.0", "sad"], ["1.0", "sad"]),
        (["", ""], ["", ""]),
    ],
)
def test_a_column_of_whole_numbers_has_no_points(cells: list[str], wanted: list[str]) -> None:
    assert list(without_points(cells)) == wanted


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("path,speaker\na;b.wav,anna\n", "list.csv", ","),
        ("path;speaker\na,b.wav;anna\n", "list.csv", ";"),
        ("path\tspeaker\n", "list.csv", "\t"),
        ("path\n", "list.csv", ","),
        ("path\n", "list.TSV", "\t"),
    ],
)
def test_the_first_line_says_what_stands_between_cells(text: str, name: str, wanted: str) -> None:
    assert delimiter_of(text, name) == wanted


def test_only_a_table_with_commas_is_read_as_ours() -> None:
    assert list(csv_rows(["'=a,1\n"])) == [["=a", "1"]]
    assert list(csv_rows(["'=a;1\n"], ";")) == [["'=a", "1"]]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_first_line_that_tells_excel_the_separator_is_no_row(mark: str) -> None:
    text = f"sep={mark}\r\npath{mark}speaker\r\nsep={mark}\r\n"
    assert list(text_rows(text, "list.csv")) == [["path", "speaker"], ["sep=", ""]]
    assert numbered_rows(text, Path("list.csv")) == ([(1, ["path", "speaker"]), (2, ["sep=", ""])], mark)
    assert numbered_rows(f"sep={mark}\n", Path("list.csv")) == ([], mark)


@pytest.mark.parametrize(
    ("cells", "holds"), [(["", " "], False), ([], False), ([None, [""]], False), (["", "a"], True)]
)
def test_a_row_that_a_spreadsheet_left_behind_holds_no_text(cells: list[object], holds: bool) -> None:
    assert has_text(cells) is holds


def test_a_package_that_can_t_be_loaded_is_not_told_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, earnest[parquet]")
    why = "libparquet.so: failed to map segment from shared object"
    monkeypatch.delitem(sys.modules, "pyarrow.parquet")
    monkeypatch.setattr(sys, "meta_path", [Mock(find_spec=Mock(side_effect=ImportError(why)))])
    with pytest.raises(EarnestError, match=f"{re.escape(why)}.*enough memory"):
        load_pyarrow()
