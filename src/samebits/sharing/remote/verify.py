"""Whether a remote has every object, with the right size and content; and healing what it has not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from samebits.sharing.remote.objects import CacheObject, cache_path, md5_of
from samebits.sharing.remote.remote import Remote


@dataclass
class Verdict:
    """What a check of a remote found.

    Attributes:
        objects: how many were looked for.
        bytes: of those that are right.
        missing: not there.
        truncated: of another size: (object, bytes there, bytes it should have).
        changed: of the right size with other content.
        deep: whether the content was read back.
    """

    objects: int = 0
    bytes: int = 0
    missing: list[CacheObject] = field(default_factory=list)
    truncated: list[tuple[CacheObject, int, int]] = field(default_factory=list)
    changed: list[CacheObject] = field(default_factory=list)
    deep: bool = True

    @property
    def wrong(self) -> list[CacheObject]:
        """Everything that is not as it should be."""
        return [*self.missing, *(each for each, _, _ in self.truncated), *self.changed]

    def lines(self) -> list[str]:
        """One line for each wrong object."""
        return [
            *(f"missing: {each}" for each in self.missing),
            *(f"truncated: {each}: {have:,} of {want:,} bytes" for each, have, want in self.truncated),
            *(f"damaged: {each}: its bytes have another hash" for each in self.changed),
        ]


def verify(
    repo: Any,
    remote: Remote,
    objects: Iterable[CacheObject],
    *,
    deep: bool,
    seen: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """Ask the server for the size of each object and, if `deep`, for its bytes.

    A size is compared with that of the local copy, where there is one, or with the lock's. An object of another size
    is read in any case.

    Raises:
        RemoteError: if the server cannot be asked.
    """
    objects = list(objects)
    verdict = Verdict(objects=len(objects), deep=deep)
    sizes = remote.sizes(each.oid for each in objects)
    to_read: dict[str, CacheObject] = {}
    doubtful: dict[str, tuple[int, int]] = {}
    for each in objects:
        if each.oid not in sizes:
            verdict.missing.append(each)
            continue
        have, want = sizes[each.oid], _expected_size(repo, each)
        if have is not None and want is not None and have != want:
            doubtful[each.oid] = (have, want)
        # Where sizes differ the local copy may be the wrong one, and where none is told only the content can say.
        if deep or have is None or each.oid in doubtful:
            to_read[each.oid] = each
        else:
            verdict.bytes += have
    for oid, md5 in remote.hashes(list(to_read), seen):
        each = to_read[oid]
        if md5 == each.md5:
            verdict.bytes += sizes[oid] or 0
        elif not md5:
            verdict.missing.append(each)
        elif oid in doubtful:
            verdict.truncated.append((each, *doubtful[oid]))
        else:
            verdict.changed.append(each)
    return verdict


def _expected_size(repo: Any, each: CacheObject) -> int | None:
    try:
        return cache_path(repo, each.oid).stat().st_size
    except FileNotFoundError:
        return each.size


def repair(repo: Any, remote: Remote, wrong: Iterable[CacheObject]) -> tuple[list[CacheObject], list[CacheObject]]:
    """Send each wrong object again from the local cache, if that has it whole.

    Listings of folders go last: DVC takes a listing on a remote as proof that its files are there.

    Returns:
        (sent again, not available here).

    Raises:
        RemoteError: if the server does not take them.
    """
    repaired: list[CacheObject] = []
    lost: list[CacheObject] = []
    for each in sorted(wrong, key=lambda each: (each.oid.endswith(".dir"), each.path)):
        path = cache_path(repo, each.oid)
        if md5_of(path) == each.md5:
            remote.replace(each.oid, path)
            repaired.append(each)
        else:
            lost.append(each)
    return repaired, lost
