"""`audit.json`: what is no sound record of kept states is refused before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.training.commitment.record import AUDIT, AuditRecord, AuditState, Origin, read_record, root_of

ORIGIN = Origin(code="c", data="d", parameters={"seed": 0}, precision="fp32", weights=None)


def record(steps: list[int], every: int = 3) -> AuditRecord:
    states = tuple(AuditState(step=step, tensors=f"{step:064x}", counters=f"{step + 1:064x}") for step in steps)
    return AuditRecord(every=every, origin=ORIGIN, dataset="d" * 64, states=states, root=root_of(states))


def write(folder: Path, value: AuditRecord) -> Path:
    write_json(folder / AUDIT, value.model_dump(mode="json"))
    return folder


@pytest.mark.parametrize("steps", [[0, 3, 6, 8], [0, 3, 6], [0, 2]])
def test_a_record_is_read_as_it_was_written(steps: list[int], tmp_path: Path) -> None:
    written = record(steps)
    assert read_record(write(tmp_path, written)) == written
    assert [(start.step, end.step) for start, end in written.segments] == list(pairwise(steps))


@pytest.mark.parametrize("steps", [[], [0], [0, 6], [3, 6], [0, 3, 7, 8], [0, 3, 3], [6, 3, 0]])
def test_a_record_that_leaves_states_out_is_refused(steps: list[int], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not have a state for every 3 steps"):
        read_record(write(tmp_path, record(steps)))


def _other_hash(raw: dict[str, Any]) -> None:
    raw["states"][1]["tensors"] = "f" * 64


def _other_root(raw: dict[str, Any]) -> None:
    raw["root"] = "f" * 64


def _no_hash(raw: dict[str, Any]) -> None:
    raw["states"][1]["tensors"] = "xyz"


def _newer(raw: dict[str, Any]) -> None:
    raw["format"] = 99


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_other_hash, "its root is not the one of its states"),
        (_other_root, "its root is not the one of its states"),
        (_no_hash, "states.1.tensors: .* must be 64 hex digits"),
        (_newer, "has format 99"),
        (lambda raw: raw.pop("origin"), "origin: Field required"),
    ],
)
def test_a_changed_record_is_refused(change: Callable[[dict[str, Any]], None], problem: str, tmp_path: Path) -> None:
    raw = read_json(write(tmp_path, record([0, 3, 6])) / AUDIT)
    change(raw)
    write_json(tmp_path / AUDIT, raw)
    with pytest.raises(UserError, match=problem):
        read_record(tmp_path)


def test_a_checkpoint_without_one_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its training kept no states") as error:
        read_record(tmp_path)
    assert "train.audit_steps" in error.value.fix
