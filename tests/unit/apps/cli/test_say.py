"""What the commands share: tables in terminals of any width, and where to write."""

import shlex
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import click
import pytest

from earnest.apps.cli import say
from earnest.apps.cli._typed import chosen_format, command_line
from earnest.errors import REPLACEMENT


def test_standard_output_is_no_file_called_dash() -> None:
    for form in "csv", None:
        with pytest.raises(click.UsageError, match="--output -: leave it out"):
            chosen_format(form, Path("-"), {".csv": "csv"})


@pytest.mark.parametrize("is_terminal", [True, False])
def test_formats_for_machines_are_whole_and_no_escape_reaches_a_terminal(monkeypatch: Any, is_terminal: bool) -> None:
    out = StringIO()
    out.isatty = lambda: is_terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", out)
    say.whole("0.0\t\x1b[31mred\x1b]0;title\x07.wav\n", nl=False)
    escape, bell = (REPLACEMENT, REPLACEMENT) if is_terminal else ("\x1b", "\x07")
    assert out.getvalue() == f"0.0\t{escape}[31mred{escape}]0;title{bell}.wav\n"


def test_a_pipe_without_some_letters_tells_names_apart_and_draws_bars(monkeypatch: Any) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, "cp1252", newline="\n"))
    say.encode("table")
    say.line("é漢.wav ██▌\né字.wav ▂▅█")
    sys.stdout.flush()
    assert written.getvalue().decode("cp1252") == "é\\u6f22.wav ##:\né\\u5b57.wav .=#\n"


COLUMNS = "result", "speakers", "UA", "licence"
ROWS = [
    ["mine", "speaker-independent", "-12.5 ± 1.5", "any use, with attribution (ODbL-1.0)"],
    ["[b]other[/b]", "speaker-dependent", "9.0 ± 0.1", "研究のみ"],
]


@pytest.mark.parametrize("width", [45, 52, 60, 70, 80, 200])
def test_cells_of_a_table_break_between_words_or_behind_hyphens(capsys: Any, monkeypatch: Any, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    say.table(COLUMNS, ROWS, "A title", right=("UA",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A title" and max(map(len, lines)) <= width
    told = " ".join(lines).split()
    whole = {word for row in [COLUMNS, *ROWS] for cell in row for word in cell.split()}
    parts = {part for word in whole for part in (word, *word.split("-"), *(f"{one}-" for one in word.split("-")))}
    assert set(told) - {"A", "title"} <= parts
    assert ("speaker-independent" in told) == (width > 60)


def test_a_name_that_is_longer_than_a_word_is_broken_and_nothing_of_it_is_lost(capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/".join(["recordings"] * 9)
    say.table(("file", "what"), [[path, "unreadable"]])
    lines = capsys.readouterr().out.splitlines()
    assert "".join(line[:28].strip() for line in lines[1:]) == path
    assert lines[1].split()[1] == "unreadable"


def test_a_command_to_type_on_windows_is_one_for_both_of_its_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert command_line("report", r"runs\mine", r"runs\with space") == r'earnest report runs\mine "runs\with space"'


def test_a_command_to_type_keeps_names_with_spaces_whole() -> None:
    typed = command_line("report", Path("runs") / "with space", "--output", "it's.html")
    assert shlex.split(typed) == ["earnest", "report", str(Path("runs") / "with space"), "--output", "it's.html"]
