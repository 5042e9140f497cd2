"""Golden traces: the losses of a recipe's first steps on one kind of hardware, as hex floats, in the repository.

`golden/<recipe>/<kind>.json` holds them with the facts they were made under. A kind is `hardware.hardware_kind`, in
which the number of threads, the CPU or GPU and torch's release count. The same kind must give the same losses to the
last bit; a kind that has no file is unknown until `samebits golden RECIPE` adds one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.errors import UserError
from samebits.files import json_bytes, read_json, write_json
from samebits.git import head_commit
from samebits.params.read import read_yaml
from samebits.params.schema import parse_params, read_params
from samebits.paths import Project
from samebits.recipes import merge, recipe_names, use
from samebits.verify.copies import (
    clean_environment,
    copy_commit,
    copy_tree,
    record_nothing,
    run_command,
    scratch,
)
from samebits.verify.lock import inputs_of, read_lock
from samebits.verify.objects import bring_outputs, open_objects, share_cache
from samebits.verify.report import changed_facts
from samebits.verify.steps import FORMAT, params_digest, trace_in_process

STEPS = 50
FOLDER = "golden"
_PREPARE = "prepare"

Trace = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Parting:
    """Where two traces part.

    Attributes:
        step: the first step, from 1, whose losses differ; 0 if none does.
        was, now: the losses there.
    """

    step: int
    was: float = 0.0
    now: float = 0.0


def kind_name(kind: Mapping[str, str]) -> str:
    """A file name for a kind of hardware: what people look for, and a hash of all of it."""
    device = kind.get("gpu") or kind.get("cpu", "cpu")
    words = f"{device} {kind.get('cpu_capability', '')} {kind.get('threads', '?')} threads"
    readable = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")
    return f"{readable}-{hashlib.sha256(json_bytes(dict(kind))).hexdigest()[:8]}"


def golden_file(root: Path, recipe: str, kind: Mapping[str, str]) -> Path:
    """Where a recipe's trace for a kind of hardware stands."""
    return root / FOLDER / recipe / f"{kind_name(kind)}.json"


def read_trace(file: Path) -> Trace:
    """A golden trace.

    Raises:
        UserError: if the file is none.
    """
    trace = read_json(file)
    good = isinstance(trace, dict) and trace.get("format") == FORMAT and isinstance(trace.get("losses"), list)
    try:
        if good and trace["losses"] and all(float.fromhex(loss) is not None for loss in trace["losses"]):
            return dict(trace)
    except (TypeError, ValueError):
        pass
    raise UserError(f"{file} is no golden trace", f"git checkout {file}, or make it again: samebits golden RECIPE")


def part(golden: Trace, now: Trace, steps: int | None = None) -> Parting:
    """The first of `steps` steps (all that both have) at which two traces differ."""
    pairs = list(zip(golden["losses"], now["losses"], strict=False))[:steps]
    for step, (was, is_now) in enumerate(pairs, start=1):
        if was != is_now:
            return Parting(step, float.fromhex(was), float.fromhex(is_now))
    return Parting(0)


def trace_recipe(project: Project, recipe: str, steps: int = STEPS, repeat: int = 1) -> list[Trace]:
    """Trace a recipe in a copy of the working tree, `repeat` times; the data is prepared there once.

    Raises:
        UserError: for an unknown recipe, data that cannot be had, steps that fail.
    """
    with scratch(project, FOLDER) as folder:
        copy = copy_tree(project.workspace, folder / "copy")
        use(copy, recipe, say=lambda _: None)
        record_nothing(copy)
        run_command(f"python stages/{_PREPARE}.py", _PREPARE, copy, quiet=True)
        return [trace_in_process(copy, steps, copy / "src", clean_environment()) for _ in range(repeat)]


