"""Files of `data/prepared` that lie on the DVC remote alone, read through a cache of bounded size.

    .samebits/shards/0/SHA256       whole files, each under its hash; a process has a folder for itself while it runs

Another process, `samebits.sharing.shards`, knows DVC, downloads what is asked and checks it: here nothing of DVC is
imported. The order of an epoch is known before it begins, so files are asked for in the order in which they are needed,
as far ahead as there is room; a file goes when the epoch has passed its last sample.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import numpy as np
import numpy.typing as npt

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import remove_unfinished, sha256_file

_SAID_AFTER = 10.0
"""Seconds of waiting for one file after which it is said, and again each time they have passed."""

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


class Wanted(NamedTuple):
    """A file: its path below `data/prepared`, its hash and its bytes."""

    name: str
    sha256: str
    size: int


@dataclass
class ShardCache:
    """The cache of this process.

    Args:
        workspace: whose `data/prepared` it completes.
        home: the folder of all caches.
        remote: name of the DVC remote.
        limit: bytes that the files may have together.
        stopped: whether somebody asked to stop, so that nothing is waited for.
        timeout: seconds for the remote's first answer; without a byte for four times as long, it is asked again.
    """

    workspace: Path
    home: Path
    remote: str
    limit: int
    say: Callable[[str], None]
    stopped: Callable[[], bool] = lambda: False
    timeout: float = 15.0
    most: int = 0
    """Bytes that it held at one time."""
    fetched: int = 0
    """Files that were downloaded."""
    _here: dict[str, int] = field(default_factory=dict)
    """Hash and bytes of each file that is there, the longest unused first."""
    _asked: dict[str, Wanted] = field(default_factory=dict)
    _ahead: list[Wanted] = field(default_factory=list)
    """What will be needed and was not asked for yet, the next one last."""
    _keep: set[str] = field(default_factory=set)
    """What the epoch still needs."""
    _awaited: list[str] = field(default_factory=list)
    """What somebody waits for, which stays whatever is read ahead meanwhile."""
    _maps: dict[str, Array] = field(default_factory=dict)
    _failed: UserError | None = None
    _shown: str = "the remote"
    _process: subprocess.Popen[str] | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        for number in count():
            self._lock = filelock.FileLock(self.home / f"{number}.lock")
            try:
                self._lock.acquire(blocking=False)
            except filelock.Timeout:
                continue
            break
        self.folder, self._log = self.home / str(number), self.home / f"{number}.log"
        self.folder.mkdir(exist_ok=True)
        remove_unfinished(self.folder)
        for path in sorted(self.folder.iterdir(), key=lambda each: each.stat().st_mtime_ns):
            # Of an earlier process: looked at once, as nothing says that its disk kept them.
            if sha256_file(path) == path.name:
                self._here[path.name] = path.stat().st_size
            else:
                path.unlink()
        self._make_room(0)

    def path(self, wanted: Wanted) -> Path:
        """A file that is there now; it is waited for.

        Raises:
            UserError: if the remote cannot give it, or it is larger than the cache.
            Interrupted: if somebody asks to stop meanwhile.
        """
        if wanted.size > self.limit:
            raise UserError(
                f"{wanted.name} has {mib(wanted.size)} MiB, runtime.shard_cache_mib is {mib(self.limit)}",
                f"set it to {mib(wanted.size) + 1} or more",
            )
        began = said = time.monotonic()
        with self._changed:
            self._awaited.append(wanted.sha256)
            try:
                while wanted.sha256 not in self._here:
                    if self._failed:
                        raise self._failed
                    if self.stopped():
                        raise Interrupted(f"stopped while {wanted.name} was awaited from {self._shown}")
                    self._ask(wanted)
                    self._changed.wait(0.5)
                    if time.monotonic() - said > _SAID_AFTER:
                        said = time.monotonic()
                        self.say(f"waiting for {wanted.name} from {self._shown}: {said - began:.0f} s so far")
            finally:
                self._awaited.remove(wanted.sha256)
            self._here[wanted.sha256] = self._here.pop(wanted.sha256)
            return self.folder / wanted.sha256

    def mapped(self, wanted: Wanted, open_file: Callable[[Path], Array]) -> Array:
        """A file as an array, opened once while it is there."""
        with self._changed:  # all the while: what was found is not removed before it is open
            if wanted.sha256 not in self._maps:
                path = self.path(wanted)
                self._maps[wanted.sha256] = open_file(path)
            return self._maps[wanted.sha256]

    def expect(self, needed: Sequence[Wanted], ahead: Sequence[Wanted]) -> None:
        """What is needed from here on: files that must stay until they are left out of this, and those to ask for.

        Args:
            needed: of the running window and the next one of the order.
            ahead: the next files, in order, to be asked for as far as there is room.
        """
        with self._changed:
            self._keep = {each.sha256 for each in needed}
            self._ahead = list(reversed(ahead))
            self._read_ahead()

    def _read_ahead(self) -> None:
        while self._ahead and not self._failed:
            file = self._ahead[-1]
            if file.sha256 not in self._here and file.sha256 not in self._asked:
                if not self._make_room(file.size):
                    return
                self._send(file)
            self._keep.add(file.sha256)
            self._ahead.pop()

    def _ask(self, wanted: Wanted) -> None:
        """Ask for a file that is waited for, whatever has to go."""
        if wanted.sha256 not in self._asked and self._make_room(wanted.size, at_any_cost=True):
            self._send(wanted)

    def _make_room(self, size: int, *, at_any_cost: bool = False) -> bool:
        """Remove files until so many bytes more fit; False if those that are left are needed or on their way."""
        free = [each for each in self._here if each not in self._keep]
        for sha256 in [*free, *([each for each in self._here if each in self._keep] if at_any_cost else [])]:
            if self._held() + size <= self.limit:
                break
            if sha256 not in self._awaited:
                self._maps.pop(sha256, None)
                del self._here[sha256]
                (self.folder / sha256).unlink(missing_ok=True)
        return self._held() + size <= self.limit

    def _held(self) -> int:
        return sum(self._here.values()) + sum(each.size for each in self._asked.values())

    def _send(self, wanted: Wanted) -> None:
        self._asked[wanted.sha256] = wanted
        self.most = max(self.most, self._held())
        if self._process is None:
            self._start()
        else:
            self._write(wanted)

    def _write(self, wanted: Wanted) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([*wanted, str(self.folder / wanted.sha256)]) + "\n")
            self._process.stdin.flush()
        except OSError:  # it has just ended: `_listen` sees that, and asks the next one for all
            return

    def _start(self) -> None:
        """Start the process that downloads, and ask it for all that was asked."""
        where, timeout = str(self.workspace), str(self.timeout)
        command = [sys.executable, "-m", "samebits.sharing.shards", where, self.remote, timeout]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.workspace,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                process_group=0,  # Ctrl-C is for the training, which may need files until its step is done
            )
        for each in self._asked.values():
            self._write(each)
        threading.Thread(target=self._listen, args=(self._process,), name="shards", daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        ready = False
        for line in process.stdout:
            answer = json.loads(line)
            ready |= "ready" in answer
            self._answered(answer)
        code = process.wait()
        with self._changed:
            if self._process is not process:
                return
            if ready and code == 2 and not self._failed:
                # Its watchdog ends it where no byte has moved for long: another one asks again.
                self.say(f"{self._shown} stalls; asked again")
                self._start()
            elif self._asked and not self._failed:
                said = self._log.read_text(errors="replace").strip()[-1000:]
                self._failed = UserError(f"the process that reads shards ended with {code}", said)
            self._changed.notify_all()

    def _answered(self, answer: dict[str, str]) -> None:
        with self._changed:
            if shown := answer.get("ready"):
                self._shown = shown
            elif problem := answer.get("error"):
                self._failed = UserError(problem, answer["fix"])
            else:
                done = self._asked.pop(answer["sha256"])
                self._here[done.sha256] = done.size
                self.fetched += 1
                self._read_ahead()
            self._changed.notify_all()

    def close(self) -> None:
        """End the process that downloads."""
        with self._changed:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        self._lock.release()


_opened: dict[Path, ShardCache] = {}


def open_shards(
    workspace: Path, home: Path, remote: str, limit: int, say: Callable[[str], None], stopped: Callable[[], bool]
) -> ShardCache:
    """The cache of this process, one for all its splits; arguments as of `ShardCache`."""
    if home not in _opened:
        _opened[home] = ShardCache(workspace, home, remote, limit, say, stopped)
    return _opened[home]


def mib(size: int) -> int:
    """Bytes as MiB, rounded up."""
    return -(-size >> 20)
