"""Measure the package as a house: files, lines, rooms, imports, names, functions, and the ways through it.

    python scripts/house.py 005c22a .                            # a markdown table; "." is the working tree
    python scripts/house.py 005c22a . --write docs/house.md      # the page; --names lists what is counted

Every number is of ``earnest/**/*.py``, which is what a wheel installs, read with `ast` and `tokenize`; nothing is run
but for the two walks (`house_walk.py`; ``--no-walks`` leaves them out). What each line of the table means stands in
`MEANINGS`, below the table on the page.
"""

import argparse
import ast
import io
import json
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).parents[1]
PACKAGE = "earnest"
SHORT_LINES = 80  # a module with one importer and fewer lines has to say what it is for
FOR_TOOLS = re.compile(r"#\s*(noqa|type:|fmt:|pragma|mypy|ruff)")
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
MEANINGS = {
    "files": "modules that are installed",
    "lines": "all their lines",
    "non-blank lines": "lines with more than white space",
    "lines a file": "median / longest",
    "comments": "lines with a comment, of the non-blank lines; docstrings and comments for tools (noqa) do not count",
    "public docstrings": "public modules, classes, functions and methods (no name begins with _) that have one",
    "modules with one importer": "modules that exactly one other module imports, anywhere in it / those under 80 lines",
    "circles of modules": "groups of modules that import each other, directly or through others: by the imports of a "
    "module that is loaded / by those inside functions too",
    "circles of rooms": "the same, each top folder (or file) taken as one",
    "public class names that mean two things": "top-level classes of one name in two modules, no underscore before it",
    "lines a function": "from def to its last line: median / 90 % / longest",
    "files of an evaluation": "files through which its task or a waveform passes / files of which any function is "
    "called, in `earnest evaluate` of one fold; `scripts/house_walk.py` says how both are found",
    "files of a prediction": "the same for `earnest predict` of one clip with the default bundle",
}


@dataclass(frozen=True)
class Function:
    """Where a function is and how long."""

    name: str
    n_lines: int


@dataclass(frozen=True)
class Module:
    """One source file.

    Attributes
    ----------
    name : dotted, with the package: "earnest.audio.io"; a package's own file has the package's name
    """

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """The top folder or file: "audio" of "earnest.audio.io", "" of the package's own file."""
        return (*self.name.split("."), "")[1]

    @property
    def n_written(self) -> int:
        """Number of lines that are not blank."""
        return sum(bool(line.strip()) for line in self.lines)

    @property
    def n_commented(self) -> int:
        """Number of lines with a comment for a reader, not one for a tool alone."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = (token for token in tokens if token.type == tokenize.COMMENT)
        return len({token.start[0] for token in comments if not FOR_TOOLS.match(token.string)})

    @property
    def classes(self) -> list[str]:
        """Names of public classes at the top level."""
        return [
            node.name for node in self.tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]

    @property
    def functions(self) -> Iterator[Function]:
        """All functions and methods, those inside others too."""
        for node in ast.walk(self.tree):
            if isinstance(node, FUNCTION):
                yield Function(f"{self.name}.{node.name}", (node.end_lineno or 0) - node.lineno + 1)

    @property
    def documented(self) -> Iterator[bool]:
        """For each public thing, the module first, whether it has a docstring; a private module has none."""
        if not any(part.startswith("_") for part in self.name.split(".")):
            yield from _documented(self.tree)

    def imports(self, names: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Yield which of the modules ``names`` this one imports, and whether as soon as it is imported itself."""
        known = set(names)
        for base, parts, at_once in _imports(self.tree, True):
            found = {f"{base}.{part}" if f"{base}.{part}" in known else base for part in parts} if parts else {base}
            for name in found & known - {self.name}:
                yield name, at_once


