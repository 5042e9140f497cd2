"""`samebits share`: push, then prove that everything of dvc.lock is on the remote.

samebits share                  check, push, read back every object
samebits share --quick          compare sizes only
samebits share --remote NAME    another remote than the default one
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError, listed
from samebits.base.git import head_commit
from samebits.pipeline.dvc_lock import require_ran
from samebits.sharing.git import is_published, not_committed, uncommitted
from samebits.sharing.remote.captured_logs import CapturedErrors, captured_logs
from samebits.sharing.remote.errors import FAULTS
from samebits.sharing.remote.objects import CacheObject, cache_path, is_locked, md5_of, open_repo, required_objects
from samebits.sharing.remote.remote import Remote, open_remote
from samebits.sharing.remote.verify import Verdict, repair, verify

_SHOWN = 12

Say = Callable[[str], None]


def share(
    folder: Path, *, remote: str | None = None, quick: bool = False, timeout: float = 30.0, say: Say = print
) -> Verdict:
    """Push what dvc.lock names and check it on the remote; objects that are wrong there are sent again.

    Args:
        folder: root of the project.
        remote: name of a DVC remote; None for the default one.
        quick: compare sizes only; else every object is read back and hashed.
        timeout: seconds for the remote's first answer; four times as long without a byte ends a transfer.

    Raises:
        UserError: if the tree has uncommitted changes, dvc.lock is out of date or pairs what never ran together, an
            object is neither here nor on the remote, or the remote fails. What was sent until then stays, and is not
            sent again.
    """
    changed = uncommitted(folder)
    if changed:
        raise not_committed(folder, changed)
    with open_repo(folder) as repo:
        storage = open_remote(repo, remote, timeout=timeout)
        check_lock(repo)
        require_ran(folder)
        everything = required_objects_here(repo)
        verdict = send(repo, storage, [each for each in everything if each.pushed], quick=quick, say=say)
    remade = sorted({each.stage for each in everything if each.remade})
    if remade:
        say(f"not shared, since dvc.yaml says push: false: outputs of {', '.join(remade)}; dvc repro makes them anew")
    commit = head_commit(folder)
    if is_published(folder, commit) is not True:
        say(f"note: commit {commit[:10]} is on no git remote that is known here: git push")
    return verdict


def check_lock(repo: Any) -> None:
    """Compare dvc.lock with code, parameters and outputs.

    Raises:
        UserError: naming the stages that differ.
    """
    stale = repo.status()
    lost = sorted(name for name, changes in stale.items() if _is_only_out_of_cache(changes))
    if lost and len(lost) == len(stale):
        raise UserError(
            f"the outputs of {listed(lost)} are not whole in the cache",
            f"store them anew, if their files are here: dvc commit -f {' '.join(lost)}; or get them: samebits receive",
        )
    if stale:
        raise UserError(
            f"dvc.lock does not agree with the files here: {listed(sorted(stale))} (dvc status says how)",
            "bring it up to date: dvc repro; or take the outputs back: dvc checkout; then commit dvc.lock",
        )


def _is_only_out_of_cache(changes: list[Any]) -> bool:
    """Whether DVC's status of a stage says nothing but that an output is not in the cache."""
    return all(
        isinstance(each, dict)
        and set(each) == {"changed outs"}
        and set(each["changed outs"].values()) == {"not in cache"}
        for each in changes
    )


def required_objects_here(repo: Any) -> list[CacheObject]:
    """The objects of the workspace's outputs.

    Raises:
        UserError: if a folder's listing is not in the cache.
    """
    objects, unlisted = required_objects(repo)
    if unlisted:
        raise UserError(
            f"the cache lacks {listed(unlisted)}",
            "get it: samebits receive; or make it: dvc repro",
        )
    return objects


