"""What a command found, in two forms: lines for people, and one JSON document for programs (docs/scripting.md)."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samebits.base.errors import EXIT_DIFFERENT


class Result(ABC):
    """What a command found. The command line prints it, in the form that was asked for."""

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return 0

    @abstractmethod
    def lines(self) -> Iterable[str]:
        """For people. Each is printed when it comes, so that a long answer is seen as it grows."""

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines())

    @abstractmethod
    def json(self) -> Mapping[str, Any]:
        """For programs: keys that docs/scripting.md names. Values may be what `json_text` takes."""


@dataclass
class Said(Result):
    """The result of a command that says what it does while it works: its lines are printed already.

    Attributes:
        found: for programs; the lines that were said are added as `messages`.
    """

    messages: list[str] = field(default_factory=list)
    found: Mapping[str, Any] = field(default_factory=dict)
    code: int = 0

    @property
    def exit_code(self) -> int:
        return self.code

    def lines(self) -> Iterable[str]:
        return ()

    def json(self) -> Mapping[str, Any]:
        return {**self.found, "messages": self.messages}

    def ended(self, *, same: bool) -> Said:
        """Itself, after a comparison of bits."""
        self.found, self.code = {"same": same}, 0 if same else EXIT_DIFFERENT
        return self

    def noting(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """A function that says a line by `say`, and keeps it."""

        def keep(line: str) -> None:
            self.messages.append(line)
            say(line)

        return keep


def json_text(value: Mapping[str, Any], indent: int | None = 2) -> str:
    """A document as text: numbers that are not finite become null, which JSON has; paths become texts.

    Args:
        indent: None: all in one line.
    """
    return json.dumps(_plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
        case Path():
            return value.as_posix()
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case Iterable():
            return [_plain(each) for each in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON")