@dataclass
class House:
    """All modules of one state of the package."""

    modules: Sequence[Module]
    walks: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, package: str = PACKAGE) -> "House":
        """Read ``folder/earnest``."""
        modules = []
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules.append(Module(name, path.read_text(encoding="utf-8")))
        return cls(modules)

    def graph(self, at_once: bool = False, rooms: bool = False) -> dict[str, set[str]]:
        """Return module (or room) → those that it imports; ``at_once``: without imports inside functions."""
        names = [module.name for module in self.modules]
        room_of = {module.name: module.room for module in self.modules}
        graph: dict[str, set[str]] = {name: set() for name in (room_of.values() if rooms else names)}
        for module in self.modules:
            for name, early in module.imports(names):
                start, end = (module.room, room_of[name]) if rooms else (module.name, name)
                if start != end and (early or not at_once):
                    graph[start].add(end)
        return graph

    @cached_property
    def imported_once(self) -> list[Module]:
        """Modules with exactly one importer."""
        counts = Counter(name for names in self.graph().values() for name in names)
        return [module for module in self.modules if counts[module.name] == 1]

    @cached_property
    def ambiguous(self) -> dict[str, list[str]]:
        """Public class names that two modules or more define → these modules."""
        found = defaultdict(list)
        for module in self.modules:
            for name in module.classes:
                found[name].append(module.name)
        return {name: modules for name, modules in sorted(found.items()) if len(modules) > 1}

    @cached_property
    def rooms(self) -> dict[str, tuple[int, int]]:
        """Top folder → files and lines; files beside the folders are one room, ``(top)``."""
        folders = {module.room for module in self.modules if module.name.count(".") > 1}
        found: dict[str, tuple[int, int]] = {}
        for module in self.modules:
            room = f"{module.room}/" if module.room in folders else "(top)"
            files, lines = found.get(room, (0, 0))
            found[room] = files + 1, lines + len(module.lines)
        return found

    def table(self) -> dict[str, str]:
        """Return the lines of the table: what → number, as text."""
        lines = [len(module.lines) for module in self.modules]
        written = sum(module.n_written for module in self.modules)
        documented = [has for module in self.modules for has in module.documented]
        functions = sorted(function.n_lines for module in self.modules for function in module.functions)
        short = [module for module in self.imported_once if len(module.lines) < SHORT_LINES]
        at_once, of_all = (circles(self.graph(early)) for early in (True, False))
        rooms_at_once, rooms_of_all = (circles(self.graph(early, rooms=True)) for early in (True, False))
        share = sum(module.n_commented for module in self.modules) / max(written, 1)
        return {
            "files": f"{len(lines):,}",
            "lines": f"{sum(lines):,}",
            "non-blank lines": f"{written:,}",
            "lines a file": f"{statistics.median(lines):.0f} / {max(lines)}",
            "comments": f"{100 * share:.1f} %",
            "public docstrings": f"{100 * statistics.mean(documented):.1f} %",
            "modules with one importer": f"{len(self.imported_once)} / {len(short)}",
            "circles of modules": f"{len(at_once)} / {len(of_all)}",
            "circles of rooms": f"{len(rooms_at_once)} / {len(rooms_of_all)}",
            "public class names that mean two things": str(len(self.ambiguous)),
            "lines a function": f"{statistics.median(functions):.0f} / {_percentile(functions, 90)} / {functions[-1]}",
            **{
                f"files of {way}": f"{len(files['on the way'])} / {len(files['called'])}"
                for way, files in self.walks.items()
            },
        }

    def names(self) -> str:
        """Return the names of the counted things."""
        lines = [f"one importer: {module.name} ({len(module.lines)} lines)" for module in self.imported_once]
        lines += [f"two meanings: {name}: {', '.join(modules)}" for name, modules in self.ambiguous.items()]
        for rooms in (False, True):
            lines += [f"circle: {' – '.join(sorted(circle))}" for circle in circles(self.graph(rooms=rooms))]
        longest = sorted((one for module in self.modules for one in module.functions), key=lambda one: -one.n_lines)
        lines += [f"long: {function.name} ({function.n_lines} lines)" for function in longest[:5]]
        return "\n".join(
            [*lines, *(f"{way}: {name}" for way, files in self.walks.items() for name in files["on the way"])]
        )


