"""Standard output and error, whatever they are connected to."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator


def escape_unprintable() -> None:
    """Let both print every text: what their encoding lacks is escaped (`R\\xb2` where it is ASCII).

    A pipe, a log of CI or `LC_ALL=C` may have an encoding of few characters; by default, printing another one raises
    UnicodeEncodeError, after all is computed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def stdout_as_stderr() -> Iterator[None]:
    """What this process prints meanwhile goes to stderr, and so does what the processes print that it starts."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
