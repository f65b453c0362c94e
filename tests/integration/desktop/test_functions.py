"""The table of functions beside this file."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent


def test_each_function_names_tests_that_are_there_and_each_test_a_function() -> None:
    named = set(re.findall(r"`(test_\w+)`", (HERE / "functions.md").read_text(encoding="utf-8")))
    there = {
        node.name
        for path in HERE.glob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path != Path(__file__)
    }
    assert named - {"test_functions"} == there
