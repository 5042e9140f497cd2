"""Parameters of a model by patterns of their names, as a user writes them: `layer1.*`, `*.bias`."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import TypeVar

from torch import nn

from samebits.errors import UserError
from samebits.registry import nearest

_LISTED = 6

T = TypeVar("T")


def by_name(where: str, patterns: Mapping[str, T], network: nn.Module) -> dict[str, T]:
    """What each parameter that a pattern fits is given; of several patterns that fit, the last holds.

    Args:
        where: key of params.yaml, for the message.
        patterns: names with `*` and `?`.

    Raises:
        UserError: if a pattern fits no parameter.
    """
    names = [name for name, _ in network.named_parameters()]
    found: dict[str, T] = {}
    for pattern, given in patterns.items():
        fitting = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
            guess = nearest(pattern.rstrip("*."), names)
            hint = f"did you mean {guess}? " if guess else ""
            raise UserError(f"{where}: no parameter is called {pattern}", f"{hint}they are {some(names)}")
        found.update(dict.fromkeys(fitting, given))
    return found


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
