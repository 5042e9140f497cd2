"""Standard output and error, whatever they are connected to."""

from __future__ import annotations

import io
import sys


def escape_unprintable() -> None:
    """Let both print every text: what their encoding lacks is escaped (`R\\xb2` where it is ASCII).

    A pipe, a log of CI or `LC_ALL=C` may have an encoding of few characters; by default, printing another one raises
    UnicodeEncodeError, after all is computed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
