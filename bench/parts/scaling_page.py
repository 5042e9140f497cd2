"""docs/scaling.md, written from the JSON of its parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from parts import scaling_dvc, scaling_points
from parts.base import others, summary, table
from parts.page import about_line
from parts.scaling_data import FULL, HELD, READ, curve, per_image

_HEAD = """\
# Scaling

Written by `python bench/scaling.py`; numbers in tables are not edited by hand, raw results lie in `bench/results/`.
Medians, with the range in brackets and n rounds; the largest folders are measured once. Below each table stands how
many cores other processes used meanwhile: where that is not near 0, CPU seconds say more than seconds. "Own memory"
is the largest sum over the stage's processes of what they hold themselves (anonymous pages); pages of mapped files
are the page cache's, and the system takes them back when it needs them.
"""


def write(results: Path, target: Path) -> None:
    """Render every part that was measured, and name those that were not."""
    found: dict[str, dict[str, Any]] = {}
    lines, missing = [_HEAD], []
    for part, render in _RENDER.items():
        file = results / f"scaling-{part}.json"
        if not file.is_file():
            missing.append(part)
            continue
        found[part] = json.loads(file.read_text(encoding="utf-8"))
        busy = others(found[part]["rows"])
        lines += [
            *render(found[part]),
            "",
            f"Other processes meanwhile: {busy} cores.",
            "",
            about_line(found[part]["about"]),
            "",
        ]
    if "prepare" in found:
        lines += [*_beyond(found["prepare"]), ""]
    if missing:
        lines += ["## Not measured yet", "", f"{', '.join(missing)}: `python bench/scaling.py --only PART`.", ""]
    target.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _linear(rows: list[dict[str, Any]], sizes: list[int], key: str) -> str:
    """How far the last stretch of the curve departs from the one before."""
    _, (_, _, first), (_, _, second) = per_image(rows, sizes, key)
    costs = f"In CPU time, a further image costs {second:.3f} ms between 10× and 100×, {first:.3f} ms before"
    return f"{costs}: {second / first - 1:+.0%}."


def _prepare(found: dict[str, Any]) -> list[str]:
    rows, sizes, shards = found["rows"], found["sizes"], found["shards"]
    seconds = summary(rows, "limited", "seconds")[0]
    limited = [row for row in rows if row["name"] == "limited"][-1]
    kinds = [name for name in shards["changed"] if name.endswith(".npy")]
    lines = [
        "## `prepare`",
        "",
        "Folders of PNG files of 32×32 in ten classes, the whole stage with start-up: decoding, hashes, the "
        "near-duplicate search, statistics, shards.",
        "",
        *curve(rows, sizes, ("seconds", "cpu_seconds"), ("seconds", "CPU seconds")),
        "",
        _linear(rows, sizes, "cpu_seconds"),
        "",
        "The goals: time linear within 10 %, fewer than 200 objects, all cores used, memory that does not grow. All "
        "cores decode, which takes little time for small files: start-up, the near-duplicate search and writing are "
        "one thread each. Memory does grow: names, hashes and classes of all images are held.",
        "",
    ]
    if "failed" in limited:
        lines.append(f"Within {limited['limit_mib']:,} MiB for all processes and the page cache, the largest failed.")
    else:
        lines.append(
            f"The largest within {limited['limit_mib']:,} MiB for all its processes and the page cache (a control "
            "group): "
            f"{seconds:,.1f} s."
        )
    lines += [
        "",
        f"{sizes[-1]:,} files of {shards['file_bytes'] / 1e6:,.0f} MB become {shards['objects']} DVC objects of "
        f"{shards['bytes'] / 1e6:,.0f} MB: pixels as they are, which a training reads without decoding. With one image "
        f"changed, {len(kinds)} of the shards' files changed ({', '.join(f'`{name}`' for name in kinds) or 'none'}), "
        f"beside {', '.join(f'`{name}`' for name in shards['changed'] if name not in kinds)}. A changed image has "
        "another hash: it stays in its shard, or leaves it for one of another split.",
    ]
    return lines


def _train(found: dict[str, Any]) -> list[str]:
    rows, sizes = found["rows"], found["sizes"]
    return [
        "## `train`",
        "",
        "The convnet of the recipe `mnist` on those images, `runtime.memory_mib: 16`, `train.shuffle: window`: "
        "the smallest "
        "set is held in memory, the others are read from mapped shards. Seconds per epoch, validation included.",
        "",
        *curve(rows, sizes, ("epoch_seconds", "epoch_cpu"), ("seconds per epoch", "CPU seconds per epoch")),
        "",
        "With `OMP_WAIT_POLICY=passive`, so that waiting takes no CPU seconds.",
        "",
        _linear(rows, sizes, "epoch_cpu"),
    ]


def _memory(found: dict[str, Any]) -> list[str]:
    rows = found["rows"]
    body = []
    names = [name for name in (HELD, READ, FULL) if summary(rows, name, "rate")[3]]
    for name in names:
        rate, own = summary(rows, name, "rate"), summary(rows, name, "own_mib")
        limit = next(row["limit_mib"] for row in rows if row["name"] == name)
        losses = {f"{row['loss']:.6f}" for row in rows if row["name"] == name and row.get("loss")}
        body.append(
            [
                f"{name} (n = {rate[3]})",
                f"{limit:,} MiB" if limit else "none",
                f"{rate[0]:,.0f} ({rate[1]:,.0f} to {rate[2]:,.0f})",
                f"{own[0]:,.0f}",
                ", ".join(sorted(losses)),
            ]
        )
    held, read, full = (summary(rows, name, "rate")[0] for name in (HELD, READ, FULL))
    stopped = [row["seconds"] for row in rows if row["name"] == FULL and "failed" in row]
    said = f"With `full`, which reads each image from anywhere, {full / held:.0%}."
    if stopped:
        most = summary(rows, HELD, "samples")[0] / stopped[0] / held
        said = (
            f"With `full`, the default, which reads each image from anywhere, it was stopped after {stopped[0]:,.0f} "
            f"s: less than {most:.0%}. So the stage advises `window` where samples are read from disk."
        )
    return [
        "## Twice the memory",
        "",
        f"{found['count']:,} images of 64×64, {found['mib']:,} MiB, through the convnet of the recipe `mnist`, "
        f"{found['steps']:,} steps of 128 images. Once held in memory, with `train.shuffle: window`; "
        f"and with `runtime.memory_mib: {found['limit']}` in a control group of as much for everything, torch and page "
        "cache included, the files not cached at the start. The images are noise with random classes: the loss only "
        "shows that the order is the same.",
        "",
        *table(["", "limit", "samples/s", "own memory, MiB", "mean loss"], body),
        "",
        f"That is {read / held:.0%} of the speed in memory; the goal is 70 %. {said}",
    ]


def _beyond(prepare: dict[str, Any]) -> list[str]:
    """What the curves say of sizes that were not measured."""
    (_, own_1, _), _, (_, own_3, cost) = per_image(prepare["rows"], prepare["sizes"], "cpu_seconds")
    each = (own_3 - own_1) / (prepare["sizes"][-1] - prepare["sizes"][0]) * 1024
    images, corpus = 1_281_167, 100_000_000
    minutes = images * cost / 6e4
    return [
        "## Beyond what was measured",
        "",
        f"From the curve: a further image takes `prepare` {cost:.3f} ms of CPU and {each:.2f} KiB of its own "
        "memory (its "
        "name, hash and class; pixels and frequencies lie in files).",
        "",
        f"- **ImageNet** (1.28 million files): {minutes:.0f} CPU minutes if its images were this small. Photographs "
        "take longer to decode: two of 640×427 took 9.3 and 13.5 ms to 64×64 (experiments.md), so 3.3 to "
        f"4.8 CPU hours, shared by all cores. Names and hashes: {images * each / 2**20:.1f} GiB of memory. "
        "Scratch space: the pixels once, and 1.5 KB per image for the near-duplicate search. At 64×64 the shards "
        "are 15.7 GB, with `data.shard_mib: 128` about 120 files; at 224×224 193 GB and 1,440. Training is "
        "linear in images (above), so "
        "it is the model that counts: at 224×224 a ResNet-18 takes some 11 GFLOP per image and step, at some 340 "
        "GFLOP/s of this machine 11 to 12 hours per epoch. DVC hashes and copies the shards, which took 1.4 s for 312 "
        "MB here: 1.2 minutes for 15.7 GB, 15 for 193 GB.",
        f"- **10 TB** (100 million images of 100 KB): {corpus * each / 2**20:.0f} GiB for names and hashes. This "
        "breaks first: a list of all samples lies in memory until the manifest is written. Then the manifest, one "
        "Parquet file of some GB made in memory; the order of an epoch, 8 bytes per sample and more while it is "
        "sorted; and the one process that writes shards. Decoding alone is 10 to 16 CPU days. At 64×64 1.2 TB "
        "of shards, "
        "9,200 objects of 128 MiB. Decoding can be shared out ([parts](data-large.md)); what comes after it is one "
        "process.",
        "- **Near duplicates**: an image is compared with those that agree in 25 bits of 63, from 16 million "
        "images on in 31: at 100 million, with about one other, if hashes were evenly spread ([a "
        "million](experiments.md#a-million-images)).",
        "- **Many machines**: every process computes the order of an epoch, in 0.1 CPU seconds and 90 MiB for "
        "a million samples, 0.85 s and 650 MiB for ten million (the function was run for 1,000 ranks, in one "
        "process; AMD EPYC 26 2, n = 1). Of a batch of 8,000 samples, the 8 of a rank lie in 5.2 of the 8 "
        "shards of a window: a rank needs 656 of 1,000 shards in an epoch, a machine of 8 ranks all. As it "
        "is, each process prepares whole batches, so each reads all shards: with 1.2 TB and 1,000 processes "
        "the store sends 1.2 PB per epoch, and would send 150 TB if the 8 of a machine shared a cache. After "
        "the memory of `prepare`, the store breaks. How 1,000 processes exchange gradients and save states "
        "was not simulated.",
    ]


_RENDER: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "prepare": _prepare,
    "train": _train,
    "memory": _memory,
    "dvc": scaling_dvc.render,
    "points": scaling_points.render,
}
