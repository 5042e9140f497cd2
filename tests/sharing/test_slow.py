"""Servers that are slow or fill up: what is said, and what is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import servers
from tests.helpers.amount import FULL
from tests.helpers.team import Team, objects_in

pytestmark = [pytest.mark.slow]

KILLS, SHARDS = (4, 90) if FULL else (2, 45)
"""On each way; 20 went well, too, by hand. test_faults.py has more with a folder."""


@dataclass
class Line:
    """A TCP proxy as a slow line to a port of this machine: `rate` bytes per second, each way of each connection.

    Attributes:
        most: bytes after which nothing goes through any more, with every connection left open; None for no end.
    """

    target: int
    rate: float
    most: int | None = None
    moved: int = 0
    sockets: list[socket.socket] = field(default_factory=list)
    port: int = 0

    def __enter__(self) -> Line:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [peer, far]
                for source, sink in ((peer, far), (far, peer)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(8192):
                while self.most is not None and self.moved >= self.most:
                    time.sleep(0.1)
                self.moved += len(data)
                time.sleep(len(data) / self.rate)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def __exit__(self, *_: object) -> None:
        for each in (self._server, *self.sockets):
            each.close()


def port_of(url: str) -> int:
    return int(url.partition("127.0.0.1:")[2].partition("/")[0])


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 600 KB."""
    folder = tmp_path_factory.mktemp("small")
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root's rights (CAP_SYS_ADMIN)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_an_s3_server_whose_disk_is_full(team: Team, small_disk: Path, tmp_path: Path) -> None:
    """It says no more than that something failed in it, after the plugin has tried four times."""
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    team.ann.set(shards=24, bytes=200_000)
    team.ann.repro()
    with servers.s3(tmp_path / "s3", data=small_disk) as s3:
        team.add_remote(s3.url, **s3.options)
        message = team.ann.refused("share")
        assert "answers with an error of its own" in message
        assert "a full disk is a usual reason" in message
        subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
        assert "every one read back" in team.ann.ok("share")
        assert "every hash checked" in team.clone("bob", **s3.options).ok("receive")


@pytest.mark.parametrize("kind", ["webdav", "ssh"])
def test_a_server_whose_disk_is_full(team: Team, small_disk: Path, tmp_path: Path, kind: str) -> None:
    team.ann.set(shards=40)
    team.ann.repro()
    with contextlib.ExitStack() as stack:
        environment: dict[str, str] = {}
        if kind == "webdav":
            web = stack.enter_context(servers.web(tmp_path, store=small_disk))
            team.add_remote(web.dav, **web.options)
        else:
            ssh = stack.enter_context(servers.ssh(tmp_path))
            environment = ssh.environment()
            team.add_remote(ssh.url.replace(str(ssh.store), str(small_disk)), **ssh.options)
        message = team.ann.refused("share", **environment)
        assert "is full (" in message
        assert "make room there" in message
        # The listing, which says that all is there, is not.
        listing = (team.ann.folder / "dvc.lock").read_text().partition("data/prepared\n")[2].split()
        wanted = next(word for word in listing if word.endswith(".dir"))
        assert wanted not in objects_in(small_disk)
        subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
        assert "every one read back" in team.ann.ok("share", **environment)  # what was cut off is sent anew


def test_a_slow_line_takes_long_and_ends_well(team: Team, tmp_path: Path) -> None:
    """`--timeout` is for the first answer: a transfer that takes longer is not cut off."""
    with servers.web(tmp_path) as web, Line(port_of(web.dav), rate=40_000) as line:
        url = web.dav.replace(str(line.target), str(line.port))
        team.add_remote(url, **web.options)
        assert "every one read back" in team.ann.ok("share", "--timeout", "5")
        assert line.moved > 200_000  # there and back
        assert "every hash checked (10 fetched now)" in team.clone("bob", **web.options).ok("receive")


@dataclass
class Far:
    """A remote behind a slow line."""

    url: str
    options: dict[str, str]
    environment: dict[str, str]
    line: Line


@contextlib.contextmanager
def behind_a_line(base: Path, kind: str, rate: float) -> Iterator[Far]:
    """A server of a kind, and the line to it."""
    with contextlib.ExitStack() as stack:
        server: Any = stack.enter_context({"webdav": servers.web, "ssh": servers.ssh, "s3": servers.s3}[kind](base))
        options = dict(server.options)
        if kind == "s3":
            url, address = server.url, options["endpointurl"]
        else:
            url = address = server.dav if kind == "webdav" else server.url
        line = stack.enter_context(Line(int(address.split(":")[2].partition("/")[0]), rate=rate))
        far = address.replace(str(line.target), str(line.port))
        if kind == "s3":
            options["endpointurl"] = far
        if kind == "ssh":
            known = server.home / ".ssh" / "known_hosts"
            known.write_text(known.read_text() + known.read_text().replace(f":{line.target} ", f":{line.port} "))
        environment = server.environment() if kind == "ssh" else {}
        yield Far(url if kind == "s3" else far, options, environment, line)


@pytest.mark.parametrize("kind", ["ssh", "s3"])
def test_killed_on_the_way_to_a_server_and_back(team: Team, tmp_path: Path, kind: str) -> None:
    """Over SSH a kill may leave the beginning of an object under its name; the next share finds and fixes it."""
    draw = random.Random(3)
    with behind_a_line(tmp_path, kind, rate=150_000) as far:
        team.ann.set(shards=SHARDS, bytes=30_000)
        team.ann.repro()
        team.add_remote(far.url, **far.options)
        bob = None
        for command in ("share", "receive"):
            if command == "receive":
                far.line.rate = 5_000_000
                assert f"shared: {SHARDS + 5} objects" in team.ann.ok("share", **far.environment)
                far.line.rate = 150_000
                bob = team.clone("bob", **far.options)
            person = bob or team.ann
            for _ in range(KILLS):
                wanted = far.line.moved + draw.randint(100_000, 300_000)
                process = subprocess.Popen(
                    [sys.executable, "-m", "samebits.cli.main", command], cwd=person.folder,
                    env=person.environment(**far.environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                while far.line.moved < wanted:
                    assert process.poll() is None, "it ended before the kill"
                    time.sleep(0.005)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        far.line.rate = 5_000_000
        assert bob is not None
        assert not (bob.folder / "data" / "prepared").exists()
        assert "every hash checked" in bob.ok("receive", **far.environment)
        assert "Running stage" not in bob.dvc("repro").stdout


@pytest.mark.parametrize("way", ["share", "receive"])
@pytest.mark.parametrize("kind", ["webdav", "ssh", "s3"])
def test_a_server_that_goes_quiet_in_the_middle(team: Team, tmp_path: Path, kind: str, way: str) -> None:
    """One message after four times `--timeout`; what follows with a good line ends complete.

    Three seconds, as the first answer of a busy machine has taken more than one.
    """
    with behind_a_line(tmp_path, kind, rate=2_000_000) as far:
        line, environment = far.line, far.environment
        team.ann.set(shards=20, bytes=40_000)
        team.ann.repro()
        team.add_remote(far.url, **far.options)
        person = team.ann
        if way == "receive":
            team.ann.ok("share", **environment)
            person = team.clone("bob", **far.options)
        line.most = line.moved + 400_000
        began = time.monotonic()
        message = person.refused(way, "--timeout", "3", **environment)
        assert "does not answer in time" in message
        assert "not a byte for 12 s, with the connection open" in message
        assert time.monotonic() - began < 90
        line.most = None
        said = person.ok(way, **environment)
        assert ("every one read back" if way == "share" else "every hash checked") in said
