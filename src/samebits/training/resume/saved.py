"""The files of one saved state: `state.safetensors`, `counters.json`, and `complete.json` with their hashes."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from samebits.base.errors import UserError
from samebits.base.files import fsync_folder, read_json, sha256_file, write_json
from samebits.checkpoints.stream import write_tensors

STATE = "state.safetensors"
COUNTERS = "counters.json"
COMPLETE = "complete.json"

RECEIVED = "received"
"""A file beside states that somebody sent."""

Saved = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""Tensors and counters of a state."""


class SavedTraining(BaseModel):
    """What a state says of the training that it is of.

    Attributes:
        inputs: what its weights are a function of, as in its fingerprint.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    epochs: PositiveInt
    total_steps: PositiveInt
    inputs: dict[str, Any]


class StateCounters(BaseModel):
    """What `TrainingState.counters` gives."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)
    step: NonNegativeInt
    curve: list[dict[str, float | None]]
    best_loss: float | None
    best_epoch: int
    scaler: dict[str, float] | None


class Counters(StateCounters):
    """The counters of a state that comes from elsewhere."""

    model_config = ConfigDict(extra="forbid")
    step: PositiveInt
    training: SavedTraining

    @property
    def place(self) -> str:
        """For people: `step 300 (epoch 3 of 5)`."""
        done = self.step * self.training.epochs / self.training.total_steps
        return f"step {self.step} (epoch {round(done, 2):g} of {self.training.epochs})"


def steps_in(folder: Path) -> list[Path]:
    """The states of a training, by step."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())
    except (FileNotFoundError, NotADirectoryError):  # of a training that has just ended, too
        return []


def newest(folder: Path) -> Path | None:
    """The last one that was written whole, as far as its names tell."""
    return next((each for each in reversed(steps_in(folder)) if (each / COMPLETE).is_file()), None)


def files_in(folder: Path) -> dict[str, Path]:
    """The files of a state in a folder, by name."""
    return {name: folder / name for name in (STATE, COUNTERS, COMPLETE)}


def state_folder(folder: Path, step: int) -> Path:
    """Where the state of a step lies below a folder of states."""
    return folder / f"{step:010d}"


def write_state(folder: Path, tensors: Mapping[str, torch.Tensor], counters: Mapping[str, Any]) -> None:
    """Write a state durably: its folder is there whole, or not at all.

    Raises:
        UserError: if the disk is full; what was there before is untouched.
    """
    draft = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        write_tensors(draft / STATE, tensors)
        write_json(draft / COUNTERS, dict(counters))
        write_complete(draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        fsync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"the disk is full: the training state of step {counters['step']} could not be written below "
            f"{folder.parent}",
            "free some space, then dvc repro goes on from the state before it",
        ) from None


def write_complete(folder: Path) -> None:
    """Write the hashes of a state's files beside them."""
    write_json(folder / COMPLETE, {name: sha256_file(folder / name) for name in (STATE, COUNTERS)})


def whole_hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each file of a state that is whole; where its files lie is given by name.

    Raises:
        UserError: if one of its files is missing, or has another hash than it was written with.
    """
    try:
        hashes: dict[str, str] = read_json(files[COMPLETE])
        if hashes != {name: sha256_file(files[name]) for name in (STATE, COUNTERS)}:
            raise UserError("its content does not match its hash")
    except KeyError as error:
        raise UserError(f"it has no {error.args[0]}") from None
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from None
    return hashes


def read_counters(files: Mapping[str, Path]) -> dict[str, Any]:
    """The counters of a state.

    Raises:
        UserError: as `whole_hashes`, or if they are none.
    """
    whole_hashes(files)
    counters = read_json(files[COUNTERS])
    if not isinstance(counters, dict):
        raise UserError(f"its {COUNTERS} is no mapping")
    return counters


def read_state(files: Mapping[str, Path]) -> Saved:
    """A whole state. Nothing in it is run: tensors are read as safetensors, all else as JSON.

    Raises:
        UserError: if it is damaged.
    """
    counters = read_counters(files)  # it checks the hashes
    return _read_tensors(files), counters


def load_state(folder: Path) -> Saved:
    """The state in a folder, whose hashes the caller has looked at.

    Raises:
        UserError: if a file cannot be read.
    """
    files = files_in(folder)
    return _read_tensors(files), read_json(files[COUNTERS])


def _read_tensors(files: Mapping[str, Path]) -> dict[str, torch.Tensor]:
    try:
        return load_file(files[STATE])  # pages of the file: nothing is read before it is used
    except (OSError, SafetensorError) as error:
        raise UserError(f"its tensors cannot be read: {first_line(error)}") from None


def read_checked(files: Mapping[str, Path]) -> Counters:
    """The counters of a state from elsewhere.

    Raises:
        UserError: if the state is damaged, or was not written by this program.
    """
    try:
        return Counters.model_validate(read_counters(files))
    except ValidationError as error:
        raise UserError(no_counters(error)) from None


def no_counters(error: ValidationError) -> str:
    """Why a state's counters cannot be used."""
    first = error.errors()[0]
    return f"its counters are no state's: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def first_line(error: BaseException) -> str:
    """Of an error's message; its type if it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
