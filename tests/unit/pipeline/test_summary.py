"""The table at the end of `make repro`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.ran import inputs_now, record_path, write_record
from samebits.pipeline.summary import after_stage, summarize
from samebits.signature.classes import ClassTarget
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.table import NumberColumn, TableInputs
from samebits.signature.tokens import TokenInputs
from tests.helpers.git_repository import start_repository

TEST = {"accuracy": 0.98765, "macro_f1": None, "log_loss": 0.0456}
INTERVAL = {"accuracy": {"low": 0.98, "high": 0.99}}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, tmp_path / "home")
    write_json(project.prepared / "dataset.json", {"title": "MNIST", "counts": {"train": 50000, "test": 10000}})
    write_json(project.reports / "evaluation" / "metrics.json", {"test": TEST, "interval": INTERVAL})
    return project


def rows(project: Project, stale: dict[str, str] | None = None) -> dict[str, str]:
    """Text by the first word of its line."""
    return {
        line.split()[0]: line.split(maxsplit=1)[1] for line in summarize(project, lambda workspace: stale or {}).lines()
    }


def test_metrics_come_with_their_intervals(project: Project) -> None:
    found = rows(project)
    assert found["data"] == "MNIST, 60,000 samples"
    assert found["accuracy"] == "0.9877   (0.9800 to 0.9900)"
    assert found["log_loss"] == "0.0456"
    assert "macro_f1" not in found  # null: it could not be computed


def test_corrected_labels_are_counted(project: Project) -> None:
    assert "corrected" not in rows(project)
    file = project.prepared / "dataset.json"
    made = {name: {"train": n, "validation": 0, "test": 0} for name, n in (("relabelled", 12), ("dropped", 1))}
    write_json(file, {**read_json(file), "audit": {"corrections": made}})
    assert rows(project)["corrected"] == "train: 12 labels corrected, 1 sample dropped"


def test_what_is_reached_without_an_input_stands_beside(project: Project) -> None:
    file = project.reports / "evaluation" / "metrics.json"
    test = {"r2": 0.5, "mae": 5.5e-9}
    write_json(file, {"test": test, "interval": {}, "baseline": {"r2": -0.01, "mae": 2e-8}})
    found = rows(project)
    assert found["r2"] == "0.5000   baseline -0.0100"
    assert found["mae"] == "5.5e-09   baseline 2e-08"


def test_columns_are_aligned(project: Project) -> None:
    text = list(summarize(project, lambda workspace: {}).lines())
    assert len({len(line) - len(line[2:].lstrip().split(maxsplit=1)[-1]) for line in text}) == 1


NOTHING = "nothing of this ran here: the outputs were pulled or cached"


def noted(project: Project, **seconds: float) -> dict[str, Any]:
    """Seconds of the runs whose records lie in the workspace."""
    for stage in seconds:
        write_json(project.workspace / record_path(stage), {"stage": stage})
    return {
        stage: {"seconds": value, "record": dvc_md5(project.workspace / record_path(stage))}
        for stage, value in seconds.items()
    }


def test_seconds_are_in_the_order_of_the_pipeline(project: Project) -> None:
    assert rows(project)["seconds"] == NOTHING
    write_json(project.state / "times.json", noted(project, evaluate=4.0, train=31.24, prepare=2.5, other=9.0))
    assert rows(project)["seconds"] == "prepare 2.5  train 31.2  evaluate 4.0"


def test_seconds_of_other_runs_are_left_out(project: Project) -> None:
    times = noted(project, train=31.2, evaluate=4.0)
    write_json(project.workspace / record_path("train"), {"another": "run"})
    write_json(project.state / "times.json", times | {"prepare": 2.5})
    assert rows(project)["seconds"] == "evaluate 4.0"


def test_results_of_other_data_are_not_shown(project: Project) -> None:
    """A regression table was prepared, training failed; the metrics are those of the commit."""
    stale = {"train": "has not run on these data (data/prepared)", "evaluate": "…", "export": "…"}
    write_json(project.state / "times.json", noted(project, prepare=2.5, train=31.2))
    found = rows(project, stale)
    assert found["train"] == "has not run on these data (data/prepared)"
    assert found["seconds"] == "prepare 2.5"
    assert found["next"] == "dvc repro"
    assert not {"accuracy", "log_loss", "model", "report"} & set(found)


def test_without_results_the_fix_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results here yet") as error:
        summarize(Project(tmp_path, tmp_path), lambda workspace: {})
    assert "dvc repro" in error.value.fix


def test_a_regression_shows_its_own_numbers(project: Project) -> None:
    test = {"r2": 0.93214, "rmse": 35.1, "mae": 22.25, "bias": 0.4, "median_absolute_error": 13.0}
    write_json(project.reports / "evaluation" / "metrics.json", {"test": test, "interval": {}})
    inputs = TableInputs(columns=[NumberColumn(name="x", mean=0.0, std=1.0, fill=0.0)])
    signature = Signature(inputs=inputs, target=NumberTarget(name="y", mean=0.0, std=1.0)).model_dump()
    info = {"title": "T", "counts": {"train": 1}, "signature": signature}
    write_json(project.prepared / "dataset.json", info)
    found = rows(project)
    assert (found["r2"], found["rmse"], found["mae"]) == ("0.9321", "35.1000", "22.2500")
    assert "accuracy" not in found
    assert "samebits predict ROWS.csv" in found["model"]


@pytest.mark.parametrize(
    ("target", "command"),
    [
        (ClassTarget(classes=["a", "b"]), "samebits predict --text TEXT"),
        (NextTokenTarget(), "samebits generate PROMPT"),
    ],
)
def test_models_of_texts_are_asked_in_their_own_way(project: Project, target: Any, command: str) -> None:
    test = {"loss": 3.2, "perplexity": 24.53, "bits_per_byte": 1.4, "accuracy": 0.31}
    write_json(project.reports / "evaluation" / "metrics.json", {"test": test, "interval": {}})
    inputs = TokenInputs(length=4, vocabulary=9, pad=0, tokenizer_sha256="0" * 64)
    signature = Signature(inputs=inputs, target=target).model_dump()
    write_json(project.prepared / "dataset.json", {"title": "T", "counts": {"train": 1}, "signature": signature})
    found = rows(project)
    assert (found["perplexity"], found["bits_per_byte"]) == ("24.5300", "1.4000")
    assert command in found["model"]


def test_a_model_that_learnt_nothing_is_named(project: Project) -> None:
    file = project.reports / "evaluation" / "metrics.json"
    baseline = {"accuracy": 0.5, "log_loss": 0.693}
    write_json(file, {"test": {"accuracy": 0.46, "log_loss": 3682.0}, "interval": {}, "baseline": baseline})
    assert rows(project)["warning"] == (
        "no better than the baseline in accuracy (0.4600, baseline 0.5000), log_loss (3682.0000, baseline 0.6930)"
    )
    write_json(file, {"test": {"accuracy": 0.9, "log_loss": 0.2}, "interval": {}, "baseline": baseline})
    assert "warning" not in rows(project)


def test_what_git_keeps_of_a_run_is_to_be_committed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "next" not in rows(project), "this is no git repository"
    start_repository(project.workspace)
    (project.workspace / ".gitignore").write_text("data/prepared\n")
    (project.workspace / "params.yaml").write_text("seed: 0\n")
    assert rows(project)["next"].startswith('git add params.yaml reports && git commit -m "…"')
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    assert "next" not in rows(project), "DVC commits experiments"


@pytest.fixture
def pipeline(project: Project) -> Project:
    """Evaluate and export have run on one checkpoint."""
    stages = {
        name: {
            "cmd": name,
            "deps": ["models/checkpoint"],
            "outs": [f"{name}.txt", {record_path(name): {"cache": False}}],
        }
        for name in ("evaluate", "export")
    }
    write_json(project.workspace / "dvc.yaml", {"stages": stages})
    (project.workspace / "params.yaml").write_text("{}\n")
    (project.workspace / "models").mkdir()
    (project.workspace / "models" / "checkpoint").write_text("weights")
    for name in stages:
        write_record(project.workspace, name, inputs_now(project.workspace, name))
    return project


def test_the_last_stage_to_run_sums_up(pipeline: Project) -> None:
    assert "accuracy" in after_stage(pipeline, "export")
    assert "accuracy" in after_stage(pipeline, "evaluate"), "export need not run"
    assert after_stage(pipeline, "train") == ""
    (pipeline.workspace / "models" / "checkpoint").write_text("other weights")
    assert after_stage(pipeline, "evaluate") == "", "export runs next"
    (pipeline.workspace / record_path("export")).unlink()
    assert after_stage(pipeline, "evaluate") == "", "export runs for the first time"
