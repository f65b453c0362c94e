"""Files that lie where we want to write, names that break rows, and processes that die or meet."""

import csv
import io
import json
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from attacks import Attack

# Names of recordings: line ends, quotes, formulas, what looks like our own marks, and bytes that are no UTF-8.
ODD_NAMES: tuple[bytes, ...] = (
    b"a\nb.wav",
    b"c\rd.wav",
    b"e\r\nf.wav",
    b'"quoted", and more.wav',
    b"=1+1.wav",
    b"+1.wav",
    b"@SUM(A1).wav",
    b"-2+3.wav",
    b"\ttab.wav",
    b"'=x.wav",
    b"''-y.wav",
    b"' plain.wav",
    "＝wide.wav".encode(),
    b"\xff\xfe.wav",
    rb"\xff\xfe.wav",
    rb"\x5cxff.wav",
    b"NA.wav",
)
FORMULAS: tuple[str, ...] = ("=1+1", "+1", "-1+2", "@A1", "\t=1", "\r=1", "\n=1", "＝1", '=HYPERLINK("http://a")')
N_DAMAGED = 300


def foreign_tables() -> Mapping[str, bytes]:
    """Return name → bytes of files that somebody else wrote, and that are called as ours might be."""
    return {
        "latin-1.csv": "path,status\nMüller.wav,ok\n".encode("latin-1"),
        "another-table.csv": b"name,age\nanna,7\n",
        "quote-left-open.csv": b'path,status\n"a.wav,ok\n',
        "nothing.csv": b"",
        "no-table.csv": b"\x89PNG\r\n\x1a\n\x00\x00\x00",
        "another.jsonl": b'{"name": "anna"}\n',
        "list.jsonl": b"[1, 2]\n",
        "number.jsonl": b"1e999\n",
        "nested.jsonl": b"[" * 50_000 + b"\n",
        "latin-1.jsonl": '{"path": "Müller"}\n'.encode("latin-1"),
        "no.parquet": b"PAR1 not at all PAR1",
        "nothing.parquet": b"",
    }


def damaged(data: bytes, form: str, seed: int) -> bytes:
    """Return a file of predictions, damaged in one of many ways.

    Parameters
    ----------
    form : "csv", "jsonl" or "parquet"
    """
    rng = random.Random(f"{form} {seed}")
    if form == "csv" and rng.random() < 0.6:
        return _damaged_table(data, rng)
    if form == "jsonl" and rng.random() < 0.6:
        return _damaged_object(data, rng)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not changed:
            break
        place = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[place] = rng.randrange(256)
            case 1:
                del changed[place:]
            case 2:
                del changed[place : place + rng.randint(1, 30)]
            case 3:
                changed[place:place] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
            case _:
                changed[place : place + 8] = b"\0" * 8
    return bytes(changed)


ODD_CELLS = ("", "nan", "inf", "-1", "9" * 400, "1e308", "true", "ok", "[]", '{"a": "b"}', "null", "[[[[", "ä", "=1")
ODD_VALUES = (None, True, -1, 2, 10**400, [], {}, "x", [1], {"a": None}, {"a": "b"}, "\udcff", float("inf"))