def send(
    repo: Any,
    remote: Remote,
    objects: list[CacheObject],
    *,
    quick: bool,
    say: Say,
    push: Callable[[], int] | None = None,
) -> Verdict:
    """Push, check, send again what is wrong, check that. `push` is `dvc push` of the workspace unless it is given.

    Raises:
        UserError: if not everything is on the remote in the end.
    """
    elsewhere = sorted({each.remote for each in objects if each.remote and each.remote != remote.name})
    if elsewhere:
        raise UserError(
            f"dvc.yaml or a .dvc file names another remote for some outputs: {', '.join(elsewhere)}",
            "remove its `remote:`, so that all of a revision is in one place",
        )
    remote.check_answers()
    _remove_wrong_listings(repo, remote, objects, say)
    there = remote.sizes(each.oid for each in objects)
    _check_before_sending(repo, [each for each in objects if each.oid not in there], remote)
    with captured_logs() as captured, remote.watched():
        try:
            (push or (lambda: repo.push(remote=remote.name)))()
        except Exception as error:
            if is_locked(error):
                raise
            raise _push_failed(error, captured, remote) from error
    verdict = verify(repo, remote, objects, deep=not quick)
    sent = [each for each in objects if each.oid not in there and each not in verdict.wrong]
    if verdict.wrong:
        # DVC took its index, or the listing of a folder, for the things themselves.
        for line in verdict.lines()[:_SHOWN]:
            say(f"on {remote.shown} {line}")
        repaired, lost = repair(repo, remote, verdict.wrong)
        if lost:
            raise UserError(
                f"{remote.shown} lacks {listed(lost)}, and the cache here has no good copy",
                "whoever has one runs samebits share; or make it again: dvc repro -f " + " ".join(_stages(lost)),
            )
        verdict = verify(repo, remote, objects, deep=not quick)
        if verdict.wrong:
            raise UserError(
                f"{remote.shown} still has wrong objects after they were sent again: {listed(verdict.lines())}",
                "its storage is failing: use another remote",
            )
        say(f"sent again, good now: {len(repaired)} objects")
        sent += [each for each in repaired if each not in sent]
    say(
        f"shared: {verdict.objects} objects, {mib(verdict.bytes)} on {remote.shown}, "
        f"{'sizes compared' if quick else 'every one read back'}; "
        f"sent now: {len(sent)} objects, {mib(sum(cache_path(repo, each.oid).stat().st_size for each in sent))}"
    )
    return verdict


def _remove_wrong_listings(repo: Any, remote: Remote, objects: list[CacheObject], say: Say) -> None:
    """Damaged listings of folders go from the remote first: DVC cannot push over one, and believes what it lists."""
    listings = [each for each in objects if each.oid.endswith(".dir")]
    verdict = verify(repo, remote, listings, deep=True)
    for each, line in zip(verdict.wrong, verdict.lines(), strict=True):
        if each not in verdict.missing and md5_of(cache_path(repo, each.oid)) == each.md5:
            say(f"on {remote.shown} {line}; sent again")
            remote.remove(each.oid)


def _check_before_sending(repo: Any, objects: list[CacheObject], remote: Remote) -> None:
    """What is to be sent must be here, and must be what its name says: DVC sends a damaged copy as it is.

    Raises:
        UserError: naming what is missing or damaged.
    """
    missing, damaged = [], []
    for each in objects:
        md5 = md5_of(cache_path(repo, each.oid))
        if not md5:
            missing.append(each)
        elif md5 != each.md5:
            damaged.append(each)
    if missing:
        raise UserError(
            f"neither the cache here nor {remote.shown} has {listed(missing)}",
            f"make it again: dvc repro -f {' '.join(_stages(missing))}; or get it from whoever has it",
        )
    if damaged:
        paths = " ".join(str(cache_path(repo, each.oid)) for each in damaged[:_SHOWN])
        raise UserError(
            f"damaged in the cache here: {listed(damaged)}",
            f"remove the copies and store the outputs anew: rm -f {paths}; dvc commit {' '.join(_stages(damaged))}",
        )


def _push_failed(error: Exception, captured: CapturedErrors, remote: Remote) -> UserError:
    """The first error of a file says more than DVC's own (`3 files failed to upload`)."""
    fault = remote.error_of(captured.errors[0] if captured.errors else error)
    if fault.kind in ("forbidden", "bucket", "unknown") and not remote.odb.fs.CAN_TRAVERSE:
        # A web server that only serves files says 405, 403 or 404; DVC keeps the address alone.
        text, fix = FAULTS["read-only"]
        return UserError(f"{remote.shown} {text}", fix)
    return fault


def _stages(objects: Iterable[CacheObject]) -> list[str]:
    return sorted({each.stage for each in objects})


def mib(size: int) -> str:
    """A size for people: `3.4 MiB`."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**17 else f"{size / 2**10:,.1f} KiB"
