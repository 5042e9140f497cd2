"""`audit.json` in the checkpoint: the states that a training kept, their Merkle root, and what it was a training of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from samebits.base.errors import UserError
from samebits.base.files import json_bytes, read_json
from samebits.params.section import Section, Sha256
from samebits.training.commitment.merkle import merkle_root

AUDIT = "audit.json"
FORMAT = 1


class AuditState(Section):
    """One state: an entry of the Merkle tree.

    Attributes:
        step: updates made.
        tensors, counters: SHA-256 of its files, hex.
    """

    step: int = Field(ge=0)
    tensors: Sha256
    counters: Sha256

    def entry(self) -> bytes:
        """What is hashed as a leaf: canonical JSON of the state's step and hashes."""
        return json_bytes(self.model_dump())


class Origin(Section):
    """What a training's bits are a function of, beside the machine.

    Attributes:
        code: digest of the code that the stage depends on.
        data: digest of the prepared data.
        parameters: the sections of params.yaml that training reads, as JSON values.
        precision: what `train.precision` came to.
        weights: SHA-256 of the file that `transfer.weights` names; None without one.
    """

    code: str
    data: str
    parameters: dict[str, Any]
    precision: str
    weights: str | None


class AuditRecord(Section):
    """`audit.json`. It names no machine: the same training writes the same bytes.

    Attributes:
        every: `train.audit_steps`.
        origin: what it was a training of.
        dataset: SHA-256 of the prepared data's dataset.json, which has that of every shard.
        states: of step 0, of every so many steps, and of the last one, in order.
        root: RFC 6962 Merkle tree hash over the entries of the states, hex.
    """

    format: int = FORMAT
    every: int = Field(ge=1)
    origin: Origin
    dataset: Sha256
    states: tuple[AuditState, ...]
    root: Sha256

    @property
    def segments(self) -> list[tuple[AuditState, AuditState]]:
        """Stretches between two states, from the first step on."""
        return list(pairwise(self.states))


def root_of(states: tuple[AuditState, ...]) -> str:
    """The Merkle root over states, hex."""
    return merkle_root([state.entry() for state in states])


def read_record(folder: Path) -> AuditRecord:
    """The record in a checkpoint's folder.

    Raises:
        UserError: if there is none, it is damaged, or its root or its steps are not those of its states.
    """
    file = folder / AUDIT
    if not file.is_file():
        raise UserError(
            f"{folder} has no {AUDIT}: its training kept no states",
            "train with train.audit_steps, or fetch the folder whole: dvc pull models/checkpoint",
        )
    raw = read_json(file)
    version = raw.get("format") if isinstance(raw, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise UserError(f"{file} has format {version}, this code reads {FORMAT}", "update samebits to read it")
    try:
        record = AuditRecord.model_validate_json(json_bytes(raw))
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise UserError(f"{file} is no record of kept states: {place}: {error.errors()[0]['msg']}", _FIX) from None
    except ValueError as error:  # NaN, which JSON has not
        raise UserError(f"{file} is no record of kept states: {error}", _FIX) from None
    if root_of(record.states) != record.root:
        raise UserError(f"{file}: its root is not the one of its states: one of them was changed afterwards", _FIX)
    steps = [state.step for state in record.states]
    # Whoever could leave states out would choose what is checked.
    many = 1 - (-steps[-1] // record.every) if steps else 0  # counted first: a record from elsewhere may claim any step
    if len(steps) < 2 or len(steps) != many or steps != [*range(0, steps[-1], record.every), steps[-1]]:
        raise UserError(f"{file} does not have a state for every {record.every} steps", _FIX)
    return record


_FIX = "fetch the checkpoint again (dvc pull models/checkpoint); if it stays so, do not trust this model"
