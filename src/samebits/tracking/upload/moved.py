"""Where the local store's registered models lie: absolute addresses, so that MLflow loads them from any folder.

Artefacts of runs have relative paths, which survive a move and count from the project's folder. MLflow resolves those
of a registered version in the folder of whoever loads it, so it gets the absolute one. Whatever opens the store after
the repository was moved, or copied, writes the new one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

ARTIFACTS = "mlruns/artifacts"


def absolute(home: Path, source: str) -> str:
    """The address of a relative artefact path of the store of `home`."""
    return (home / source).as_uri()


def repair_sources(database: Path, home: Path) -> int:
    """Write the present place of each registered version whose files are in this store; how many were elsewhere.

    A version whose files are not here (another store's, or deleted ones) is left alone.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=30.0)) as connection, connection:
        rows = connection.execute("SELECT name, version, source, storage_location FROM model_versions").fetchall()
        changed = 0
        for name, version, *known in rows:
            present = _present(home, str(known[0]))
            if present is not None and known != [present, present]:
                connection.execute(
                    "UPDATE model_versions SET source = ?, storage_location = ? WHERE name = ? AND version = ?",
                    (present, present, name, version),
                )
                changed += 1
    return changed


def _present(home: Path, source: str) -> str | None:
    """The same files below `home`; None if they are not there."""
    address = urlsplit(source)
    if address.scheme not in ("", "file"):
        return None
    path = unquote(address.path) if address.scheme else source
    _, found, inside = f"/{path}".rpartition(f"/{ARTIFACTS}/")
    return absolute(home, f"{ARTIFACTS}/{inside}") if found and (home / ARTIFACTS / inside).is_dir() else None
