"""Every attack that is told has a test, and the page tells what the folder holds."""

import ast
from pathlib import Path

from attacks import attacks
from attacks.__main__ import PAGE, page

ROOT = Path(__file__).parents[2]


def test_every_attack_names_a_test_that_exists() -> None:
    for area, attack in attacks():
        path, _, name = attack.test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name.partition("[")[0].rpartition("::")[2] in functions, f"{area}: {attack.name}"


def test_the_page_tells_what_the_folder_holds() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
