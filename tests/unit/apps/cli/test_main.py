"""What holds for all commands: options in front of their names, one line for what the system refuses, completion."""

import errno
import json
import logging
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import click
import pytest
import soundfile
from click.testing import CliRunner
from command_line import earnest_cli

from earnest.apps.cli.main import GROUPS, OTHER, cli, grouped, main
from earnest.evaluation.protocols import PROTOCOLS
from earnest.testing.sounds import voice

pytestmark = pytest.mark.long
NAMES = cli.list_commands(click.Context(cli))
LINES = {name: line for lines in GROUPS.values() for name, line in lines.items()}
REPORT = "import sys; print(*sorted(name for name in sys.modules if name.startswith('earnest.')))"


def offered(words: str) -> list[str]:
    """Return what bash would offer for the last of ``words``, " " at the end for a new one."""
    count = len(words.split()) - (not words.endswith(" "))
    environ = {**os.environ, "_EARNEST_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    found = subprocess.run([sys.executable, "-m", "earnest"], env=environ, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in found.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("earnest pre", ["predict"]),
        ("earnest predict --mod", ["--model"]),
        ("earnest predict --model ba", ["base", "ba"]),
        ("earnest corpus info rav", ["ravdess", "ravdess-song"]),
        ("earnest evaluate recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest tune recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest predict --tta sp", ["speed"]),
        ("earnest evaluate recipe.toml --tta gain-", ["gain-and-speed"]),
        ("earnest timeline --format text", ["textgrid"]),
    ],
)
def test_a_shell_is_offered_what_fits(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


INTERRUPTED = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
runpy.run_module("earnest", run_name="__main__")
"""


def test_ctrl_c_while_the_command_line_is_loaded_ends_it_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "Stopped.\n")


def test_a_wrong_value_of_an_environment_variable_names_it() -> None:
    def said(*more: str, **variables: str) -> str:
        command = [sys.executable, "-m", "earnest", "predict", "a.wav", *more]
        return subprocess.run(command, check=False, env=os.environ | variables, capture_output=True, text=True).stderr

    told = said(EARNEST_THREADS="many")
    assert "expected a whole number from 1 to 256; got 'many'" in told
    assert "(in the environment variable EARNEST_THREADS)." in told
    assert "variable" not in said("--threads", "many")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "a.wav", "--top", "50"), "'--top': expected a whole number from 1 to 20; got 50."),
        (("predict", "a.wav", "--top", "0,5"), "'--top': expected a whole number from 1 to 20; got '0,5'."),
        (("parity", "a", "b", "c", "--limit", "few"), "'--limit': expected a whole number, 1 or more; got 'few'."),
        (("predict", "a.wav", "--abstain-below", "2"), "'--abstain-below': expected a number from 0 to 1; got 2.0."),
        (("predict", "a.wav", "--timeout", "0"), "'--timeout': expected a number above 0; got 0.0."),
        (
            ("timeline", "a.wav", "--hop", "0,5"),
            "'--hop': expected a number from 0.1 to 60; got '0,5'. Write a point, not a comma.",
        ),
    ],
)
def test_a_wrong_number_is_told_with_those_that_are_right(
    words: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["earnest", *words])
    with pytest.raises(SystemExit, match=r"^2$"):
        main()
    assert capsys.readouterr().err.endswith(f"Error: Invalid value for {told}\n")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_command_has_an_example_and_takes_json_and_quiet(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert "Example" in text
    assert "--json" in text
    assert "--quiet" in text


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_an_output_has_the_same_short_name_everywhere(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert ("-o, --output" in text) == (" --output " in text.partition("Options:")[2])


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_an_output_says_first_whether_it_is_a_file_or_a_folder(path: tuple[str, ...]) -> None:
    text = " ".join(CliRunner().invoke(cli, [*path, "--help"]).stdout.partition("Options:")[2].split())
    said = re.search(r"--output \S+ (\S+ to write)[:;.]", text)
    assert ("--output " in text) == bool(said), text
    assert said is None or said[1] in ("File to write", "Folder to write")


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_no_line_of_help_is_cut_and_several_examples_are_called_so(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert not re.search(r"\.\.\.$", text.partition("Commands:")[2], re.MULTILINE), (
        "Make the first sentence of the docstring shorter."
    )
    heading, lines = re.findall(r"^  (Examples?):\n((?:    .*\n)+)", text, re.MULTILINE)[-1]
    starts = re.findall(r"^    (?!  )(?=.*\bearnest\b)", lines, re.MULTILINE)
    assert heading == ("Example" if len(starts) == 1 else "Examples")


def refused(words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr("sys.argv", ["earnest", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    return capfd.readouterr().err


def test_a_recording_in_place_of_a_command_is_told_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my talk.wav").write_bytes(b"")
    told = refused([str(tmp_path / "my talk.wav")], monkeypatch, capfd)
    assert told.splitlines()[-1].endswith(f"For its emotion: earnest predict '{tmp_path / 'my talk.wav'}'")
    assert "Did you mean 'predict'?" in refused(["pedict"], monkeypatch, capfd)


def test_there_is_no_colour_where_nobody_wants_it_or_the_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> str:
        return CliRunner().invoke(cli, ["predict", "gone.wav"], color=True).stdout

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" in told()
    for name, value in {"NO_COLOR": "1", "TERM": "dumb"}.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert "\x1b" not in told() and "gone.wav" in told()


def test_a_file_that_looks_like_an_option_is_told_how_to_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "-my talk.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    told = refused(["predict", "-my talk.wav"], monkeypatch, capfd)
    assert told.splitlines()[-1].endswith("For the file write './-my talk.wav', or -- before the names.")
    assert "For the file" not in refused(["predict", "-my", "talk.wav"], monkeypatch, capfd)


def test_the_choices_of_a_word_that_is_missing_are_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "\n    emocatcher,\n" in refused(["import"], monkeypatch, capfd)


def test_options_before_the_name_of_a_command_hold_for_it() -> None:
    rows = json.loads(earnest_cli("corpus", "list", "--json"))
    assert json.loads(earnest_cli("corpus", "--json", "list")) == rows
    assert json.loads(earnest_cli("--json", "corpus", "list")) == rows
    assert "Where they come from" in earnest_cli("corpus", "list")
    assert "Where they come from" not in earnest_cli("-q", "corpus", "list")


@pytest.mark.parametrize("name", ["train", "tune", "evaluate", "split"])
def test_the_help_names_the_protocols(name: str) -> None:
    text = " ".join(earnest_cli(name, "--help").split())
    assert all(protocol in text for protocol in PROTOCOLS)


def test_a_warning_is_told_once(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    last = logging._StderrHandler(logging.WARNING)
    monkeypatch.setattr(logging, "lastResort", last)
    monkeypatch.setattr("earnest.apps.cli.main._run", lambda: None)
    main()
    for fold in (1, 2, 2):
        last.handle(logging.makeLogRecord({"msg": "fold %d", "args": (fold,)}))
    assert capfd.readouterr().err == "fold 1\nfold 2\n"


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text("path,emotion\nmine.csv,happy\n")
    (tmp_path / "file").write_text("")
    words = ["corpus", "manifest", "csv", str(tmp_path / "mine.csv"), "-o", str(tmp_path / "file" / "rows.csv")]
    monkeypatch.setattr("sys.argv", ["earnest", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    written = capfd.readouterr().err
    assert exit_.value.code == 1
    assert written.startswith(f"earnest: {tmp_path / 'file' / 'rows.csv'}: not writable (Not a directory)")
    assert written.count("\n") == 1


@pytest.mark.parametrize(("words", "shown"), [(["learn", "--help"], "?"), (["--json", "cache", "show"], "日本")])
def test_a_file_with_another_encoding_than_the_terminal_takes_tables_as_it_can_and_json_whole(
    words: list[str], shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(BytesIO(), "cp437"))  # as on Windows, behind a ">"
    monkeypatch.setattr("sys.argv", ["earnest", *words])
    monkeypatch.setenv("EARNEST_CACHE", str(tmp_path / "日本"))
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 0
    sys.stdout.flush()
    assert shown in sys.stdout.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_a_reader_that_closes_our_output_ends_windows_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(**_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("earnest.apps.cli.main.cli", closed)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "stderr", told := StringIO())
    with pytest.raises(SystemExit):
        main()
    assert not told.getvalue()


def test_every_command_has_one_line_in_one_group() -> None:
    untold = sorted(set(NAMES) - LINES.keys())
    gone = sorted(LINES.keys() - set(NAMES))
    assert not untold, f"Add {untold} to a group in earnest/apps/cli/main.py, with the first line of the docstring."
    assert not gone, f"Take {gone} out of earnest/apps/cli/main.py: no such module is in earnest/apps/cli."
    assert len(LINES) == sum(map(len, GROUPS.values())), "A command stands in two groups of _table.py."


@pytest.mark.parametrize("name", NAMES)
def test_a_commands_line_is_the_first_of_its_docstring(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert LINES[name] == command.help.splitlines()[0], f"Make both equal: _table.py and `earnest {name} --help`."


@pytest.mark.parametrize("name", NAMES)
def test_a_line_fits_a_terminal_of_80_columns(name: str) -> None:
    assert len(LINES[name]) <= 63  # letters that fit beside the longest name
    assert LINES[name].endswith(".")


def test_the_help_shows_each_line_unbroken_under_its_group() -> None:
    rows = [row.split(maxsplit=1) for row in CliRunner().invoke(cli, ["--help"]).stdout.splitlines()]
    for group, lines in GROUPS.items():
        start = rows.index([f"{group}:"] if " " not in group else f"{group}:".split(maxsplit=1))
        assert rows[start + 1 : start + 1 + len(lines)] == [[name, line] for name, line in lines.items()]


def test_a_command_without_a_line_is_listed_all_the_same() -> None:
    assert grouped(["predict", "newborn"]) == {"Recognise": [("predict", LINES["predict"])], OTHER: [("newborn", "")]}


@pytest.mark.long
def test_the_help_imports_no_command() -> None:
    code = f"from earnest.apps.cli.main import cli; cli(['--help'], standalone_mode=False); {REPORT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded == {
        "earnest.apps",
        "earnest.apps.cli",
        "earnest.apps.cli.main",
        "earnest.apps.cli._typed",
        "earnest.apps.cli.say",
        "earnest.errors",
        "earnest.installation",
        "earnest.progress",
    }


@pytest.mark.long
def test_the_help_costs_at_most_150_ms_more_than_importing_click() -> None:
    resource = import_module("resource")  # not on Windows

    def cpu_s(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    click_s = min(cpu_s("-c", "import click") for _ in range(5))
    help_s = min(cpu_s("-m", "earnest", "--help") for _ in range(5))
    assert help_s - click_s <= 0.15


@pytest.mark.parametrize(("file", "command"), [("talk.wav", "timeline"), ("talk.srt", "predict")])
def test_listen_names_the_command_for_a_file(file: str, command: str) -> None:
    assert f"A file: earnest {command} {file}" in CliRunner().invoke(cli, ["listen", file]).output


@pytest.mark.parametrize("command", [["predict", "-"], ["timeline", "-"], ["listen", "-"]])
def test_a_closed_standard_input_is_said_to_be_so(command: list[str]) -> None:
    line = shlex.join([sys.executable, "-m", "earnest", *command]) + " <&-"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "earnest: -: standard input is closed. Send a recording to it, or name a file.\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["batch", "talk.wav", "-o", ""], "An empty word after -o"),
        (["learn", "", "-o", "x"], "An empty word after learn"),
        (["train", "own", "--corpus", "", "-o", "x"], "An empty word after --corpus"),
        (["predict", "talk.wav", "--classes="], "--classes="),
        (["corpus", "check", ""], "An empty word after check"),
        ([""], "An empty word"),
    ],
)
def test_an_empty_word_is_refused_and_not_taken_for_the_working_folder(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", voice(1.0), 16_000)
    ran = CliRunner().invoke(cli, words)
    assert (ran.exit_code, f"Error: {told} names nothing. Is a variable" in ran.stderr) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["talk.wav"]


def run_in_shell(line: str) -> tuple[int, str]:
    """Run a line of a shell in which "$earnest" is the command; return its exit code and what it says to people."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    words = ["sh", "-c", line.replace("$earnest", shlex.join([sys.executable, "-m", "earnest"]))]
    run = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    ("line", "why"),
    [("predict talk.wav --json >&-", "Bad file descriptor"), ("models base > /dev/full", "No space left on device")],
)
def test_answers_that_standard_output_does_not_take_are_one_line_and_an_error(
    line: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", voice(1.0), 16_000)
    assert run_in_shell(f"$earnest {line}") == (1, f"earnest: standard output: {why}.\n")


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_file_is_written_where_standard_streams_are_closed(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    soundfile.write("talk.wav", voice(1.0), 16_000)
    code, _ = run_in_shell(f"$earnest predict -q talk.wav -o out.csv {closed}")
    assert code == 0
    assert Path("out.csv").read_text(encoding="utf-8").count("\n") == 2
