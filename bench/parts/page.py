"""docs/performance.md, written from the JSON of the parts."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from parts import goals

PARTS = (
    "training",
    "resnet9",
    "peak",
    "input",
    "startup",
    "overhead",
    "latency",
    "text",
    "language",
    "accuracy",
    "accuracy_fashion",
    "stages",
)
OURS_ALONE = frozenset({"peak", "overhead", "latency", "stages"})
"""Parts without peers: they take no environment for them."""
LONG = frozenset({"accuracy", "accuracy_fashion", "stages"})
"""Parts that are only measured when they are asked for."""

_HEAD = """\
# Performance

Written by `make bench` (`bench/performance.py`); the numbers are not edited by hand. Each contender is a process of
its own, one at a time, alternating over several rounds with the order rotated. A number is the median of the
rounds, with the smallest and the largest in brackets; a ratio is that of the medians, with the smallest and largest
ratio within one round. Goals that are not reached are listed like those that are.
"""


def write(results: Path, target: Path) -> None:
    """Render every part that was measured, and name those that were not."""
    measured = {
        part: json.loads(file.read_text(encoding="utf-8"))
        for part in PARTS
        if (file := results / f"{part}.json").is_file()
    }
    lines = [_HEAD, *goals.lines(measured), ""]
    for part, found in measured.items():
        lines += [*importlib.import_module(f"parts.{part}").render(found), "", about_line(found["about"]), ""]
    if missing := [part for part in PARTS if part not in measured]:
        lines += ["## Not measured yet", "", f"{', '.join(missing)}: `python bench/performance.py --only PART`.", ""]
    target.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def about_line(about: dict[str, Any]) -> str:
    """When, where and with what a part was measured."""

    def listed(versions: dict[str, str]) -> str:
        return ", ".join(f"{name} {number}" for name, number in versions.items())

    return (
        f"<sub>{about['when']}, commit {about['commit']}, {about['minutes']} minutes: `{about['command']}`. "
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, Python "
        f"{about['python']}. "
        f"Ours: {listed(about['ours'])}." + (f" Peers: {listed(about['peers'])}." if about["peers"] else "") + "</sub>"
    )
