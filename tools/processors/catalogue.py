"""The operators that a training uses, and a hash of what each computes here.

    catalogue record RECIPE FILE        two steps and a validation, in a copy of this tree
    catalogue hash FILE OUT [--work N]  each operator on made inputs of the recorded shapes
    catalogue compare OUT OUT …         a table: operator, equal or not

`python -m tools.processors --mode portable --answers all -- -m tools.processors.catalogue hash FILE {}.json` hashes it
on every processor.

A recorded file holds shapes, strides and types, and whole tensors of integers (an embedding's indices); the numbers of
other tensors are made from a seed by integer arithmetic, so that two machines hash the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.flop_counter import flop_registry

from samebits.base.errors import Interrupted
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.compute.arithmetic import ARITHMETIC
from samebits.compute.portable import set_portable
from samebits.provenance.golden.loss_trace import trace_steps
from samebits.provenance.golden.recipe_copy import prepared_copy
from samebits.provenance.verify.copies import change_params
from samebits.training import loop
from samebits.training.validation import validate

STEPS = 2

_KNOWN = 2_000
"""Calls of a validation that bring nothing new, after which it is not looked at further."""

_NOT_COMPUTED = ("aten::empty", "aten::new_empty", "aten::rand", "aten::is_", "aten::_local_scalar_dense", "profiler::")


class NothingNew(Exception):
    """A long row of calls was known already."""


class Recorder(TorchDispatchMode):
    """Keeps each call of an operator that computes something, once per shapes and types."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: dict[str, dict[str, Any]] = {}
        self.patience: int | None = None
        self._known = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        schema = func._schema
        view = not schema.is_mutable and any(each.alias_info for each in schema.returns)
        wanted = not view and not schema.name.startswith(_NOT_COMPUTED)
        # Before the call, which may change what it is given.
        described = tree_map(_described, (list(args), dict(kwargs))) if wanted else None
        out = func(*args, **kwargs)
        if wanted:
            key = hashlib.sha256(repr((str(func), tree_map(_shown, described))).encode()).hexdigest()[:16]
            self._known += 1
            if key not in self.calls:
                self._known = 0
                self.calls[key] = {"operator": str(func), "given": described, "work": _work(func, args, kwargs, out)}
            if self.patience and self._known > self.patience:
                raise NothingNew
        return out


def _described(value: Any) -> Any:
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return _Made(name=str(value).removeprefix("torch."))
    if isinstance(value, (torch.device, torch.Generator)):
        return "cpu" if isinstance(value, torch.device) else None
    if not isinstance(value, torch.Tensor):
        return value
    found = _Made(tensor=str(value.dtype).removeprefix("torch."), sizes=list(value.shape), strides=list(value.stride()))
    if value.is_floating_point():
        found["positive"] = bool((value >= 0).all()) if value.numel() else False
    else:
        found["values"] = value.detach().clone()
    return found


class _Made(dict[str, Any]):
    """What a tensor, or a type's name, is made from; a leaf to pytree, as it is no plain dict."""


def _shown(value: Any) -> Any:
    if isinstance(value, _Made):
        return [(name, each) for name, each in value.items() if name != "values"]
    return value


def _work(func: Any, args: Any, kwargs: Any, out: Any) -> int:
    """Multiplications, where torch can count them, and elements."""
    leaves = [each for each in tree_flatten((args, kwargs, out))[0] if isinstance(each, torch.Tensor)]
    elements = sum(each.numel() for each in leaves)
    count = flop_registry.get(func.overloadpacket)
    if count is None:
        return elements
    try:
        return int(count(*args, **kwargs, out_val=out)) + elements
    except (TypeError, ValueError, AssertionError, IndexError):
        return elements


def _mixed(count: int, seed: int) -> torch.Tensor:
    """`count` numbers below 2³² from integer arithmetic alone."""
    mixed = (torch.arange(count, dtype=torch.int64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    for factor in (2246822519, 3266489917):
        mixed = (mixed ^ (mixed >> 15)) * factor & 0xFFFFFFFF
    return mixed ^ (mixed >> 16)


def _made(found: dict[str, Any], seed: int) -> Any:
    if "name" in found:
        return getattr(torch, found["name"])
    dtype = getattr(torch, found["tensor"])
    if "values" in found:
        return found["values"].clone()
    extent = 1 + sum((size - 1) * stride for size, stride in zip(found["sizes"], found["strides"], strict=True))
    extent = 0 if 0 in found["sizes"] else extent
    numbers = _mixed(extent, seed).double() / 2**32  # exact
    numbers = numbers + 2**-10 if found["positive"] else numbers * 2 - 1
    return numbers.to(dtype).as_strided(found["sizes"], found["strides"])


def record(recipe: str, file: Path, mode: str, batch: int | None = None) -> int:
    """Record a recipe's operators; returns how many.

    Args:
        mode: the value of `reproducibility`.
        batch: a batch size other than the recipe's, so that emulated processors compute every operator in time.

    Raises:
        UserError: where its data or weights cannot be had.
    """
    recorder, plain = Recorder(), loop.Training.run

    def run(self: loop.Training, observer: loop.Observer, stop: StopRequest) -> None:
        with recorder:
            try:
                plain(self, observer, stop)
            except Interrupted:
                # Batches after the first few have their shapes.
                recorder.patience = _KNOWN
                with contextlib.suppress(NothingNew):
                    validate(self)
                raise

    root = Path.cwd()
    with prepared_copy(Project(root, root), recipe) as copy:
        settings: dict[str, Any] = {"precision": "fp32", "threads": 1}
        change_params(copy, {"reproducibility": mode})
        change_params(copy, {"train": settings | ({"batch_size": batch} if batch else {})})
        loop.Training.run = run  # type: ignore[method-assign]
        try:
            trace_steps(copy, STEPS)
        finally:
            loop.Training.run = plain  # type: ignore[method-assign]
    save(recorder, file, mode)
    return len(recorder.calls)


def save(recorder: Recorder, file: Path, mode: str) -> None:
    """Write what was recorded, the least work first."""
    calls = sorted(recorder.calls.items(), key=lambda item: (item[1]["work"], item[0]))
    torch.save(tree_map(_plain, {"calls": dict(calls), "mode": mode}), file)


def _plain(value: Any) -> Any:
    return {"made": dict(value)} if isinstance(value, _Made) else value


def _operator(name: str) -> Any:
    space, operator, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, space), operator), overload)


