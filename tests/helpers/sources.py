"""Sources of every kind, with each content twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.helpers.books import book
from tests.helpers.pictures import encoded, picture

N = 120

Make = Callable[[Path], None]


def label(k: int) -> str:
    return ("cat", "dog")[k // 2 % 2]


def share(k: int) -> str:
    """The split of a sample, where the source says it; of two alike, the same."""
    return (("train",) * 4 + ("validation", "test"))[k // 2 % 6]


def text(k: int) -> str:
    # Each text twice, as real data have them.
    return f"a {label(k)} of number {k // 2 * 2}"


def files(name: str, content: Callable[[int], bytes], *, given: bool = False) -> Make:
    def make(raw: Path) -> None:
        for k in range(N):
            path = raw / "own" / (share(k) if given else "") / label(k) / f"{k:03d}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(k))

    return make


def lines(name: str, header: str, line: Callable[[int], str]) -> Make:
    def make(raw: Path) -> None:
        (raw / name).write_text("\n".join([header, *map(line, range(N))]) + "\n")

    return make


def image_csv(raw: Path) -> None:
    files(".png", image)(raw)
    rows = [f"{label(k)}/{k:03d}.png,{label(k)},{share(k)}" for k in range(N)]
    (raw / "own/list.csv").write_text("\n".join(["path,label,split", *rows]))


def books(raw: Path) -> None:
    (raw / "own").mkdir()
    for k in range(8):
        (raw / "own" / f"{k}.txt").write_text(book(k, 40))


def image(k: int) -> bytes:
    return encoded(picture(k // 2))


def unlike(k: int) -> bytes:
    return encoded(picture(k))


def mail(k: int) -> bytes:
    return f"Subject: {text(k)}\n\nwords\n".encode()
