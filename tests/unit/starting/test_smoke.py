"""`samebits smoke` and `samebits estimate`: the four stages on a few samples, and what they say."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import samebits.starting.estimate as estimates
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.data.loading.prepared import read_info
from samebits.params.schema import read_params
from samebits.starting.estimate import EstimateResult, measure
from samebits.starting.found import Asked
from samebits.starting.smoke import SAMPLES, run_stages
from samebits.starting.start import start
from samebits.starting.trial import TrialResult
from tests.helpers.workspace import set_params


@pytest.fixture
def values(project: Project) -> dict[str, Any]:
    """All of params.yaml, for a small table."""
    (project.workspace / "dvc.yaml").write_text("stages: {}\n")
    draw = random.Random(0)
    rows = [f"{draw.random():.4f},{'ab'[k % 2]},{draw.random():.4f}" for k in range(400)]
    (project.workspace / "data" / "raw" / "houses.csv").write_text("\n".join(["size,town,price", *rows]))
    start(project, Path("data/raw/houses.csv"), Asked(), trial=False, say=lambda _: None)
    set_params(project.workspace, {"runtime": {"progress": "off", "workers": 0}, "train": {"threads": 1}})
    return read_params(project.params_file).dump()


@pytest.mark.slow  # it exports
def test_all_stages_run_on_few_samples_and_leave_nothing(project: Project, values: dict[str, Any]) -> None:
    before = sorted(project.workspace.rglob("*"))
    scratch = project.workspace / "scratch"
    lines = run_stages(project.workspace, scratch, values, StopRequest())["lines"]
    assert [line.split()[0] for line in lines] == ["prepare", "train", "evaluate", "export"]
    after = sorted(project.workspace.rglob("*"))
    assert [path for path in after if scratch not in (path, *path.parents)] == before
    assert read_info(scratch / "prepared").counts["train"] == SAMPLES


def test_the_stage_that_fails_is_named(project: Project, values: dict[str, Any], tmp_path: Path) -> None:
    values["model"] = {"name": "convnet"}
    with pytest.raises(UserError, match=r"^train: "):
        run_stages(project.workspace, tmp_path / "scratch", values, StopRequest())


@pytest.mark.slow  # it exports three times
def test_what_was_measured_is_extended_to_all_samples(
    project: Project, values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "_MORE", 48)
    result = EstimateResult.model_validate(measure(project.workspace, tmp_path / "scratch", values, StopRequest()))
    assert sum(result.trial.counts.values()) == 400
    assert all(size > 0 for size in result.sizes.values())
    assert result.peak_mib > 100
    assert result.first.keys() == result.per_sample.keys() == {"evaluate", "export"}


def test_seconds_are_those_of_a_few_samples_and_of_each_further_one() -> None:
    trial = TrialResult(
        lines=[],
        counts={"train": 800, "test": 1032},
        classes={},
        spread=None,
        prepare_s=2.0,
        step_s=0.1,
        timed=40,
        validation_s=1.0,
        steps_per_epoch=10,
        epochs=100,
        patience=5,
    )
    result = EstimateResult(
        trial=trial,
        first={"evaluate": 3.0, "export": 8.0},
        per_sample={"evaluate": 0.002, "export": 0.03},
        peak_mib=1234,
        sizes={"data/prepared": 3 << 20, "models/export": 1 << 19},
    )
    assert estimates.Estimate(result).lines() == [
        "prepare   2 s",
        "train     3 min",
        "evaluate  5 s",
        "export    38 s",
        "together  4 min; training: 100 epochs of 10 steps, less if it stops early; 40 steps here took 100 ms each",
        "memory    1,234 MiB, the peak of this trial",
        "disk      3.5 MiB: data/prepared 3.0 MiB, models/export 0.5 MiB; as much again in DVC's cache, where the disk "
        "cannot share blocks",
    ]
