"""Fetch a card's files into a cache outside the project, verified, from the first place that has them.

A file lies in the cache under the SHA-256 of its unpacked bytes: several projects and data sets share it, and
it does not matter which place it came from. `SAMEBITS_CACHE` moves the cache; `SAMEBITS_DATA` names folders
that are looked into first, for machines without a network.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.paths import user_cache
from samebits.data.fetching.catalog import Card, CardFile, FolderPlace, UrlPlace, environment_folders, local_folders
from samebits.data.fetching.http import Network, download
from samebits.data.fetching.packages import get_package, label
from samebits.data.fetching.verified import PlaceError, ProgressMode, blocks, gunzipped, keep_verified

_LOCK_SECONDS = 10.0
# What gzip adds to data that does not compress, with room to spare.
_GZIP_OVERHEAD = 1 << 20

Found = dict[str, Path]
Say = Callable[[str], None]


def cache_folder() -> Path:
    """Where fetched files are kept: `SAMEBITS_CACHE`, else the user's cache folder (XDG)."""
    return user_cache() / "data"


def fetch(card: Card, *, say: Say = print, progress: ProgressMode = "auto") -> Found:
    """The card's files, each verified now: path by file name.

    Args:
        say: prints one line.
        progress: how a download is shown.

    Returns:
        Paths in the cache, or in a local folder that holds the very file.

    Raises:
        UserError: no place has a file (each place is named with its reason), or the cache cannot be written.
    """
    cache = cache_folder()
    reasons: list[tuple[str, str]] = []
    found = _from_folders(card, reasons)
    try:
        found |= _from_cache(card, cache, say)
        if len(found) < len(card.files):
            cache.mkdir(parents=True, exist_ok=True)
            with _locked(cache, card.name, say):
                # Another process may have fetched them while this one waited.
                found |= _from_cache(card, cache, say)
                _from_places(card, cache, found, reasons, say, progress)
    except OSError as error:
        raise UserError(
            f"the cache {cache} cannot be used: {error.strerror or error}",
            "make room or the folder writable, or set SAMEBITS_CACHE to another folder",
        ) from error
    missing = [file for file in card.files if file.name not in found]
    if missing:
        raise UserError(*_not_found(card, missing, reasons))
    return {file.name: found[file.name] for file in card.files}


def fetch_url(
    url: str, sha256: str, *, limit: int, name: str = "", say: Say = print, progress: ProgressMode = "auto"
) -> Path:
    """A published file that is known by its address and (the beginning of) its SHA-256.

    Args:
        sha256: of the file, or its first digits, as some publishers put them into the name.
        limit: most bytes to accept.
        name: of the file in the cache and in the folders of SAMEBITS_DATA; else the last part of the address.

    Raises:
        UserError: it cannot be had, or is another file.
    """
    cache, name = cache_folder(), name or url.rpartition("/")[2]
    path, part = cache / name, cache / f"{name}.part"
    if (found := _at_hand(path, sha256)) is not None:
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache, name, say):
            # Another process may have fetched it while this one waited.
            if (found := _at_hand(path, sha256)) is not None:
                return found
            say(f"fetching {url}")
            Network().require(url)
            download(url, part, limit=limit, name=name, progress=progress, say=say)
            actual = sha256_file(part)
            if not actual.startswith(sha256):
                part.unlink()
                raise PlaceError(f"it has sha256 {actual}, which does not begin with {sha256}; removed")
            part.replace(path)
    except (PlaceError, OSError) as error:
        raise UserError(
            f"{url} could not be had: {error}",
            f"check the network; or put {name} into a folder and set SAMEBITS_DATA to it",
        ) from None
    return path


def _at_hand(path: Path, sha256: str) -> Path | None:
    """A published file in the cache, or under the same name in a folder of SAMEBITS_DATA."""
    for found in (path, *(Path(folder) / path.name for folder in environment_folders())):
        if found.is_file() and sha256_file(found).startswith(sha256):
            return found
    return None


def _from_cache(card: Card, cache: Path, say: Say) -> Found:
    found: Found = {}
    for file in card.files:
        path = cache / file.sha256
        if not path.is_file():
            continue
        if path.stat().st_size == file.bytes and sha256_file(path) == file.sha256:
            found[file.name] = path
        else:
            say(f"{file.name} is damaged in the cache; fetching it again")
            with suppress(OSError):
                path.unlink()
    return found


