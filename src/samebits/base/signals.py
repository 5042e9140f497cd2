"""A request to stop: Ctrl-C, SIGTERM, the death of the process that started us.

Signals set a flag; the code stops at the next safe point.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from samebits.base.errors import Interrupted

_PR_SET_PDEATHSIG = 1


class StopRequest:
    """Turns SIGINT, SIGTERM and SIGHUP into `Interrupted`: at once, or, inside `deferred()`, when the code looks.

    A second Ctrl-C inside `deferred()` stops at once. Of the others a second one may come with the first: a closed
    terminal sends SIGHUP to DVC and to us, and DVC's death is a SIGTERM.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False
        self._first = 0

    def install(self) -> None:
        """Handle the signals, and on Linux ask for SIGTERM when the parent process dies.

        DVC ignores Ctrl-C while a stage runs; and killing only DVC would leave a training behind that the next
        `dvc repro` starts again beside it.
        """
        for number in _signals():
            signal.signal(number, self._handle)
        if sys.platform == "linux":
            parent = os.getppid()
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            behind = _behind_shell(parent)
            if behind is not None:
                _stop_with(behind)
            if os.getppid() != parent or _dvc_is_gone():
                os.kill(os.getpid(), signal.SIGTERM)  # it died before the request was made

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, a signal only sets `requested`."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def ignore(self) -> None:
        """From here on a signal would only lose the record of what happened: the process is about to end."""
        for number in _signals():
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._deferred and self.requested and signal.SIGINT not in (number, self._first):
            return
        if self._deferred and not self.requested:
            self.requested, self._first = True, number
            print(f"\n{name}: saving the state and stopping (again: stop at once)", file=sys.stderr, flush=True)
            return
        self.requested = True
        raise Interrupted(f"stopped by {name}")


def _signals() -> list[signal.Signals]:
    """What asks to stop. Under `nohup` SIGHUP is ignored, and stays so."""
    found = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        found.append(signal.SIGHUP)
    return found


def _dvc_is_gone() -> bool:
    """Whether DVC started us and died before we could ask to be told, while Python started.

    What is above us then is init, or a service manager in its place; DVC, or a program that runs it as a library, is a
    Python process.
    """
    if "DVC_STAGE" not in os.environ:
        return False
    pid = os.getppid()
    while pid > 0:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if any(Path(os.fsdecode(word)).stem.startswith(("python", "dvc")) for word in words[:2]):
                return False
            pid = _parent_of(pid)
        except (OSError, IndexError):
            return False  # /proc is hidden, or it has just ended
    return True


def _parent_of(pid: int) -> int:
    # The second field of stat may hold blanks and brackets; the parent is the second one after it.
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def _behind_shell(parent: int) -> int | None:
    """The DVC process, where the shell between it and us stays: dash forks for its last command, bash does not."""
    if "DVC_STAGE" not in os.environ:
        return None
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
        above = _parent_of(parent)
    except OSError:
        return None  # it has just died, or /proc is hidden
    return above if b"-c" in command else None


def _stop_with(pid: int) -> None:
    """Ask ourselves to stop when that process ends."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    except (AttributeError, OSError):
        return  # a kernel before 5.3

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="samebits-parent", daemon=True).start()
