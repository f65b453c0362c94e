"""Who may import whom (handbook, section 1): each part its own line and the lines above it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import earnest

ROOT = Path(earnest.__file__).parent
LINES = (
    {"errors", "installation"},
    {"files", "labels", "registry", "settings", "onnx", "progress"},
    {"audio", "corpora", "workers"},
    {"bundle", "evaluation", "frontends", "augment"},
    {"runtime", "models", "plots"},
    {"learning"},
    {"training"},
    {"experiments", "export", "report", "own"},
    {"apps", "client", "sklearn", "testing", "__main__"},
)
LINE_OF = {part: number for number, line in enumerate(LINES) for part in line}
FORBIDDEN = {("runtime", "models"), ("runtime", "frontends"), ("testing", "apps")}
MAY_IMPORT_TORCH = (
    "frontends/",
    "augment/spec_augment",
    "models/",
    "training/",
    "experiments/",
    "export/",
    "testing/models",
)
TORCH = {"torch", "lightning", "pytorch_optimizer", "torchmetrics", "safetensors", "onnxscript", "tensorboard"}
# The server is what these packages are for: `earnest serve` imports it, and explains when they are not there.
SERVER = "apps/server/"
SERVER_PACKAGES = {"anyio", "fastapi", "starlette", "uvicorn", "h11", "prometheus_client", "pydantic"}
CLIENT = "client/clients.py"  # whose streams have a thread of anyio's
# What the module earnest.sklearn is for: it explains when that is not there.
SKLEARN = "sklearn.py"
# So is the application with a window: `earnest desktop` imports it, and explains.
DESKTOP = "apps/desktop/"
DESKTOP_PACKAGES = {"PySide6", "pyqtgraph"}
LIGHT = {"numpy", "onnxruntime", "soundfile", "soxr", "click", "rich"}
MODULES = sorted(ROOT.rglob("*.py"))


def imports(tree: ast.AST, at_top: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield (module, whether it is imported as soon as the file is); type-checking blocks are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "earnest":
                yield from ((f"earnest.{alias.name}", at_top) for alias in node.names)
            else:
                yield node.module or "", at_top
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        else:
            in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports(node, at_top and not in_function)


def imports_of(path: Path) -> list[tuple[str, bool]]:
    return list(imports(ast.parse(path.read_text(encoding="utf-8"))))


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_part_has_its_line() -> None:
    parts = {part_of(path) for path in MODULES} - {"__init__"}
    assert parts <= LINE_OF.keys()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_its_own_line_and_the_lines_above(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":  # `earnest.load` is a way in: it imports inside functions only
        assert not [
            name
            for name, at_top in imports_of(path)
            if at_top and name.startswith("earnest.") and name not in ("earnest.errors", "earnest.installation")
        ]
        return
    for name, _ in imports_of(path):
        words = name.split(".")
        if words[0] != "earnest" or len(words) < 2 or words[1] not in LINE_OF:
            continue
        assert LINE_OF[words[1]] <= LINE_OF[part], f"{path} imports {name}"
        assert (part, words[1]) not in FORBIDDEN, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_torch_stays_in_its_parts_and_heavy_packages_inside_functions(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    if relative.startswith(MAY_IMPORT_TORCH):
        return
    for name, at_top in imports_of(path):
        package = name.split(".")[0]
        assert package not in TORCH, f"{relative} imports {name}"
        is_client = (package, relative, at_top) == ("anyio", CLIENT, False)
        assert package not in SERVER_PACKAGES or relative.startswith(SERVER) or is_client, f"{relative} imports {name}"
        assert package not in DESKTOP_PACKAGES or relative.startswith(DESKTOP), f"{relative} imports {name}"
        assert not name.startswith("earnest.apps.desktop") or relative.startswith(DESKTOP) or not at_top
        assert not name.startswith("earnest.apps.server") or relative.startswith(SERVER) or not at_top
        own = {"earnest", *SERVER_PACKAGES, *DESKTOP_PACKAGES}
        is_own = package in own or (package, relative) == ("sklearn", SKLEARN)
        known = package in LIGHT or is_own or package in sys.stdlib_module_names
        assert known or not at_top, f"{relative} imports {name} at the top; do it inside the function that needs it"
