"""The watchdog for a server that stalls in the middle of a transfer."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from samebits.base.errors import UserError
from samebits.sharing.remote.stall_watchdog import abort_on_stall, bytes_moved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes of a connection")

FAULT = UserError("remote 'team' went quiet", "try again")


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            yield near, far


def test_bytes_of_a_connection_are_counted_on_both_ends() -> None:
    with pair() as (near, far):
        before = bytes_moved()
        near.sendall(b"x" * 5000)
        while far.recv(5000, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
            time.sleep(0.01)
        far.recv(5000)
        time.sleep(0.1)  # for the acknowledgement
        assert bytes_moved() - before == 10_000


def test_what_is_no_connection_counts_for_nothing() -> None:
    before = bytes_moved()
    with socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX), socket.socket(type=socket.SOCK_DGRAM):
        assert bytes_moved() == before


@pytest.mark.parametrize("seconds", [0.4])
def test_a_connection_without_a_byte_ends_it(seconds: float) -> None:
    said: list[UserError] = []
    with pair(), abort_on_stall(FAULT, seconds, end=said.append):
        time.sleep(4 * seconds)
    assert said == [FAULT]


def test_a_byte_now_and_then_is_enough() -> None:
    said: list[UserError] = []
    with pair() as (near, _), abort_on_stall(FAULT, 1.0, end=said.append):
        for _ in range(10):
            near.sendall(b".")
            time.sleep(0.2)
    assert said == []


def test_without_a_connection_nothing_is_waited_for() -> None:
    said: list[UserError] = []
    with abort_on_stall(FAULT, 0.2, moved=lambda: -1, end=said.append):
        time.sleep(0.8)
    assert said == []


def test_a_process_that_computes_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a core that other tests keep busy, this process gets less than the share that it would have for itself.
    monkeypatch.setattr("samebits.sharing.remote.stall_watchdog._WORKING", 0.02)
    said: list[UserError] = []
    with pair(), abort_on_stall(FAULT, 0.3, end=said.append):
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            hashlib.md5(bytes(1 << 20), usedforsecurity=False).hexdigest()
    assert said == []


def test_the_process_ends_with_the_message_although_a_thread_waits() -> None:
    code = """
import socket, threading
from samebits.base.errors import UserError
from samebits.sharing.remote.stall_watchdog import abort_on_stall
server = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(server.getsockname())
thread = threading.Thread(target=near.recv, args=(1,))
with abort_on_stall(UserError("it went quiet", "try again"), 0.4):
    thread.start()
    thread.join()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "samebits: error: it went quiet\n  fix: try again\n")
