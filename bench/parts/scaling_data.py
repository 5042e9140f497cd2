"""`prepare` and `train` on 1×, 10× and 100× the images; and a data set of twice the memory, in memory and out of it."""

from __future__ import annotations

import io
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from parts import workspaces
from parts.base import BENCH, STATE, Options, Row, clock, summary, table
from parts.measured import forget_cached, measure
from PIL import Image

from samebits.base.files import sha256_file

SIZES = (1_000, 10_000, 100_000)
_SIDE = 32
_LIMIT = 1024
"""MiB of memory for all of a training whose samples take twice that."""
_EPOCH = 1_320
"""Steps of those samples, in batches of 128, that are counted: 97 % of them are read, so pages must be given back."""
HELD, READ, FULL = "in memory", "out of memory", "out of memory, `train.shuffle: full`"
_PREPARE_LIMIT = 768
_PASSIVE = {"OMP_WAIT_POLICY": "passive"}
"""Threads sleep while they wait: else they spin, and CPU seconds say more of the neighbours than of us."""


def prepare(options: Options) -> dict[str, Any]:
    """Folders of PNG files of 32×32; the largest also within a limit of memory, and after one image has changed."""
    rows: list[Row] = []
    shards: dict[str, Any] = {}
    for size in _sizes(options):
        largest = size == _sizes(options)[-1]
        project = _project(f"scale-{size}", size)
        command = [sys.executable, BENCH / "ours" / "stage.py", project, "prepare", "--whole"]
        for number in range(1 if largest else options.rounds):
            rows.append({"subject": "prepare", "name": str(size), "round": number} | measure(command))
            print(rows[-1], flush=True)
        if largest:
            before = _objects(project)
            changed = sorted((project / "data" / "raw" / "images").resolve().rglob("*.png"))[size // 2]
            kept = changed.read_bytes()
            changed.write_bytes(_png(np.random.default_rng(3)))
            try:
                rows.append(
                    {"subject": "prepare", "name": "limited", "round": 0} | measure(command, limit_mib=_PREPARE_LIMIT)
                )
                print(rows[-1], flush=True)
                after = _objects(project)
            finally:
                changed.write_bytes(kept)
            shards = {
                "objects": len(before),
                "bytes": sum(n for n, _ in before.values()),
                "changed": sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
                "file_bytes": sum(path.stat().st_size for path in (_images(size)).rglob("*.png")),
            }
    return {"rows": rows, "shards": shards, "sizes": _sizes(options)}


def train(options: Options) -> dict[str, Any]:
    """The convnet on those; what is larger than 16 MiB is read from mapped shards, in windows."""
    rows: list[Row] = []
    for size in _sizes(options):
        epochs = max(1, min(40, 100_000 // size // (20 if options.quick else 1)))
        runtime = {"memory_mib": 16, "tracking": {"enabled": False}, "progress": "off"}
        override = {
            "train": {"epochs": epochs, "batch_size": 128, "shuffle": "window"},
            "model": {"crop": 0},
            "runtime": runtime,
        }
        folder = workspaces.workspace(f"scale-train-{size}", "mnist", override, _prepared(size))
        command = [sys.executable, BENCH / "ours" / "stage.py", folder, "train", "--whole"]
        for number in range(options.rounds):
            workspaces.clean(folder)
            row = {"subject": "train", "name": str(size), "round": number, "epochs": epochs} | measure(
                command, environment=_PASSIVE
            )
            if row.get("loop_seconds"):
                row |= {"epoch_seconds": row["loop_seconds"] / epochs, "epoch_cpu": row["loop_cpu"] / epochs}
            rows.append(row)
            print(row, flush=True)
    return {"rows": rows, "sizes": _sizes(options)}


def memory(options: Options) -> dict[str, Any]:
    """Nearly an epoch from memory, and within a limit of half the samples' size: the same order, so the same loss."""
    side, mib = 64, 2 * _LIMIT // (8 if options.quick else 1)
    count = (mib << 20) // (3 * side * side)
    prepared = workspaces.random_images(count, (3, side, side))
    rows: list[Row] = []
    small = _LIMIT // (8 if options.quick else 1)
    cases: dict[str, tuple[int, int | None, str]] = {
        HELD: (mib * 2, None, "window"),
        READ: (small, _LIMIT, "window"),
        FULL: (small, _LIMIT, "full"),
    }
    folders = {}
    for number, (name, (most, _, shuffle)) in enumerate(cases.items()):
        runtime = {"memory_mib": most, "tracking": {"enabled": False}, "progress": "off", "checkpoint_seconds": 1e9}
        override = {"train": {"shuffle": shuffle, "batch_size": 128}, "model": {"crop": 0}, "runtime": runtime}
        folders[name] = workspaces.workspace(f"scale-memory-{number}", "mnist", override, prepared)
    counted = options.steps(_EPOCH, 20)
    steps = clock(20, 0.0, counted, (1, counted))
    for number in range(options.rounds):
        for name in list(cases)[:: -1 if number % 2 else 1]:
            if name == FULL and number:  # stopped after nine minutes, whatever the round
                continue
            workspaces.clean(folders[name])
            forget_cached(prepared)
            command = [sys.executable, BENCH / "ours" / "stage.py", folders[name], "train", "--batch", "128", *steps]
            limited = measure(command, limit_mib=cases[name][1], stops=(0, 130))
            rows.append({"subject": "memory", "name": name, "round": number} | limited)
            print(rows[-1], flush=True)
    return {"rows": rows, "mib": mib, "count": count, "limit": _LIMIT, "steps": counted}


def _sizes(options: Options) -> list[int]:
    return [200, 600, 1_200] if options.quick else list(SIZES)


def _png(random: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    small.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _images(count: int) -> Path:
    """Smooth pictures, no two alike, about 2 KB each, ten classes; from a seed."""
    folder = STATE / "data" / f"png-{count}"
    if folder.is_dir():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    random = np.random.default_rng(1)
    for number in range(10):
        (part / f"class{number}").mkdir(parents=True)
    for number in range(count):
        (part / f"class{number % 10}" / f"{number:07}.png").write_bytes(_png(random))
    part.rename(folder)
    return folder


def _project(name: str, count: int) -> Path:
    image = {"resolution": _SIDE, "channels": 3, "near_duplicates": "report"}
    data = {"source": "data/raw/images", "format": "image_folder", "image": image}
    # The sender is a process of its own, and is counted elsewhere.
    override = {"data": data | {"duplicates": "keep"}, "runtime": {"tracking": {"enabled": False}}}
    project = workspaces.workspace(name, "image_folder", override)
    raw = project / "data" / "raw"
    (raw / ".gitignore").write_text("/images\n", encoding="utf-8")  # as `dvc add` writes it
    (raw / "images").symlink_to(_images(count), target_is_directory=True)
    return project


def _prepared(count: int) -> Path:
    """What `prepare` made of so many images; made now if that part was not measured here."""
    folder = STATE / "work" / f"scale-{count}" / "data" / "prepared"
    if not (folder / "dataset.json").is_file():
        workspaces.stage(_project(f"scale-{count}", count), "prepare")
    return folder


def _objects(project: Path) -> dict[str, tuple[int, str]]:
    """Size and hash of each file of the prepared folder: what DVC keeps."""
    files = (project / "data" / "prepared").rglob("*")
    return {p.name: (p.stat().st_size, sha256_file(p)) for p in files if p.is_file()}


def per_image(rows: list[Row], sizes: list[int], key: str) -> list[tuple[float, float, float]]:
    """Of each size: the median of a value, MiB of its own, and thousandths of the value a further image took."""
    found: list[tuple[float, float, float]] = []
    for k, size in enumerate(sizes):
        value, own = (summary(rows, str(size), name)[0] for name in (key, "own_mib"))
        more = (value - found[-1][0]) / (size - sizes[k - 1]) * 1000 if k else float("nan")
        found.append((value, own, more))
    return found


def curve(rows: list[Row], sizes: list[int], keys: tuple[str, str], names: tuple[str, str]) -> list[str]:
    """A row a size.

    Args:
        keys: the seconds and the CPU seconds that count, by their names in the rows; `names`, in the page.
    """
    body = []
    more = [[each[2] for each in per_image(rows, sizes, key)] for key in keys]
    for k, size in enumerate(sizes):
        (seconds, low, high, n), (cpu, *_) = (summary(rows, str(size), key) for key in keys)
        own, files = (summary(rows, str(size), key)[0] for key in ("own_mib", "files_mib"))
        body.append(
            [
                f"{size:,} (n = {n})",
                f"{seconds:,.2f} ({low:,.2f} to {high:,.2f})" if n > 1 else f"{seconds:,.2f}",
                "" if math.isnan(more[0][k]) else f"{more[0][k]:.3f}",
                f"{cpu:,.2f}",
                "" if math.isnan(more[1][k]) else f"{more[1][k]:.3f}",
                f"{cpu / seconds:.2f}",
                f"{own:,.0f}",
                f"{files:,.0f}",
            ]
        )
    head = ["images", names[0], "ms per further image", names[1], "ms per further image", "cores busy"]
    return table([*head, "own memory, MiB", "mapped files, MiB"], body)
