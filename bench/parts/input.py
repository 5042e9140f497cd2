"""Images a second through the input pipeline with augmentation: ours against torchvision and a DataLoader."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from parts import workspaces
from parts.base import (
    BENCH,
    PEER_PYTHON,
    STATE,
    Contender,
    Options,
    Row,
    alternate,
    clock,
    others,
    ratio_range,
    run,
    spread,
    summary,
    table,
)
from PIL import Image

OURS, BESIDE = "samebits", "samebits, a thread prepares"
PIL, V2, FOLDER = "torchvision, PIL, 2 workers", "torchvision v2 on tensors, 2 workers", "ImageFolder"
GREY, RGB, JPEG = "28×28 grey", "32×32 RGB", "JPEG folder"
GOALS = {GREY: 40, RGB: 20, JPEG: 3}
_SIDE, _FILE_SIDE = 64, 256
_EPOCHS = 10


def measure(options: Options) -> dict[str, Any]:
    rows: list[Row] = []
    fashion = workspaces.fashion()
    colour = workspaces.random_images(2_100 if options.quick else 50_100, (3, 32, 32))
    for subject, prepared, side, shift in ((GREY, fashion, 28, 2), (RGB, colour, 32, 4)):
        count = ["--batch", "128", "--shift", shift]
        fast, slow = (clock(50, 0.0, options.steps(n, 10), (0, 0)) for n in (4_000, 400))
        mine = [sys.executable, BENCH / "ours" / "pipeline.py", prepared, "--flip", "--workers"]
        theirs = [PEER_PYTHON, BENCH / "peers" / "pipeline.py", "--data", workspaces.arrays(prepared)]
        theirs += ["--side", side, "--channels", 1 if side == 28 else 3, *count, *slow, "--way"]
        contenders = [
            Contender(OURS, [*mine, "0", *count, *fast]),
            Contender(BESIDE, [*mine, "1", *count, *fast]),
            Contender(PIL, [*theirs, "pil"]),
            Contender(V2, [*theirs, "v2"]),
        ]
        rows += alternate(contenders, options.rounds, subject)
    return {"rows": rows + jpegs(options), "files": _count(options)}


def _count(options: Options) -> int:
    return options.steps(6_000, 400)


def jpegs(options: Options) -> list[Row]:
    """Our `prepare` (each file decoded once) and its shards, against an ImageFolder (decoded in each epoch)."""
    count = _count(options)
    folder = jpeg_folder(count)
    override = {
        "data": {
            "source": "data/raw/jpegs",
            "format": "image_folder",
            "image": {"resolution": _SIDE, "channels": 3, "near_duplicates": "report"},
        }
    }
    project = workspaces.workspace("jpegs", "image_folder", override)
    shutil.copytree(folder, project / "data" / "raw" / "jpegs")
    prepare = Contender(
        "prepare",
        [sys.executable, BENCH / "ours" / "stage.py", project, "prepare", "--whole"],
        before=lambda: shutil.rmtree(project / "data" / "prepared", ignore_errors=True),
    )
    few = clock(2, 0.0, options.steps(count // 64 - 4, 2), (0, 0))
    many = clock(20, 0.0, options.steps(1_000, 10), (0, 0))
    shape = ["--batch", "64", "--shift", "4"]
    mine = [sys.executable, BENCH / "ours" / "pipeline.py", project / "data" / "prepared", "--flip", *shape, *many]
    theirs = [PEER_PYTHON, BENCH / "peers" / "pipeline.py", "--data", folder, "--way", "folder", "--side", _SIDE]
    run(prepare)  # the first one also reads the files from the disk
    contenders = [prepare, Contender(OURS, mine), Contender(FOLDER, [*theirs, "--channels", "3", *shape, *few])]
    rows = alternate(contenders, options.rounds, JPEG)
    for row in rows:
        if row["name"] == "prepare":
            row["rate"] = count / row["process_seconds"]
    return rows


def jpeg_folder(count: int) -> Path:
    """Photograph-like files (smooth shapes and some noise), about 20 KB each, ten classes; from a seed."""
    folder = STATE / "data" / f"jpegs-{count}"
    if folder.is_dir():
        return folder
    random = np.random.default_rng(1)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for number in range(count):
        small = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        smooth = Image.fromarray(small).resize((_FILE_SIDE, _FILE_SIDE), Image.Resampling.BICUBIC)
        noise = random.integers(-8, 9, (_FILE_SIDE, _FILE_SIDE, 3))
        pixels = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        file = part / f"class{number % 10}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(buffer.getvalue())
    part.rename(folder)
    return folder


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    lines = [
        "## Input pipeline",
        "",
        "From what is stored to normalised float batches, shifted (by up to 2 pixels at 28×28, else 4) "
        "and flipped. Ours prepares each batch where it is normalised, the default for data in memory on a "
        "CPU, or in a "
        "thread beside; a DataLoader has two worker processes. 32×32 RGB is noise, as its content takes no time.",
        "",
    ]
    for subject, names in ((GREY, (PIL, V2)), (RGB, (PIL, V2))):
        n = summary(rows, OURS, "rate", subject)[3]
        body = [[name, spread(rows, name, "rate", subject), "", ""] for name in (OURS, BESIDE)]
        for name in names:
            goal = f"{GOALS[subject]}×" if name == PIL else "—"
            times = ratio_range(rows, OURS, name, "rate", subject)
            body.append([name, spread(rows, name, "rate", subject), times, goal])
        lines += [*table([f"{subject}, n = {n}", "images/s", "ours is × as fast", "goal"], body), ""]
    return [*lines, *_render_jpegs(rows, found["files"]), "", f"Other processes: {others(rows)} cores."]


def with_prepare(rows: list[Row]) -> float:
    """Images a second of `prepare` and the epochs from its shards together."""
    once, again = (summary(rows, name, "rate", JPEG)[0] for name in ("prepare", OURS))
    return _EPOCHS / (1 / once + _EPOCHS / again)


def _render_jpegs(rows: list[Row], files: int) -> list[str]:
    once, again, folder = (summary(rows, name, "rate", JPEG)[0] for name in ("prepare", OURS, FOLDER))
    whole = with_prepare(rows)
    n = summary(rows, OURS, "rate", JPEG)[3]
    body = [
        ["samebits: `prepare`, once", spread(rows, "prepare", "rate", JPEG), f"{once / folder:.2f}", "—"],
        ["samebits: each epoch, from shards", spread(rows, OURS, "rate", JPEG), f"{again / folder:.1f}", "—"],
        [f"samebits: `prepare` and {_EPOCHS} epochs", f"{whole:,.0f}", f"{whole / folder:.2f}", f"{GOALS[JPEG]}×"],
        ["ImageFolder + DataLoader, each epoch", spread(rows, FOLDER, "rate", JPEG), "", ""],
    ]
    head = [f"{files:,} JPEG files of {_FILE_SIDE}×{_FILE_SIDE} to {_SIDE}×{_SIDE}, n = {n}", "images/s", "×", "goal"]
    text = (
        "`prepare` is the whole stage as a process: start-up, decoding, hashes, the near-duplicate search, "
        "statistics, writing. "
        "The files are synthetic, from a seed."
    )
    return [*table(head, body), "", text]
