"""Which code a stage depends on, derived from its imports without running it.

python tools/stage_deps.py          show the code of each stage that dvc.yaml should list
python tools/stage_deps.py --write  write the lists into dvc.yaml (a contract test compares)
"""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"

OBSERVERS = (
    "samebits.tracking",
    "samebits.params.schema",
    "samebits.base.progress",
    "samebits.base.redaction",
    "samebits.base.terminal",
)
"""Modules that stages use and that cannot change what a stage writes: they record, validate or show.

tests/exact shows it for recording; the schema can only stop a run, the progress only prints, the list of what
looks like a credential only blots that out of messages, and the terminal only escapes."""

DATA_FILES = {".j2"}
"""Beside its Python files, what a package reads at run time."""

_NAME = re.compile(r"samebits(\.\w+)+(:\w+)?")


def module_file(name: str) -> Path | None:
    """The file of a module or package of src, or None."""
    base = SRC.joinpath(*name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules of samebits that a file names: in imports (not those for type checkers alone) and in registry strings."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = _typing_only(tree) | _docstrings(tree)
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            found.add(node.value.partition(":")[0])
    return frozenset(name for name in found if name.startswith("samebits") and module_file(name))


def _typing_only(tree: ast.Module) -> set[int]:
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {id(inner) for block in blocks for inner in ast.walk(block)}


def _docstrings(tree: ast.Module) -> set[int]:
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return {
        id(node.body[0].value) for node in holders if node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip


def is_observer(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in OBSERVERS)


def closure(script: Path) -> set[Path]:
    """Every file of src/samebits that a stage's script reaches, packages' `__init__.py` and templates included."""
    reached: dict[str, Path] = {}
    todo = set(imported(script))
    while todo:
        name = todo.pop()
        path = module_file(name)
        if name in reached or is_observer(name) or path is None:
            continue
        reached[name] = path
        parts = name.split(".")
        todo |= {".".join(parts[:end]) for end in range(1, len(parts))} | imported(path)
    files = set(reached.values())
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    data = {
        each
        for path, text in texts.items()
        for each in path.parent.iterdir()
        if each.suffix in DATA_FILES and each.name in text
    }
    return files | data


def deps(stage: str) -> list[str]:
    """A stage's script and code, relative to the root, sorted."""
    script = ROOT / "stages" / f"{stage}.py"
    return [f"stages/{stage}.py", *sorted(path.relative_to(ROOT).as_posix() for path in closure(script))]


def main() -> None:
    file = ROOT / "dvc.yaml"
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    pipeline = yaml.load(file.read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        # What is no code (data, models, reports) is written by hand.
        inputs = [each for each in stage["deps"] if not each.startswith(("stages/", "src/"))]
        stage["deps"] = inputs + deps(name)
        if "--write" not in sys.argv:
            print(f"{name}:", *stage["deps"], sep="\n  ")
    if "--write" in sys.argv:
        with file.open("w", encoding="utf-8", newline="\n") as stream:
            yaml.dump(pipeline, stream)


if __name__ == "__main__":
    main()
