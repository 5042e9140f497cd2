"""A DVC remote, opened: which objects it holds, of which size and with which content.

DVC keeps an index of what it once saw on a remote and, for a folder, believes that its files are there if its
listing is. Nothing here asks that index: sizes come from the server, hashes from the bytes it sends.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from samebits.base.errors import UserError
from samebits.base.extras import pip_install, requirements
from samebits.base.redaction import without_secrets
from samebits.sharing.remote.captured_logs import captured_logs
from samebits.sharing.remote.credentials import is_session
from samebits.sharing.remote.errors import RemoteError, explain
from samebits.sharing.remote.stall_watchdog import TIMES, abort_on_stall

_BLOCK = 4 << 20
_AT_ONCE = 8

EXTRAS = {
    "s3": "s3", "ssh": "ssh", "sftp": "ssh", "webdav": "webdav", "webdavs": "webdav",
    "gs": "gs", "gcs": "gs", "azure": "azure", "abfs": "azure",
}  # fmt: skip
"""Scheme of a remote's address -> our extra that installs its plugin."""

T = TypeVar("T")


class Remote:
    """One remote of a DVC repository.

    Attributes:
        name: as in .dvc/config.
        shown: for messages, as `remote 'team' (s3://bucket/path)`; without credentials.
        odb: dvc-data's object database on it.
    """

    def __init__(self, name: str, url: str, odb: Any, timeout: float) -> None:
        self.name = name
        self.shown = f"remote {name!r} ({without_secrets(url)})"
        self.url = url
        self.odb = odb
        self._timeout = timeout

    def error_of(self, error: BaseException) -> RemoteError:
        """What a plugin raised, as the message for a user."""
        return explain(error, self.shown, lambda: is_session(self.odb.fs))

    def check_answers(self) -> None:
        """One request, with a limit of time.

        Raises:
            RemoteError: if the server is down, refuses, or does not answer in time; if a local folder is missing.
        """
        self._within_time(self._first_request)

    def _first_request(self) -> None:
        fs = self.odb.fs
        top = self._top()
        if fs.protocol == "local":
            if not Path(top).is_dir():
                raise RemoteError(
                    "bucket",
                    f"{self.shown} does not exist",
                    f"if it is on a network disk, mount that; if it is to be made: mkdir -p {top}",
                )
            return
        if not fs.CAN_TRAVERSE:
            fs.exists(top)
            return
        if fs.protocol == "s3":
            # A listing, since its refusal has a body that says why; HEAD's has none.
            bucket, _, prefix = str(self.odb.path).partition("/")
            fs.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
            return
        # What is below the address, DVC makes; what it can make of the address itself, the first write shows.
        with suppress(FileNotFoundError):
            fs.ls(top)

    def _top(self) -> str:
        fs = self.odb.fs
        return str(fs.parent(fs.parent(self.odb.path)))

    def _within_time(self, ask: Callable[[], T]) -> T:
        """Run in a thread that is left behind if it takes too long: the plugins' own limits are minutes to hours."""
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(ask())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run, name="first request", daemon=True)
        with captured_logs():
            thread.start()
            thread.join(self._timeout)
        if thread.is_alive():
            raise self.error_of(TimeoutError(f"no answer within {self._timeout:g} s"))
        if failed:
            if isinstance(failed[0], UserError):
                raise failed[0]
            raise self.error_of(failed[0]) from failed[0]
        return done[0]

    def list_prefix(self, prefix: str) -> dict[str, int | None]:
        """Every object whose hash begins with two given characters: its hash -> bytes."""
        fs = self.odb.fs
        folder = fs.join(self.odb.path, prefix)
        try:
            entries = fs.ls(folder, detail=True)
        except FileNotFoundError:
            return {}
        return {
            prefix + fs.name(entry["name"]): _size(entry)
            for entry in entries
            if entry.get("type", "file") == "file"
        }  # fmt: skip

    def sizes(self, oids: Iterable[str]) -> dict[str, int | None]:
        """Bytes of those of the objects that are there; None where the server does not say.

        Raises:
            RemoteError: if the server cannot be asked.
        """
        wanted = set(oids)
        fs = self.odb.fs
        with self.translated(), ThreadPoolExecutor(_AT_ONCE) as pool:
            if fs.CAN_TRAVERSE:
                if hasattr(fs.fs, "invalidate_cache"):
                    fs.fs.invalidate_cache()
                found: dict[str, int | None] = {}
                for some in pool.map(self.list_prefix, sorted({oid[:2] for oid in wanted})):
                    found |= some
                return {oid: size for oid, size in found.items() if oid in wanted}
            return {oid: size for oid, size in zip(wanted, pool.map(self._info, wanted), strict=True) if size != -1}

    def _info(self, oid: str) -> int | None:
        try:
            return _size(self.odb.fs.info(self.odb.oid_to_path(oid)))
        except FileNotFoundError:
            return -1

    def hashes(self, oids: Iterable[str], seen: Callable[[int], None] = lambda _: None) -> Iterator[tuple[str, str]]:
        """(object, MD5 of the bytes that the server sends for it), in no order; "" for one that is not there.

        Args:
            seen: called with the bytes of each block as it arrives.

        Raises:
            RemoteError: if the server cannot be read.
        """

        def read(oid: str) -> tuple[str, str]:
            digest = hashlib.md5(usedforsecurity=False)
            try:
                with self.odb.fs.open(self.odb.oid_to_path(oid), "rb", block_size=_BLOCK) as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
                        seen(len(block))
            except FileNotFoundError:
                return oid, ""
            return oid, digest.hexdigest()

        with self.translated(), ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(read, oids)

    def read(self, oid: str) -> bytes | None:
        """The bytes of a small object, None if it is not there.

        Raises:
            RemoteError: if the server cannot be read.
        """
        with self.translated():
            try:
                with self.odb.fs.open(self.odb.oid_to_path(oid), "rb") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def download(self, oid: str, path: Path, size: int) -> bool:
        """Write an object of a known size to a file; whether it was there.

        Raises:
            UserError: if it has other bytes than its name says, or more of them.
            RemoteError: if the server cannot be read.
        """
        digest, left = hashlib.md5(usedforsecurity=False), size
        # 0: as one stream. A plain HTTP server may not send a block out of a file.
        block = 0 if self.odb.fs.protocol in ("http", "https") else _BLOCK
        with self.translated():
            try:
                source = self.odb.fs.open(self.odb.oid_to_path(oid), "rb", block_size=block)
            except FileNotFoundError:
                return False
            with source, path.open("wb") as file:
                while left >= 0 and (data := source.read(_BLOCK)):
                    digest.update(data)
                    _write_local(file, data, path)
                    left -= len(data)
        if left or digest.hexdigest() != oid:
            raise UserError(f"object {oid} on {self.shown} is damaged", "whoever has a good copy shares it again")
        return True

    def replace(self, oid: str, path: Path) -> None:
        """Put a file in the place of an object, whatever is there now.

        Raises:
            RemoteError: if it cannot be written.
        """
        from dvc.fs import localfs

        with self.translated():
            target = self.odb.oid_to_path(oid)
            if self.odb.fs.protocol == "local":
                # DVC write-protects objects.
                Path(target).unlink(missing_ok=True)
            self.odb.add(str(path), localfs, oid, check_exists=False, on_error=_raise)

    def write_probe(self, data: bytes) -> str:
        """Write bytes as an object; its name.

        Raises:
            RemoteError: if they are not taken.
        """
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "probe"
            path.write_bytes(data)
            oid = hashlib.md5(data, usedforsecurity=False).hexdigest()
            self.replace(oid, path)
        return oid

    def remove(self, oid: str) -> None:
        """Remove an object, if it is there.

        Raises:
            RemoteError: if the server does not let us.
        """
        with self.translated():
            if self.odb.exists(oid):
                self.odb.delete(oid)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """End the process with a message if the server stalls in the middle of a transfer."""
        seconds = TIMES * self._timeout
        fault = self.error_of(TimeoutError(f"not a byte for {seconds:g} s, with the connection open"))
        with abort_on_stall(fault, seconds):
            yield

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the plugins as `RemoteError`, their own log lines kept off the screen."""
        try:
            with captured_logs(), self.watched():
                yield
        except (UserError, KeyboardInterrupt, GeneratorExit):
            raise
        except Exception as error:
            raise self.error_of(error) from error


def _write_local(file: BinaryIO, block: bytes, path: Path) -> None:
    try:
        file.write(block)
    except OSError as error:  # not the server's
        raise UserError(f"{path.parent} cannot be written: {error.strerror}", "free some space, then again") from None


def _raise(_: str, error: BaseException) -> None:
    raise error


def _size(entry: dict[str, Any]) -> int | None:
    size = entry.get("size")
    return None if size is None else int(size)


def check_host_keys() -> None:
    """Have DVC open SSH remotes with our class, which looks at known_hosts; in this process."""
    from dvc_objects.fs import known_implementations

    known_implementations["ssh"]["class"] = "samebits.sharing.remote.ssh.CheckedSSHFileSystem"


def open_remote(repo: Any, name: str | None, *, timeout: float = 30.0) -> Remote:
    """Open a remote by name, or the default one. Nothing is asked of the server yet.

    Args:
        repo: a `dvc.repo.Repo`.
        timeout: seconds for its first answer.

    Raises:
        UserError: if there is none, its plugin is missing, or its settings are wrong.
    """
    config = repo.config
    chosen = name or config["core"].get("remote")
    known = sorted(config["remote"])
    if not chosen:
        if known:
            raise UserError(
                f"no remote is the default one (there is {', '.join(known)})",
                f"choose it: dvc remote default {known[0]}; or name one: --remote {known[0]}",
            )
        raise UserError(
            "this project has no remote yet, so there is no place to share through",
            "add one, as: dvc remote add -d team s3://bucket/path (or a folder, ssh://, webdav://; docs/remotes.md), "
            "then commit .dvc/config",
        )
    if chosen.lower() not in config["remote"]:
        raise UserError(
            f"there is no remote {chosen!r}",
            f"known: {', '.join(known) or 'none'}; add it: dvc remote add {chosen} ADDRESS (docs/remotes.md)",
        )
    url = str(config["remote"][chosen.lower()].get("url", ""))
    scheme = url.partition("://")[0] if "://" in url else "local"
    try:
        with captured_logs():
            odb = repo.cloud.get_remote_odb(chosen, "share")
    except Exception as error:
        raise _cannot_open(error, chosen, scheme) from error
    return Remote(chosen, url, odb, timeout)


def _cannot_open(error: Exception, name: str, scheme: str) -> UserError:
    kind = type(error).__name__
    if kind == "RemoteMissingDepsError" or "to be installed" in str(error):
        extra = EXTRAS.get(scheme, scheme)
        return UserError(
            f"remote {name!r} is of kind {scheme}, and DVC's plugin for it is not installed",
            pip_install(*requirements(extra, f"dvc[{extra}]")),
        )
    if "cloud versioned" in str(error):
        return UserError(
            f"remote {name!r} is cloud-versioned, where DVC keeps no objects by hash that could be checked",
            f"use a plain one: dvc remote modify --unset {name} version_aware (and worktree)",
        )
    return UserError(
        f"remote {name!r} cannot be set up: {without_secrets(str(error))}",
        "correct .dvc/config and .dvc/config.local; docs/remotes.md shows each kind",
    )
