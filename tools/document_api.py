"""docs/api.md from docstrings: what a notebook or a program of one's own imports.

`python -m tools.generate --write` writes it.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"

HEAD = """\
# Python

What a notebook or a program of yours imports, from the docstrings (`make generate` writes this page). Shapes are in
brackets: N samples, C channels, H rows, W columns, K classes. All else of the package may change with any release.
"""

GROUPS: dict[str, tuple[str, ...]] = {
    "A trained model": ("samebits.load", "samebits.TrainedModel", "samebits.Answer"),
    "A checkpoint as an `nn.Module`": (
        "samebits.checkpoints.checkpoint.load_checkpoint",
        "samebits.checkpoints.checkpoint.Checkpoint",
    ),
    "Prepared data as `Dataset` and `DataLoader`": (
        "samebits.data.loading.torch_dataset.make_loader",
        "samebits.data.loading.torch_dataset.PreparedDataset",
        "samebits.data.loading.torch_dataset.EpochBatchSampler",
    ),
    "Protocols of your own classes": (
        "samebits.protocols.Loss",
        "samebits.protocols.Metric",
        "samebits.protocols.Augmentation",
        "samebits.protocols.MaskAugmentation",
        "samebits.protocols.Task",
        "samebits.protocols.DerivesMetrics",
    ),
}

_RETURNED = {"TrainedModel", "Answer", "Checkpoint"}
"""Functions give these; nobody makes one."""

_WIDTH = 100
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
_HEADINGS = {"Args": "argument", "Attributes": "attribute", "Raises": "error", "Returns": "returns", "Yields": "yields"}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(name) for name in names]
    return "\n".join(parts)


def _entry(name: str) -> str:
    module, _, last = name.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    parts = [f"### `{name}`\n", _code(last, found), _text(found)]
    for member, value in _members(found) if inspect.isclass(found) else ():
        signature = f"{last}.{member}"
        shown = _code(signature, value) if callable(value) else f"    {signature}\n"
        parts += [shown, _text(value)]
    return "\n".join(part for part in parts if part)


def _members(of: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties with a docstring of the class itself: `__call__` and public ones."""
    for name, value in vars(of).items():
        public = name == "__call__" or not name.startswith("_")
        if public and (inspect.isfunction(value) or isinstance(value, property)) and value.__doc__:
            yield name, value


def _code(name: str, found: Any) -> str:
    """The call, with its annotations and defaults as they are written; empty for what is not called by a user."""
    if inspect.isclass(found) and (name in _RETURNED or getattr(found, "_is_protocol", False)):
        return ""
    signature = inspect.signature(found)
    arguments = list(_arguments(signature.parameters.values()))
    result = "" if inspect.isclass(found) else f" -> {_annotation(signature.return_annotation)}"
    shown = f"{name}({', '.join(arguments)}){result}"
    if len(shown) > _WIDTH:
        shown = "\n".join([f"{name}(", *(f"    {each}," for each in arguments), f"){result}"])
    return f"```python\n{shown}\n```\n"


def _arguments(parameters: Iterable[inspect.Parameter]) -> Iterator[str]:
    before: Any = None
    for each in parameters:
        if each.name == "self":
            continue
        if before is inspect.Parameter.POSITIONAL_ONLY and each.kind is not before:
            yield "/"
        if each.kind is inspect.Parameter.KEYWORD_ONLY is not before:
            yield "*"
        before = each.kind
        default = "" if each.default is inspect.Parameter.empty else f" = {each.default!r}"
        star = "**" if each.kind is inspect.Parameter.VAR_KEYWORD else ""
        yield f"{star}{each.name}: {_annotation(each.annotation)}{default}"
    if before is inspect.Parameter.POSITIONAL_ONLY:
        yield "/"


def _annotation(value: Any) -> str:
    return value if isinstance(value, str) else inspect.formatannotation(value)


def _text(found: Any) -> str:
    """A docstring as Markdown: paragraphs and code as they are, each of its sections as a table."""
    lines = (inspect.getdoc(found) or "").splitlines()
    out: list[str] = []
    index = 0
    while index < len(lines):
        section = _SECTION.match(lines[index])
        if not section:
            out.append(lines[index])
            index += 1
            continue
        rows, index = _rows(lines, index + 1)
        if section[1] == "Args" and getattr(found, "__name__", "") in _RETURNED:
            continue
        if rows and rows[0][0]:
            out += [f"| {_HEADINGS[section[1]]} | meaning |", "|---|---|"]
            out += [f"| `{name}` | {meaning} |" for name, meaning in rows] + [""]
        else:
            out += [f"{section[1]}: " + " ".join(meaning for _, meaning in rows), ""]
    return "\n".join(out).rstrip() + "\n"


def _rows(lines: list[str], index: int) -> tuple[list[tuple[str, str]], int]:
    """(name, meaning) of the indented lines from `index` on, and the index after them."""
    rows: list[tuple[str, str]] = []
    while index < len(lines) and (not lines[index] or lines[index].startswith("    ")):
        line = lines[index]
        named = re.match(r"^ {4}([\w*, ]+): (.*)$", line)
        if named:
            rows.append((named[1], named[2].strip()))
        elif line.strip():
            name, meaning = rows.pop() if rows else ("", "")
            rows.append((name, f"{meaning} {line.strip()}".strip()))
        index += 1
    return [(name, meaning.replace("|", "\\|")) for name, meaning in rows], index
