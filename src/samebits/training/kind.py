"""Before a training starts: whether its bits will be those of dvc.lock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from samebits.base.errors import UserError
from samebits.compute.hardware import KERNEL_VARIABLES
from samebits.pipeline.dvc_lock import changed_params, read_lock
from samebits.tracking.environment.facts import recorded_facts

_STAGE = "train"


def kind_lines(workspace: Path, kind: Mapping[str, str], why_not: str | None, *, fixed: bool) -> list[str]:
    """What a run says of its kind of hardware.

    Args:
        kind: `hardware_kind` of this run.
        why_not: why its arithmetic is not portable; None if it is.
        fixed: whether params.yaml, not the machine, says which precision is computed in.
    """
    lines = [f"portable: no ({why_not})" if why_not else f"portable: yes ({kind.get('arithmetic')})"]
    made = _kind_of_lock(workspace)
    # The record has more facts than those that bits depend on.
    names = kind.keys() | (made.keys() & {"arithmetic", *KERNEL_VARIABLES}) if made else set()
    if kind.get("device") == "cpu" == made.get("device") and _release(made) == _release(kind):
        names -= {"torch"}
    other = {name: made.get(name, "none") for name in sorted(names) if made.get(name) != kind.get(name)}
    if other:
        shown = ", ".join(f"{name} {was}, here {kind.get(name, 'none')}" for name, was in other.items())
        lines.append(f"dvc.lock was made on another kind of hardware ({shown}): expect other bits")
        if why_not and why_not.startswith("reproducibility"):
            lines.append("for the same bits on every machine: reproducibility: portable in params.yaml")
        if not fixed:
            lines.append("train.precision: auto follows the machine, too: write bf16 or fp32 there")
    elif made:
        lines.append("dvc.lock was made on this kind of hardware: expect its bits")
    return lines


def _release(kind: Mapping[str, str]) -> str:
    """torch's release: PyTorch's own builds compute the same on a CPU (docs/reproducibility.md)."""
    return re.sub(r"\+(cpu|cu\d+)$", "", kind.get("torch", ""))


def _kind_of_lock(workspace: Path) -> dict[str, str]:
    """The facts under which the outputs in dvc.lock were made, with today's parameters; empty if that is not known."""
    try:
        locked = next(stage for stage in read_lock(workspace) if stage.name == _STAGE)
    except (UserError, StopIteration):
        return {}
    return {} if changed_params(workspace, locked) else recorded_facts(workspace, _STAGE, dict(locked.outs))
