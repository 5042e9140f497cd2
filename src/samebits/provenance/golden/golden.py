"""Golden traces: the losses of a recipe's first steps on one kind of hardware, as hex floats, in the repository.

`golden/<recipe>/<kind>.json` holds them with the facts they were made under. A kind is `hardware.hardware_kind`, in
which the number of threads, the CPU or GPU and torch's release count. The same kind must give the same losses to the
last bit; a kind that has no file is unknown until `samebits golden RECIPE` adds one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import json_bytes, read_json, write_json
from samebits.base.git import head_commit
from samebits.base.paths import Project
from samebits.compute.arithmetic import ARITHMETIC
from samebits.params.schema import read_params
from samebits.pipeline.dvc_cache import bring_outputs, open_objects, share_cache
from samebits.pipeline.dvc_lock import inputs_of, pick_stages, read_lock
from samebits.pipeline.recipes import recipe_names
from samebits.provenance.golden.loss_trace import FORMAT, params_digest, trace_in_process
from samebits.provenance.golden.recipe_copy import (
    SEED,
    STRICT,
    UnavailableError,
    prepared_copy,
    recipe_params,
    trace_alone,
)
from samebits.provenance.verify.copies import clean_environment, copy_commit, scratch
from samebits.provenance.verify.pipeline import require_clean
from samebits.provenance.verify.report import changed_facts

STEPS = 50
FOLDER = "golden"
PORTABLE = "portable"
"""Below it: traces of portable arithmetic, one per recipe and class of processors, checked on all of them."""
PORTABLE_STEPS = 10

Trace = dict[str, Any]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Divergence:
    """Where two traces diverge.

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
    """Where a recipe's trace for a kind of hardware stands; one of portable arithmetic is every machine's."""
    if level := kind.get("arithmetic"):
        return root / FOLDER / PORTABLE / f"{recipe}.{level}.json"
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


def first_divergence(golden: Trace, now: Trace, steps: int | None = None) -> Divergence:
    """The first of `steps` steps (all that both have) at which two traces differ."""
    pairs = list(zip(golden["losses"], now["losses"], strict=False))[:steps]
    for step, (was, is_now) in enumerate(pairs, start=1):
        if was != is_now:
            return Divergence(step, float.fromhex(was), float.fromhex(is_now))
    return Divergence(0)


def trace_copy(copy: Path, steps: int = STEPS) -> Trace:
    """The first steps of a copy whose data is prepared.

    Raises:
        UserError: with what the training said, if it fails.
    """
    return trace_in_process(copy, steps, copy / "src", clean_environment())


def record(project: Project, recipe: str, *, mode: str = STRICT, replace: bool = False, say: Say = print) -> bool:
    """Add this machine's golden trace of a recipe, or hold the one that is there against a new one.

    Args:
        mode: the value of `reproducibility`.
        replace: write it anew, after a change of code or recipe that was meant to change bits.

    Returns:
        False if there is a trace and the machine no longer follows it.

    Raises:
        UnavailableError: if the recipe's data or weights cannot be had.
        UserError: if two runs one after the other do not even agree with each other.
    """
    with prepared_copy(project, recipe, mode) as copy:
        steps = STEPS if mode == STRICT else PORTABLE_STEPS
        first = trace_copy(copy, steps)
        if mode in ARITHMETIC and first["kind"].get("arithmetic") != ARITHMETIC[mode].level:
            raise UnavailableError(
                f"{recipe}: this machine does not compute reproducibility: {mode}",
                f"record it on a processor of class {ARITHMETIC[mode].level}",
            )
        file = golden_file(project.workspace, recipe, first["kind"])
        shown = f"{file.relative_to(project.workspace)}"
        old = read_trace(file) if file.is_file() and not replace else None
        if old and not first_divergence(old, first).step:
            return _judge(old, first, steps, shown, say)
        # What a machine does not repeat is neither worth recording nor the fault of the code.
        require_repeated(recipe, first, trace_copy(copy, steps))
    if old:
        return _judge(old, first, steps, shown, say)
    write_json(file, first)
    say(f"{shown}: {len(first['losses'])} losses, {float.fromhex(first['losses'][0]):.4f} to "
        f"{float.fromhex(first['losses'][-1]):.4f}; commit it")  # fmt: skip
    return True


def require_repeated(recipe: str, first: Trace, second: Trace) -> None:
    """Refuse two traces of one machine that diverge.

    Raises:
        UserError: naming the step.
    """
    if (divergence := first_divergence(first, second)).step:
        raise UserError(
            f"{recipe}: two runs on this machine diverge at step {divergence.step} "
            f"({divergence.was!r}, {divergence.now!r}): a golden trace would mean nothing",
            "find the operation that is not repeatable; other work on the machine must not change a bit",
        )


