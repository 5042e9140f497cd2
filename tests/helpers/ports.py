"""Ports for the servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import socket

# Not port 0, whose answer may be the same twice while nothing listens there: SeaweedFS once got one port for two uses.
# Below the ports of outgoing connections (on Linux from 32768 on), one of which could come first, too.
# Of tests that run in several processes (pytest-xdist's gw0, gw1, …), each has ports of its own.
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_OURS = range(20_000 + _PROCESS, 32_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
_CANDIDATES = iter(random.SystemRandom().sample(_OURS, len(_OURS)))


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on; another one at each call."""
    for port in _CANDIDATES:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")
