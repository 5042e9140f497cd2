"""What changed between two versions of the prepared data.

A sample is known by its content (SHA-256 of its bytes), not by its name or place: ids of files that are numbered
move when one is put in before them. The same content twice is two samples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from samebits.sharing.data_diff.version import Version


@dataclass
class Difference:
    """What changed from `old` to `new`.

    Attributes:
        added, removed: rows of the manifest that only one of them has.
        relabelled: content in both, under another target: rows of the new manifest with `old_target`.
        moved: content in both, in another split: rows of the new manifest with `old_split`.
        unchanged: number of samples that are the same in content, target and split.
    """

    old: Version
    new: Version
    added: pd.DataFrame
    removed: pd.DataFrame
    relabelled: pd.DataFrame
    moved: pd.DataFrame
    unchanged: int

    @property
    def empty(self) -> bool:
        return not (len(self.added) or len(self.removed) or len(self.relabelled) or len(self.moved))


def compare(old: Version, new: Version) -> Difference:
    """Match the samples of two versions by content, equal ones first, then those with another split or target."""
    left, right = _keyed(old), _keyed(new)
    pairs: list[pd.DataFrame] = []
    # Of several copies, those that are alike in more belong together: first everything, then less and less.
    for keys in (["sha256", "label", "split"], ["sha256", "label"], ["sha256", "split"], ["sha256"]):
        matched = _match(left, right, keys)
        pairs.append(matched)
        left = left[~left.index.isin(matched["old_row"])]
        right = right[~right.index.isin(matched["new_row"])]
    matched = pd.concat(pairs, ignore_index=True)
    before = _keyed(old).loc[matched["old_row"]].reset_index(drop=True)
    after = _keyed(new).loc[matched["new_row"]].reset_index(drop=True)
    after["old_target"], after["old_label"], after["old_split"] = before["target"], before["label"], before["split"]
    relabelled = after["old_label"] != after["label"]
    moved = (after["old_split"] != after["split"]) & ~relabelled
    return Difference(
        old, new, right, left, after[relabelled].reset_index(drop=True), after[moved].reset_index(drop=True),
        int((~relabelled & ~moved).sum()),
    )  # fmt: skip


def _keyed(version: Version) -> pd.DataFrame:
    """The manifest with `label`: the class's name, since its number means another class once one is put in before."""
    frame = version.samples.reset_index(drop=True)
    names = {value: version.label(value) for value in frame["target"].dropna().unique().tolist()}
    return frame.assign(label=[names.get(value, "") for value in frame["target"].tolist()])


def _match(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Pairs of rows that agree in `keys`, each row at most once, the k-th of one with the k-th of the other."""
    numbered = [
        frame[keys].assign(copy=frame.groupby(keys, sort=False).cumcount(), **{name: frame.index})
        for frame, name in ((left, "old_row"), (right, "new_row"))
    ]
    return numbered[0].merge(numbered[1], on=[*keys, "copy"])[["old_row", "new_row"]]


def class_counts(difference: Difference) -> list[tuple[str, int, int]]:
    """(class, samples before, samples after) over all splits; empty without classes."""
    old, new = difference.old, difference.new
    if not old.classes and not new.classes:
        return []
    before, after = (Counter(_keyed(version)["label"]) for version in (old, new))
    names = list(dict.fromkeys([*old.classes, *new.classes]))
    return [(name, before[name], after[name]) for name in names]


def split_counts(difference: Difference) -> list[tuple[str, int, int]]:
    """(split, samples before, samples after)."""
    before, after = (Counter(version.samples["split"]) for version in (difference.old, difference.new))
    return [(name, before[name], after[name]) for name in dict.fromkeys([*before, *after])]


def statistics(difference: Difference) -> list[tuple[str, str, str]]:
    """(name, before, after) of what was fitted on the training split, and of numeric targets; as text."""
    before, after = (_numbers(version) for version in (difference.old, difference.new))
    names = dict.fromkeys([*before, *after])
    return [(name, before.get(name, "–"), after.get(name, "–")) for name in names]


def _numbers(version: Version) -> dict[str, str]:
    inputs = version.inputs
    found: dict[str, Any] = {"digest": str(version.info.get("digest", ""))[:16], "samples": len(version.samples)}
    if inputs["kind"] == "table":
        for column in inputs["columns"]:
            if column["kind"] == "number":
                found |= {f"{column['name']}: {key}": column[key] for key in ("mean", "std")}
            else:
                found[f"{column['name']}: values"] = len(column["values"])
    else:
        for key in ("shape", "mean", "std", "length", "vocabulary", "bytes_per_token"):
            if inputs.get(key) is not None:
                found[key] = inputs[key]
    if (
        not version.classes
        and version.samples["target"].dtype == np.float64
        and version.samples["target"].notna().any()
    ):
        found |= {
            "target: mean": float(np.nanmean(version.samples["target"])),
            "target: std": float(np.nanstd(version.samples["target"])),
        }
    audit = version.info.get("audit", {})
    found |= {f"audit: {key}": value for key, value in audit.items() if isinstance(value, int)}
    return {name: _shown(value) for name, value in found.items()}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else str(value)
