"""`samebits receive`: pull, check every hash, and say in one line what came.

samebits receive                  fetch, check, put the outputs in place
samebits receive data/prepared    that output alone
samebits receive --remote NAME    from another remote than the default one
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from samebits.base.decimals import shown
from samebits.base.errors import UserError, listed
from samebits.base.files import read_json, write_bytes
from samebits.params.model_name import shown_model
from samebits.sharing.remote.captured_logs import CapturedErrors, captured_logs
from samebits.sharing.remote.objects import (
    CacheObject,
    cache_path,
    damaged_in_cache,
    is_locked,
    left_to_make,
    md5_of,
    open_repo,
    required_objects_at,
)
from samebits.sharing.remote.remote import Remote, open_remote
from samebits.sharing.share import mib

_METRICS = 3

Say = Callable[[str], None]


def receive(
    folder: Path,
    *,
    only: Collection[str] = (),
    remote: str | None = None,
    force: bool = False,
    timeout: float = 30.0,
    say: Say = print,
) -> int:
    """Fetch what dvc.lock names, check every object, then put the outputs in place and check these.

    An object that came damaged is removed and fetched once more. Outputs in the workspace are touched only when
    everything is here and right.

    Args:
        folder: root of the project.
        only: outputs, as dvc.yaml names them; all if there are none.
        remote: name of a DVC remote; None for the default one.
        force: overwrite outputs that were changed here and are in no cache.
        timeout: seconds for the remote's first answer; four times as long without a byte ends a transfer.

    Returns:
        the number of objects that were fetched.

    Raises:
        UserError: naming what is missing or damaged, or what failed.
    """
    with open_repo(folder) as repo:
        others = _others(repo, only)
        storage = open_remote(repo, remote, timeout=timeout)
        storage.check_answers()
        objects, fetched = fetch_checked(repo, storage, only=only, say=say)
        left = {path: out for path, out in left_to_make(repo).items() if path not in others}
        _check_out(repo, force, left | others)
        _check_workspace(repo, force, left | others)
    size = sum(cache_path(repo, each.oid).stat().st_size for each in objects)
    say(
        f"received: {describe(folder)}; {len(objects)} objects, {mib(size)}, every hash checked ({fetched} fetched now)"
    )
    if left:
        names = ", ".join(f"{out} (stage {out.stage.addressing})" for out in left.values())
        say(f"not shared, since dvc.yaml says push: false: {names}; dvc repro makes it and compares it with dvc.lock")
    return fetched


def _others(repo: Any, only: Collection[str]) -> dict[str, Any]:
    """DVC's outputs that are not asked for, by path.

    Raises:
        UserError: if something else than an output is.
    """
    root = Path(repo.root_dir)
    outs = {Path(out.fs_path).relative_to(root).as_posix(): out for out in repo.index.outs if out.is_in_repo}
    if unknown := sorted(set(only) - outs.keys()):
        raise UserError(
            f"no output of dvc.yaml is called {listed(unknown)}", f"take one of: {listed(sorted(outs), 20)}"
        )
    return {str(out.fs_path): out for name, out in outs.items() if only and name not in only}


def fetch_checked(
    repo: Any,
    remote: Remote,
    *,
    say: Say,
    at: str | None = None,
    only: Collection[str] = (),
    fetch: Callable[[], None] | None = None,
) -> tuple[list[CacheObject], int]:
    """Bring every object of a revision's outputs into the cache, each with the bytes that its name says.

    Args:
        at: a commit; None for the workspace.
        only: outputs; all if there are none.
        fetch: what fetches; `dvc fetch` of the workspace unless it is given.

    Returns:
        (the objects, how many were not here before).

    Raises:
        UserError: naming what could not be had whole.
    """
    targets = [str(Path(repo.root_dir, each)) for each in only]
    # What an interrupted or a careless fetch left damaged is found now, not taken for good by DVC.
    known, _ = required_objects_at(repo, at, only)
    _, damaged = damaged_in_cache(repo, known)
    _remove(repo, damaged)
    listings = _fetch_listings(repo, remote, at, only)
    before = {
        each.oid for each in required_objects_at(repo, at, only)[0] if cache_path(repo, each.oid).exists()
    } - listings
    objects: list[CacheObject] = []
    for attempt in (1, 2):
        captured = _fetch(remote, fetch or (lambda: repo.fetch(targets=targets or None, remote=remote.name)))
        objects, unlisted = required_objects_at(repo, at, only)
        absent, damaged = damaged_in_cache(repo, objects)
        _remove(repo, damaged)
        # What everybody makes anew is welcome if it is here, and not missed if it is not.
        gone = {each.oid for each in (*absent, *damaged) if each.remade}
        objects, absent, damaged, unlisted = (
            [each for each in some if not (each.remade and (each.oid in gone or some is unlisted))]
            for some in (objects, absent, damaged, unlisted)
        )
        if not absent and not damaged and not unlisted:
            return objects, len({each.oid for each in objects} - before)
        if attempt == 1 and damaged:
            say(f"came damaged, fetched once more: {listed(damaged)}")
            continue
        break
    _raise_wrong(remote, captured, [*unlisted, *absent], damaged)
    raise AssertionError("unreachable")


def _fetch_listings(repo: Any, remote: Remote, at: str | None, only: Collection[str]) -> set[str]:
    """Bring the listings of folders into the cache.

    DVC would stop at a damaged one with an error of its JSON reader, and leaves out the listing of a folder of which
    a file is missing, so that nobody could say which.

    Raises:
        UserError: naming those that are missing or damaged.
    """
    missing: list[CacheObject] = []
    damaged: list[CacheObject] = []
    fetched = set()
    for each in required_objects_at(repo, at, only)[1]:
        if not each.pushed:
            continue
        data = remote.read(each.oid)
        if data is None:
            missing.append(each)
        elif hashlib.md5(data, usedforsecurity=False).hexdigest() != each.md5:
            damaged.append(each)
        else:
            write_bytes(cache_path(repo, each.oid), data)
            fetched.add(each.oid)
    if missing or damaged:
        _raise_wrong(remote, CapturedErrors(), missing, damaged)
    return fetched


def _fetch(remote: Remote, fetch: Callable[[], None]) -> CapturedErrors:
    with captured_logs() as captured, remote.watched():
        try:
            fetch()
        except Exception as error:
            if is_locked(error):
                raise
            # A file that is missing is named below; anything else is the server's fault.
            errors = [each for each in captured.errors if not isinstance(each, FileNotFoundError)]
            if errors:
                raise remote.error_of(errors[0]) from error
            if type(error).__name__ not in ("DownloadError", "FileNotFoundError"):
                raise remote.error_of(error) from error
    return captured


def _remove(repo: Any, damaged: Iterable[CacheObject]) -> None:
    for each in damaged:
        cache_path(repo, each.oid).unlink(missing_ok=True)


def _raise_wrong(
    remote: Remote, captured: CapturedErrors, missing: list[CacheObject], damaged: list[CacheObject]
) -> None:
    if damaged:
        raise UserError(
            f"damaged on {remote.shown}: {listed(damaged)}",
            "whoever has a good copy runs samebits share, which sends it again; or make it here: dvc repro",
        )
    # Nothing is "up to date" while something is missing.
    stages = sorted({each.stage for each in missing if not each.stage.endswith(".dvc")})
    raise UserError(
        f"missing on {remote.shown}: {listed(missing)}" + (f" ({captured.texts[-1]})" if captured.texts else ""),
        "whoever has it runs samebits share" + (f"; or make it here: dvc repro {' '.join(stages)}" if stages else ""),
    )


def _check_out(repo: Any, force: bool, left: Mapping[str, Any]) -> None:
    from dvc.exceptions import CheckoutError, ConfirmRemoveError

    # No targets are all of them, an empty list as well.
    targets = [out.fs_path for out in repo.index.outs if out.use_cache and out.is_in_repo and out.fs_path not in left]
    if left and not targets:
        return
    try:
        repo.checkout(targets=targets if left else None, force=force)
    except (CheckoutError, ConfirmRemoveError) as error:
        names = getattr(error, "target_infos", None) or [str(error)]
        raise UserError(
            f"outputs were changed here and are in no cache: {', '.join(str(name) for name in names)}",
            "keep them (dvc commit, or move them away), or let them go: samebits receive --force",
        ) from error


def _check_workspace(repo: Any, force: bool, left: Mapping[str, Any]) -> None:
    """Every file of every output, as it lies in the workspace now.

    A wrong file that DVC has just called right came with an earlier, careless pull: DVC noted the hash that it should
    have had. Such a file is put in place anew.

    Raises:
        UserError: naming files that are missing or differ; among them metrics, which come by git.
    """
    root = Path(repo.root_dir)
    stored, of_git = _files(repo, left)
    for path, md5 in stored:
        if md5_of(root / path) != md5:
            (root / path).unlink(missing_ok=True)
    _check_out(repo, force, left)
    wrong = sorted({path for path, md5 in [*stored, *of_git] if md5_of(root / path) != md5})
    if wrong:
        raise UserError(
            f"not as dvc.lock has them: {listed(wrong)}",
            "what git keeps: git checkout -- FILE, or commit dvc.lock together with it; the rest: dvc checkout",
        )


def _files(repo: Any, left: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(path, MD5) of every file of the outputs but those of `left`: those in DVC's cache, and those that git keeps."""
    root = Path(repo.root_dir)
    stored: list[tuple[str, str]] = []
    of_git: list[tuple[str, str]] = []
    for out in repo.index.outs:
        if not out.is_in_repo or not out.hash_info or out.hash_info.name != "md5" or out.fs_path in left:
            continue
        name = Path(out.fs_path).relative_to(root).as_posix()
        if out.hash_info.isdir:
            tree = out.get_obj()
            stored += [("/".join([name, *key]), str(info.value)) for key, _, info in tree or ()]
        else:
            (stored if out.use_cache else of_git).append((name, str(out.hash_info.value)))
    return stored, of_git


def describe(folder: Path) -> str:
    """What lies in the outputs, for people: data set and digest, model, first metrics; what is there of these."""
    parts = []
    info = _json(folder / "data" / "prepared" / "dataset.json")
    if info:
        digest = f" (digest {str(info['digest'])[:12]})" if info.get("digest") else ""
        parts.append(f"data {info.get('title') or info.get('name') or 'without a name'}{digest}")
    model = _json(folder / "models" / "checkpoint" / "config.json").get("model")
    if isinstance(model, dict) and model.get("name"):
        parts.append(f"model {shown_model(model)}")
    test = _json(folder / "reports" / "evaluation" / "metrics.json").get("test")
    if isinstance(test, dict):
        numbers = [
            f"{name} {shown(value)}"
            for name, value in test.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        ]
        if numbers:
            parts.append("test " + ", ".join(numbers[:_METRICS]))
    return ", ".join(parts) or "outputs"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = read_json(path)
    return value if isinstance(value, dict) else {}
