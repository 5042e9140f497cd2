"""Before a training on several hosts begins: the prepared data and weights of rank 0 on each of them, verified.

Rank 0 publishes its files with sizes and hashes. On each other host one process (`LOCAL_RANK` 0) compares. What it
lacks comes from the DVC remote, where that has what dvc.lock names on both; else rank 0 sends it through the store of
the training, a few blocks at a time. A file gets its name when its hash is right, and dataset.json is the last one: a
transfer that was cut off has left no data set, and the next one sends what is missing.

Data of another kind are replaced only where they can be had again: DVC's cache has them, or a first machine sent them.
Weights that are there are left alone; `transfer.sha256` says whether they are the right ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from samebits.base.errors import UserError
from samebits.base.files import atomic_file, read_json, remove_unfinished, sha256_file, write_json
from samebits.base.paths import Project
from samebits.compute.distributed import ProcessGroup
from samebits.data.fetching.verified import Meter
from samebits.data.loading.prepared import read_info
from samebits.params.transfer import TransferParams
from samebits.pipeline.context import StageContext
from samebits.pipeline.dvc_cache import open_objects, start_receive
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_lock import read_lock
from samebits.training.pretrained.find import own_files

BLOCK = 4 << 20
_AHEAD = 3
"""Blocks in the store of the training that nobody has taken yet."""

PREPARED = "data/prepared"
_INDEX = f"{PREPARED}/dataset.json"
_RAW = "data/raw"
_RECEIVED = "received.json"
"""Below `.samebits`: the hash of the dataset.json that a first machine sent last."""

_OFFER, _WANTED, _BLOCKS, _HAS, _DONE = "data", "data/wanted", "data/blocks", "data/has", "data/done"


@dataclass(frozen=True)
class File:
    """A file of rank 0: bytes and SHA-256."""

    size: int
    sha256: str


def bring_data(transfer: TransferParams, group: ProcessGroup, context: StageContext) -> None:
    """Let every host have the data and the weights of rank 0; a no-op for one process.

    Raises:
        UserError: if rank 0 has none, a host's own would be lost, or a file cannot be had or written.
    """
    if group.size == 1:
        return
    if group.is_rank_zero:
        _give(transfer, group, context)
        return
    offer = json.loads(group.published(_OFFER))
    if os.environ.get("LOCAL_RANK", "0") == "0":  # the others of its host wait for it
        _take(offer["locked"], {name: File(*each) for name, each in offer["files"].items()}, group, context)
    else:
        _ask([], group)
    group.published(_DONE)


def _give(transfer: TransferParams, group: ProcessGroup, context: StageContext) -> None:
    paths = _prepared_files(context.project) | own_files(transfer, context)
    known = _shard_hashes(context.project.prepared)
    files = {name: (path.stat().st_size, known.get(name) or sha256_file(path)) for name, path in paths.items()}
    group.publish(_OFFER, json.dumps({"locked": _locked(context.project), "files": files}))
    for rank in range(1, group.size):
        host, wanted = json.loads(group.published(f"{_WANTED}/{rank}"))
        if not wanted:
            continue
        size = sum(files[name][0] for name in wanted)
        context.say(f"sending {_amount(len(wanted), size)} to host {host}")
        for name in wanted:
            _send(paths[name], files[name][0], f"{_BLOCKS}/{rank}/{name}", group)
        group.published(f"{_HAS}/{rank}")
    group.publish(_DONE, "yes")


def _prepared_files(project: Project) -> dict[str, Path]:
    files = sorted(path for path in project.prepared.rglob("[!.]*") if path.is_file())
    return {path.relative_to(project.workspace).as_posix(): path for path in files}


def _shard_hashes(prepared: Path) -> dict[str, str]:
    """Of files that dataset.json names with their hashes, so that nobody has to read them for it."""
    shards = [each for split in read_info(prepared).shards.values() for each in split]
    found = [(each.inputs, each.inputs_sha256) for each in shards]
    found += [(each.targets, each.targets_sha256) for each in shards if each.targets and each.targets_sha256]
    return {f"{PREPARED}/{name}": sha256 for name, sha256 in found}


def _locked(project: Project) -> str:
    """The MD5 that dvc.lock has of the prepared data; empty if it names none."""
    with contextlib.suppress(UserError):
        return next((each.outs[PREPARED] for each in read_lock(project.workspace) if PREPARED in each.outs), "")
    return ""


def _send(path: Path, size: int, key: str, group: ProcessGroup) -> None:
    """Leave a file in the store, block by block, a few before they are taken."""
    count = -(-size // BLOCK)
    with path.open("rb") as file:
        for number in range(count + _AHEAD):
            if 0 <= (before := number - _AHEAD) < count:
                group.published(f"{key}/{before}/taken")
                group.forget(f"{key}/{before}")
                group.forget(f"{key}/{before}/taken")
            if number < count:
                group.publish(f"{key}/{number}", file.read(BLOCK))


def _blocks(size: int, key: str, group: ProcessGroup) -> Iterator[bytes]:
    """What `_send` leaves."""
    for number in range(-(-size // BLOCK)):
        yield group.published_bytes(f"{key}/{number}")
        group.publish(f"{key}/{number}/taken", "yes")


def _take(locked: str, files: Mapping[str, File], group: ProcessGroup, context: StageContext) -> None:
    project = context.project
    for name in files:
        _require_of_data(name)
    wanted = _missing(files, project)
    if any(map(_is_prepared, wanted)):
        if _INDEX in wanted:
            _require_replaceable(project)
        if locked and locked == _locked(project) and _receive(group, context):
            wanted = _missing(files, project)
    _ask(wanted, group)
    if not wanted:
        return
    size = sum(files[name].size for name in wanted)
    _say(context, f"the first machine sends {_amount(len(wanted), size)}")
    if _INDEX in wanted:
        _clear(project, files)
    meter = Meter(context.runtime.progress, PREPARED, size, lambda line: _say(context, line))
    with contextlib.closing(meter):
        for name in wanted:
            if name == _INDEX:
                write_json(project.state / _RECEIVED, files[name].sha256)
            _write(name, files[name], meter, group, context)
    group.publish(f"{_HAS}/{group.rank}", "yes")


def _ask(wanted: list[str], group: ProcessGroup) -> None:
    group.publish(f"{_WANTED}/{group.rank}", json.dumps([socket.gethostname(), wanted]))


def _require_of_data(name: str) -> None:
    path = PurePosixPath(name)
    if ".." in path.parts or not (path.is_relative_to(PREPARED) or path.is_relative_to(_RAW)):
        raise UserError(
            f"the first machine offers {name}, which is outside of {PREPARED} and {_RAW}",
            "look which machine that is",
        )


def _is_prepared(name: str) -> bool:
    return PurePosixPath(name).is_relative_to(PREPARED)


def _missing(files: Mapping[str, File], project: Project) -> list[str]:
    """Names of files that this host lacks or has otherwise, dataset.json last.

    With its very dataset.json, shards count by their sizes: their hashes are checked where they are read whole.
    """
    index = project.workspace / _INDEX
    same = index.is_file() and sha256_file(index) == files[_INDEX].sha256

    def lacks(name: str) -> bool:
        path, there = project.workspace / name, files[name]
        if not path.is_file():
            return not (project.home / name).is_file() or _is_prepared(name)
        if not _is_prepared(name):
            return False
        return path.stat().st_size != there.size or (not same and sha256_file(path) != there.sha256)

    return sorted(filter(lacks, files), key=lambda name: (name == _INDEX, name))


def _require_replaceable(project: Project) -> None:
    """Refuse to replace a data set that this host may have alone.

    Raises:
        UserError: if neither DVC's cache has it nor a first machine sent it.
    """
    index = project.workspace / _INDEX
    if not index.exists():
        return
    with contextlib.suppress(UserError):
        if read_json(project.state / _RECEIVED) == sha256_file(index):
            return
    with contextlib.suppress(UserError):
        if open_objects(project.home).has(existing_md5(project.prepared)):
            return
    raise UserError(
        f"{project.prepared} holds other data than the first machine trains on, and DVC's cache has no copy of them",
        f"keep them (dvc commit, or move {PREPARED} away) or remove them, then join again",
    )


def _clear(project: Project, files: Mapping[str, File]) -> None:
    """Make a data set that is replaced none, dataset.json last; what a transfer that was cut off has brought stays."""
    index = project.workspace / _INDEX
    if index.exists():
        for name, path in _prepared_files(project).items():
            if name not in files:
                path.unlink()
        index.unlink()
    remove_unfinished(project.prepared, project.prepared / "shards")


def _receive(group: ProcessGroup, context: StageContext) -> bool:
    """Whether the DVC remote has given the prepared data that dvc.lock names."""
    process = start_receive(context.project.home, PREPARED)
    try:
        _, said = group.watched(process.communicate)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode:
        reason = said.partition("error: ")[2].partition("\n")[0] or f"exit code {process.returncode}"
        _say(context, f"the DVC remote does not give {PREPARED}: {reason}")
        return False
    _say(context, f"{PREPARED} came from the DVC remote")
    return True


def _write(name: str, file: File, meter: Meter, group: ProcessGroup, context: StageContext) -> None:
    digest = hashlib.sha256()
    with atomic_file(context.project.workspace / name) as out:
        for block in _blocks(file.size, f"{_BLOCKS}/{group.rank}/{name}", group):
            out.write(block)
            digest.update(block)
            meter.add(len(block))
        if digest.hexdigest() != file.sha256:
            raise UserError(
                f"{name} came from the first machine with another hash than it has named",
                f"it is damaged there: make it again (dvc repro --force prepare), or dvc checkout {PREPARED}",
            )


def _amount(count: int, size: int) -> str:
    return f"{count:,} file{'s' * (count > 1)} ({size / 2**20:,.1f} MiB)"


def _say(context: StageContext, line: str) -> None:
    """Print a line of this host, whose process is not the one that records."""
    print(f"{context.name}: {line}", flush=True)
