"""`.dvc` files: data of one's own that `dvc add` keeps, and that a clone does not have until they are checked out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from samebits.base.errors import UserError
from samebits.params.yaml_file import read_yaml

_SUFFIX = ".dvc"


def added_data(workspace: Path, deps: Iterable[str]) -> dict[str, str]:
    """What `.dvc` files put below these dependencies, at them or around them: path to MD5, a folder's with `.dir`.

    Raises:
        UserError: if such a file is damaged.
    """
    found: dict[str, str] = {}
    for file in sorted(set(_files_for(workspace, deps))):
        try:
            for out in read_yaml(file)["outs"]:
                path = Path(os.path.normpath(file.parent / out["path"]))
                found[path.relative_to(workspace).as_posix()] = out["md5"]
        except (KeyError, TypeError, ValueError):
            raise UserError(f"{file} is no .dvc file that DVC wrote", "restore it: git checkout, or dvc add") from None
    return found


def _files_for(workspace: Path, deps: Iterable[str]) -> Iterator[Path]:
    for dep in deps:
        path = workspace / dep
        yield from (each for each in path.rglob(f"*{_SUFFIX}") if each.is_file())
        for around in (path, *path.parents):
            if around == workspace:
                break
            file = around.with_name(around.name + _SUFFIX)
            if file.is_file():
                yield file
