"""Shards read from a remote by the process that knows DVC: a plain HTTP server on loopback, with faults."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split
from samebits.data.loading.remote import ShardCache
from tests.helpers.image_project import make_project

pytestmark = pytest.mark.slow


class _Handler(SimpleHTTPRequestHandler):
    """Serves whole files, without ranges; stalls in the middle of shards while the event is set."""

    stalls: threading.Event

    def log_message(self, *_: object) -> None: ...

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        if self.stalls.is_set() and data.startswith(b"\x93NUMPY"):
            outputfile.write(data[: len(data) // 2])
            outputfile.flush()
            time.sleep(30)
            return
        outputfile.write(data)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A repository whose data/prepared lies on the remote `web` but for dataset.json, and as `whole`."""
    project = make_project(tmp_path)
    shutil.copytree(project.prepared, tmp_path / "whole")
    _Handler.stalls = threading.Event()
    (tmp_path / "store").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(tmp_path / "store")))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments, "-q"], cwd=tmp_path, check=True)

    dvc("init", "--no-scm")
    dvc("add", "data/prepared")
    dvc("remote", "add", "store", "store")
    dvc("push", "-r", "store")
    dvc("remote", "add", "web", f"http://127.0.0.1:{server.server_address[1]}")
    for path in project.prepared.rglob("*.npy"):
        path.unlink()
    shutil.rmtree(tmp_path / ".dvc" / "cache")
    yield tmp_path
    server.shutdown()
    server.server_close()


def _batches(home: Path, shards: ShardCache | None) -> Iterator[Any]:
    folder = home / ("whole" if shards is None else "data/prepared")
    split = open_split(folder, "train", in_memory=False, shards=shards)
    batches = Batches(split, batch_size=16, seed=4, shuffle="window", window=2)
    return batches.stream(0, 2 * batches.steps_per_epoch, 1)


def test_batches_come_from_the_server_through_a_stall(home: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "asked again" in line:
            _Handler.stalls.clear()

    _Handler.stalls.set()
    largest = max(path.stat().st_size for path in (home / "whole/shards").iterdir())
    shards = ShardCache(home, home / "cache", "web", 6 * largest, say, timeout=0.5)
    for mine, theirs in zip(_batches(home, None), _batches(home, shards), strict=True):
        assert np.array_equal(mine.inputs, theirs.inputs)
        assert np.array_equal(mine.targets, theirs.targets)
    shards.close()
    assert any("stalls; asked again" in line for line in said)
    assert shards.most <= shards.limit


@pytest.mark.parametrize(("harm", "message"), [("damaged", "is damaged"), ("gone", "has no data/prepared/shards/")])
def test_what_the_remote_lacks_is_named_and_nothing_half_written_stays(home: Path, harm: str, message: str) -> None:
    for path in (home / "store").rglob("*"):
        if path.is_file() and path.suffix != ".dir":
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"x") if harm == "damaged" else path.unlink()
    shards = ShardCache(home, home / "cache", "web", 1 << 30, print)
    with pytest.raises(UserError, match=message):
        next(_batches(home, shards))
    shards.close()
    assert not [path for path in shards.folder.iterdir() if not path.name.startswith(".")]


def test_a_remote_that_is_down_is_called_so(home: Path) -> None:
    config = home / ".dvc/config"
    lines = [line if "http" not in line else "    url = http://127.0.0.1:9" for line in config.read_text().splitlines()]
    config.write_text("\n".join(lines) + "\n")
    shards = ShardCache(home, home / "cache", "web", 1 << 30, print)
    with pytest.raises(UserError, match="cannot be reached"):
        next(_batches(home, shards))
    shards.close()