def _from_folders(card: Card, reasons: list[tuple[str, str]]) -> Found:
    """Files that lie in a local folder are used where they are."""
    found: Found = {}
    folders = [*local_folders(card), *(place for place in card.places if isinstance(place, FolderPlace))]
    for place in folders:
        folder = Path(place.path).expanduser()
        for file in card.files:
            path = folder / file.name
            if file.name in found:
                continue
            try:
                actual = sha256_file(path)
            except OSError as error:
                gone = "does not exist" if not folder.is_dir() else f"{file.name}: {error.strerror}"
                reasons.append((f"folder {folder}", gone))
                continue
            if actual == file.sha256:
                found[file.name] = path
            else:
                reasons.append((f"folder {folder}", f"{file.name}: wrong sha256 {actual}"))
    return found


class _locked:
    """One process at a time fetches a card or a file; the others wait and then find it."""

    def __init__(self, cache: Path, name: str, say: Say) -> None:
        self._lock = FileLock(cache / f"{name}.lock")
        self._say = say

    def __enter__(self) -> None:
        while True:
            try:
                self._lock.acquire(timeout=_LOCK_SECONDS)
                return
            except Timeout:
                self._say("another process is fetching the same data; waiting for it")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _from_places(
    card: Card, cache: Path, found: Found, reasons: list[tuple[str, str]], say: Say, progress: ProgressMode
) -> None:
    """Try the places in order until nothing is missing; add what came to `found`, and why not to `reasons`."""
    network = Network()
    prefix = f"fetching-{card.name}-"
    # Left by a process that was killed: nobody else works under this card's lock.
    for stale in cache.glob(f"{prefix}*"):
        shutil.rmtree(stale, ignore_errors=True)
    for place in card.places:
        missing = [file for file in card.at(place) if file.name not in found]
        if not missing or isinstance(place, FolderPlace):
            continue
        name = place.base if isinstance(place, UrlPlace) else label(place)
        folder = Path(tempfile.mkdtemp(dir=cache, prefix=prefix))
        try:
            if isinstance(place, UrlPlace):
                for file in missing:
                    path = _from_url(place, file, cache, folder, network, say, progress)
                    found[file.name] = _keep(path, cache, file)
            else:
                for file, path in get_package(place, missing, folder, say):
                    found[file.name] = _keep(path, cache, file)
        except PlaceError as error:
            reasons.append((name, str(error)))
            say(f"{name}: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _from_url(
    place: UrlPlace, file: CardFile, cache: Path, folder: Path, network: Network, say: Say, progress: ProgressMode
) -> Path:
    url = place.base.format(name=file.name)
    network.require(url)
    packed = place.unpack == "gzip"
    part = cache / f"{file.sha256}{'.gz' if packed else ''}.part"
    limit = file.bytes + (_GZIP_OVERHEAD if packed else 0)
    resumed = part.exists()
    while True:
        download(url, part, limit=limit, name=file.name, progress=progress, say=say, resume=resumed)
        try:
            with part.open("rb") as stream:
                content = gunzipped(blocks(stream), file.name) if packed else blocks(stream)
                keep_verified(content, file, folder / file.sha256)
            return folder / file.sha256
        except PlaceError:
            # What an earlier run left may be of another place or version: once more from the first byte.
            if not resumed:
                raise
            resumed = False
        finally:
            part.unlink(missing_ok=True)


def _keep(path: Path, cache: Path, file: CardFile) -> Path:
    # No fsync: a file that a power cut damaged fails its hash at the next use and is fetched again.
    target = cache / file.sha256
    path.replace(target)
    return target


def _not_found(card: Card, missing: list[CardFile], reasons: list[tuple[str, str]]) -> tuple[str, str]:
    lines = [f"{card.title}: {len(missing)} of {len(card.files)} files could not be had. Places tried:"]
    lines += [f"  {name}: {reason}" for name, reason in dict.fromkeys(reasons)]
    fix = ["check the network; or put these files into a folder and set SAMEBITS_DATA to it:"]
    fix += [f"  {file.name}  ({file.bytes:,} bytes, sha256 {file.sha256})" for file in missing]
    return "\n".join(lines), "\n".join(fix)
