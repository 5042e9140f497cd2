"""`samebits update`: a project to the installed release of samebits, with all that was edited in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from samebits import __version__
from samebits.base.errors import UserError, listed
from samebits.base.files import sha256_bytes, sha256_file, write_bytes
from samebits.base.git import merge_file
from samebits.base.paths import Project
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_lock import LOCK as DVC_LOCK
from samebits.pipeline.packages import differences, write_packages
from samebits.pipeline.recipes import with_values
from samebits.provenance.stale import stale_stages
from samebits.sharing.git import uncommitted_sources
from samebits.template.base import Base, read_base, write_base
from samebits.template.render import LOCK, PARAMS, lock_text, render

Say = Callable[[str], None]


@dataclass(frozen=True)
class Merged:
    """What becomes of one file.

    Attributes:
        what: for the user: `new`, `changed`, `merged`, `removed`, or why it stays.
        content: to write; None leaves the file.
        conflicts: places that git marks, for the user to decide.
        remove: whether the file goes.
    """

    what: str
    content: bytes | None = None
    conflicts: int = 0
    remove: bool = False


def update(project: Project, say: Say = print) -> None:
    """Bring a project to the installed release: its files by a three-way merge, packages.yaml, params.yaml.

    Nothing is written before all is merged, and only over what git has. A file that nobody edited becomes the
    release's; edits stay; where both changed the same lines, git's markers stand in the file. Values of params.yaml
    stay as they are; keys that are new there get their default.

    Raises:
        UserError: if this is no project of `samebits new`, it is of a later release, it has uncommitted changes; or,
            when all is written, if conflicts are left.
    """
    root = project.workspace
    base = read_base(root)
    if _number(base.release) > _number(__version__):
        raise UserError(
            f"the project is at samebits {base.release}, {__version__} is installed",
            f"install it: python -m pip install samebits=={base.release}; to go back, revert the commit of the update",
        )
    files, lock = render(base.name), lock_text().encode()
    fresh = Base(__version__, base.name, files, sha256_bytes(lock))
    if base == fresh and not _code_differs(root):
        say(f"the project is at samebits {__version__}, as installed")
        return
    if changed := uncommitted_sources(root):
        raise UserError(
            f"not committed: {listed(changed)}",
            "commit them, or put them aside (git stash -u): an update is looked at, and taken back, by itself",
        )
    plan = {path: merge_one(root, path, base, files) for path in sorted({*base.files, *files})}
    plan[LOCK] = _merge_lock(root, base, lock)
    say(f"samebits {base.release} -> {__version__}")
    for path, merged in plan.items():
        if merged.content is not None:
            write_bytes(root / path, merged.content)
        elif merged.remove:
            (root / path).unlink()
        if merged.what:
            say(f"  {merged.what}: {path}")
    write_base(root, fresh)
    undecided = {path: merged.conflicts for path, merged in plan.items() if merged.conflicts}
    problems = _update_values(root, say, undecided)
    if undecided:
        raise UserError(
            f"both you and samebits changed: {listed([f'{path} ({n})' for path, n in undecided.items()])}",
            f"decide between the marks <<<<<<< and >>>>>>> in each, commit, then samebits update once more{problems}",
        )
    _say_what_runs(root, say)
    say("look at it (git diff), install what it names (make setup), then dvc repro, and commit")


def merge_one(root: Path, path: str, base: Base, files: Mapping[str, str]) -> Merged:
    """What becomes of a file of the template, from what it was, what it is here, and what it is in the release."""
    old, new = (texts[path].encode() if path in texts else None for texts in (base.files, files))
    file = root / path
    if old == new:
        return Merged("")
    around = [each for each in file.parents if each.is_relative_to(root)]
    if (
        file.is_symlink()
        or (file.exists() and not file.is_file())
        or any(e.exists() and not e.is_dir() for e in around)
    ):
        return Merged("left alone, no plain file")
    here = file.read_bytes() if file.is_file() else None
    if here == new:
        return Merged("")
    if new is None:
        return (
            Merged("removed", remove=True) if here == old else Merged("no longer of the template, edited: yours stays")
        )
    if here is None:
        return Merged("new", new) if old is None else Merged("changed in samebits, deleted by you: stays deleted")
    if here == old:
        return Merged("changed", new)
    labels = ("yours", f"samebits {base.release}", f"samebits {__version__}")
    try:
        content, conflicts = merge_file(here, old or b"", new, labels)
    except UserError as error:
        return Merged(f"left alone ({error.problem})")
    return Merged("CONFLICT" if conflicts else "merged with your edits", content, conflicts)


def _merge_lock(root: Path, base: Base, new: bytes) -> Merged:
    """The lock is taken whole: of two locks joined line by line, nobody knows whether they fit."""
    file = root / LOCK
    here = sha256_file(file) if file.is_file() else ""
    if sha256_bytes(new) in (here, base.lock_sha256):
        return Merged("")
    if here in ("", base.lock_sha256):
        return Merged("changed", new)
    return Merged("edited, so yours stays (packages of samebits may need a newer one)")


def _update_values(root: Path, say: Say, undecided: dict[str, int]) -> str:
    """params.yaml with the release's new keys, and packages.yaml. Returns what could not be done, for the message."""
    try:
        values = parse_params(read_yaml(root / PARAMS)).dump()
        text = with_values(root / PARAMS, values)
        if text.encode() != (root / PARAMS).read_bytes():
            write_bytes(root / PARAMS, text.encode())
            say(f"  new keys: {PARAMS}")
    except UserError as error:
        say(f"  CONFLICT: {PARAMS}")
        undecided[PARAMS] = 1
        return f"\n  {error}"
    if "dvc.yaml" not in undecided:
        write_packages(root, lambda line: say(f"  {line}"), update=True)
    return ""


def _code_differs(root: Path) -> bool:
    return any(each.name.partition(".")[0] == "samebits" for each in differences(root))


def _say_what_runs(root: Path, say: Say) -> None:
    if not (root / DVC_LOCK).is_file():
        say("nothing has run here yet")
        return
    try:
        stale = stale_stages(root)
    except UserError as error:
        say(f"dvc status says what will run again: {error.problem}")
        return
    say("dvc repro will run, a later stage only if what it reads changes:" if stale else "no stage runs again")
    for stage, why in stale.items():
        say(f"  {stage}: {why}")


def _number(release: str) -> tuple[int, ...]:
    """A release as numbers that can be compared; of `1.2.0rc1`, 1, 2 and 0."""
    found = re.match(r"\d+(\.\d+)*", release)
    return tuple(map(int, found[0].split("."))) if found else ()
