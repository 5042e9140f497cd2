"""What tests share lies in tests/helpers (functions, classes, constants) and in conftest.py files (fixtures)."""

from __future__ import annotations

import ast
import re

from tests.helpers.workspace import ROOT

FOLDERS = ("tests", "bench", "tools")
IMPORT = re.compile(r"from\s+(tests\.\S*(?:\btest_\w+|\bconftest))\s+import")


def test_nothing_is_imported_from_a_test_module_or_a_conftest() -> None:
    """As text, too: a test may hand code to another process."""
    found = [
        f"{path.relative_to(ROOT)}: {match[1]}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for match in IMPORT.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found, "move it to tests/helpers"


def test_conftests_hold_fixtures_alone() -> None:
    found = []
    for path in sorted((ROOT / "tests").rglob("conftest.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            plain = isinstance(node, (ast.ClassDef, ast.Assign, ast.AnnAssign))
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(each) for each in node.decorator_list]
                plain = not node.name.startswith("pytest_") and not any("fixture" in mark for mark in marks)
            if plain:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found, "move it to tests/helpers"
