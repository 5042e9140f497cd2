"""What DVC takes for a folder of image files, and for the shards that `prepare` made of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from parts import scaling_data
from parts.base import STATE, Options, Row, _busy, _children, summary, table

FILES, SHARDS = "a folder of files", "shards"
_STEPS = {
    "dvc add": ["add", "--quiet", "data"],
    "dvc status": ["status", "--quiet"],
    "dvc push": ["push", "--quiet"],
}


def measure(options: Options) -> dict[str, Any]:
    """`dvc add`, `status` and `push` to a folder on the same disk, each in a fresh repository."""
    size = scaling_data._sizes(options)[-1]
    sources = {FILES: scaling_data._images(size), SHARDS: scaling_data._prepared(size)}
    rows: list[Row] = []
    for name, source in sources.items():
        for number in range(options.rounds if name == SHARDS else 1):
            row = {"subject": "dvc", "name": name, "round": number} | _one(source)
            rows.append(row)
            print(row, flush=True)
    return {"rows": rows, "size": size}


def _one(source: Path) -> Row:
    folder = STATE / "work" / "scale-dvc"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = dict(os.environ) | {"DVC_NO_ANALYTICS": "1"}
    dvc = [sys.executable, "-m", "dvc"]
    config = ["config", "core.analytics", "false"]
    remote = ["remote", "add", "--quiet", "-d", "store", str(folder / "store")]
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for command in (["init", "--quiet"], config, remote):
        subprocess.run([*dvc, *command], cwd=folder, env=environment, check=True)
    shutil.copytree(source, folder / "data")
    row: Row = {}
    for name, command in _STEPS.items():
        began, machine, own = time.perf_counter(), _busy(), _children()
        subprocess.run([*dvc, *command], cwd=folder, env=environment, check=True)
        row[name] = time.perf_counter() - began
        used = _children() - own
        row[f"{name}, CPU"] = used
        row["others_cores"] = max(row.get("others_cores", 0.0), (_busy() - machine - used) / row[name])
    row["objects"] = sum(1 for path in (folder / "store" / "files").rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return row


def render(found: dict[str, Any]) -> list[str]:
    rows = found["rows"]
    body = []
    for name in (FILES, SHARDS):
        values = [summary(rows, name, key) for key in (*_STEPS, "objects")]
        body.append(
            [f"{name} (n = {values[0][3]})", *(f"{value[0]:,.1f}" for value in values[:-1]), f"{values[-1][0]:,.0f}"]
        )
    head = [f"{found['size']:,} images", *(f"`{step}`, s" for step in _STEPS), "objects on the remote"]
    text = (
        "The remote is a folder on the same disk; over a network the number of objects counts for more. DVC's own list "
        "of a folder is one object more."
    )
    return ["## DVC", "", text, "", *table(head, body)]
