"""The training state on disk: whole or not there, in a folder that no DVC command deletes.

Layout: `.samebits/resume/<fingerprint>/<step>/{state.safetensors, counters.json, complete.json}`. `complete.json` is
written last and holds the hashes of the other two; a folder without it, or with other hashes, is passed over for the
one before. The last two are kept, and beside them, in `kept_state`, the one that `train.keep_state` asks for. One
process at a time trains a fingerprint: `flock` on `<fingerprint>.lock`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from filelock import FileLock, Timeout

from samebits.base.errors import UserError
from samebits.training.resume.saved import (
    Saved,
    files_in,
    first_line,
    read_state,
    state_folder,
    steps_in,
    whole_hashes,
    write_state,
)  # fmt: skip

_LAST = 2
KEPT = "kept_state"

# A training that was told to stop by the death of its parent saves before it ends; the next one waits for it.
_WAIT_SECONDS = 60.0


class StateStore:
    """Saves and finds the states of one training. Use as a context manager: it holds the lock meanwhile."""

    def __init__(self, root: Path, fingerprint: str, say: Callable[[str], None]) -> None:
        self.folder = root / fingerprint
        self._training: dict[str, Any] = {}
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

    def describe(self, epochs: int, total_steps: int, inputs: Mapping[str, Any]) -> None:
        """What each state says of the training that it is of, for trainings that go on from it (`resume.go_on`)."""
        # As JSON gives it back: parameters have values, such as paths, that it does not know.
        plain = json.loads(json.dumps(dict(inputs), default=str))
        self._training = {"epochs": epochs, "total_steps": total_steps, "inputs": plain}

    def save(self, tensors: Mapping[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Write a state durably, then drop all but the last two.

        Raises:
            UserError: if the disk is full; the states written before are untouched.
        """
        self._write(state_folder(self.folder, counters["step"]).name, tensors, counters)
        for old in steps_in(self.folder)[:-_LAST]:
            shutil.rmtree(old, ignore_errors=True)

    def keep(self, tensors: Mapping[str, torch.Tensor], counters: dict[str, Any]) -> None:
        """Write the state that stays until the training ends, as `save` does."""
        self._write(KEPT, tensors, counters)

    def kept(self) -> Path | None:
        """Where that state is, if it is there whole."""
        folder = self.folder / KEPT
        try:
            whole_hashes(files_in(folder))
        except UserError:
            return None
        return folder

    def drop_after(self, step: int) -> None:
        """Forget the states of later steps."""
        for folder in steps_in(self.folder):
            if int(folder.name) > step:
                shutil.rmtree(folder, ignore_errors=True)

    def _write(self, name: str, tensors: Mapping[str, torch.Tensor], counters: dict[str, Any]) -> None:
        write_state(self.folder / name, tensors, counters | {"training": self._training})

    def load(self, problem: Callable[[dict[str, torch.Tensor], dict[str, Any]], str] = lambda *_: "") -> Saved | None:
        """The newest state that is whole, or None.

        Args:
            problem: why a training cannot go on from a state; empty if it can.
        """
        for folder in reversed(steps_in(self.folder)):
            try:
                tensors, counters = read_state(files_in(folder))
                if reason := problem(tensors, counters):
                    raise UserError(reason)
                return tensors, counters
            except UserError as error:
                self._say(f"training state {folder.name} is damaged ({first_line(error)}); trying the one before")
        return None

    def clear(self) -> None:
        """Forget all states: the training is finished, or starts afresh."""
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_stale_states(root: Path, keep: str, days: float = 14.0) -> None:
    """Remove states that no run touched for `days`: parameters were changed and nobody came back."""
    if not root.is_dir():
        return
    horizon = time.time() - days * 86_400
    for folder in root.iterdir():
        if folder.is_dir() and folder.name != keep and folder.stat().st_mtime < horizon:
            shutil.rmtree(folder, ignore_errors=True)
