"""Ports for the servers that tests start."""

from __future__ import annotations

import contextlib
import random
import socket

# Below those that Linux gives to outgoing connections (from 32768 on): it would now and then give one away before the
# server has bound it.
_CANDIDATES = iter(random.SystemRandom().sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on; another one at each call."""
    for port in _CANDIDATES:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
