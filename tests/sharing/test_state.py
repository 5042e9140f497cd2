"""The state of an interrupted training, from one machine to another; what came damaged or is none is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from samebits.base.errors import UserError
from samebits.base.files import json_bytes
from samebits.base.paths import Project
from samebits.pipeline.fingerprint import digest
from samebits.sharing.git import keep_json
from samebits.sharing.state import receive_state, share_state
from samebits.training.resume.store import StateStore
from tests.helpers.team import Person, Team, objects_in

pytestmark = pytest.mark.slow

INPUTS: dict[str, Any] = {"seed": 1, "train": {"epochs": 5, "schedule": {"name": "constant"}}}
FINGERPRINT = digest(INPUTS)[:32]
REF = f"refs/samebits/states/{FINGERPRINT}"


def interrupted(person: Person, *steps: int, kept: int = 0) -> None:
    """States as a training leaves them that was stopped."""
    with StateStore(person.folder / ".samebits" / "resume", FINGERPRINT, print) as store:
        store.describe(5, 50, INPUTS)
        for step, write in [*((kept, store.keep) for _ in range(kept and 1)), *((step, store.save) for step in steps)]:
            counters = {"step": step, "curve": [], "best_loss": None, "best_epoch": 0, "scaler": None}
            write({"losses": torch.zeros(step), "model.a": torch.full((3, 4), float(step))}, counters)


def files(person: Person) -> dict[str, bytes]:
    folder = person.folder / ".samebits" / "resume" / FINGERPRINT
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_state_goes_to_another_machine(team: Team, local: Path) -> None:
    assert "no training is interrupted here" in team.ann.refused("share", "--state")
    interrupted(team.ann, 20, 30, kept=10)
    said = team.ann.ok("share", "--state")
    assert f"shared: state {FINGERPRINT[:8]} at step 30 (epoch 3 of 5)" in said
    assert "is on no git remote" in said
    bob = team.clone("bob")
    assert "there is no state abc on origin" in bob.refused("receive", "--state", "abc")
    said = bob.ok("receive", "--state")
    assert f"received: state {FINGERPRINT[:8]} at step 30 (epoch 3 of 5), every hash checked" in said
    theirs = {name: data for name, data in files(team.ann).items() if not name.startswith("0000000020/")}
    assert files(bob) == theirs | {"received": b""}
    # It can be shared on; a later state replaces it; an earlier one does not.
    interrupted(bob, 40)
    assert "at step 40 (epoch 4 of 5)" in bob.ok("share", "--state", FINGERPRINT[:6])
    message = team.ann.refused("share", "--state")
    assert "origin has step 40 of this training already, and here it is at step 30" in message
    assert "at step 40" in team.ann.ok("receive", "--state", FINGERPRINT[:6])
    interrupted(bob, 50)
    assert "is at step 50 here already" in bob.ok("receive", "--state")
    assert bob.git("status", "--porcelain") == ""


def test_a_state_without_those_of_an_audit_stays(team: Team, local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INPUTS, "train", {"audit_steps": 5})
    interrupted(team.ann, 20)
    with pytest.raises(UserError, match=r"train\.audit_steps keeps states from step 0 on"):
        share_state(Project(team.ann.folder, team.ann.folder))


def description(person: Person, change: Callable[[dict[str, Any]], object]) -> None:
    """Publish another description of the state than the one that came."""
    value = json.loads(person.git("show", f"{REF}:state.json"))
    change(value)
    keep_json(person.folder, REF, "state.json", value, "changed")
    person.git("push", "-q", "origin", f"+{REF}:{REF}")


def put(store: Path, data: bytes) -> dict[str, Any]:
    """An object on the remote; how a description names it."""
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    path = store / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"md5": md5, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def test_what_is_no_state_is_refused_and_leaves_nothing(team: Team, local: Path) -> None:
    interrupted(team.ann, 30)
    team.ann.ok("share", "--state")
    bob = team.clone("bob")
    tensors, counters = "latest/state.safetensors", "latest/counters.json"
    good = json.loads(team.ann.git("show", f"{REF}:state.json"))
    path = objects_in(local)[good["files"][tensors]["md5"]]
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1])
    assert "is damaged" in bob.refused("receive", "--state")
    here = Project(bob.folder, bob.folder)
    path.write_bytes(data + b"x" * 10_000_000)
    with pytest.raises(UserError, match="is damaged"):
        receive_state(here)
    path.unlink()
    with pytest.raises(UserError, match=f"does not have {tensors}"):
        receive_state(here)
    path.write_bytes(data)

    other = {"step": 3, "curve": [], "best_loss": None, "best_epoch": 0, "scaler": None}
    other["training"] = {"epochs": 5, "total_steps": 50, "inputs": {"seed": 2}}
    harm: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
        "not a description": (lambda value: value.clear(), "the description of state"),
        "a path": (lambda value: value["files"].update({"../x": good["files"][tensors]}), "the description of state"),
        "no hash": (lambda value: value["files"][tensors].update(md5="../../etc/passwd"), "the description of state"),
        "another hash": (lambda value: value["files"][tensors].update(sha256="0" * 64), "is damaged"),
        "a pickle": (
            lambda value: value["files"].update({tensors: put(local, pickle.dumps({"a": 1}))}),
            "what came is no state of a training: its tensors cannot be read",
        ),
        "other counters": (
            lambda value: value["files"].update({counters: put(local, b'{"step": 1}')}),
            "what came is no state of a training: its counters are no state's",
        ),
        "another training": (
            lambda value: value["files"].update({counters: put(local, json_bytes(other))}),
            "what came is the state of another training",
        ),
    }  # fmt: skip
    for change, said in harm.values():
        keep_json(team.ann.folder, REF, "state.json", good, "good")
        description(team.ann, change)
        with pytest.raises(UserError, match=re.escape(said)):
            receive_state(here)
    assert not list((bob.folder / ".samebits" / "resume").glob("*/"))
    assert [path.name for path in (bob.folder / ".samebits").iterdir()] == ["resume"]
