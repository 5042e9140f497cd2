"""The checks of `samebits doctor`. Each yields lines; one that is not possible at all raises `UserError`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.base.extras import pip_install, requirements
from samebits.base.git import git, head_commit, knows_author
from samebits.base.paths import Project
from samebits.base.redaction import without_secrets
from samebits.data.fetching.catalog import card_of, load_card
from samebits.pipeline.dvc_lock import LOCK, never_ran, never_ran_text, read_lock
from samebits.pipeline.packages import PACKAGES, differences, differences_text
from samebits.sharing.doctor.finding import Line
from samebits.sharing.git import is_published, not_committed, uncommitted
from samebits.sharing.remote.objects import open_repo
from samebits.sharing.remote.remote import EXTRAS, Remote, open_remote
from samebits.sharing.share import mib

_OLDEST = (3, 11)
_SLOW_S = 5.0
_PLUGINS = {"s3": "dvc-s3", "ssh": "dvc-ssh", "webdav": "dvc-webdav", "gs": "dvc-gs", "azure": "dvc-azure"}
_SPARE = 1 << 30
"""Bytes that a run wants besides its outputs: resume states, MLflow's store, temporary files."""


def python() -> Iterator[Line]:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _OLDEST:
        yield Line("python", "error", found, f"use {_OLDEST[0]}.{_OLDEST[1]} or newer: PYTHON=python3.12 make setup")
    else:
        yield Line("python", "ok", f"{found} ({sys.executable})")


def versions(project: Project) -> Iterator[Line]:
    """Installed packages against requirements.lock."""
    lock = project.home / "requirements.lock"
    if not lock.is_file():
        yield Line("versions", "warning", "there is no requirements.lock to compare with", "git checkout it")
        return
    wanted = locked_versions(lock.read_text(encoding="utf-8"))
    differ = []
    for name, allowed in sorted(wanted.items()):
        try:
            have = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system, or of the tools for development
        if have.partition("+")[0] not in allowed:
            differ.append(f"{name} {have} (lock: {' or '.join(sorted(allowed))})")
    if differ:
        yield Line("versions", "warning", f"not as locked: {listed(differ)}; bits may differ", "make setup")
    else:
        yield Line("versions", "ok", f"as in requirements.lock ({len(wanted)} packages)")


def locked_versions(text: str) -> dict[str, set[str]]:
    """Package -> versions of a requirements file; several where it has one a system."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"(?m)^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", text):
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version.partition("+")[0])
    return found


def stage_packages(project: Project) -> Iterator[Line]:
    """What the stages use against packages.yaml: one that differs stops them."""
    if found := differences(project.workspace):
        problem, fix = differences_text(found)
        yield Line("packages", "error", problem, fix)
    else:
        yield Line("packages", "ok", f"what the stages use is as in {PACKAGES}")


def torch_and_device(project: Project) -> Iterator[Line]:
    """torch, the device that `runtime.device` picks, and one product computed on it."""
    import torch

    from samebits.compute.hardware import pick_device
    from samebits.params.schema import read_params

    params = read_params(project.params_file)
    device = pick_device(params.runtime.device)
    product = (torch.ones(8, 8, device=device) @ torch.ones(8, 8, device=device)).sum().item()
    if product != 512.0:
        yield Line("torch", "error", f"{device} computes 8*8*8 = {product}", "fix its driver, or runtime.device: cpu")
        return
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores"
    yield Line("torch", "ok", f"{torch.__version__}, device {device} ({name})")


def data_source(project: Project) -> Iterator[Line]:
    """Whether what `data.source` names is there: DVC stops without it, and names no fix."""
    from samebits.data.preparation.prepare import own_path
    from samebits.params.schema import read_params

    source = read_params(project.params_file).sections["data"].source
    card = card_of(source)
    if card is None:
        own_path(source, project)
    else:
        load_card(project.catalog, card)
    yield Line("data", "ok", source)


def git_state(project: Project) -> Iterator[Line]:
    """Whether git knows who commits, and there is a commit, all is in it, and others can get it."""
    changed = uncommitted(project.home)
    commit = head_commit(project.home)
    if not knows_author(project.home):
        yield Line(
            "git", "warning", "it has no name and e-mail of yours: git commit and dvc exp run ask for them",
            'git config --global user.name "ADA L."; git config --global user.email ada@example.org',
        )  # fmt: skip
    if changed:
        wrong = not_committed(project.home, changed)
        yield Line("git", "warning", f"commit {commit[:10]}: {wrong.problem}", f"{wrong.fix}; share refuses until then")
        return
    published = is_published(project.home, commit)
    if published is None:
        yield Line("git", "warning", "there is no git remote", "git remote add origin ADDRESS")
    elif not published:
        yield Line("git", "warning", f"commit {commit[:10]} is only here", "git push")
    else:
        branch = git(project.home, "rev-parse", "--abbrev-ref", "HEAD").strip()
        yield Line("git", "ok", f"commit {commit[:10]} on {branch}, published")


def dvc_and_plugins(project: Project) -> Iterator[Line]:
    """DVC's own lock file, DVC, and the plugin of every remote that is configured."""
    import dvc

    yield from _lock_file(project.home / ".dvc" / "tmp" / "rwlock")
    with open_repo(project.home) as repo:
        urls = {name: str(remote.get("url", "")) for name, remote in repo.config["remote"].items()}
    missing = []
    for name, url in sorted(urls.items()):
        extra = EXTRAS.get(url.partition("://")[0]) if "://" in url else None
        if extra and not _installed(_PLUGINS[extra]):
            missing.append((name, extra))
    for name, extra in missing:
        yield Line(
            "dvc", "error", f"remote {name!r} needs {_PLUGINS[extra]}, which is not installed",
            pip_install(*requirements(extra, _PLUGINS[extra])),
        )  # fmt: skip
    if not missing:
        have = [kind for kind, package in _PLUGINS.items() if _installed(package)]
        yield Line("dvc", "ok", f"{dvc.__version__}, plugins: http, {', '.join(have) or 'no other'}")


