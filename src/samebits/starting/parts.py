"""`samebits prepare`: the images of `data.source` decoded in parts, before `dvc repro prepare` puts them together.

A part is a plain command, so a queue can run it (`samebits prepare --part 3/8`). Dask runs the same command in a clone
on each of its workers, and brings the files that it writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from samebits.base.errors import UserError, listed
from samebits.base.files import sha256_bytes, write_bytes
from samebits.base.paths import Project
from samebits.data.preparation.prepare import PARTS, locate
from samebits.data.readers.image.parts import Chosen, conditions, folder_of, members_of, write_part
from samebits.data.readers.own_files import OwnFiles
from samebits.data.readers.reader import SOURCES, read_source
from samebits.params.data import DataParams
from samebits.params.schema import Params, read_params

_DECODED = sorted(name for name in SOURCES if name.startswith("image_"))
"""Formats of image files, whose decoding is what takes long."""


def prepare_part(project: Project, part: int, parts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Decode part 1 .. `parts` of the images; what `--json` says.

    Raises:
        UserError: for data that are no image files, or that cannot be had.
    """
    params = read_params(project.params_file)
    project.state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.state, prefix="part-") as scratch:
        context: Any = SimpleNamespace(say=say, runtime=params.runtime, project=project)
        own = OwnFiles(project.workspace, project.workspace / "data" / "raw")
        kind, _, source = locate(_data(params), project, Path(scratch), context, own)
        if kind not in _DECODED:
            raise UserError(
                f"data.format is {kind}, and only image files are decoded in parts ({', '.join(_DECODED)})",
                "run: dvc repro prepare",
            )
        try:
            read_source(kind, replace(source, images=_chosen))
            raise AssertionError(f"the reader of {kind} decoded no image")
        except Chosen as found:
            chosen, settings = members_of(part, parts, found.members), found.settings
        file = write_part(folder_of(project.state / PARTS, settings), part, parts, chosen, settings)
        own.require_unchanged()
    say(f"part {part} of {parts}: {len(chosen):,} images, {file.relative_to(project.home)}")
    return {
        "part": part, "parts": parts, "images": len(chosen), "file": file.relative_to(project.home),
        "conditions": conditions(settings),
    }  # fmt: skip


def _data(params: Params) -> DataParams:
    return cast(DataParams, params.sections["data"])


def _chosen(members: Any, settings: Any, _: int | None) -> Any:
    raise Chosen(members, settings)


def prepare_on_dask(project: Project, address: str, parts: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Decode all parts on the workers of a Dask cluster, each of which was started in a clone of this project.

    A worker that dies loses its part to another one.

    Raises:
        UserError: if nobody answers there, a part fails, or a worker has other code, settings or packages.
    """
    from dask.distributed import Client, as_completed

    data = _data(read_params(project.params_file))
    folder, mine = folder_of(project.state / PARTS, data.image), conditions(data.image)
    try:
        client = Client(address, timeout=30)
        client.wait_for_workers(1, timeout=30)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler with a worker answers at {address}: {error}", "start both: docs/data-large.md"
        ) from None
    with client:
        # Not pure: a part that was made before may have been made of other files.
        futures = [client.submit(run_part, part, parts, pure=False) for part in range(1, parts + 1)]
        images = 0
        for done in as_completed(futures):
            try:
                where, code, said, data = done.result()
            except Exception as error:  # a killed worker, or whatever its machine lacks
                raise UserError(
                    f"a part failed on {address}: {type(error).__name__}: {error}",
                    "look at the workers' logs, then run this again: parts that are done are kept",
                ) from None
            if code:
                raise UserError(f"{where}: {said['error']}", said.get("fix") or "look at that machine, then run again")
            theirs, name = said["conditions"], Path(said["file"]).name
            if other := [
                f"{key} is {theirs.get(key)}, here {mine[key]}" for key in mine if theirs.get(key) != mine[key]
            ]:
                raise UserError(
                    f"{where} would decode other pixels: {listed(other)}",
                    "take the same commit, params.yaml and environment there",
                )
            if not name.endswith(f"-{sha256_bytes(data)}.parquet"):
                raise UserError(f"{where} sent {name} with other bytes than its name says", "run this again")
            write_bytes(folder / name, data)
            images += said["images"]
            say(f"part {said['part']} of {parts} from {where}: {said['images']:,} images")
            done.release()
    return {"parts": parts, "images": images}


def run_part(part: int, parts: int) -> tuple[str, int, dict[str, Any], bytes]:
    """On a worker, in its working folder: its name, the command's exit code and document, and the part's bytes."""
    import socket

    command = [sys.executable, "-m", "samebits.cli.main", "prepare", "--part", f"{part}/{parts}", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = {"error": done.stderr.strip()[-1000:] or f"{' '.join(command)} ended with {done.returncode}"}
    name = f"{socket.gethostname()}:{Path.cwd()}"
    return name, done.returncode, said, b"" if done.returncode else Path(said["file"]).read_bytes()
