"""Whether the other processes of a training are still there.

Each process has a thread that writes a counter to the store of the training every second, and reads. Rank 0 looks at
the counters of all, the others at that of rank 0. A counter that stands still for `SILENCE` seconds is of a process
that is lost: killed, suspended, or cut off. A process that ends with an error writes its message there first. So every
process learns why the training cannot go on, and says so, wherever it waits meanwhile.

A slow link is no lost one: what counts is whether anything new arrives within `SILENCE` seconds.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable

from torch._C._distributed_c10d import Store

from samebits.base.errors import UserError

SILENCE = 15.0
"""Seconds. Above what TCP takes to send again what a bad link lost, and with the rest below 30."""

START = 300.0
"""Seconds until a process that was started has imported torch and says that it is there."""

_BEAT = 1.0
_AWAY = 5.0
"""This process itself was suspended if it has not run for so long: then the others' silence says nothing."""
_AFTER_BREAK = 4.0
"""Once a connection has broken, who is silent for so long is the one that is lost."""
_FAREWELL = 5.0
"""How long the process with the store waits for the others to read why it ends."""

_ENDED = "ended"
FIX = "see to that process, then dvc repro: it goes on from the last saved state"


class GroupError(UserError):
    """Of the training as a whole: its message names the process, and is the same on all of them."""


class Lost(GroupError):
    """The training cannot go on, for a reason that another process has told, or because one does not answer."""


class Heartbeat:
    """Tells the others that this process is there, and looks whether they are.

    Args:
        store: of the training; the thread takes a connection of its own.
        child: what is to be said of a child process that has ended; empty as long as all are well.
    """

    def __init__(self, store: Store, rank: int, size: int, child: Callable[[], str] = lambda: "") -> None:
        self.rank, self.size = rank, size
        self._store = store.clone()
        self._child = child
        self._hosts = {rank: socket.gethostname()}
        self._watched = [each for each in range(size) if each != rank] if rank == 0 else [0]
        now = time.monotonic()
        self._began = self._answered = self._beat_at = now
        self._counts: dict[int, bytes] = {}
        self._heard: dict[int, float] = {}
        self._broken: float | None = None
        self._closed = self._stopped = False
        self._mine = ""
        self._reason: dict[str, str] | None = None
        self._read = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samebits-heartbeat", daemon=True)
        self._thread.start()

    def named(self, rank: int) -> str:
        """A process for messages: `process 1 of 3 on host desk-b`."""
        host = self._hosts.get(rank)
        return f"process {rank} of {self.size}" + (f" on host {host}" if host else "")

    def check(self) -> None:
        """Raises Lost if the training cannot go on."""
        if self._reason is not None:
            raise Lost(self._reason["problem"], self._reason["fix"])
        silent = time.monotonic() - self._answered
        if silent > (_AWAY if self._closed else SILENCE):
            who = self.named(0) if self.rank else "the store of this training"
            raise Lost(f"{who} is lost: it has not answered for {silent:.0f} s", FIX)

    def explain(self, error: RuntimeError) -> Lost:
        """Why an exchange with the other processes failed; waits until that is known."""
        self._broken = time.monotonic()
        self._wake.set()
        while time.monotonic() - self._broken < SILENCE + _BEAT:
            try:
                self.check()
            except Lost as lost:
                return lost
            time.sleep(0.05)
        first = (str(error).splitlines() or [type(error).__name__])[0]
        return Lost(f"{self.named(self.rank)} lost the connection to another one: {first}", FIX)

    def tell(self, problem: str, fix: str) -> None:
        """Tell the others why this process ends the training."""
        self._mine = json.dumps({"problem": problem, "fix": fix})
        self._wake.set()
        self._read.wait(_FAREWELL)

    def farewell(self) -> None:
        """Stay until the others have read the reason, if the store lies in this process."""
        if self.rank == 0 and self._reason is not None:
            self._read.wait(_FAREWELL)

    def stop(self) -> None:
        """End the thread; it may hang in a connection that is cut, and is left to itself then."""
        self._stopped = True
        self._wake.set()
        self._thread.join(2 * _BEAT)

    def _run(self) -> None:
        try:
            self._store.set(f"host/{self.rank}", self._hosts[self.rank])
            while not self._stopped:
                self._beat()
                self._wake.wait(_BEAT if self._reason is None else _BEAT / 10)
                self._wake.clear()
        except RuntimeError:  # of torch.distributed: a connection that is closed
            self._closed = True

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beat_at > _AWAY:
            self._heard = dict.fromkeys(self._heard, now)
        self._beat_at = now
        self._store.set(f"beat/{self.rank}", repr(now))
        child = self._child()
        if self._mine and self._reason is None:
            self._store.compare_set(_ENDED, "", self._mine)
        self._look(now)
        if self._reason is None and self._store.check([_ENDED]):
            self._reason = json.loads(self._store.get(_ENDED))
            self._store.set(f"read/{self.rank}", "1")
        if self._reason is None and (found := child or self._silent(now)):
            self._store.compare_set(_ENDED, "", json.dumps({"problem": found, "fix": FIX}))
            self._wake.set()
        self._answered = time.monotonic()
        if self._reason is not None and (self.rank or self._all_have_read(now)):
            self._read.set()

    def _look(self, now: float) -> None:
        """Read the counters of the others."""
        for rank in self._watched:
            if rank not in self._heard and self._store.check([f"beat/{rank}"]):
                self._hosts[rank] = self._store.get(f"host/{rank}").decode()
                self._heard[rank] = now
        known = list(self._heard)
        counts = self._store.multi_get([f"beat/{each}" for each in known]) if known else []
        for rank, count in zip(known, counts, strict=True):
            if self._counts.get(rank) != count:
                self._counts[rank], self._heard[rank] = count, now

    def _silent(self, now: float) -> str:
        """What is to be said of processes that are not heard of; empty if there are none."""
        limit = SILENCE
        if self._broken is not None and now - self._broken > _AFTER_BREAK:
            limit = _AFTER_BREAK - _BEAT
        if lost := [rank for rank, heard in self._heard.items() if now - heard > limit]:
            names = " and ".join(map(self.named, lost))
            longest = max(now - self._heard[rank] for rank in lost)
            return f"{names} {'is' if len(lost) == 1 else 'are'} lost: nothing was heard for {longest:.0f} s"
        if now - self._began > START and (absent := [rank for rank in self._watched if rank not in self._heard]):
            return f"{' and '.join(map(self.named, absent))} did not join within {START:.0f} s"
        return ""

    def _all_have_read(self, now: float) -> bool:
        there = [rank for rank, heard in self._heard.items() if now - heard < _AFTER_BREAK]
        return all(self._store.check([f"read/{rank}"]) for rank in there)
