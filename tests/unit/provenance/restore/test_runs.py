"""Runs of the project's own store, when it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.provenance.restore.runs import Runs
from samebits.sharing.runs import summary_of


def test_a_damaged_store_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    database = tmp_path / "mlruns" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(b"no database at all" * 300)
    project = Project(tmp_path, tmp_path)
    for ask in (lambda: Runs(project), lambda: summary_of(project, "warm-lark")):
        with pytest.raises(UserError, match="is damaged: SQLite cannot read it") as raised:
            ask()
        assert f"mv {database}" in raised.value.fix