def hashes(file: Path, most_work: int | None = None, seconds: float | None = None) -> dict[str, dict[str, Any]]:
    """Hash each recorded operator, cheapest first; those above `most_work`, or begun after `seconds`, are left out."""
    recorded, found, begun = torch.load(file, weights_only=False), {}, time.monotonic()
    reason = set_portable(recorded["mode"], torch.device("cpu"), 1)
    if reason and recorded["mode"] in ARITHMETIC:
        raise SystemExit(f"no {recorded['mode']} arithmetic here: {reason}")
    for key, call in recorded["calls"].items():
        if (most_work and call["work"] > most_work) or (seconds and time.monotonic() - begun > seconds):
            break
        seed = int(key[:8], 16)
        given, spec = tree_flatten(call["given"], is_leaf=lambda each: isinstance(each, dict) and "made" in each)
        made = [
            _made(each["made"], seed + place) if isinstance(each, dict) and "made" in each else each
            for place, each in enumerate(given)
        ]
        args, kwargs = torch.utils._pytree.tree_unflatten(made, spec)
        torch.manual_seed(0)
        with torch.no_grad():
            out = _operator(call["operator"])(*args, **kwargs)
        total = hashlib.sha256()
        # Also what it was given: an operator in place, or one that writes running statistics, changes that.
        for tensor in tree_flatten((out, args, kwargs))[0]:
            if isinstance(tensor, torch.Tensor):
                total.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        shapes = " ".join(
            "×".join(map(str, each["made"]["sizes"]))
            for each in given
            if isinstance(each, dict) and "sizes" in each["made"]
        )
        found[key] = {"operator": call["operator"], "shapes": shapes, "sha256": total.hexdigest()}
    return found


def compare(files: list[Path]) -> tuple[list[str], int]:
    """Lines of a Markdown table, one per operator: shapes compared, and those that differ from the first file's.

    Raises:
        SystemExit: if a file has nothing that the first one has.
    """
    first, *rest = (json.loads(file.read_text()) for file in files)
    for file, other in zip(files[1:], rest, strict=True):
        if not first.keys() & other.keys():
            raise SystemExit(f"{file} holds no operator of {files[0]}: they are of other recipes")
    lines = [f"| operator | shapes | {' | '.join(file.stem for file in files[1:])} |", "|---|---|" + "---|" * len(rest)]
    differing = 0
    for operator in sorted({each["operator"] for each in first.values()}):
        keys = [key for key, each in first.items() if each["operator"] == operator]
        cells = []
        for other in rest:
            both = [key for key in keys if key in other]
            parted = [key for key in both if other[key]["sha256"] != first[key]["sha256"]]
            differing += len(parted)
            shown = "; ".join(first[key]["shapes"] for key in parted[:3])
            cells.append(f"**{len(parted)} of {len(both)} differ**: {shown}" if parted else f"{len(both)} equal")
        lines.append(f"| {operator} | {len(keys)} | {' | '.join(cells)} |")
    return lines, differing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.processors.catalogue")
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("recipe")
    recording.add_argument("file", type=Path)
    recording.add_argument("--mode", default="portable", help="the value of `reproducibility`")
    recording.add_argument("--batch", type=int, help="another batch size than the recipe's")
    hashing = commands.add_parser("hash")
    hashing.add_argument("file", type=Path)
    hashing.add_argument("out", type=Path)
    hashing.add_argument("--work", type=int, help="leave out operators with more multiplications and elements")
    hashing.add_argument("--seconds", type=float, help="begin no operator after this time")
    comparing = commands.add_parser("compare")
    comparing.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "record":
        print(f"{record(given.recipe, given.file, given.mode, given.batch)} operators")
    elif given.command == "hash":
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        given.out.write_text(json.dumps(hashes(given.file, given.work, given.seconds), indent=1, sort_keys=True))
    else:
        lines, differing = compare(given.files)
        print("\n".join(lines))
        return int(differing > 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
