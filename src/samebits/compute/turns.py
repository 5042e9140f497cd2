"""Computations of several processes on the same cores, one after the other.

Threads of one computation meet at a barrier some hundred times per step. Beside another such computation each barrier
waits until the system has given the missing thread a core: two trainings on 2 cores made a quarter of the steps of one.
So computations of more than one thread that share cores take turns of half a second. It touches no number: the threads
of each stay as many as they are.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from filelock import FileLock, Timeout

from samebits.compute.cpu import core_numbers

_TURN_SECONDS = 0.5
"""Long beside the 2 ms in which a turn changes hands, short beside what a person waits for."""

_POLL_SECONDS = 0.002

_PATIENCE_SECONDS = 20.0
"""Whoever waits longer goes on without its turn: the other may be stopped in a debugger."""


class Turns:
    """Holds as many of this machine's cores as torch has threads, from `with` on, and gives them up between two steps.

    Each core is a file lock in the folder of this user, so that a process that dies gives its cores back. One process
    at a time collects cores (`next`), so that no two wait for each other with half of what they need.

    Args:
        wanted: False leaves out all of it: computations on a GPU, and processes that wait for each other.
        stopped: asked while waiting; no turn is waited for any more once it says so.
        say: told once that there is somebody to share with.
    """

    def __init__(
        self,
        wanted: bool = True,
        stopped: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
        folder: Path | None = None,
    ) -> None:
        self._wanted, self._stopped, self._say = wanted, stopped, say
        self._folder = folder or _folder()
        self._all: list[FileLock] = []
        self._cores: list[FileLock] = []
        self._needed = 0
        self._began = 0.0
        self._told = False

    def __enter__(self) -> Self:
        threads = torch.get_num_threads() if self._wanted else 1
        if threads > 1:
            with self._or_alone():
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._next = FileLock(self._folder / "next")
                self._all = [FileLock(self._folder / str(core)) for core in core_numbers()]
                self._needed = min(threads, len(self._all))
                self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()
        self._needed = 0

    def step(self) -> None:
        """Between two steps: let another have its turn if it waits for one and this one was long enough."""
        if not self._needed or time.monotonic() - self._began < _TURN_SECONDS:
            return
        with self._or_alone():
            if _taken(self._next):
                self._next.release()  # nobody waits
                return
            self._give_back()
            self._take()

    @contextlib.contextmanager
    def _or_alone(self) -> Iterator[None]:
        """A temporary folder that is full or foreign is no reason not to compute."""
        try:
            yield
        except OSError:
            self._give_back()
            self._needed = 0

    def _take(self) -> None:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not (_taken(self._next) and self._collected()):
            if self._stopped() or time.monotonic() > until:
                break
            if not self._told:
                self._told = True
                self._say("another computation uses these cores: taking turns with it")
            time.sleep(_POLL_SECONDS)
        self._next.release()
        self._began = time.monotonic()

    def _collected(self) -> bool:
        """Whether all cores needed are held now; what is free of them is kept."""
        for core in self._all:
            if len(self._cores) == self._needed:
                break
            if not core.is_locked and _taken(core):
                self._cores.append(core)
        return len(self._cores) == self._needed

    def _give_back(self) -> None:
        for core in self._cores:
            core.release()
        self._cores.clear()


def _taken(lock: FileLock) -> bool:
    """Whether the lock is held by this process now."""
    if lock.is_locked:
        return True
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _folder() -> Path:
    """Of this machine and user: a home folder may be shared by machines, a temporary one of another user is closed."""
    return Path(tempfile.gettempdir()) / f"samebits-cores-{os.getuid() if hasattr(os, 'getuid') else getpass.getuser()}"
