"""Names in params.yaml to code: a registry maps a name to the module that holds it.

Modules are imported only when their name is used, so that a pipeline for images never pays for (or needs)
the libraries of one for text.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import ModuleType

from samebits.base.errors import UserError


def nearest(name: str, known: list[str]) -> str | None:
    """The known name closest to a mistyped one, or None when nothing is close."""
    matches = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return matches[0] if matches else None


def load_module(kind: str, name: str, registry: Mapping[str, str]) -> ModuleType:
    """Import the module that a registry names.

    Args:
        kind: what the registry holds, for the message ("model", "task").

    Raises:
        UserError: for an unknown name, with the nearest known one.
    """
    if name not in registry:
        guess = nearest(name, list(registry))
        hint = f"did you mean {guess}? " if guess else ""
        raise UserError(f"{name!r} is no {kind}", f"{hint}known: {', '.join(sorted(registry))}")
    return importlib.import_module(registry[name])
