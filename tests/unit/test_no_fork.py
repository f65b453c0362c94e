"""Nothing forks: torch, ONNX Runtime and decoders have threads of their own, whose locks a fork would keep for ever."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# chaos.py kills hundreds of copies of a process that has loaded everything and started no thread.
ALLOWED = {ROOT / "scripts" / "chaos.py"}
FOLDERS = ("earnest", "scripts", "benchmarks")
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) if path not in ALLOWED]
# What starts processes → the keyword, or the place among the arguments, of what says how.
STARTS = {"ProcessPoolExecutor": ("mp_context", 1), "DataLoader": ("multiprocessing_context", None)}
FORKS = {
    ("os", "fork"),
    ("os", "forkpty"),
    ("pty", "fork"),
    ("multiprocessing", "Process"),
    ("multiprocessing", "Pool"),
}


def forks_in(text: str) -> list[int]:
    """Return the lines that start a process by what is the platform's habit, which was a fork before Python 3.14."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called, given = node.func, {word.arg: word.value for word in node.keywords}
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            found += [node.lineno] * ((called.value.id, called.attr) in FORKS)
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        keyword, place = STARTS.get(name, ("", None))
        starts = name == "ProcessPoolExecutor" or (name == "DataLoader" and "num_workers" in given)
        if starts and keyword not in given and (place is None or len(node.args) <= place):
            found.append(node.lineno)
        if name in ("get_context", "set_start_method"):
            method = [word.value for word in node.args if isinstance(word, ast.Constant)]
            found += [node.lineno] * (method not in (["spawn"], ["forkserver"]))
    return found


def test_no_process_is_forked() -> None:
    # The golden runs fork a process that has loaded torch and computed nothing: no thread of it has started.
    sources = [path for path in SOURCES if path.name != "golden_runs.py"]
    found = {str(path.relative_to(ROOT)): forks_in(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "text",
    [
        "ProcessPoolExecutor(2)",
        "DataLoader(rows, num_workers=1)",
        "os.fork()",
        "multiprocessing.Process(target=work)",
        "ProcessPoolExecutor(2, get_context('fork'))",
        "get_context()",
    ],
)
def test_a_fork_is_found(text: str) -> None:
    assert forks_in(text)
