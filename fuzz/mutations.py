"""Damage: bytes flipped, cut, doubled, spliced; values of JSON, TOML and tables replaced by what nobody expects."""

import csv
import io
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np

HUGE = 10**400
# What may stand where any value of JSON or TOML is expected.
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e-6,
    -50.0,
    float("nan"),
    float("inf"),
    -float("inf"),
    10**12,
    HUGE,
    "",
    "\0",
    "\x1b[31m\a",
    "\u202ecba\u2066",
    "\ud800",
    "../../etc/passwd",
    "x" * 10_000,
    "1e400",
    [],
    {},
    [None],
    [[]],
    [1, "a", None],
    {"": {"": {}}},
    {"__proto__": 1},
)
CELLS = ("", "nan", "inf", "-1", "1e400", "x" * 5_000, "\0", '"', "a\nb", "=1+1", "\u202e", "٣", "1_0", "0x10", ",,,")
ENCODINGS = ("utf-16", "utf-32", "latin-1", "utf-7", "utf-8-sig", "cp1252")
NESTED = 3_000


def damaged(seed: bytes, kind: str, rng: np.random.Generator, others: tuple[bytes, ...] = ()) -> bytes:
    """Return one damaged copy.

    Parameters
    ----------
    kind : "json", "toml", "csv", "lines" (JSON lines), "text" or "bytes"
    others : to splice with
    """
    structured = {"json": _json, "lines": _lines, "toml": _toml, "csv": _csv}.get(kind)
    if structured and rng.random() < 0.6:
        try:
            return structured(seed, rng)
        except (ValueError, RecursionError, LookupError, AttributeError, TypeError):  # not to be written in this form
            pass
    changes = (_flipped, _cut, _inserted, _removed, _repeated, _spliced, _overwritten)
    data = seed
    for _ in range(int(rng.integers(1, 5))):
        data = changes[int(rng.integers(len(changes)))](data, rng, others or (seed,))
    if kind != "bytes" and rng.random() < 0.1:
        text = data.decode("utf-8", "replace")
        return text.encode(ENCODINGS[int(rng.integers(len(ENCODINGS)))], "replace")
    return data


def extremes(kind: str) -> Iterator[bytes]:
    """Yield what every reader is given, whatever its seeds are."""
    yield from (b"", b"\0", b"\0" * 4096, b"\n" * 1000, b"\xff\xfe", b"\xef\xbb\xbf", b"x" * 2_000_000, b"\xff" * 1000)
    yield from (b"[" * NESTED + b"]" * NESTED, b'{"a":' * NESTED + b"1" + b"}" * NESTED, b"9" * 5000, b"NaN", b"null")
    if kind in ("json", "lines"):
        yield b'"' + b"\\u202e" * 1000 + b'"'
        yield b"{" + b",".join(b'"k%d":1' % number for number in range(50_000)) + b"}"
        yield b'{"a":1e999999999}'
        yield b'["' + b"x" * 1_000_000 + b'"]'
    if kind == "toml":
        yield b"a = " + b"[" * NESTED + b"]" * NESTED
        yield b".".join([b"a"] * 20_000) + b" = 1"
        yield b"[" + b".".join([b"a"] * 20_000) + b"]"
        yield b"a = 1979-99-99\nb = 9" + b"9" * 5000
        yield b"a = " + b"{a=" * NESTED + b"1" + b"}" * NESTED
    if kind == "csv":
        yield b"," * 100_000 + b"\n"
        yield b"utterance_id,path,emotion,predicted\n1," + b"x" * 200_000 + b",sad,sad\n"
        yield b'"' + b"a" * 300_000
        yield b"a,b\n" + b"1,2,3\n" * 10


def _flipped(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    changed = bytearray(data)
    for _bit in range(int(rng.integers(1, 9))):
        if changed:
            changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _inserted(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    place = int(rng.integers(len(data) + 1))
    return data[:place] + rng.bytes(int(rng.integers(1, 65))) + data[place:]


def _removed(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    place = int(rng.integers(len(data) + 1))
    return data[:place] + data[place + int(rng.integers(1, 65)) :]


def _repeated(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    first, last = sorted(int(rng.integers(len(data) + 1)) for _end in range(2))
    part = data[first : min(last, first + 4096)]
    return data[:first] + part * int(rng.integers(2, 20)) + data[last:]


def _spliced(data: bytes, rng: np.random.Generator, others: tuple[bytes, ...]) -> bytes:
    other = others[int(rng.integers(len(others)))]
    return data[: int(rng.integers(len(data) + 1))] + other[int(rng.integers(len(other) + 1)) :]


def _overwritten(data: bytes, rng: np.random.Generator, _: tuple[bytes, ...]) -> bytes:
    """Write a number that counts or sizes like to overflow at, in two, four or eight bytes of either order."""
    width, order = (2, 4, 8)[int(rng.integers(3))], ("little", "big")[int(rng.integers(2))]
    numbers = (0, 1, (1 << 8 * width) - 1, 1 << (8 * width - 1), (1 << (8 * width - 1)) - 1)
    place = int(rng.integers(max(len(data) - width, 0) + 1))
    return data[:place] + numbers[int(rng.integers(len(numbers)))].to_bytes(width, order) + data[place + width :]


def _json(seed: bytes, rng: np.random.Generator) -> bytes:
    return json.dumps(_changed(json.loads(seed), rng)).encode()


def _lines(seed: bytes, rng: np.random.Generator) -> bytes:
    lines = seed.split(b"\n")
    place = int(rng.integers(len(lines)))
    lines[place] = _json(lines[place], rng)
    return b"\n".join(lines)


def _toml(seed: bytes, rng: np.random.Generator) -> bytes:
    import tomllib

    from earnest.settings.limits import to_toml

    values = _changed(tomllib.loads(seed.decode()), rng)
    return to_toml(values).encode("utf-8", "replace") if isinstance(values, dict) else b""


def _csv(seed: bytes, rng: np.random.Generator) -> bytes:
    rows = list(csv.reader(io.StringIO(seed.decode(), newline="")))
    row = rows[int(rng.integers(len(rows)))]
    choice = rng.random()
    if choice < 0.7:
        row[int(rng.integers(len(row)))] = CELLS[int(rng.integers(len(CELLS)))]
    elif choice < 0.8:
        row.append("more")
    elif choice < 0.9:
        row.pop()
    else:
        rows.append(list(row))
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _changed(values: Any, rng: np.random.Generator) -> Any:
    """Replace, remove, rename or add one thing anywhere inside."""
    values = deepcopy(values)
    places = list(_places(values))
    if not places:
        return VALUES[int(rng.integers(len(VALUES)))]
    holder, key = places[int(rng.integers(len(places)))]
    value = VALUES[int(rng.integers(len(VALUES)))]
    choice = rng.random()
    if choice < 0.75:
        holder[key] = value
    elif choice < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder["unknown\u202e" if choice < 0.95 else f"{key}x"] = holder[key]
    else:
        holder.extend([holder[key]] * int(rng.integers(1, 1000)))
    return values


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    inside = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in list(inside):
        yield values, key
        yield from _places(value)
