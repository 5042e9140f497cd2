"""Why an exporter of torch failed, in one line."""

from __future__ import annotations

import re

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 400


def reason(error: BaseException) -> str:
    """The message of the error behind all others, without colours and advice on the exporter itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # Violated constraints are a headline and a list.
    detail = next((f" {line.strip()[2:]}" for line in lines[1:] if line.startswith("  - ")), "")
    found = lines[0].strip() + detail
    return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"