def _damaged_table(data: bytes, rng: random.Random) -> bytes:
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    row, column = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
    other = rng.randrange(len(rows[0]))
    match rng.randrange(5):
        case 0:
            rows[row][column] = rng.choice(ODD_CELLS)
        case 1:  # two columns change places, but for their names
            for cells in rows[1:]:
                cells[column], cells[other] = cells[other], cells[column]
        case 2:
            rows[0][column] = rows[0][other]
        case 3:
            rows[row] = rows[row][:column]
        case _:
            rows[row].append("more")
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _damaged_object(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines()
    row = rng.randrange(len(lines))
    values = json.loads(lines[row])
    name = rng.choice(list(values))
    match rng.randrange(3):
        case 0:
            values[name] = rng.choice(ODD_VALUES)
        case 1:
            del values[name]
        case _:
            values[rng.choice(("more", "p_sad"))] = 1
    lines[row] = json.dumps(values).encode()
    return b"\n".join(lines) + b"\n"


def processes_with(mark: str) -> Iterator[int]:
    """Yield the ids of all living processes that have this text in their environment (Linux)."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit() and int(place.name) != os.getpid():
            try:
                environment, state = (place / "environ").read_bytes(), (place / "stat").read_bytes()
            except OSError:
                continue
            if mark.encode() in environment and state.rpartition(b")")[2].split()[0] != b"Z":
                yield int(place.name)


ATTACKS = (
    Attack(
        "two `predict --resume` into one file at once",
        "800 rows for 400 recordings",
        'the second is refused: "is being written by process … on … since … (earnest predict …)"; 400 rows',
        "tests/integration/test_one_writer.py::test_a_second_predict_into_one_file_is_refused_in_words",
    ),
    Attack(
        "a second command into one run folder",
        "both wrote",
        "refused in words before anything is read",
        "tests/integration/test_one_writer.py::test_a_second_training_into_one_folder_is_refused_in_words",
    ),
    Attack(
        "`evaluate --jobs 2` killed with -9",
        "its workers lived on for 5 to 13 s, also those that were just starting",
        "the kernel ends them with their parent; all gone within 3 s of polling",
        "tests/integration/test_one_writer.py::test_workers_end_with_the_command_whenever_it_is_killed",
    ),
    Attack(
        "the lock of a process that was killed, of another machine, or a foreign file or link in its place",
        "there were no locks",
        "taken over where the system says that its owner is dead; refused in words where only another machine knows; a "
        "foreign file stays as it is",
        "tests/unit/files/test_locks.py::test_on_a_shared_disk_another_machines_lock_is_not_taken_over",
    ),
    Attack(
        "a link from `.partial-out.csv` to the user's own file, put into a shared folder by another user",
        "`predict --output out.csv` wrote the rows into that file; a pipe of this name kept the command waiting",
        "the link goes, the file that it names stays as it is; so with pipes and second names of files",
        "tests/unit/files/test_writing.py::test_nothing_is_written_through_what_others_put_beside_a_file",
    ),
    Attack(
        "the same at `out.csv.partial`, where rows are kept until the end",
        "the file that a dangling link names was made, and held the rows",
        "refused in words",
        "tests/unit/apps/cli/test_row_file.py::test_rows_go_through_no_link_or_pipe_in_a_shared_folder",
    ),
    Attack(
        "an entry with a right checksum, put into a shared `EARNEST_CACHE` by another user",
        "was believed: features, or a compiled model",
        "is made anew; new folders are the user's alone",
        "tests/unit/files/test_cache.py::test_an_entry_of_another_user_is_made_anew",
    ),
    Attack(
        "a tar file of 205 KB with a member of -512 bytes, for `batch`",
        "its headers were read again and again: no end in 40 s (Python 3.11.7)",
        "refused in words",
        "tests/unit/apps/batch/test_tar.py::test_a_size_below_zero_is_no_member",
    ),
    Attack(
        "a tar file with 80 KB of digits in a pax header, for `batch`",
        "46 s, and four times as long for twice as many (Python 3.11.7)",
        "refused in words; 1 MiB takes less than 2 s of CPU",
        "tests/unit/apps/batch/test_tar.py::test_headers_cost_no_more_time_than_their_bytes",
    ),
    Attack(
        "a Parquet table of 2.6 KB whose 16 rows name one cell of 60 MiB, for `batch`",
        "920 MiB in one process, and not done after 75 s",
        "one row at a time: 100 rows of 20 MiB take less than 600 MiB",
        "tests/unit/apps/batch/test_inputs.py::test_a_small_table_takes_no_memory_a_row",
    ),
    Attack(
        "a list for `batch` that names `http://127.0.0.1/…`",
        "was asked without a word",
        "is asked too, but the plan names the machine first",
        "tests/unit/apps/batch/test_plan.py::test_a_plan_says_which_other_machines_its_list_names",
    ),
    Attack(
        "a recording called `=1+1.wav`, its row copied in the desktop with Ctrl+C",
        "a formula where it was pasted into a spreadsheet (by reading)",
        "a text, with the mark that CSV has",
        "tests/integration/desktop/test_files.py::test_copied_rows_are_no_formulas_and_keep_their_columns",
    ),
    Attack(
        "a recording called `a\\nb.wav`",
        "two rows of CSV, and --resume refused its own file",
        "one row, found again",
        "tests/integration/test_one_writer.py::test_recordings_of_any_name_are_one_row_each_and_are_found_again",
    ),
    Attack(
        "a Parquet table of 1.5 MB with one page of 1.5 GiB, as predictions, manifest, own recordings or for `batch`",
        "5.9 GiB, read as predictions",
        "refused by the page's header, before anything is unpacked",
        "tests/unit/files/test_parquet_pages.py::test_a_page_that_swells_is_refused_before_it_is_unpacked",
    ),
    Attack(
        "a Parquet table of predictions of 3 KB whose rows name one cell of 60 MiB",
        "a copy of it for each of 1,024 rows",
        "1 GiB at a time at most",
        "tests/unit/files/test_parquet_pages.py::test_rows_that_share_a_large_cell_are_read_a_few_at_a_time",
    ),
    Attack(
        "names that are no UTF-8, `\\xff.wav` and `\\xfe.wav`",
        "one and the same path in every file",
        "two paths, found again in CSV, JSON lines and Parquet",
        "tests/unit/apps/cli/test_row_file.py::test_names_of_any_bytes_are_found_again_and_differ",
    ),
    Attack(
        "a recording called `=1+1.wav`, `@…`, `+…`, `-…`, a tab or a full-width sign first",
        "a formula in the CSV, computed by spreadsheets",
        "a text (`'=1+1.wav`), read back as it was; in timelines, manifests, the server and the page too",
        "tests/unit/files/test_tables.py::test_a_cell_never_begins_as_a_formula_does",
    ),
    Attack(
        "`--resume` on 900 damaged files of predictions (CSV, JSON lines, Parquet)",
        "341 tracebacks, in 21 places",
        "0 tracebacks: words, or rows that can be read again",
        "tests/unit/apps/cli/test_row_file.py::test_whatever_is_damaged_only_words_or_rows_come_back",
    ),
    Attack(
        "`--resume` on 12 foreign files",
        "11 tracebacks",
        "words; the file stays as it was",
        "tests/unit/apps/cli/test_row_file.py::test_a_foreign_file_is_refused_in_words_and_stays",
    ),
    Attack(
        "`--resume` where `NAME.partial` is somebody else's",
        "its last line was cut off before it was looked at",
        "words; the file stays as it was",
        "tests/unit/apps/cli/test_row_file.py::test_a_foreign_journal_is_refused_in_words_and_stays",
    ),
    Attack(
        "`--output` names a file that is there",
        "overwritten without a word",
        "refused; --overwrite and --resume are named",
        "tests/unit/apps/cli/test_row_file.py::test_what_is_there_is_neither_overwritten_nor_gone_on_with_unasked",
    ),
    Attack(
        "`--output` names a device",
        "the device (`/dev/null`, as root) became a regular file",
        "refused in words",
        "tests/unit/files/test_writing.py::test_nothing_is_overwritten_unasked",
    ),
    Attack(
        "the disk is full in the middle of a row",
        "half a row stayed, and the next one was glued to it",
        "the row is there or it is not; words name --resume",
        "tests/unit/apps/cli/test_row_file.py::test_on_a_full_disk_a_row_is_there_or_it_is_not",
    ),
    Attack(
        "predictions of a finished fold are changed by hand",
        "taken over by evaluate, stress and export without a word",
        "refused by their SHA-256 in `SHA256SUMS`",
        "tests/integration/test_one_writer.py::test_a_result_that_was_changed_since_is_told_by_evaluate_and_stress_and_export",
    ),
)
