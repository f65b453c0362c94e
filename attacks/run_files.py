"""Files that lie where we want to write, names that break rows, and processes that die or meet."""

import csv
import io
import json
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

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
