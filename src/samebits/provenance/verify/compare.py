"""Two files that should be equal and are not: where they diverge first, and by how much."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from samebits.base.nested import flatten

_BLOCK = 1 << 20


def describe(name: str, old: Path, new: Path) -> list[str]:
    """Lines on how `new` differs from `old`, by kind of file; empty if the bytes are equal.

    Args:
        name: of the file, for people; its suffix tells the kind.
    """
    offset = first_difference(old, new)
    if offset is None:
        return []
    kinds = {".safetensors": _tensors, ".npy": _array, ".json": _json, ".csv": _table}
    kind = kinds.get(Path(name).suffix)
    try:
        lines = kind(old, new) if kind else []
    except (OSError, ValueError, KeyError, SafetensorError):
        lines = []  # not what its name says: the bytes tell
    sizes = f"{old.stat().st_size:,} and {new.stat().st_size:,} bytes"
    return lines or [f"bytes differ from offset {offset:,} on ({sizes})"]


def describe_output(path: str, old: Mapping[str, Path], new: Mapping[str, Path]) -> list[str]:
    """`describe` for each file of an output, and the files that only one side has."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        shown = f"{path}/{name}" if name else path
        if name not in new:
            lines.append(f"{shown}: not written this time")
        elif name not in old:
            lines.append(f"{shown}: was not there before")
        else:
            lines += [f"{shown}: {line}" for line in describe(shown, old[name], new[name])]
    return lines


def first_difference(old: Path, new: Path) -> int | None:
    """Offset of the first byte that differs, or at which the shorter file ends; None for equal bytes."""
    offset = 0
    with old.open("rb") as one, new.open("rb") as two:
        while True:
            left, right = one.read(_BLOCK), two.read(_BLOCK)
            if left != right:
                same = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), None)
                return offset + (min(len(left), len(right)) if same is None else same)
            if not left:
                return None
            offset += len(left)


def tensor_difference(old: torch.Tensor, new: torch.Tensor) -> tuple[float, float]:
    """Largest absolute difference, and the largest relative to the larger of both magnitudes; of any shape and dtype.

    NaN against a number is an infinite difference; NaN against NaN is none.
    """
    one, two = old.double().flatten(), new.double().flatten()
    both = one.isnan() & two.isnan()
    gap = torch.where(both, 0.0, _infinite_for_nan((one - two).abs()))
    # Equal infinities differ by NaN.
    gap = torch.where(one == two, 0.0, gap)
    scale = torch.maximum(one.abs(), two.abs())
    relative = _infinite_for_nan(torch.where(gap > 0, gap / scale, 0.0))
    return (gap.max().item(), relative.max().item()) if gap.numel() else (0.0, 0.0)


def _infinite_for_nan(values: torch.Tensor) -> torch.Tensor:
    return torch.where(values.isnan(), math.inf, values)


def compare_tensors(old: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> list[str]:
    """The first tensor, by name, that differs, and the largest difference of all."""
    lines = []
    if old.keys() != new.keys():
        only = [f"-{name}" for name in sorted(old.keys() - new.keys())]
        only += [f"+{name}" for name in sorted(new.keys() - old.keys())]
        lines.append(f"other tensors: {', '.join(only)}")
    found: dict[str, tuple[float, float]] = {}
    for name in sorted(old.keys() & new.keys()):
        one, two = old[name], new[name]
        if one.shape != two.shape or one.dtype != two.dtype:
            kinds = [f"{each.dtype} {tuple(each.shape)}" for each in (one, two)]
            lines.append(f"{name} was {kinds[0]} and is {kinds[1]}")
        elif not _same_bits(one, two):
            found[name] = tensor_difference(one, two)
    if found:
        first = next(iter(found))
        worst = max(found, key=lambda name: found[name][0])
        lines.append(
            f"{len(found)} of {len(old)} tensors differ; the first is {first}, by up to {found[first][0]:.3g} "
            f"(relative {found[first][1]:.3g}); the most {worst}, by {found[worst][0]:.3g} "
            f"(relative {found[worst][1]:.3g})"
        )
    return lines


def _same_bits(one: torch.Tensor, two: torch.Tensor) -> bool:
    return torch.equal(one.contiguous().view(-1).view(torch.uint8), two.contiguous().view(-1).view(torch.uint8))


def _tensors(old: Path, new: Path) -> list[str]:
    return compare_tensors(load_file(old), load_file(new)) or ["the tensors are equal; their order or metadata differ"]


def _array(old: Path, new: Path) -> list[str]:
    one, two = (np.load(path, mmap_mode="r", allow_pickle=False) for path in (old, new))
    if one.shape != two.shape or one.dtype != two.dtype:
        return [f"was {one.dtype} {one.shape} and is {two.dtype} {two.shape}"]
    places = np.argwhere(one != two)
    if not len(places):
        return []
    return [f"{len(places):,} of {one.size:,} values differ, the first at {places[0].tolist()}"]


def _json(old: Path, new: Path) -> list[str]:
    one, two = (_leaves(json.loads(path.read_text(encoding="utf-8"))) for path in (old, new))
    changed = [key for key in one | two if one.get(key) != two.get(key)]
    if not changed:
        return []
    key = changed[0]
    more = f" (and {len(changed) - 1} more keys)" if len(changed) > 1 else ""
    return [f"{key} was {one.get(key)!r} and is {two.get(key)!r}{more}"]


def _leaves(value: Any) -> dict[str, Any]:
    return flatten(_without_lists(value)) if isinstance(value, dict | list) else {"value": value}


def _without_lists(value: Any) -> Any:
    """Lists as mappings of their places, so that what differs in a long one can be named."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    return {key: _without_lists(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _table(old: Path, new: Path) -> list[str]:
    """The first row that differs; in a table of curves, the step at which they part."""
    with old.open(encoding="utf-8", newline="") as one, new.open(encoding="utf-8", newline="") as two:
        left, right = list(csv.DictReader(one)), list(csv.DictReader(two))
    for index, (was, now) in enumerate(zip(left, right, strict=False)):
        if was == now:
            continue
        changed = [name for name in was.keys() | now.keys() if was.get(name) != now.get(name)]
        shown = ", ".join(f"{name} {was.get(name)} -> {now.get(name)}" for name in sorted(map(str, changed)))
        place = f"the curves diverge at step {was['step']}" if "step" in was else f"row {index + 1} differs"
        return [f"{place}: {shown}"]
    return [f"had {len(left)} rows and has {len(right)}"] if len(left) != len(right) else []
