"""A server that stalls in the middle of a transfer, with the connection open.

The plugins wait for minutes to hours there, each with settings of its own, and some wait in threads that nothing can
end. So what they all share is looked at: the bytes that this process's TCP connections have moved, as Linux counts
them. If none moves for long while the process itself neither computes nor reads, one message is printed and the
process ends. That is safe: a kill at any moment leaves nothing half-recorded (tests/sharing).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from samebits.base.errors import EXIT_USER_ERROR, UserError

TIMES = 4
"""Times `--timeout` without a byte, before a server counts as stalled."""

_DESCRIPTORS = Path("/proc/self/fd")
# tcpi_bytes_acked and tcpi_bytes_received of struct tcp_info (linux/tcp.h): two unsigned 64-bit numbers at byte 120.
_MOVED = struct.Struct("=120xQQ")
_WORKING = 0.2
"""Share of a core above which the process is taken to compute: hashing is no waiting."""

_READING = 1 << 20
"""Bytes of files a second above which the process is taken to read or write a slow disk."""


@contextlib.contextmanager
def abort_on_stall(
    fault: UserError,
    seconds: float,
    *,
    moved: Callable[[], int] | None = None,
    end: Callable[[UserError], None] | None = None,
) -> Iterator[None]:
    """Watch what happens inside; where there is no /proc of Linux's, nothing is watched.

    Args:
        fault: the error to print.
        seconds: how long no byte may move.
        moved: bytes that all connections have moved so far; -1 while there is none.
        end: what is done then; to print the message and to end the process, unless it is given.
    """
    count = moved or bytes_moved
    if not _DESCRIPTORS.is_dir():
        yield
        return
    over = threading.Event()
    arguments = (over, seconds, count, end or _end, fault)
    watch = threading.Thread(target=_watch, args=arguments, name="stall watchdog", daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()


def _watch(
    over: threading.Event, seconds: float, moved: Callable[[], int], end: Callable[[UserError], None], fault: UserError
) -> None:
    process = psutil.Process()
    before = moved()
    since, work = time.monotonic(), _work(process)
    while not over.wait(min(1.0, seconds / 8)):
        now = moved()
        waited = time.monotonic() - since
        if now != before or now < 0:
            before, since, work = now, time.monotonic(), _work(process)
        elif waited >= seconds:
            cpu, read = (new - old for new, old in zip(_work(process), work, strict=True))
            if cpu < _WORKING * waited and read < _READING * waited:
                end(fault)
                return
            since, work = time.monotonic(), _work(process)


def _work(process: psutil.Process) -> tuple[float, float]:
    """Seconds of CPU and bytes of files that the process has used so far."""
    times = process.cpu_times()
    counters = process.io_counters()
    return times.user + times.system, float(counters.read_chars + counters.write_chars)


def bytes_moved() -> int:
    """Bytes that the open TCP connections of this process have received and had acknowledged; -1 if there are none."""
    total = -1
    for descriptor in _DESCRIPTORS.iterdir():
        # Another thread may close one, and its number may become a file's, between any two of these lines.
        with contextlib.suppress(OSError):
            if not str(descriptor.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
                if connection.type != socket.SOCK_STREAM or connection.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                connection.getpeername()  # one that listens has none
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _MOVED.size)
                total = max(total, 0) + sum(_MOVED.unpack(info))
    return total


def _end(fault: UserError) -> None:
    print(f"samebits: error: {fault}", file=sys.stderr, flush=True)
    # No tidy end: threads that wait for the server would be waited for.
    os._exit(EXIT_USER_ERROR)
