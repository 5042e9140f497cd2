"""docs/performance.md and the page of each processor, written from the JSON of the parts."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from parts import goals
from parts.base import table

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
    "together",
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
ratio within one round. What is fast on one processor need not be so on another: each has a page of its own.
"""


def write(results: Path, target: Path) -> None:
    """Render the goals of every processor into `target`, and a page for each into the folder beside it."""
    found = {folder.name: _measured(folder) for folder in sorted(results.iterdir()) if folder.is_dir()}
    found = {slug: parts for slug, parts in found.items() if parts}
    names = {slug: processor_name(parts) for slug, parts in found.items()}
    links = [[f"[{names[slug]}]({target.stem}/{slug}.md)", _behind(parts)] for slug, parts in found.items()]
    lines = [_HEAD, *table(["processor", "training is slower than the fastest peer, in its best precision"], links), ""]
    lines += goals.lines({names[slug]: parts for slug, parts in found.items()})
    _save(target, lines)
    for slug, parts in found.items():
        how = f"How it is measured, and the goals: [performance](../{target.name})."
        lines = [f"# Performance on {names[slug]}", "", how, ""]
        for part, rows in parts.items():
            lines += [*importlib.import_module(f"parts.{part}").render(rows), "", about_line(rows["about"]), ""]
        if missing := [part for part in PARTS if part not in parts]:
            lines += ["## Not measured here", "", f"{', '.join(missing)}: `python bench/performance.py --only PART`."]
        _save(target.parent / target.stem / f"{slug}.md", lines)


def _measured(folder: Path) -> dict[str, Any]:
    files = {part: folder / f"{part}.json" for part in PARTS}
    return {part: json.loads(file.read_text(encoding="utf-8")) for part, file in files.items() if file.is_file()}


def _save(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def processor_name(parts: dict[str, Any]) -> str:
    """Name, vendor, family and model, and the instruction sets where a part that was measured says them."""
    abouts = [found["about"] for found in parts.values()]
    sets = next((about["instructions"] for about in abouts if "instructions" in about), [])
    return ", ".join([abouts[0]["cpu"], *sets])


def _behind(parts: dict[str, Any]) -> str:
    """What trains slower than its fastest peer, with the ratio."""
    found = list(goals.against_the_best(parts))
    slower = "; ".join(f"{what}: {ratio:.2f}×" for what, ratio in found if ratio < 1)
    return slower or (f"in none of {len(found)}" if found else "not measured")


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
