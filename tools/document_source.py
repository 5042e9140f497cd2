"""Lines of the source that pages show, so that the two cannot get out of step.

`python -m tools.generate --write` writes them.

A page names what it shows, and the tool fills in what lies between the two comments:

    <!-- source: src/samebits/training/loop.py Training._step from "if state.scaler:" to "optimizer.step()" -->
    <!-- end -->

Without `from` and `to` it is the whole function or class; without a name the texts are looked for in the whole file.
`from` is part of one line alone; `to` is part of the first such line from there on.
"""

from __future__ import annotations

import ast
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

_PART = re.compile(
    r'^<!-- source: (?P<file>\S+)(?: (?P<name>[\w.]+))?(?: from "(?P<first>[^"]+)" to "(?P<last>[^"]+)")? -->\n'
    r"(?P<shown>.*?)^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)


def stale() -> Iterator[tuple[Path, str]]:
    """The pages that differ from the source, and what they should be.

    Raises:
        ValueError: if the source does not have what a page names; the message says where.
    """
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if (wanted := filled(text, path)) != text:
            yield path, wanted


def filled(text: str, page: Path) -> str:
    """A page with the lines that it names."""

    def fill(match: re.Match[str]) -> str:
        file = ROOT / match["file"]
        lines = _lines(file, match["name"] or "", match["first"], match["last"])
        link = os.path.relpath(file, page.parent).replace(os.sep, "/")
        name = f"`{match['name']}` in " if match["name"] else ""
        head = match[0].partition("\n")[0]
        return f"{head}\n\n{name}[{match['file']}]({link}):\n\n```python\n{lines}```\n\n<!-- end -->"

    return _PART.sub(fill, text)


def _lines(file: Path, name: str, first: str | None, last: str | None) -> str:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    node: ast.AST = ast.parse("".join(lines))
    for each in name.split(".") if name else ():
        node = _inner(node, each, f"{file}: {name}")
    start, end = (node.lineno - 1, node.end_lineno) if isinstance(node, ast.stmt) else (0, len(lines))
    found = lines[start:end]
    if first and last:
        found = _between(found, first, last, f"{file} {name}".strip())
    return textwrap.dedent("".join(found))


def _inner(node: ast.AST, name: str, place: str) -> ast.stmt:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name:
            return each
    raise ValueError(f"{place}: there is no {name}")


def _between(lines: list[str], first: str, last: str, place: str) -> list[str]:
    starts = [index for index, line in enumerate(lines) if first in line]
    if len(starts) != 1:
        raise ValueError(f"{place}: {len(starts)} lines have {first!r}")
    for index in range(starts[0], len(lines)):
        if last in lines[index]:
            return lines[starts[0] : index + 1]
    raise ValueError(f"{place}: no line from {first!r} on has {last!r}")
