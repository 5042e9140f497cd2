"""Addresses of registered versions after their repository was moved."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from samebits.tracking.upload.moved import absolute, repair_sources


def test_versions_whose_files_are_here_get_their_present_place(tmp_path: Path) -> None:
    home = tmp_path / "a place, 100% new"
    (home / "mlruns" / "artifacts" / "r1" / "artifacts" / "model").mkdir(parents=True)
    inside, here = "mlruns/artifacts/r1/artifacts/model", absolute(home, "mlruns/artifacts/r1/artifacts/model")
    found = {
        1: absolute(Path("/gone/an old place"), inside),
        2: inside,  # as earlier releases wrote it
        3: here,
        4: "s3://bucket/mlruns/artifacts/r1/artifacts/model",
        5: absolute(Path("/gone"), "mlruns/artifacts/r2/artifacts/model"),  # whose files are not here
        6: "file:///models/of/others",
    }
    database = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE model_versions (name, version, source, storage_location)")
        rows = [("m", version, source, source) for version, source in found.items()]
        connection.executemany("INSERT INTO model_versions VALUES (?, ?, ?, ?)", rows)
    assert repair_sources(database, home) == 2
    assert repair_sources(database, home) == 0
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT version, source, storage_location FROM model_versions").fetchall()
    expected = found | {1: here, 2: here}
    assert rows == [(version, source, source) for version, source in expected.items()]
