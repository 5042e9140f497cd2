"""Before a training of several processes begins: whether all would compute the same bits.

Rank 0 publishes its fingerprint: code, data, parameters, releases of packages, kind of hardware. Every other process
compares, and answers with what differs. With an answer that names something, rank 0 ends the training, in the same
words everywhere; nobody has computed anything by then.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from samebits.base.errors import listed
from samebits.base.launch import NUMPY
from samebits.base.nested import flatten
from samebits.compute.distributed import ProcessGroup
from samebits.compute.heartbeat import GroupError
from samebits.pipeline.code import code_files
from samebits.pipeline.context import StageContext
from samebits.pipeline.packages import stage_packages
from samebits.training.plan import Plan

_FINGERPRINT, _ANSWER, _AGREED = "fingerprint", "answer", "agreed"
_DIGITS = 12
_CODE = "code of "
# Beside those that `hardware_kind` has.
_VARIABLES = (*NUMPY, "CUBLAS_WORKSPACE_CONFIG", "MKL_DYNAMIC", "MKL_NUM_THREADS", "NVIDIA_TF32_OVERRIDE")

_FIXES = {
    _CODE: "take the same commit on every host: git pull",
    "data": "take the data of the first host: dvc pull data/prepared",
    "weights": "take the weights of the first host: dvc pull",
    "package ": "install what is locked on every host: make setup",
    "hardware.": "leave that host out, or set reproducibility: portable: every processor of a class has its bits",
    "precision": "write train.precision: fp32 or bf16 instead of auto",
    "variable ": "set that variable alike on every host",
}
_PARAMETER_FIX = "take the params.yaml of the first host"


def require_same_everywhere(plan: Plan, group: ProcessGroup, context: StageContext) -> None:
    """Refuse a training whose processes would compute other bits.

    Raises:
        GroupError: naming host, rank and what differs; the same on every process.
    """
    if group.size == 1:
        return
    mine = fingerprint(plan, context)
    if not group.is_rank_zero:
        problem, fix = misfit(json.loads(group.published(_FINGERPRINT)), mine)
        if problem:
            problem = f"{group.named(group.rank)} would compute other bits than process 0: {problem}"
        group.publish(f"{_ANSWER}/{group.rank}", json.dumps([problem, fix]))
        group.published(_AGREED)
        return
    group.publish(_FINGERPRINT, json.dumps(mine))
    answers = [json.loads(group.published(f"{_ANSWER}/{rank}")) for rank in range(1, group.size)]
    if strangers := [(problem, fix) for problem, fix in answers if problem]:
        problems, fixes = (list(dict.fromkeys(texts)) for texts in zip(*strangers, strict=True))
        raise GroupError("; ".join(problems), "; ".join(fixes))
    group.publish(_AGREED, "yes")


def fingerprint(plan: Plan, context: StageContext) -> dict[str, str]:
    """What the bits of a training depend on, as flat names and values."""
    workspace = context.project.workspace
    files = code_files(workspace, context.name)
    found = {f"{_CODE}{file.relative_to(workspace).as_posix()}": code_hash(file) for file in files}
    inputs = plan.inputs("")
    hardware = inputs.pop("hardware")
    del inputs["code"]  # it has no comment and no layout here
    found |= {name: str(value) for name, value in flatten(inputs).items()}
    found |= {f"package {name}": version for name, version in stage_packages(workspace, context.name).items()}
    found |= {f"hardware.{name}": str(value) for name, value in hardware.items()}
    found |= {f"variable {name}": os.environ[name] for name in _VARIABLES if name in os.environ}
    return found | {"package python": ".".join(platform.python_version_tuple()[:2])}


def misfit(theirs: Mapping[str, str], mine: Mapping[str, str]) -> tuple[str, str]:
    """What this process has otherwise than rank 0, and what to do; empty texts if nothing."""
    names = [name for name in sorted(theirs.keys() | mine.keys()) if theirs.get(name) != mine.get(name)]
    shown = [f"{name} is {mine.get(name) or 'missing'}, there {theirs.get(name) or 'missing'}" for name in names]
    fixes = [next((fix for start, fix in _FIXES.items() if name.startswith(start)), _PARAMETER_FIX) for name in names]
    return listed(shown, 4), "; ".join(dict.fromkeys(fixes))


def code_hash(file: Path) -> str:
    """A short hash of a file of code; without comments and layout in Python. Same for one release of Python."""
    content = file.read_bytes()
    if file.suffix == ".py":
        with suppress(SyntaxError, ValueError):  # it counts as it is
            content = ast.dump(ast.parse(content)).encode()
    return hashlib.sha256(content).hexdigest()[:_DIGITS]
