"""The objects that a revision's outputs are made of, each with its path and stage."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.redaction import without_secrets
from samebits.pipeline.dvc_hashes import read_md5
from samebits.sharing.remote.captured_logs import captured_logs
from samebits.sharing.remote.remote import check_host_keys


@dataclass(frozen=True)
class CacheObject:
    """One object of DVC's cache that a revision needs.

    Attributes:
        oid: MD5 of its bytes; that of a folder's listing ends with `.dir`.
        path: the output, or the file in it; relative to the project.
        stage: what makes it (`train`, or `data/raw.dvc`).
        size: bytes, from the listing or the lock; None if neither says.
        remote: the remote that dvc.yaml names for this output, if it does.
        pushed: False for what comes from elsewhere (imports) or is made again by everybody (`push: false`).
        remade: the second of these.
    """

    oid: str
    path: str
    stage: str
    size: int | None
    remote: str | None
    pushed: bool
    remade: bool

    @property
    def md5(self) -> str:
        """The MD5 that its bytes must have."""
        return self.oid.removesuffix(".dir")

    def __str__(self) -> str:
        what = "the listing of " if self.oid.endswith(".dir") else ""
        return f"{what}{self.path} (stage {self.stage}, object {self.oid})"


@contextmanager
def open_repo(folder: Path) -> Iterator[Any]:
    """DVC's repository at a folder, closed again.

    Raises:
        UserError: if there is none, or its files cannot be read.
    """
    from dvc.exceptions import DvcException

    repo = _repo_at(folder, None)
    try:
        with captured_logs():
            yield repo
    except DvcException as error:
        if is_locked(error):
            raise UserError("another DVC command is at work here", "wait until it ends, then run this again") from error
        raise UserError(f"DVC says: {whole_message(error)}", "correct the file that it names") from error
    finally:
        repo.close()


def _repo_at(folder: Path, revision: str | None) -> Any:
    from dvc.config import ConfigError
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import RevError, SCMError

    check_host_keys()
    try:
        here = Repo(str(folder))
        remotes = {name: {"url": str(each["url"])} for name, each in here.config["remote"].items()}
        here.close()
        # .dvc/config.local holds for every revision. Where it has a password for a remote that .dvc/config did not have
        # yet, DVC would stop: so every revision knows the remotes of today.
        return Repo(str(folder), rev=revision, config={"remote": remotes})
    except (RevError, SCMError):  # whoever named the revision knows what to say
        raise
    except NotDvcRepoError as error:
        raise UserError(f"{folder} is no DVC repository: {error}", "cd into your clone") from error
    except ConfigError as error:
        raise UserError(
            f"the configuration of DVC does not fit together: {whole_message(error)}",
            "correct .dvc/config and .dvc/config.local; a remote without `url` stands only in the second: add it (dvc "
            "remote add NAME ADDRESS), or take its section out",
        ) from error
    except DvcException as error:
        raise UserError(f"DVC says: {whole_message(error)}", "correct the file that it names") from error


def files_at(folder: Path, revision: str | None) -> Any:
    """DVC's file system of a revision; of the workspace if there is none. What the cache lacks comes from the remote.

    Raises:
        dvc.scm.RevError, dvc.scm.SCMError: if git does not know the revision; perhaps only when it is first read from.
        UserError: if the folder is no repository, or its configuration is wrong.
    """
    from dvc.api import DVCFileSystem

    return DVCFileSystem(repo=_repo_at(folder, revision))


def is_locked(error: BaseException) -> bool:
    """Whether DVC could not begin because another of its commands holds the repository."""
    return type(error).__name__ == "LockError"


def whole_message(error: BaseException) -> str:
    """The message of an error and of those that caused it, on one line."""
    texts = [str(error)]
    while (error := error.__cause__) is not None:  # type: ignore[assignment]
        texts.append(str(error))
    return without_secrets(": ".join(" ".join(text.split()) for text in texts if text))


def required_objects(repo: Any, only: Collection[str] = ()) -> tuple[list[CacheObject], list[CacheObject]]:
    """Every object of the outputs in the workspace's dvc.lock and .dvc files.

    Args:
        only: paths of outputs, relative to the project; all if there are none.

    Returns:
        the objects, each once; and the folders whose listing is not in the local cache, so that what
        they hold is not known.

    Raises:
        UserError: if an output was never made, or is hashed the way of DVC 2.
    """
    found: dict[str, CacheObject] = {}
    unlisted: list[CacheObject] = []
    root = Path(repo.root_dir)
    for out in repo.index.outs:
        if not out.use_cache or not out.is_in_repo:
            continue
        path, stage = Path(out.fs_path).relative_to(root).as_posix(), str(out.stage.addressing)
        if only and path not in only:
            continue
        if not out.hash_info:
            raise UserError(f"{path} (stage {stage}) was never made: dvc.lock has no hash of it", "run: dvc repro")
        if out.hash_info.name != "md5":
            raise UserError(
                f"{path} (stage {stage}) is hashed as {out.hash_info.name}, the way of DVC 2",
                f"make it again: dvc repro -f {stage}",
            )
        remade = _is_remade(out)
        pushed = not remade and not out.stage.is_repo_import
        is_dir = bool(out.hash_info.isdir)
        size = None if is_dir or out.meta is None else out.meta.size
        whole = CacheObject(str(out.hash_info.value), path, stage, size, out.remote, pushed, remade)
        found.setdefault(whole.oid, whole)
        if not is_dir:
            continue
        tree = _listing(repo, out.hash_info)
        if tree is None:
            unlisted.append(whole)
            continue
        for key, meta, info in tree:
            size = None if meta is None else meta.size
            part = CacheObject(str(info.value), "/".join([path, *key]), stage, size, out.remote, pushed, remade)
            found.setdefault(part.oid, part)
    return list(found.values()), unlisted


def _is_remade(out: Any) -> bool:
    return not out.can_push and not out.stage.is_repo_import


def left_to_make(repo: Any) -> dict[str, Any]:
    """DVC's outputs with `push: false` that the cache here does not have whole, by path: `dvc repro` makes them."""
    return {
        str(out.fs_path): out
        for out in repo.index.outs
        if out.use_cache and out.is_in_repo and out.hash_info and _is_remade(out) and not _is_whole(repo, out)
    }


