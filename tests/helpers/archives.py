"""Archives made here, in memory, to be changed before they are written."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping


def zipped(files: Mapping[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytearray:
    """A zip of some files, whose names stand in it as they are given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would change separators
            archive.writestr(info, data, kind)
    return bytearray(buffer.getvalue())


def tarred(files: Mapping[str, bytes]) -> bytearray:
    """A tar of some files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return bytearray(buffer.getvalue())
