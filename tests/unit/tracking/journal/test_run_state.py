"""Which executions get a run."""

from __future__ import annotations

from typing import Any

import pytest

from samebits.tracking.journal.run_state import should_create_run
from tests.helpers.memory_store import Recorded


@pytest.mark.parametrize(
    ("stage", "computes", "end", "worth"),
    [
        ("train", False, None, False),
        ("train", True, None, True),
        ("train", False, {"status": "FAILED", "refused": True}, False),
        ("train", False, {"status": "FAILED"}, True),
        ("train", False, {"status": "KILLED"}, True),
        ("train", True, {"status": "FAILED"}, True),
        ("prepare", True, {"status": "FINISHED"}, False),
        ("prepare", True, {"status": "FAILED"}, True),
        ("prepare", False, {"status": "FAILED", "refused": True}, False),
    ],
)
def test_a_run_begins_when_a_stage_computes(
    recorded: Recorded, stage: str, computes: bool, end: dict[str, Any] | None, worth: bool
) -> None:
    writer = recorded.stage(stage, computes=computes)
    if end is not None:
        writer.append("end", stage=stage, **end)
    writer.close()
    assert should_create_run(recorded.record.folder) is worth
