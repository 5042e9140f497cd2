"""The table at the end of `make repro`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.files import write_json
from samebits.base.paths import Project
from samebits.pipeline.summary import summarize

TEST = {"accuracy": 0.98765, "macro_f1": None, "log_loss": 0.0456}
INTERVAL = {"accuracy": {"low": 0.98, "high": 0.99}}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, tmp_path / "home")
    write_json(project.prepared / "dataset.json", {"title": "MNIST", "counts": {"train": 50000, "test": 10000}})
    write_json(project.reports / "evaluation" / "metrics.json", {"test": TEST, "interval": INTERVAL})
    return project


def rows(project: Project) -> dict[str, str]:
    """Text by the first word of its line."""
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in summarize(project).splitlines()}


def test_metrics_come_with_their_intervals(project: Project) -> None:
    found = rows(project)
    assert found["data"] == "MNIST, 60,000 samples"
    assert found["accuracy"] == "0.9877   (0.9800 to 0.9900)"
    assert found["log_loss"] == "0.0456"
    assert "macro_f1" not in found  # null: it could not be computed


def test_what_is_reached_without_an_input_stands_beside(project: Project) -> None:
    file = project.reports / "evaluation" / "metrics.json"
    test = {"r2": 0.5, "mae": 5.5e-9}
    write_json(file, {"test": test, "interval": {}, "baseline": {"r2": -0.01, "mae": 2e-8}})
    found = rows(project)
    assert found["r2"] == "0.5000   baseline -0.0100"
    assert found["mae"] == "5.5e-09   baseline 2e-08"


def test_columns_are_aligned(project: Project) -> None:
    text = summarize(project).splitlines()
    assert len({len(line) - len(line[2:].lstrip().split(maxsplit=1)[-1]) for line in text}) == 1


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ({"evaluate": 4.0, "train": 31.24, "prepare": 2.5, "other": 9.0}, "prepare 2.5  train 31.2  evaluate 4.0"),
        (None, "nothing ran here: the outputs were pulled or cached"),
    ],
)
def test_seconds_are_in_the_order_of_the_pipeline(project: Project, times: dict[str, Any] | None, shown: str) -> None:
    if times is not None:
        write_json(project.state / "times.json", times)
    assert rows(project)["seconds"] == shown


def test_without_results_the_cure_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results here yet") as error:
        summarize(Project(tmp_path, tmp_path))
    assert "dvc repro" in error.value.cure


def test_a_regression_shows_its_own_numbers(project: Project) -> None:
    test = {"r2": 0.93214, "rmse": 35.1, "mae": 22.25, "bias": 0.4, "median_absolute_error": 13.0}
    write_json(project.reports / "evaluation" / "metrics.json", {"test": test, "interval": {}})
    info = {"title": "T", "counts": {"train": 1}, "signature": {"inputs": {"kind": "table"}}}
    write_json(project.prepared / "dataset.json", info)
    found = rows(project)
    assert (found["r2"], found["rmse"], found["mae"]) == ("0.9321", "35.1000", "22.2500")
    assert "accuracy" not in found
    assert "samebits predict ROWS.csv" in found["model"]


@pytest.mark.parametrize(
    ("target", "command"), [("class", "samebits predict --text TEXT"), ("next_token", "samebits generate PROMPT")]
)
def test_models_of_texts_are_asked_in_their_own_way(project: Project, target: str, command: str) -> None:
    test = {"loss": 3.2, "perplexity": 24.53, "bits_per_byte": 1.4, "accuracy": 0.31}
    write_json(project.reports / "evaluation" / "metrics.json", {"test": test, "interval": {}})
    signature = {"inputs": {"kind": "tokens"}, "target": {"kind": target}}
    write_json(project.prepared / "dataset.json", {"title": "T", "counts": {"train": 1}, "signature": signature})
    found = rows(project)
    assert (found["perplexity"], found["bits_per_byte"]) == ("24.5300", "1.4000")
    assert command in found["model"]
