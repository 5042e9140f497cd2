"""The one exception that a user is meant to read: what is wrong, where, and the fix."""

from __future__ import annotations

from collections.abc import Sequence

EXIT_DIFFERENT = 1
"""Exit code of `samebits verify` and its like where bits differ, of `samebits doctor` where something is wrong, and
of `samebits monitor` where the data have drifted."""

EXIT_USER_ERROR = 2
"""Exit code for bad input: a wrong key, a missing file, a corrupt image."""

EXIT_UNREADABLE = 3
"""Exit code of `samebits predict` where all is answered but inputs that cannot be read: their rows have the reason."""

EXIT_BUG = 70
"""Exit code of `samebits` after a traceback: a fault of its own, never to be taken for other bits (`EX_SOFTWARE`)."""

EXIT_INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM with the state saved (128 + SIGINT, as shells report it)."""

EXIT_UNREAD = 141
"""Exit code where nobody reads the output any more (128 + SIGPIPE, as shells report it)."""


class UserError(Exception):
    """Bad input. Printed as one message without a traceback; the process exits with 2.

    Args:
        problem: what is wrong, naming the place (file, key, step, sample).
        fix: what to do about it, as an instruction.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\n  fix: {self.fix}" if self.fix else self.problem


class Interrupted(BaseException):
    """The user or the system asked to stop (Ctrl-C, SIGTERM); what was computed is saved.

    Like KeyboardInterrupt it is no Exception: a signal may come inside any `except Exception`, which would swallow it.
    """


def listed(names: Sequence[object], most: int = 8) -> str:
    """Names for a message: the first `most`, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