def _is_whole(repo: Any, out: Any) -> bool:
    if not out.hash_info.isdir:
        return cache_path(repo, str(out.hash_info.value)).exists()
    tree = _listing(repo, out.hash_info)
    return tree is not None and all(cache_path(repo, str(info.value)).exists() for _, _, info in tree)


def required_objects_at(
    repo: Any, revision: str | None, only: Collection[str] = ()
) -> tuple[list[CacheObject], list[CacheObject]]:
    """`required_objects` of a commit; of the workspace if there is none."""
    if revision is None:
        return required_objects(repo, only)
    with repo.switch(revision):
        return required_objects(repo, only)


def _listing(repo: Any, hash_info: Any) -> Any:
    from dvc_data.hashfile.tree import Tree
    from dvc_objects.errors import ObjectFormatError

    try:
        return Tree.load(repo.cache.local, hash_info)
    except (FileNotFoundError, ObjectFormatError):
        return None


def cache_path(repo: Any, oid: str) -> Path:
    """Where the local cache has an object."""
    return Path(repo.cache.local.oid_to_path(oid))


def md5_of(path: Path) -> str:
    """MD5 of a file, or "" if there is none."""
    try:
        return read_md5(path)
    except FileNotFoundError:
        return ""


def damaged_in_cache(repo: Any, objects: Iterable[CacheObject]) -> tuple[list[CacheObject], list[CacheObject]]:
    """Read every object of the local cache: those that are not there, and those with other bytes than their name."""
    objects = list(objects)
    with ThreadPoolExecutor(2) as pool:
        hashes = list(pool.map(lambda each: md5_of(cache_path(repo, each.oid)), objects))
    pairs = list(zip(objects, hashes, strict=True))
    return [o for o, md5 in pairs if not md5], [o for o, md5 in pairs if md5 and md5 != o.md5]
