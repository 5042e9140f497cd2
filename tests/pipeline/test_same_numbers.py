"""One source of truth: `dvc metrics diff`, `dvc exp show`, the files and MLflow have the same numbers for a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from samebits.base.files import read_json
from samebits.tracking.journal.replay import finite_numbers
from tests.helpers.repository import Repository

pytestmark = [pytest.mark.timeout(900)]


def by_file(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """DVC's `{file: {"data": …}}` as numbers named like MLflow's. The records of what ran hold none."""
    return {file: numbers for file, entry in found.items() if (numbers := finite_numbers(entry["data"]))}


@pytest.mark.slow
def test_dvc_and_mlflow_show_the_same_numbers(finished: Repository) -> None:
    files = ("reports/train/metrics.json", "reports/evaluation/metrics.json")
    written = {file: finite_numbers(read_json(finished.folder / file)) for file in files}
    assert all(written.values())

    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    assert by_file(shown[""]["data"]) == written

    table = json.loads(finished.dvc("exp", "show", "--json").stdout)
    (workspace,) = [entry for entry in table if entry["rev"] == "workspace"]
    assert by_file(workspace["data"]["metrics"]) == written

    compared = json.loads(finished.dvc("metrics", "diff", "--all", "--json").stdout)
    new = {file: {key.replace(".", "/"): each["new"] for key, each in rows.items()} for file, rows in compared.items()}
    for file, values in new.items():
        assert {key: value for key, value in values.items() if isinstance(value, (int, float))} == written[file]
    assert set(new) == set(files)

    (run,) = finished.runs()
    recorded = run["metrics"]
    for values in written.values():
        for name, value in values.items():
            assert recorded[name] == value, name
