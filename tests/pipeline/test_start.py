"""From a file of one's own to a model: `samebits start`, `dvc repro`, and nothing else."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from tests.helpers.repository import make_repository
from tests.helpers.workspace import ROOT, set_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_table_becomes_a_model_beside_its_baseline(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "project", ROOT / "data" / "catalog" / "mnist.yaml")
    draw = random.Random(1)
    rows = [(draw.random(), draw.choice("ab"), draw.random()) for _ in range(240)]
    lines = [f"{k},{a:.4f},{town},{b:.4f},{90 * a + 40 * (town == 'a'):.3f}" for k, (a, town, b) in enumerate(rows)]
    (repository.folder / "data" / "raw" / "houses.csv").write_text("\n".join(["id,size,town,age,price", *lines]))

    started = repository.run(sys.executable, "-m", "samebits.cli.main", "start", "data/raw/houses.csv")
    assert started.returncode == 0, started.stderr
    assert "data.table.drop: [id]" in started.stdout
    assert "time, estimated: prepare" in started.stdout

    set_params(
        repository.folder,
        {"train": {"epochs": 6}, "evaluate": {"bootstrap": 100}, "runtime": {"tracking": {"enabled": False}}},
    )
    done = repository.dvc("repro", "evaluate")  # the exporters have tests of their own
    assert done.returncode == 0, done.stdout + done.stderr
    assert "baseline: always" in done.stdout
    metrics = json.loads((repository.folder / "reports" / "evaluation" / "metrics.json").read_text())
    assert metrics["test"]["r2"] > 0.5