def circles(graph: Mapping[str, Iterable[str]]) -> list[set[str]]:
    """Return the strongly connected groups of two or more (Tarjan, 1972), the largest first."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            at = stack.index(node)
            group = set(stack[at:])
            del stack[at:]
            if len(group) > 1:
                found.append(group)

    for node in graph:
        if node not in order:
            visit(node)
    return sorted(found, key=len, reverse=True)


def _imports(node: ast.AST, at_once: bool) -> Iterator[tuple[str, list[str], bool]]:
    """Yield (module, names taken from it, whether it is run at once); blocks for the type checker are left out."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Import):
            yield from ((alias.name, [], at_once) for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            yield inner.module or "", [alias.name for alias in inner.names], at_once
        elif not (isinstance(inner, ast.If) and ast.unparse(inner.test).endswith("TYPE_CHECKING")):
            yield from _imports(inner, at_once and not isinstance(inner, FUNCTION | ast.Lambda))


def _documented(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[bool]:
    """Yield whether a thing and the public things in it have a docstring; functions inside functions don't count."""
    yield ast.get_docstring(node) is not None
    if not isinstance(node, FUNCTION):
        for inner in node.body:
            if isinstance(inner, ast.ClassDef | FUNCTION) and not inner.name.startswith("_"):
                yield from _documented(inner)


def _percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest of the sorted values that ``percent`` of them don't exceed."""
    return values[-(-len(values) * percent // 100) - 1]


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line, print the table or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="+", metavar="REV", help='what git knows, or "." for the working tree')
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page instead of printing the table")
    parser.add_argument("--names", action="store_true", help="list what is counted, of the last revision")
    parser.add_argument("--no-walks", action="store_true", help="don't follow an evaluation and a prediction")
    asked = parser.parse_args(words)
    houses = {revision: _house(revision, not asked.no_walks) for revision in asked.revisions}
    text = tables(houses)
    if asked.write:
        command = f"python scripts/house.py {' '.join(asked.revisions)} --write {asked.write.as_posix()}"
        asked.write.write_text(page(text, command), encoding="utf-8")
    else:
        sys.stdout.write(text)
    if asked.names:
        sys.stdout.write(houses[asked.revisions[-1]].names() + "\n")
    return 0


def tables(houses: Mapping[str, House]) -> str:
    """Return two markdown tables with a column a house: the numbers, and the rooms."""
    numbers = {revision: house.table() for revision, house in houses.items()}
    rooms = {revision: house.rooms for revision, house in houses.items()}
    titles = ["working tree" if revision == "." else f"`{revision}`" for revision in houses]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'---:|' * len(houses)}"]
    counted = [name for name in MEANINGS if any(name in column for column in numbers.values())]
    lines += [f"| {name} | {' | '.join(column.get(name, '') for column in numbers.values())} |" for name in counted]
    lines += ["", f"| files, lines of | {' | '.join(titles)} |", f"|---|{'---:|' * len(houses)}"]
    for room in sorted({room for column in rooms.values() for room in column}):
        cells = (f"{column[room][0]}, {column[room][1]:,}" if room in column else "" for column in rooms.values())
        lines.append(f"| {room} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str, command: str) -> str:
    """Return the page around the tables."""
    meanings = "\n".join(
        fill(f"* **{name}**: {meaning}.", 120, subsequent_indent="  ", break_on_hyphens=False)
        for name, meaning in MEANINGS.items()
    )
    return (
        "# Sizes of the parts of the code\n\n"
        "How the code is divided, measured by a script: a newcomer should find the one file to open. A *room* is a\n"
        f"folder at the top of `earnest/`. Written by `{command}`.\n\n{text}\nWhat is counted:\n\n{meanings}\n"
    )


def _house(revision: str, with_walks: bool) -> House:
    """Read one state of the package, and walk through it."""
    if revision == ".":
        return _walked(ROOT, with_walks)
    with tempfile.TemporaryDirectory() as name:
        words = ["git", "archive", "--format=tar", revision, PACKAGE, "pyproject.toml"]
        archive = subprocess.run(words, cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(name, filter="data")
        return _walked(Path(name), with_walks)


def _walked(tree: Path, with_walks: bool) -> House:
    """Read the package in ``tree``; the walks take a process of their own, in which the tree's package is loaded."""
    house = House.read(tree)
    if with_walks:
        words = [sys.executable, str(Path(__file__).with_name("house_walk.py")), str(tree)]
        house.walks = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return house


if __name__ == "__main__":
    sys.exit(main())
