"""Which modules of samebits and which packages a script reaches, derived from the imports without running them."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.helpers.workspace import ROOT

SRC = ROOT / "src"

OBSERVERS = (
    "samebits.base.boundary",
    "samebits.base.errors",
    "samebits.base.paths",
    "samebits.base.progress",
    "samebits.base.redaction",
    "samebits.base.registry",
    "samebits.base.sandbox",
    "samebits.base.signals",
    "samebits.base.terminal",
    "samebits.compute.launcher",
    "samebits.data.fetching",
    "samebits.data.loading.remote",
    "samebits.data.loading.remote_parts",
    "samebits.params.choices",
    "samebits.params.runtime",
    "samebits.params.schema",
    "samebits.pipeline",
    "samebits.sharing.shards",
    "samebits.tracking",
    "samebits.trained",
)
"""What stages use and what cannot change what they write: it records, validates, shows, names or stops.

What `data.fetching` and `sharing.shards` bring is checked against a SHA-256 that was written down before."""

DECIDING = {
    "prepare": tuple(f"samebits.data.fetching.{name}" for name in ("archives", "catalog", "leftovers")),
    "train": ("samebits.compute.launcher", "samebits.data.loading.remote", "samebits.data.loading.remote_parts"),
}
"""Parts of observers that do change what a stage writes: the members of archives, what a card says of its files."""

OBSERVING_PACKAGES = {
    "filelock": "keeps two trainings apart",
    "pydantic": "refuses values; those that it lets through are written down, in params.yaml or beside the data",
    "ruamel-yaml": "reads values of which DVC compares what it reads itself",
}
"""What the code of stages imports and what cannot change what they write, with the reason."""

CHECKING = {
    ("export/huggingface.py", "transformers"): "reads what was written, to compare it with the checkpoint",
    ("export/huggingface_tokenizer.py", "transformers"): "likewise",
}
"""What single files import and use for a check alone, with the reason: it can stop a stage, and change nothing."""

REACHED = {
    ("train", "torch"): {"networkx", "sympy"},  # torch.compile: shapes, and which parts are computed twice
    ("export", "torch"): {"networkx", "onnxscript", "sympy"},  # torch.export: shapes; torch.onnx
    ("export", "onnx"): {"protobuf"},  # writes the file
    ("export", "onnxscript"): {"ml-dtypes", "onnx-ir"},  # the graph that is written, and its types
    ("evaluate", "matplotlib"): {"kiwisolver", "pillow"},  # layout="constrained"; writes the PNG
    ("evaluate", "jinja2"): {"markupsafe"},  # escapes
}
"""Packages that a package of a stage's code has write outputs for it, and that may be upgraded without it."""

_NAME = re.compile(r"samebits(\.\w+)+(:\w+)?")


def module_file(name: str) -> Path | None:
    """The file of a module or package of src, or None."""
    base = SRC.joinpath(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def imported(path: Path) -> frozenset[str]:
    """Modules that a file names: in imports (not those for type checkers alone) and in the strings of registries."""
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
        elif isinstance(node, ast.JoinedStr):
            found |= _named_at_run_time(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            found.add(node.value.partition(":")[0])
    return frozenset(name for name in found if name.startswith("samebits") and module_file(name))


def _named_at_run_time(text: ast.JoinedStr) -> set[str]:
    """All modules of the package of which `f"samebits.PACKAGE.{name}"` names one."""
    first = text.values[0]
    if len(text.values) != 2 or not isinstance(first, ast.Constant) or not re.fullmatch(r"(\w+\.)+", str(first.value)):
        return set()
    package = SRC.joinpath(*str(first.value).strip(".").split("."))
    return {f"{first.value}{path.stem}" for path in package.glob("*.py") if path.stem != "__init__"}


def _typing_only(tree: ast.Module) -> set[int]:
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {id(inner) for block in blocks for inner in ast.walk(block)}


def _docstrings(tree: ast.Module) -> set[int]:
    holders = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return {id(node.body[0].value) for node in holders if node.body and isinstance(node.body[0], ast.Expr)}


def is_observer(name: str, stage: str) -> bool:
    return name not in DECIDING.get(stage, ()) and any(
        name == each or name.startswith(f"{each}.") for each in OBSERVERS
    )


def closure(script: Path, chosen: Iterable[str] = ()) -> set[Path]:
    """Every file of src/samebits that a stage's script reaches and that can change a result.

    Args:
        chosen: modules that params.yaml names: the model's, the task's.
    """
    reached: dict[str, Path] = {}
    todo = {*imported(script), *chosen}
    while todo:
        name = todo.pop()
        path = module_file(name)
        if name in reached or is_observer(name, script.stem) or path is None:
            continue
        reached[name] = path
        parts = name.split(".")
        todo |= {".".join(parts[:end]) for end in range(1, len(parts))} | imported(path)
    return {path for path in reached.values() if not _is_label(path)}


@cache
def _is_label(path: Path) -> bool:
    """Whether it is the __init__.py of a package with nothing in it but a description, a version and lazy names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = _typing_only(tree)
    body = [each for each in tree.body if id(each) not in skipped and getattr(each, "name", "") != "__getattr__"]
    return path.name == "__init__.py" and all(
        isinstance(each, ast.Expr | ast.ImportFrom | ast.Assign | ast.AnnAssign)
        and not any(isinstance(node, ast.Name) and not node.id.startswith("__") for node in ast.walk(each))
        for each in body
    )


def direct_packages(files: Iterable[Path]) -> set[str]:
    """Packages that these files import and that can change a result."""
    known = _distributions()
    names = {name for file in files for name in _outside(file)}
    return {canonicalize_name(known.get(name, [name])[0]) for name in names} - OBSERVING_PACKAGES.keys()


_distributions = cache(metadata.packages_distributions)


def with_reached(stage: str, packages: Iterable[str]) -> set[str]:
    """The same, with those that they have do the work."""
    found, todo = set[str](), set(packages)
    while todo:
        name = todo.pop()
        found.add(name)
        todo |= REACHED.get((stage, name), set()) - found
    return found


@cache
def _outside(path: Path) -> frozenset[str]:
    """Top-level names of what a file imports from other packages, not counting those for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = _typing_only(tree)
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    checking = {name for file, name in CHECKING if path == SRC / "samebits" / file}
    return frozenset(names - set(sys.stdlib_module_names) - {"samebits"} - checking)
