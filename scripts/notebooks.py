"""Run the notebooks of docs/notebooks without Jupyter, and keep what their cells show.

    python scripts/notebooks.py [NOTEBOOK ...]      # all of them, in order; outputs are written back

Each notebook runs in a process of its own, in a copy of the folder, so that nothing but outputs changes. What is run is
Python, lines that begin with "!" as commands, the last expression as the cell's value unless ";" ends it, and open
figures of pyplot. Any error ends it. The tests run them the same way, and write nothing back.
"""

import ast
import base64
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
DPI = 60  # outputs are kept in the repository
ENVIRONMENT = {"COLUMNS": "88", "NO_COLOR": "1", "MPLBACKEND": "agg", "PYTHONIOENCODING": "utf-8"}


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "notebooks"
        shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns("work", "__pycache__"))
        for path in [Path(name) for name in names] or sorted(FOLDER.glob("*.ipynb")):
            sys.stdout.write(f"{path.name}\n")
            executed(work / path.name)
            shutil.copy(work / path.name, FOLDER / path.name)


def executed(path: Path) -> dict[str, Any]:
    """Run a notebook in its folder, with new outputs written into it; return it."""
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, "-W", "error::FutureWarning", __file__, "--here", path.name]
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{path.name}: {done.stdout[-2000:]}{done.stderr[-4000:]}")
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def run_here(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    sys.path.insert(0, ".")
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        cell["outputs"] = outputs_of("".join(cell["source"]), names)
        cell["execution_count"] = number
        for output in cell["outputs"]:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def outputs_of(source: str, names: dict[str, Any]) -> list[dict[str, Any]]:
    """Run one cell; return what it prints, draws and ends in, as a notebook keeps it."""
    names["_shell"] = shell
    tree = ast.parse("\n".join(map(as_python, source.splitlines())))
    shown = tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";")
    last = tree.body.pop() if shown else None
    value, printed = None, io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if last is not None:
            assert isinstance(last, ast.Expr)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        data = {"text/plain": repr(value).splitlines(True)}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = value._repr_html_().splitlines(True)
        outputs.append({"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": None})
    return [*outputs, *figures()]


def as_python(line: str) -> str:
    """Return a line of Python for a line that may be a command."""
    return f"_shell({line[1:]!r})" if line.startswith("!") else line


def shell(command: str) -> None:
    words = command.strip().replace("earnest ", f"{sys.executable} -m earnest ", 1)
    done = subprocess.run(words, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    sys.stdout.write(done.stdout)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stdout}")


def figures() -> list[dict[str, Any]]:
    """Return the open figures of pyplot as pictures, and close them."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    from matplotlib import pyplot
    from PIL import Image

    outputs = []
    for number in pyplot.get_fignums():
        drawn, content = io.BytesIO(), io.BytesIO()
        pyplot.figure(number).savefig(drawn, format="png", dpi=DPI)
        Image.open(drawn).convert("RGB").save(content, "PNG", optimize=True, dpi=(DPI, DPI))  # nothing shines through
        data = {"image/png": base64.b64encode(content.getvalue()).decode(), "text/plain": ["<Figure>"]}
        outputs.append({"output_type": "display_data", "data": data, "metadata": {}})
    pyplot.close("all")
    return outputs


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        run_here(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
