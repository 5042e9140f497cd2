"""Hosts as network namespaces: each with an address and a host name of its own, joined by a bridge. Linux, as root."""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import pytest

_NETWORK = "10.77.0"
_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def require_namespaces() -> None:
    """Skip where this machine makes none."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need Linux, root and iproute2")
    name = f"probe{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    if made.returncode:
        pytest.skip(f"no network namespaces here: {made.stderr.strip()}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Hosts:
    """Namespaces `desk-a`, `desk-b`, … at 10.77.0.1, .2, …

    Args:
        count: of hosts.
    """

    def __init__(self, count: int) -> None:
        tag = f"sb{os.getpid() % 100_000}"
        self._switch = f"{tag}sw"
        self._spaces = [f"{tag}h{index}" for index in range(count)]
        self._slow: list[_SlowLink] = []
        self.names = [f"desk-{chr(ord('a') + index)}" for index in range(count)]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        for index, space in enumerate(self._spaces):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", f"p{index}", "netns", self._switch)
            _ip("-n", self._switch, "link", "set", f"p{index}", "master", "br0", "up")
            _ip("-n", space, "address", "add", f"{self.address(index)}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")

    def address(self, index: int) -> str:
        return f"{_NETWORK}.{index + 1}"

    def start(
        self, index: int, command: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[str]
    ) -> subprocess.Popen[str]:
        """Start a command on a host."""
        named = f'hostname {self.names[index]} && exec "$@"'
        return subprocess.Popen(
            ["ip", "netns", "exec", self._spaces[index], "unshare", "--uts", "sh", "-c", named, "sh", *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )

    def kill(self, index: int, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of a host."""
        found = subprocess.run(["ip", "netns", "pids", self._spaces[index]], capture_output=True, text=True)
        for pid in found.stdout.split():
            try:
                os.kill(int(pid), number)
            except ProcessLookupError:
                continue

    def cut(self, index: int) -> None:
        """Pull the cable of a host."""
        _ip("-n", self._switch, "link", "set", f"p{index}", "down")

    def mend(self, index: int) -> None:
        """Put it in again."""
        _ip("-n", self._switch, "link", "set", f"p{index}", "up")

    def slow(self, index: int, seconds: float, loss: float) -> None:
        """Put a link with a delay each way and a share of lost packets between a host and the bridge."""
        _ip("-n", self._spaces[index], "link", "del", "eth0")
        self._slow.append(_SlowLink(self._spaces[index], self._switch, index, seconds, loss))
        _ip("-n", self._switch, "link", "set", f"t{index}", "master", "br0", "up")
        _ip("-n", self._spaces[index], "address", "add", f"{self.address(index)}/24", "dev", "eth0")
        _ip("-n", self._spaces[index], "link", "set", "eth0", "up")

    def close(self) -> None:
        for index in range(len(self._spaces)):
            self.kill(index)
        for link in self._slow:
            link.close()
        for space in (*self._spaces, self._switch):
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


class _SlowLink:
    """Two TAP devices in two namespaces, between which this process carries frames: a kernel without netem has none.

    Args:
        seconds: of delay, each way.
        loss: the share of frames that are lost.
    """

    def __init__(self, host: str, switch: str, index: int, seconds: float, loss: float) -> None:
        self._ends = (_tap(host, "eth0"), _tap(switch, f"t{index}"))
        self._seconds, self._loss = seconds, loss
        for here, there in (self._ends, self._ends[::-1]):
            threading.Thread(target=self._carry, args=(here, there), daemon=True).start()

    def _carry(self, here: int, there: int) -> None:
        draw = random.Random(here)
        frames: list[tuple[float, bytes]] = []
        arrived = threading.Condition()

        def deliver() -> None:
            while True:
                with arrived:
                    while not frames:
                        arrived.wait()
                    due, frame = frames.pop(0)
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    os.write(there, frame)
                except OSError:
                    return

        threading.Thread(target=deliver, daemon=True).start()
        while True:
            try:
                frame = os.read(here, 65_536)
            except OSError:
                return
            if draw.random() >= self._loss:
                with arrived:
                    frames.append((time.monotonic() + self._seconds, frame))
                    arrived.notify()

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


def _tap(space: str, name: str) -> int:
    """A TAP device in a namespace; the descriptor of its other end."""
    made: list[int] = []

    def make() -> None:  # in a thread of its own, which stays in that namespace
        with Path("/run/netns", space).open() as other:
            if ctypes.CDLL(None, use_errno=True).setns(other.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        end = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TAP | _IFF_NO_PI))
        made.append(end)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]
