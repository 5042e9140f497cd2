"""`samebits share --state` and `samebits receive --state`: an interrupted training goes on on another machine.

The files of its newest state go to the DVC remote under their MD5; a git ref of its own names them, with their SHA-256
and size. Whoever receives it checks all of that, and places the state where their own interrupted training would be:
`dvc repro` goes on from it if code, data, parameters and hardware give the same fingerprint, else it says what differs.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from samebits.base.errors import UserError, listed
from samebits.base.files import sha256_file
from samebits.base.git import git, head_commit
from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import read_md5
from samebits.pipeline.dvc_yaml import param_at
from samebits.pipeline.fingerprint import digest
from samebits.sharing.git import is_published, keep_json, pick_remote, uncommitted_sources
from samebits.sharing.remote.objects import open_repo
from samebits.sharing.remote.remote import Remote, open_remote
from samebits.sharing.share import mib
from samebits.training.resume.saved import (
    COMPLETE,
    COUNTERS,
    RECEIVED,
    STATE,
    Counters,
    files_in,
    newest,
    read_checked,
    read_state,
    write_complete,
)  # fmt: skip
from samebits.training.resume.store import KEPT, StateStore

_REFS = "refs/samebits/states"
_FILE = "state.json"
_NAME = 8
"""Characters of a fingerprint that name a state for people."""

_LATEST = "latest"
_ONE = {f"{_LATEST}/{STATE}", f"{_LATEST}/{COUNTERS}"}
_BOTH = _ONE | {f"{KEPT}/{STATE}", f"{KEPT}/{COUNTERS}"}

Say = Callable[[str], None]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: NonNegativeInt


class _Description(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    format: Literal[1]
    step: PositiveInt
    files: dict[str, _File]


def share_state(
    project: Project, name: str = "", *, remote: str | None = None, git_remote: str | None = None,
    timeout: float = 30.0, say: Say = print,
) -> None:  # fmt: skip
    """Send the newest state of an interrupted training, or of one that runs.

    Args:
        name: the beginning of its fingerprint; empty for the one that was at work last.

    Raises:
        UserError: if there is none, or it does not get there whole.
    """
    home = project.home
    origin = pick_remote(home, git_remote)
    folder = _here(project.state / "resume", name)
    with tempfile.TemporaryDirectory(dir=project.state) as scratch, open_repo(home) as repo:
        counters = _copy(folder, Path(scratch))
        if param_at(counters.training.inputs, "train.audit_steps") is not None:
            raise UserError(
                "train.audit_steps keeps states from step 0 on, and the newest one does not bring them",
                "let the training end here; samebits share then carries all of them",
            )
        files = {
            path.relative_to(scratch).as_posix(): path
            for path in Path(scratch).rglob("*")
            if path.name in (STATE, COUNTERS)
        }
        described = {
            key: _File(md5=read_md5(path), sha256=sha256_file(path), size=path.stat().st_size)
            for key, path in files.items()
        }
        ref = f"{_REFS}/{folder.name}"
        _require_no_later(home, origin, ref, counters)
        storage = open_remote(repo, remote, timeout=timeout)
        storage.check_answers()
        _send(storage, {described[key].md5: path for key, path in files.items()})
    description = _Description(format=1, step=counters.step, files=described)
    keep_json(home, ref, _FILE, description.model_dump(), f"training state: {counters.place}")
    git(home, "push", "--quiet", origin, f"+{ref}:{ref}")
    size = mib(sum(each.size for each in described.values()))
    say(
        f"shared: state {folder.name[:_NAME]} at {counters.place}, {size} on {storage.shown}, every file read back; "
        f"elsewhere: samebits receive --state {folder.name[:_NAME]}"
    )
    _say_what_goes_with_it(home, say)


def receive_state(
    project: Project, name: str = "", *, remote: str | None = None, git_remote: str | None = None,
    timeout: float = 30.0, say: Say = print,
) -> None:  # fmt: skip
    """Bring a state here, check it, and place it where `dvc repro` goes on from it.

    Args:
        name: the beginning of its fingerprint; empty if there is one alone.

    Raises:
        UserError: if there is none, or it is damaged or no state: nothing of it is placed then.
    """
    home, root = project.home, project.state / "resume"
    origin = pick_remote(home, git_remote)
    lines = git(home, "ls-remote", origin, f"{_REFS}/*").splitlines()
    known = [line.rpartition("/")[2] for line in lines]
    fingerprint = _one([each for each in known if re.fullmatch("[0-9a-f]{32}", each)], name, f"on {origin}")
    ref = f"{_REFS}/{fingerprint}"
    files = _described(home, origin, ref).files
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=project.state) as scratch, open_repo(home) as repo:
        storage = open_remote(repo, remote, timeout=timeout)
        storage.check_answers()
        _fetch(storage, files, Path(scratch))
        counters = _checked(Path(scratch), fingerprint)
        with StateStore(root, fingerprint, say) as store:
            later = newest(store.folder)
            _place(Path(scratch), store.folder, counters.step)
    say(f"received: state {fingerprint[:_NAME]} at {counters.place}, every hash checked; dvc repro goes on from it")
    if later and int(later.name) > counters.step:
        say(f"note: this training is at step {int(later.name)} here already, and goes on from there")


def _here(root: Path, name: str) -> Path:
    """The folder of an interrupted training."""
    found = {each.parent: each.stat().st_mtime for folder in root.glob("*/") if (each := newest(folder)) is not None}
    if not found:
        raise UserError(
            "no training is interrupted here",
            "a finished one keeps its state with train.keep_state: true, as an output: samebits share",
        )
    if not name:
        return max(found, key=lambda folder: found[folder])
    return root / _one([folder.name for folder in found], name, "here")


def _one(known: list[str], name: str, where: str) -> str:
    found = [each for each in known if each.startswith(name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(each[:_NAME] for each in known)) or "none"
    raise UserError(
        f"there {'is no state' if not found else f'are {len(found)} states'} {name + ' ' if name else ''}{where}",
        f"known: {names}; share one: samebits share --state; name one: --state NAME",
    )


def _copy(folder: Path, target: Path) -> Counters:
    """Copy the newest state of a training that may be running, and what it has kept."""
    for attempt in range(3):
        state = newest(folder)
        try:
            for name, source in ((_LATEST, state), (KEPT, folder / KEPT)):
                shutil.rmtree(target / name, ignore_errors=True)
                if source is not None and (source / COMPLETE).is_file():
                    shutil.copytree(source, target / name)
                    read_checked(files_in(target / name))
            return read_checked(files_in(target / _LATEST))
        except (UserError, OSError, shutil.Error) as error:  # a newer one has taken its place
            if attempt == 2:
                raise UserError(
                    f"the state in {state} cannot be read: {error}", "dvc repro looks for one before"
                ) from None
    raise AssertionError("unreachable")


def _send(remote: Remote, files: dict[str, Path]) -> None:
    """Bring files to the remote under their MD5, and read them back."""
    for attempt in (1, 2):
        wrong = [oid for oid, md5 in remote.hashes(files) if md5 != oid]
        if not wrong:
            return
        if attempt == 2:
            raise UserError(f"{remote.shown} does not keep {listed(wrong)} as sent", "use another remote")
        for oid in wrong:
            remote.replace(oid, files[oid])


def _described(home: Path, origin: str, ref: str) -> _Description:
    """What a state's git ref says, as the git remote has it."""
    git(home, "fetch", "--quiet", "--no-write-fetch-head", origin, f"+{ref}:{ref}")
    try:
        found = _Description.model_validate(json.loads(git(home, "show", f"{ref}:{_FILE}")))
        if set(found.files) in (_ONE, _BOTH):
            return found
    except (ValueError, RecursionError):  # pydantic's are ValueErrors
        pass
    raise UserError(f"the description of state {ref.rpartition('/')[2][:_NAME]} is damaged", _AGAIN)


