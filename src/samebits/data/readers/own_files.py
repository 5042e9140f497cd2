"""The user's own files as DVC sees them: what it would not see is refused, and so is what changes while it is read.

DVC hashes the dependencies of a stage again when its command is done. Files that arrive in between would be locked as
if the stage had read them, and the difference would never be seen again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from samebits.base.errors import UserError
from samebits.data.fetching.leftovers import is_leftover

_AGAIN = "run dvc repro again"


class OwnFiles:
    """What was read below `home`, and what it looked like before.

    Args:
        workspace: messages name paths relative to it.
        home: the folder that the stage depends on, `data/raw`; DVC follows it where it is a link itself.
    """

    def __init__(self, workspace: Path, home: Path) -> None:
        self._workspace, self._home = workspace, home
        self._roots: list[Path] = []
        self._seen: dict[str, int] = {}
        self._followed: set[Path] = set()

    def add(self, path: Path) -> None:
        """Remember a file, or all files of a folder, before they are read.

        Raises:
            UserError: for a link to a folder, a link to nothing, a pipe or a device, at the path, above or below it.
        """
        self._require_seen(path)
        try:
            self._seen.update(self._walk(path))
        except OSError as error:
            shown = self._shown(Path(error.filename or path))
            raise UserError(f"{shown} cannot be read: {error.strerror}", "fix its permissions, or remove it") from None
        self._roots.append(path)

    def require_unchanged(self) -> None:
        """Compare with what there is now.

        Raises:
            UserError: naming a file that was added, removed or changed, or a link or pipe that has come.
        """
        left = dict(self._seen)
        changed: list[str] = []
        for root in self._roots:
            try:
                for name, state in self._walk(root):
                    if left.pop(name, state if name in self._seen else None) != state:
                        changed.append(name)
            except OSError:  # a folder that is gone
                changed.append(str(root))
        changed += left
        if changed:
            more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
            raise UserError(f"{self._shown(Path(min(changed)))}{more} changed while prepare ran", _AGAIN)

    def _walk(self, root: Path) -> Iterator[tuple[str, int]]:
        """Path and state of each file that is no leftover."""
        status = root.stat()
        if not stat.S_ISDIR(status.st_mode):
            yield str(root), _state(status)
            return
        waiting = [str(root)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if is_leftover(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        yield entry.path, _state(entry.stat())
                    else:
                        raise self._unseen(Path(entry.path))

    def _require_seen(self, path: Path) -> None:
        """Refuse a path that DVC does not follow, be it for a folder above it."""
        parts = path.relative_to(self._home).parts if path.is_relative_to(self._home) else ()
        at = self._home
        for part in parts:
            at = at / part
            if at in self._followed:
                continue
            if is_leftover(part) and not part.startswith("."):
                raise UserError(
                    f"{self._shown(at)} has a name that DVC is told to ignore (.dvcignore)", "give it another name"
                )
            if (at.is_symlink() and at.is_dir()) or (at.exists() and not at.is_dir() and not at.is_file()):
                raise self._unseen(at)
            if at != path:
                self._followed.add(at)

    def _unseen(self, path: Path) -> UserError:
        shown = self._shown(path)
        if not path.is_symlink():
            return UserError(f"{shown} is a pipe, a socket or a device, no file", "remove it, or copy its content")
        target = path.resolve()
        if path.is_dir():
            return UserError(
                f"{shown} is a link to the folder {target}, in which DVC sees no change",
                f"put the folder itself there (rm {shown}; mv or cp -r {target} {shown}), or link its files one by one",
            )
        return UserError(f"{shown} is a link to {target}, which is no file", "remove the link, or fix it")

    def _shown(self, path: Path) -> str:
        return path.relative_to(self._workspace).as_posix() if path.is_relative_to(self._workspace) else str(path)


def _state(status: os.stat_result) -> int:
    """Size and times as one number: of a million files a tuple each would take much memory."""
    return hash((status.st_size, status.st_mtime_ns, status.st_ctime_ns))