def record(project: Project, recipe: str, *, replace: bool = False, say: Say = print) -> bool:
    """Add this machine's golden trace of a recipe, or hold the one that is there against a new one.

    Args:
        replace: write it anew, after a change of code or recipe that was meant to change bits.

    Returns:
        False if there is a trace and the machine no longer follows it.

    Raises:
        UserError: if two runs one after the other do not even agree with each other.
    """
    first, second = trace_recipe(project, recipe, repeat=2)
    if (parting := part(first, second)).step:
        raise UserError(
            f"{recipe}: two runs on this machine part at step {parting.step} ({parting.was!r}, {parting.now!r}): "
            "a golden trace would mean nothing",
            "set reproducibility: strict, and report the operation that is not repeatable",
        )
    file = golden_file(project.workspace, recipe, first["kind"])
    shown = file.relative_to(project.workspace)
    if file.is_file() and not replace:
        return _judge(read_trace(file), first, STEPS, f"{shown}", say)
    write_json(file, first)
    say(f"{shown}: {len(first['losses'])} losses, {float.fromhex(first['losses'][0]):.4f} to "
        f"{float.fromhex(first['losses'][-1]):.4f}; commit it")  # fmt: skip
    return True


def verify_steps(project: Project, steps: int, say: Say = print) -> bool:
    """`samebits verify --steps N`: the commit's parameters for N steps, against the golden trace of this hardware.

    Returns:
        whether each loss has the same bits.

    Raises:
        UserError: if no trace fits the parameters and this kind of hardware.
    """
    root = project.workspace
    digest = params_digest(read_params(project.params_file))
    recipes = [name for name in recipe_names(root) if _recipe_digest(root, name) == digest]
    if not recipes:
        raise UserError(
            "params.yaml follows none of the recipes, so there is no golden trace of it",
            f"samebits use one of {', '.join(recipe_names(root))}, or verify whole stages: samebits verify",
        )
    commit = head_commit(root)
    everything = read_lock(root)
    with scratch(project, "verify") as folder:
        copy = copy_commit(root, commit, folder / "copy")
        objects = open_objects(root)
        share_cache(root, copy, objects)
        train = [stage for stage in everything if stage.name == "train"]
        bring_outputs(copy, inputs_of(train, everything), objects)
        record_nothing(copy)
        trace = trace_in_process(copy, steps, copy / "src", clean_environment())
    files = [file for name in recipes if (file := golden_file(root, name, trace["kind"])).is_file()]
    if not files:
        raise UserError(
            f"there is no golden trace of {recipes[0]} for this kind of hardware ({kind_name(trace['kind'])})",
            f"record one where the bits are trusted: samebits golden {recipes[0]}",
        )
    golden = read_trace(files[0])
    if steps > len(golden["losses"]):
        raise UserError(f"{files[0]} has {len(golden['losses'])} steps, not {steps}", "ask for fewer: --steps N")
    return _judge(golden, trace, steps, str(files[0].relative_to(root)), say)


def _recipe_digest(root: Path, recipe: str) -> str:
    """The digest of what training reads if params.yaml followed the recipe."""
    params = read_yaml(root / "params.yaml")
    merge(params, read_yaml(root / "recipes" / f"{recipe}.yaml"))
    return params_digest(parse_params(params))


def _judge(golden: Trace, now: Trace, steps: int, name: str, say: Say) -> bool:
    count = min(steps, len(golden["losses"]), len(now["losses"]))
    parting = part(golden, now, steps)
    if not parting.step:
        say(f"{name}: {count} of {count} losses have the same bits")
        return True
    gap = abs(parting.now - parting.was)
    say(f"{name}: the losses part at step {parting.step} of {count}: {parting.was!r} -> {parting.now!r} ({gap:.3g})")
    for key, what in (("data", "the prepared data"), ("params", "the parameters")):
        if golden.get(key) != now.get(key):
            say(f"  {what} differ: {golden.get(key)} -> {now.get(key)}")
    for fact, (was, here) in changed_facts(golden.get("facts", {}), now["facts"]).items():
        say(f"  {fact}: {was or '(none)'} -> {here or '(none)'}")
    return False
