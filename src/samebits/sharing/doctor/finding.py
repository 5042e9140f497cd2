"""What a check of `samebits doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Line:
    """One finding.

    Attributes:
        name: what was looked at (`remote`).
        state: `ok`, `warning` (works, but) or `error` (will fail).
        text: what was found.
        fix: what to do; empty if `ok`.
    """

    name: str
    state: State
    text: str
    fix: str = ""
