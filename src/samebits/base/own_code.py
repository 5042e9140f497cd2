"""Code of the user's own: a class or a function in a file of the folder `custom`.

The file is code of the project, like `src`: it is committed, and the stages that load it depend on it. It is loaded by
its path from the folder that holds params.yaml, in which every stage runs.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from samebits.base.boundary import OWN_CODE, own_place
from samebits.base.errors import UserError
from samebits.base.files import write_bytes
from samebits.base.registry import nearest

T = TypeVar("T")


class Named(Protocol):
    """A part of params.yaml that names a class or function of the user's."""

    @property
    def file(self) -> str: ...

    @property
    def class_name(self) -> str: ...

    @property
    def arguments(self) -> Mapping[str, Any]: ...


def name_of(part: Named) -> str:
    """For messages: `FocalLoss of custom/losses.py`."""
    return f"{part.class_name} of {part.file}"


def build_own(part: Named, section: str, *given: object, call: str = "") -> Any:
    """An object of a class of the user's; of a function, the function with its arguments bound.

    Args:
        section: see `load_own`.
        given: what a class is called with before its arguments.
        call: how that is shown in a message: `signature, `.

    Raises:
        UserError: if there is no such file or class, or it cannot be built.
    """
    found = load_own(part.file, part.class_name, section)
    if not callable(found):
        raise UserError(f"{name_of(part)} is of type {type(found).__name__}", "name a class or a function")
    if not isinstance(found, type):
        return functools.partial(found, **part.arguments)
    how = f"it is called as {part.class_name}({call}**{section}.arguments)"
    return asked(lambda: found(*given, **part.arguments), f"{name_of(part)} cannot be built", how)


def asked(ask: Callable[[], T], problem: str, fix: str) -> T:
    """What the user's code gives.

    Raises:
        UserError: if it fails, with its error and line after `problem`.
    """
    try:
        return ask()
    except (UserError, MemoryError):
        raise
    except Exception as error:
        raise UserError(f"{problem}: {error_line(error)}", fix) from error


def load_own(file: str, name: str, section: str) -> Any:
    """What a file of the user's defines under a name.

    Args:
        file: its path, `custom/NAME.py`.
        name: of a class or function in it.
        section: of params.yaml, which names both as `file` and `class_name`, for messages.

    Raises:
        UserError: if there is no such file or name, or the file cannot be loaded.
    """
    module = _load(Path(file), section)
    found = getattr(module, name, None)
    if found is None:
        known = [each for each, value in vars(module).items() if _is_own(value, module)]
        near = nearest(name, known)
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"{file} has no class {name}", f"{hint}set {section}.class_name; it has {known}")
    return found


def copy_own_code(source: Path | None, target: Path) -> list[str]:
    """Copy the code of one folder's `custom` to another's, as a record of what made a model; nothing runs it.

    Args:
        source: None: nothing is copied, and what was there is removed.

    Returns:
        the files' paths below `target`, sorted.
    """
    shutil.rmtree(target / OWN_CODE, ignore_errors=True)
    if source is None:
        return []
    files = sorted(path.relative_to(source) for path in (source / OWN_CODE).rglob("*.py"))
    for file in files:
        write_bytes(target / file, (source / file).read_bytes())
    return [file.as_posix() for file in files]


def names_own_code(values: object) -> bool:
    """Whether plain values of params.yaml name code of the user's."""
    if isinstance(values, Mapping):
        return {"file", "class_name"} <= values.keys() or any(map(names_own_code, values.values()))
    return isinstance(values, list | tuple) and any(map(names_own_code, values))


def error_line(error: Exception) -> str:
    """An error and the line of the user's file that it came from."""
    text, place = f"{type(error).__name__}: {error}", own_place(error)
    return text if place is None else f"{text} ({place})"


def _is_own(value: object, module: ModuleType) -> bool:
    """Whether it is a class, or a function that the file itself defines."""
    return isinstance(value, type) or (callable(value) and getattr(value, "__module__", "") == module.__name__)


def _load(path: Path, section: str) -> ModuleType:
    if not path.is_file():
        known = sorted(each.name for each in Path(OWN_CODE).glob("*.py"))
        raise UserError(
            f"{section}.file {path} does not exist", f"write it; {OWN_CODE} has {', '.join(known) or 'no file'}"
        )
    name = f"custom_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look the names of annotations up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UserError(f"{path} cannot be loaded: {error_line(error)}", "fix it") from error
    return module