def _require_no_later(home: Path, origin: str, ref: str, counters: Counters) -> None:
    if not git(home, "ls-remote", origin, ref):
        return
    try:
        there = _described(home, origin, ref).step
    except UserError:
        return  # one that nobody can receive may be replaced
    if there > counters.step:
        raise UserError(
            f"{origin} has step {there} of this training already, and here it is at {counters.place}",
            f"go on from there: samebits receive --state {ref.rpartition('/')[2][:_NAME]}",
        )


_AGAIN = "whoever has the training shares its state once more: samebits share --state"


def _fetch(remote: Remote, files: dict[str, _File], target: Path) -> None:
    for name, file in files.items():
        path = target / name
        path.parent.mkdir(exist_ok=True)
        if not remote.download(file.md5, path, file.size):
            raise UserError(f"{remote.shown} does not have {name} of the state (object {file.md5})", _AGAIN)
        if sha256_file(path) != file.sha256:
            raise UserError(f"{name} of the state on {remote.shown} is damaged", _AGAIN)


def _checked(folder: Path, fingerprint: str) -> Counters:
    """The counters of a state that came, all of whose files can be read."""
    try:
        found = []
        for each in sorted(folder.iterdir()):
            write_complete(each)
            read_state(files_in(each))
            found.append(read_checked(files_in(each)))
    except UserError as error:
        raise UserError(f"what came is no state of a training: {error.problem}", _AGAIN) from None
    if any(digest(each.training.inputs)[: len(fingerprint)] != fingerprint for each in found):
        raise UserError(f"what came is the state of another training than {fingerprint[:_NAME]}", _AGAIN)
    return read_checked(files_in(folder / _LATEST))


def _place(source: Path, folder: Path, step: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / RECEIVED).touch()
    # The kept one first: no state after it may be there without it.
    for name, target in ((KEPT, folder / KEPT), (_LATEST, folder / f"{step:010d}")):
        if (source / name).is_dir():
            shutil.rmtree(target, ignore_errors=True)
            (source / name).rename(target)


def _say_what_goes_with_it(home: Path, say: Say) -> None:
    if changed := uncommitted_sources(home):
        say(f"note: not committed: {listed(changed)}; the state serves the same code and parameters alone")
    elif is_published(home, head_commit(home)) is not True:
        say("note: this commit is on no git remote that is known here: git push")