def _lock_file(file: Path) -> Iterator[Line]:
    """DVC writes what it works on into a JSON file; a full disk, or a power cut, leaves a part of it, with which every
    command says "Unable to read RWLock-file". It holds nothing that outlives a command, and DVC makes a new one."""
    if _is_whole(file):
        return
    time.sleep(0.5)  # a command that runs now may just be writing it
    if _is_whole(file):
        return
    try:
        file.unlink()
    except OSError as error:
        yield Line(
            "dvc", "error", f"its lock file {file} is damaged and cannot be removed: {error.strerror}",
            f"remove it, DVC makes a new one: rm {shlex.quote(str(file))}",
        )  # fmt: skip
    else:
        yield Line("dvc", "ok", f"its lock file {file} was damaged and is removed: DVC makes a new one")


def _is_whole(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_bytes()), dict)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def lock(project: Project) -> Iterator[Line]:
    """Whether dvc.lock pairs only what ran together, which a merge can break without a conflict."""
    if not (project.home / LOCK).is_file():
        yield Line("lock", "warning", f"there is no {LOCK}: nothing ran here", "dvc repro")
        return
    stages = read_lock(project.home)
    if found := never_ran(project.home, stages):
        problem, fix = never_ran_text(found)
        yield Line("lock", "error", problem.replace("\n ", ";"), fix)
    else:
        yield Line("lock", "ok", f"code, inputs and outputs of {len(stages)} stages belong together")


def remote(project: Project, timeout: float) -> Iterator[Line]:
    """Every remote: answer, write a probe object, list it, read it back, remove it."""
    with open_repo(project.home) as repo:
        names = sorted(repo.config["remote"])
        if not names:
            yield Line(
                "remote", "warning", "there is none: results cannot be shared",
                "dvc remote add -d team ADDRESS (docs/remotes.md)",
            )  # fmt: skip
            return
        default = repo.config["core"].get("remote")
        if not default:
            yield Line("remote", "warning", "none is the default one", f"dvc remote default {names[0]}")
        for name in names:
            try:
                yield _one_remote(open_remote(repo, name, timeout=timeout))
            except UserError as error:  # the others are looked at all the same
                yield Line("remote", "error", without_secrets(error.problem), without_secrets(error.fix))


def _one_remote(storage: Remote) -> Line:
    began = time.monotonic()
    storage.check_answers()
    if not storage.odb.fs.CAN_TRAVERSE:
        return Line("remote", "ok", f"{storage.shown} answers; to be read only")
    # An object as any other, of bytes that nobody else has.
    data = f"samebits doctor {uuid.uuid4()}".encode()
    oid = storage.write_probe(data)
    try:
        listed, back = storage.sizes([oid]), storage.read(oid)
    finally:
        storage.remove(oid)
    took = time.monotonic() - began
    if oid not in listed or back != data:
        return Line(
            "remote", "error", f"{storage.shown} took {len(data)} bytes and does not give them back",
            "use another remote: this one loses data",
        )  # fmt: skip
    if storage.sizes([oid]):
        return Line("remote", "warning", f"{storage.shown} does not let us delete", "dvc gc will not work there")
    if took > _SLOW_S:
        return Line(
            "remote", "warning", f"{storage.shown} works, slowly: {took:.1f} s for one small object",
            "look at the network; many small files will take long",
        )  # fmt: skip
    return Line("remote", "ok", f"{storage.shown}: wrote, listed, read back, deleted in {took:.1f} s")


def mlflow_store(project: Project) -> Iterator[Line]:
    """Write a run to the store that recording uses, read it back and remove it."""
    from samebits.params.schema import read_params
    from samebits.tracking.tracking_uri import check_reachable, pick_target

    params = read_params(project.params_file)
    if not params.runtime.tracking.enabled:
        yield Line("mlflow", "warning", "recording is off", "runtime.tracking.enabled: true")
        return
    target = pick_target(project)
    check_reachable(target)
    from samebits.tracking.upload.delivery import StoreUnavailable
    from samebits.tracking.upload.mlflow_store import DISK_FIX, probe

    try:
        seconds = probe(project, target, params.runtime.tracking.experiment)
    except StoreUnavailable as error:
        raise UserError(str(error), DISK_FIX if target.local else "look at the server and its log") from None
    yield Line("mlflow", "ok", f"{target.shown}: wrote and read back in {seconds:.1f} s")


def disk(project: Project) -> Iterator[Line]:
    """Free bytes against those that another run like the locked one writes: outputs, and their copies in the cache."""
    with open_repo(project.home) as repo:
        outputs = sum(int(out.meta.size or 0) for out in repo.index.outs if out.meta is not None)
        cache = Path(str(repo.cache.local.path))
    while not cache.exists():
        cache = cache.parent
    want = 2 * outputs + _SPARE
    for folder in {cache.stat().st_dev: cache, project.home.stat().st_dev: project.home}.values():
        free = shutil.disk_usage(folder).free
        text = f"{mib(free)} free at {folder}, a run like the last wants about {mib(want)}"
        if free < outputs:
            yield Line("disk", "error", text, "make room: samebits gc, or move the cache (dvc cache dir)")
        elif free < want:
            yield Line("disk", "warning", text, "make room: samebits gc, or move the cache (dvc cache dir)")
        else:
            yield Line("disk", "ok", text)
