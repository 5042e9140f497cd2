"""Files from somebody who means harm, or from a broken disk: seeded changes of valid ones, and a bound of time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from types import FrameType

FULL = os.environ.get("TEST_FULL") == "1"
"""Ten times as many inputs."""

SECONDS = 5.0
"""CPU time for one input, at most: on a busy machine, ten times what the slowest takes."""


def rounds(n: int) -> int:
    """How many inputs are tried: `n`, or ten times as many with TEST_FULL=1."""
    return 10 * n if FULL else n


def mutated(data: bytes, chance: random.Random, tokens: tuple[bytes, ...] = ()) -> bytes:
    """One to four bytes changed, put in or left out, most of them in the first 400; at times a token put in."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(max(1, min(len(out), 400 if chance.random() < 0.7 else len(out))))
        what = chance.random()
        if tokens and what < 0.5:
            out[at:at] = chance.choice(tokens)
        elif what < 0.6:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif what < 0.8:
            out[at : at + 4] = b"\xff" * 4
        else:
            del out[at : at + chance.randint(1, 9)]
    return bytes(out)


class TooSlow(BaseException):
    """No Exception: code under test that sets aside whatever a library raises must not swallow it."""


@contextlib.contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if the block takes more CPU time than this. Code in C is stopped only when it comes back."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
