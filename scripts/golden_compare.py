"""Comparison of golden runs: the outputs that they keep, neutralised, and compared with others.

Neutralised, in text alone (`neutral`): the folders of the run and of the tree; in ``SHA256SUMS`` the digests, because
each file that it names is compared itself; in ``run.json`` the digest of the code that trained; in ``history.csv`` the
seconds of an epoch. Left out (`LEFT_OUT`), because they carry times: TensorBoard's events (``history.csv`` has the same
numbers) and Optuna's study (``trials.csv`` has its trials). A file above `MOST_BYTES` is kept as its SHA-256. All else
is compared byte for byte, pictures and weights too.
"""

import csv
import hashlib
import io
import json
import re
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_BYTES = 1_000_000
LEFT_OUT = ("*.stderr", "tensorboard/*", "study.db")
DIGEST = ".sha256-of-large"
TEXT = frozenset({".txt", ".json", ".jsonl", ".csv", ".toml", ".md", ".html", ".svg", ".eaf", ""})


@dataclass(frozen=True)
class Mapping:
    """Names changed on purpose since the golden runs were frozen.

    Attributes
    ----------
    words : word of a command line as frozen → as it is now
    files : path below the outputs as frozen, or the beginning of one → as it is now
    keys : key of a JSON or TOML file, or column of a CSV file, as frozen → as it is now
    text : piece of any text as frozen → as it is now
    gone, new : keys that were removed, that were added
    """

    words: MappingOf[str, str] = field(default_factory=dict)
    files: MappingOf[str, str] = field(default_factory=dict)
    keys: MappingOf[str, str] = field(default_factory=dict)
    text: MappingOf[str, str] = field(default_factory=dict)
    gone: Sequence[str] = ()
    new: Sequence[str] = ()

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """Read a TOML file with the tables of the attributes."""
        return cls(**tomllib.loads(path.read_text(encoding="utf-8")))

    def path(self, path: str) -> str:
        """Return where a frozen file lies now."""
        for old, new in self.files.items():
            if path == old or path.startswith(old.rstrip("/") + "/"):
                return new + path[len(old) :]
        return path

    def texts(self, text: str) -> str:
        """Return a frozen text with today's words."""
        for old, new in self.text.items():
            text = text.replace(old, new)
        return text


def keep(work: Path, folder: Path, runs: Sequence[str], places: MappingOf[str, str]) -> None:
    """Copy what the runs wrote below ``work`` into ``folder``, neutralised, large files as digests."""
    for run in runs:
        for path in sorted((work / run).rglob("*")):
            inside = path.relative_to(work)
            if path.is_dir() or any(inside.match(pattern) for pattern in LEFT_OUT):
                continue
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.stat().st_size > MOST_BYTES and path.suffix not in TEXT:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                target.with_name(target.name + DIGEST).write_text(
                    f"{path.stat().st_size} bytes, {digest}\n", encoding="utf-8"
                )
            elif path.suffix in TEXT:
                target.write_bytes(neutral(path.name, path.read_bytes(), places))
            else:
                shutil.copyfile(path, target)


def neutral(name: str, content: bytes, places: MappingOf[str, str]) -> bytes:
    """Return the content of a text file without what differs between two runs of the same code."""
    for place, stands_for in places.items():
        content = content.replace(place.encode(), stands_for.encode())
    if name == "SHA256SUMS":
        content = re.sub(rb"^[0-9a-f]{64}", b"<sha256>", content, flags=re.MULTILINE)
    if name == "run.json":
        content = re.sub(rb'("code": )"[0-9a-f]{64}"', rb'\1"<sha256>"', content)
    if name == "history.csv":
        content = _without_seconds(content)
    return content


def _without_seconds(content: bytes) -> bytes:
    """Return a CSV table of numbers without those of the column "seconds", wherever that stands."""
    header, *rows = (line.split(b",") for line in content.split(b"\r\n"))
    if b"seconds" not in header:
        return content
    at = header.index(b"seconds")
    told = [[*row[:at], b"<seconds>", *row[at + 1 :]] if len(row) > at else row for row in rows]
    return b"\r\n".join(b",".join(row) for row in [header, *told])


