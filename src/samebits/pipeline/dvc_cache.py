"""Read the files of a DVC output from the cache, and say which are available locally."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.git import git, git_bytes
from samebits.pipeline.dvc_hashes import existing_md5, read_md5

_TIMEOUT_S = 3600.0


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command there, with the interpreter that runs now."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("DVC_")}
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, encoding="utf-8", errors="replace", timeout=_TIMEOUT_S
    )


@dataclass(frozen=True)
class Objects:
    """The DVC cache of a project.

    Attributes:
        folder: the cache; objects lie below its `files/md5`.
    """

    folder: Path

    def path(self, digest: str) -> Path:
        """Where the object of an MD5 lies, if it is there."""
        return self.folder / "files" / "md5" / digest[:2] / digest[2:]

    def files(self, digest: str) -> dict[str, str] | None:
        """The files of a folder's object, relative path to MD5; a single file stands under the empty path.

        None if the folder's listing is not in the cache.
        """
        if not digest.endswith(".dir"):
            return {"": digest}
        try:
            listing = json.loads(self.path(digest).read_text(encoding="utf-8"))
            return {each["relpath"]: each["md5"] for each in listing}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def has(self, digest: str) -> bool:
        """Whether the object, and each file of a folder's, is there."""
        files = self.files(digest)
        return files is not None and all(self.path(each).is_file() for each in files.values())

    def require_intact(self, digest: str) -> None:
        """Read an object that is here, and each file of a folder's, and hold it against its name.

        Raises:
            UserError: naming the object that has other bytes.
        """
        for each in {digest, *(self.files(digest) or {}).values()}:
            name = each.removesuffix(".dir")
            if not re.fullmatch(r"[0-9a-f]{32}", name) or read_md5(self.path(each)) != name:
                raise UserError(
                    f"{self.path(each)} in DVC's cache has other bytes than its name says",
                    "remove it, then dvc fetch it again",
                )


def open_objects(root: Path) -> Objects:
    """The cache that a project is set to use.

    Raises:
        UserError: if DVC does not know the folder.
    """
    done = dvc(root, "cache", "dir")
    if done.returncode:
        raise UserError(f"dvc cannot work in {root}: {done.stderr.strip()[-500:]}", "restore .dvc: git checkout .dvc")
    return Objects(Path(done.stdout.strip()))


def share_cache(root: Path, copy: Path, objects: Objects) -> None:
    """Let a copy use the project's cache, remotes and credentials (`.dvc/config.local`, which git ignores)."""
    own = root / ".dvc" / "config.local"
    target = copy / ".dvc" / "config.local"
    target.parent.mkdir(exist_ok=True)
    target.write_text(own.read_text(encoding="utf-8") if own.is_file() else "", encoding="utf-8")
    # It may hold a key of a remote.
    target.chmod(0o600)
    settings = _config(target)
    settings.setdefault("cache", {})["dir"] = str(objects.folder)
    for section, url in _relative_urls(root).items():
        settings.setdefault(section, {})["url"] = url
    settings.write()


def _config(file: Path) -> Any:
    """A file of DVC's settings, by the library that DVC uses: `dvc cache dir` writes ASCII alone, and cannot name a
    folder with an é."""
    from configobj import ConfigObj  # type: ignore[import-untyped]  # a stage, which reads this module, needs none

    return ConfigObj(str(file), encoding="utf-8")


def _relative_urls(root: Path) -> dict[str, str]:
    """Section to absolute path, of remotes that are folders named from the project's `.dvc`, where a copy is not."""
    found = {}
    for name in ("config", "config.local"):
        for section, values in _config(root / ".dvc" / name).items():
            url = values.get("url", "") if section.startswith("remote ") else ""
            if url and "://" not in url:
                found[section] = os.path.normpath(root / ".dvc" / url)
    return found


def start_receive(root: Path, output: str) -> subprocess.Popen[str]:
    """Start to take an output from the remote; one that is there is replaced. Its errors are on stderr."""
    return subprocess.Popen(
        [sys.executable, "-m", "samebits.cli.main", "receive", output, "--force"], cwd=root, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip


def missing_outputs(outputs: Mapping[str, str], objects: Objects) -> dict[str, str]:
    """Those outputs, path to MD5, of which the cache does not have every file."""
    return {path: digest for path, digest in outputs.items() if not objects.has(digest)}


def bring_outputs(copy: Path, outputs: Mapping[str, str], objects: Objects) -> None:
    """Put outputs of dvc.lock into a copy that shares the cache; what is missing there is fetched from the remote.

    Raises:
        UserError: naming what is in neither.
    """
    if not outputs:
        return
    said = ""
    if missing := missing_outputs(outputs, objects):
        said = dvc(copy, "fetch", *missing).stderr.strip()
    if missing := missing_outputs(outputs, objects):
        raise UserError(missing_text(missing, said), FIX_MISSING)
    done = dvc(copy, "checkout", "--force", *outputs)
    wrong = [path for path, digest in outputs.items() if existing_md5(copy / path) != digest]
    if wrong:
        raise UserError(
            f"the cache does not give back what dvc.lock names: {', '.join(wrong)}\n{done.stderr.strip()[-500:]}",
            f"its objects below {objects.folder} are damaged: remove them, then dvc pull, or dvc repro --force",
        )


FIX_MISSING = "dvc push where they were made and dvc pull here, or make them again: dvc repro"


def missing_text(missing: Mapping[str, str], said: str = "") -> str:
    """What is missing, line by line, and why DVC did not get it."""
    lines = [f"  {path} (md5 {digest})" for path, digest in missing.items()]
    reason = f"\ndvc: {said.splitlines()[-1]}" if said else ""
    return "\n".join(["these outputs are neither in DVC's cache nor on its remote:", *lines]) + reason


def original_files(root: Path, commit: str, path: str, digest: str, objects: Objects, aside: Path) -> dict[str, Path]:
    """The files of an output as dvc.lock has it, relative path to where the bytes are now; empty if nobody has them.

    Looked for in DVC's cache, in git (outputs with `cache: false`) and in the working tree.

    Args:
        aside: a folder for what only git has.
    """
    if objects.has(digest):
        return {name: objects.path(each) for name, each in (objects.files(digest) or {}).items()}
    if existing_md5(root / path) == digest:
        return files_below(root / path)
    if git(root, "cat-file", "-t", f"{commit}:./{path}", check=False) == "blob":
        target = aside / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(git_bytes(root, "show", f"{commit}:./{path}"))
        if existing_md5(target) == digest:
            return {"": target}
    return {}


def files_below(path: Path) -> dict[str, Path]:
    """The files of an output that lies there: relative path (empty for a single file) to path."""
    if path.is_file():
        return {"": path}
    return {each.relative_to(path).as_posix(): each for each in sorted(path.rglob("*")) if each.is_file()}


def digests(workspace: Path, paths: Iterable[str]) -> dict[str, str]:
    """MD5 of each output as it lies in a workspace; empty for one that is not there."""
    return {path: existing_md5(workspace / path) for path in paths}
