"""Code of the user's own: a class or a function in a file of the folder `custom`.

The file is code of the project, like `src`: it is committed, and the stages that load it depend on it. It is loaded by
its path from the folder that holds params.yaml, in which every stage runs.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from samebits.base.boundary import OWN_CODE, own_place
from samebits.base.errors import UserError
from samebits.base.registry import nearest


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