def record_all(
    project: Project, recipes: Iterable[str], *, mode: str = STRICT, replace: bool = False, say: Say = print
) -> bool:
    """`record` for one recipe after the other. One that cannot be traced here is named, and the rest go on.

    Raises:
        UserError: if a trace failed for another reason than missing data, or none could be made.
    """
    different, failed, without, traced = [], [], [], 0
    for recipe in recipes:
        began = time.monotonic()
        try:
            same = record(project, recipe, mode=mode, replace=replace, say=say)
        except UnavailableError as error:
            say(f"{recipe}: not traced: {error.problem}")
            without.append(recipe)
            continue
        except UserError as error:
            say(f"{recipe}: {error}")
            failed.append(recipe)
            continue
        traced += 1
        if not same:
            different.append(recipe)
        say(f"{recipe}: {time.monotonic() - began:.0f} s")
    counts = {"traced": traced, "different": len(different), "failed": len(failed), "without data": len(without)}
    say(", ".join(f"{count} {word}" for word, count in counts.items()))
    if failed or not traced:
        raise UserError(f"not traced: {', '.join(failed or without)}", "the reasons are above; fix them, then again")
    return not different


def verify_steps(project: Project, steps: int, say: Say = print) -> bool:
    """`samebits verify --steps N`: the commit's parameters for N steps, against the golden trace of this hardware.

    Returns:
        whether each loss has the same bits.

    Raises:
        UserError: if the working tree differs from its commit, or no trace fits its parameters and this kind of
            hardware.
    """
    root = project.workspace
    commit = head_commit(root)
    everything = read_lock(root)
    require_clean(root, everything)
    params = read_params(project.params_file)
    digest, own = params_digest(params), str(params.sections["reproducibility"])
    mode = own if own in ARITHMETIC else STRICT
    recipes = [name for name in recipe_names(root) if params_digest(recipe_params(root, name, mode)) == digest]
    if not recipes:
        pinned = f"seed: {SEED}, reproducibility: {mode}"
        raise UserError(
            f"params.yaml follows none of the recipes with {pinned}, so there is no golden trace of it",
            f"samebits use one of {', '.join(recipe_names(root))}, or verify whole stages: samebits verify",
        )
    _require_on_record(root, recipes, mode, steps)
    with scratch(project, "verify") as folder:
        copy = copy_commit(root, commit, folder / "copy")
        objects = open_objects(root)
        share_cache(root, copy, objects)
        bring_outputs(copy, inputs_of(pick_stages(everything, ["train"]), everything), objects)
        trace_alone(copy)
        trace = trace_copy(copy, steps)
    files = [file for name in recipes if (file := golden_file(root, name, trace["kind"])).is_file()]
    if not files:
        raise UserError(
            f"there is no golden trace of {recipes[0]} for this kind of hardware ({kind_name(trace['kind'])})",
            f"record one where the bits are trusted: samebits golden {recipes[0]}",
        )
    return _judge(read_trace(files[0]), trace, steps, str(files[0].relative_to(root)), say)


def _require_on_record(root: Path, recipes: list[str], mode: str, steps: int) -> None:
    """Refuse at once what no trace on record could answer; which kind this machine is shows when torch runs."""
    if mode in ARITHMETIC:
        files = [root / FOLDER / PORTABLE / f"{name}.{ARITHMETIC[mode].level}.json" for name in recipes]
    else:
        files = [file for name in recipes for file in (root / FOLDER / name).glob("*.json")]
    lengths = [len(read_trace(file)["losses"]) for file in files if file.is_file()]
    if not lengths:
        raise UserError(
            f"there is no golden trace of {recipes[0]} for any kind of hardware",
            f"record one where the bits are trusted: samebits golden {recipes[0]}",
        )
    if steps > max(lengths):
        raise UserError(f"golden traces of {recipes[0]} have {max(lengths)} steps, not {steps}", "ask for fewer")


def _judge(golden: Trace, now: Trace, steps: int, name: str, say: Say) -> bool:
    count = min(steps, len(golden["losses"]), len(now["losses"]))
    divergence = first_divergence(golden, now, steps)
    if not divergence.step:
        say(f"{name}: {count} of {count} losses have the same bits")
        return True
    gap = abs(divergence.now - divergence.was)
    say(
        f"{name}: the losses diverge at step {divergence.step} of {count}: "
        f"{divergence.was!r} -> {divergence.now!r} ({gap:.3g})"
    )
    for key, what in (("data", "the prepared data"), ("params", "the parameters")):
        if golden.get(key) != now.get(key):
            say(f"  {what} differ: {golden.get(key)} -> {now.get(key)}")
    for fact, (was, here) in changed_facts(golden.get("facts", {}), now["facts"]).items():
        say(f"  {fact}: {was or '(none)'} -> {here or '(none)'}")
    return False
