"""The training state on disk: whole or not there, in a folder that no DVC command deletes.

Layout: `.samebits/resume/<fingerprint>/<step>/{state.safetensors, counters.json, complete.json}`. `complete.json` is
written last and holds the hashes of the other two; a folder without it, or with other hashes, is passed over for the
one before. The last two are kept. One process at a time trains a fingerprint: `flock` on `<fingerprint>.lock`.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load, save

from samebits.base.errors import UserError, listed
from samebits.base.files import fsync_folder, read_json, sha256_file, write_bytes, write_json

_KEPT = 2
STATE = "state.safetensors"
COUNTERS = "counters.json"
_COMPLETE = "complete.json"

# A training that was told to stop by the death of its parent saves before it ends; the next one waits for it.
_WAIT_SECONDS = 60.0


class StateStore:
    """Saves and finds the states of one training. Use as a context manager: it holds the lock meanwhile."""

    def __init__(self, root: Path, fingerprint: str, say: Callable[[str], None]) -> None:
        self.folder = root / fingerprint
        self._lock = FileLock(root / f"{fingerprint}.lock")
        self._say = say

    def __enter__(self) -> StateStore:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0.2)
        except Timeout:
            self._say(f"the same training runs in another process; waiting up to {_WAIT_SECONDS:.0f} s for it to end")
            try:
                self._lock.acquire(timeout=_WAIT_SECONDS)
            except Timeout:
                raise UserError(
                    f"another process trains the same parameters on the same data ({self._lock.lock_file} is locked)",
                    "wait for it, or stop it: pgrep -af stages/train.py",
                ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def save(self, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Write a state durably, then drop all but the last two.

        Raises:
            UserError: if the disk is full; the states written before are untouched.
        """
        save_state(self.folder, tensors, counters)
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def load(
        self, damaged: Callable[[dict[str, torch.Tensor]], list[str]] = lambda _: []
    ) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest state that is whole, or None.

        Args:
            damaged: names of tensors whose values no training can go on from.
        """
        for folder in reversed(self._steps()):
            try:
                complete_hashes(folder)
                tensors, counters = load_state(folder)
                if names := damaged(tensors):
                    raise UserError(f"{listed(names)} is not finite")
                return tensors, counters
            except (UserError, OSError, SafetensorError, AttributeError) as error:
                self._say(f"training state {folder.name} is damaged ({_first_line(error)}); trying the one before")
        return None

    def clear(self) -> None:
        """Forget all states: the training is finished, or starts afresh."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _steps(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if path.is_dir() and path.name.isdigit())


def state_folder(folder: Path, step: int) -> Path:
    """Where the state of a step lies below a folder of states."""
    return folder / f"{step:010d}"


def save_state(folder: Path, tensors: dict[str, torch.Tensor], counters: dict[str, Any]) -> None:
    """Write a state durably below a folder of states.

    Raises:
        UserError: if the disk is full; what was there before is untouched.
    """
    step = counters["step"]
    target = state_folder(folder, step)
    draft = target.with_suffix(".tmp")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        write_bytes(draft / STATE, save({name: value.cpu().contiguous() for name, value in tensors.items()}))
        write_json(draft / COUNTERS, counters)
        write_json(draft / _COMPLETE, {name: sha256_file(draft / name) for name in (STATE, COUNTERS)})
        draft.rename(target)
        fsync_folder(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"the disk is full: the training state of step {step} could not be written below {folder}",
            "free some space, then dvc repro goes on from the state before it",
        ) from None


def load_state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and counters of one state, whose hashes the caller has looked at.

    Raises:
        UserError, OSError, SafetensorError: if a file is missing or damaged.
    """
    return load((folder / STATE).read_bytes()), read_json(folder / COUNTERS)


def complete_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a state that is whole, by name.

    Raises:
        UserError, OSError, AttributeError: if it is not.
    """
    hashes: dict[str, str] = read_json(folder / _COMPLETE)
    if any(sha256_file(folder / name) != digest for name, digest in hashes.items()):
        raise UserError("its content does not match its hash")
    return hashes


def remove_stale_states(root: Path, keep: str, days: float = 14.0) -> None:
    """Remove states that no run touched for `days`: parameters were changed and nobody came back."""
    if not root.is_dir():
        return
    horizon = time.time() - days * 86_400
    for folder in root.iterdir():
        if folder.is_dir() and folder.name != keep and folder.stat().st_mtime < horizon:
            shutil.rmtree(folder, ignore_errors=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
