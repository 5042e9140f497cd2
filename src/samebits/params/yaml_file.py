"""YAML files to plain values, within bounds: a file may come from anybody, and a few lines can ask for any amount.

Aliases that repeat aliases, deep nesting, numbers of thousands of digits and tags that no file of ours needs are errors
at their line, as any other.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode
from ruamel.yaml.reader import ReaderError

from samebits.base.errors import UserError

_LARGEST = 1 << 20
"""Bytes of a file. The reader is pure Python: a file of this size takes seconds."""

_DEEPEST = 100
_MOST_VALUES = 1 << 17
_LONGEST_NUMBER = 1000
"""Bits. A float holds 1,024."""

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


def read_yaml(path: Path, name: str | None = None) -> dict[str, Any]:
    """A YAML 1.2 file as plain values: `1e-3` is a float and `no` is a string, as DVC reads them.

    Args:
        name: of the file for the user; None for the path's last part.

    Raises:
        UserError: if the file is missing, is no YAML, repeats a key, is no mapping, or asks for too much.
    """
    name = name or path.name
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise UserError(f"{name} has more than {_LARGEST:,} bytes", "it is no such file, or split it")
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist", "run from the project's root, or restore it: git checkout params.yaml"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "fix its permissions, or restore it") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line} is not UTF-8: byte {error.start}", "save it as UTF-8") from None
    try:
        value = copy.deepcopy(_load(text))  # the caller's own
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{name}{place}: {_line(error.problem)}", "fix the line") from None
    except YAMLError as error:
        raise UserError(f"{name}: {_line(error)}", "fix the file") from None
    if not isinstance(value, dict):
        raise UserError(f"{name} holds no keys", "write `section:` with keys below it")
    return value


def _line(error: object) -> str:
    return next((line for line in str(error or "").splitlines() if line.strip()), "unreadable")[:300]


@lru_cache(maxsize=16)
def _load(text: str) -> Any:
    """The one document of a text; None if there is none.

    Kept by its text: a stage asks for dvc.yaml some 15 times, and the reader takes milliseconds for a kilobyte.

    Raises:
        YAMLError: a `MarkedYAMLError` wherever the place is known.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Bounded
    yaml.max_depth = _DEEPEST
    try:
        return yaml.load(text)
    except MaxDepthExceededError as error:
        error.problem = f"more than {_DEEPEST} levels of lists and sections"
        raise
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YAMLError(f"line {line} holds the control character U+{error.character:04X}") from None
    except YAMLError:
        raise
    except Exception as error:  # the library lets through what its own code raises: an escape beyond Unicode, an index
        raise YAMLError(f"it cannot be read ({type(error).__name__}: {error})") from None


class _Bounded(SafeConstructor):
    def construct_document(self, node: Node) -> Any:
        _count(node, {})
        return super().construct_document(node)

    def construct_non_recursive_object(self, node: Node, tag: str | None = None) -> Any:
        if str(node.tag) not in _TAGS:
            raise _at(node, f"the tag {str(node.tag).removeprefix('tag:yaml.org,2002:')[:60]!r} is not for this file")
        try:
            value = super().construct_non_recursive_object(node, tag)
        except YAMLError:
            raise
        except Exception:  # int(), float(), datetime() and whatever else a tag is handed to
            kind = str(node.tag).rpartition(":")[2]
            raise _at(node, f"{_shown(node)} cannot be read as {kind}") from None
        if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
            raise _at(node, f"{_shown(node)} is a number of too many digits")
        if isinstance(value, str) and "\0" in value:
            raise _at(node, "a text holds a NUL character")
        if isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
            raise _at(node, "a text holds half of a surrogate pair")
        return value


def _count(node: Node, sizes: dict[int, int | None]) -> int:
    """How many values a node holds once every alias in it is written out."""
    known = sizes.get(id(node), 0)
    if known is None:
        raise _at(node, "it holds an alias of itself")
    if known:
        return known
    sizes[id(node)] = None
    parts: list[Node] = []
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise _at(key, "a key must be a name, not a list or a section")
            parts += (key, value)
    elif not isinstance(node, ScalarNode):
        parts = node.value
    size = 1
    for part in parts:
        size += _count(part, sizes)
        if size > _MOST_VALUES:
            raise _at(node, f"more than {_MOST_VALUES:,} values, counting what its aliases stand for")
    sizes[id(node)] = size
    return size


def _at(node: Node, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)


def _shown(node: Node) -> str:
    return repr(str(node.value)[:40]) if isinstance(node, ScalarNode) else "a list or a section"