def differences(frozen: Path, now: Path, runs: Sequence[str], mapping: Mapping) -> Iterator[str]:
    """Yield a line for each file of the runs that is missing, new or different."""
    had = {mapping.path(path): path for path in _files(frozen, runs)}
    has = set(_files(now, runs))
    for path in sorted(had.keys() | has):
        if path not in has:
            yield f"{path}: missing"
        elif path not in had:
            yield f"{path}: new"
        elif told := difference(had[path], (frozen / had[path]).read_bytes(), (now / path).read_bytes(), mapping):
            yield f"{path}: {told}"


def difference(name: str, frozen: bytes, now: bytes, mapping: Mapping) -> str:
    """Return where two contents differ first, "" where they don't but for what was renamed on purpose."""
    if frozen == now:
        return ""
    if Path(name).suffix not in TEXT:
        position = next(
            (at for at, (a, b) in enumerate(zip(frozen, now, strict=False)) if a != b), min(len(frozen), len(now))
        )
        return f"byte {position:,}; {len(frozen):,} bytes were {len(now):,}"
    old, new = mapping.texts(frozen.decode("utf-8", "replace")), now.decode("utf-8", "replace")
    if mapping.keys or mapping.gone or mapping.new:
        old, new = _plain(name, old, mapping.keys, mapping.gone), _plain(name, new, {}, mapping.new)
    return "" if old == new else _first(old, new)


def _files(folder: Path, runs: Sequence[str]) -> list[str]:
    """Return the files of the runs, as paths below ``folder``."""
    return [path.relative_to(folder).as_posix() for run in runs for path in (folder / run).rglob("*") if path.is_file()]


def _plain(name: str, text: str, renamed: MappingOf[str, str], gone: Sequence[str]) -> str:
    """Return JSON, TOML or CSV with other keys and without those that are gone, sorted by key; else the text itself."""
    suffix = Path(name).suffix
    try:
        if suffix == ".csv":
            documents: list[Any] = list(csv.DictReader(io.StringIO(text)))
        elif suffix == ".toml":
            documents = [tomllib.loads(text)]
        elif suffix in {".json", ".jsonl", ".txt"}:
            documents = _json_documents(text)
        else:
            return text
    except ValueError:
        return text
    plain = (_with_keys(document, "", renamed, gone) for document in documents)
    return "\n".join(json.dumps(document, indent=1, sort_keys=True) for document in plain)


def _json_documents(text: str) -> list[Any]:
    """Return the one document of a text, or that of each line."""
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]


def _with_keys(value: Any, place: str, renamed: MappingOf[str, str], gone: Sequence[str]) -> Any:
    """Return a copy in which keys have other names; "training.changes" means the key of that table alone."""
    if isinstance(value, list):
        return [_with_keys(item, place, renamed, gone) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, inner in value.items():
        here = f"{place}.{key}"
        if any(here.endswith(f".{name}") for name in gone):
            continue
        name = next((new for old, new in renamed.items() if here.endswith(f".{old}")), str(key))
        found[name] = _with_keys(inner, here, renamed, gone)
    return found


def _first(old: str, new: str) -> str:
    """Return the first line that differs, from a little before the first character that does."""
    olds, news = old.splitlines(keepends=True), new.splitlines(keepends=True)
    for number, (was, is_now) in enumerate(zip(olds, news, strict=False), 1):
        if was != is_now:
            at = next(
                (at for at, (a, b) in enumerate(zip(was, is_now, strict=False)) if a != b), min(len(was), len(is_now))
            )
            start = max(0, at - 30)
            return f"line {number}: {was[start : at + 50]!r} is now {is_now[start : at + 50]!r}"
    return f"{len(olds)} lines were {len(news)}"
