"""`samebits find lr` and `samebits find batch-size`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

import samebits.starting.find_batch_size as sizes
import samebits.starting.find_rate as rates
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import read_params
from samebits.params.yaml_file import read_yaml
from samebits.starting.found import Asked
from samebits.starting.start import start
from tests.helpers.workspace import set_params


@pytest.fixture
def values(project: Project) -> dict[str, Any]:
    """All of params.yaml, for a small table whose target is a sum of two columns."""
    (project.workspace / "dvc.yaml").write_text("stages: {}\n")
    draw = random.Random(0)
    pairs = [(draw.random(), draw.random()) for _ in range(400)]
    rows = [f"{a:.4f},{b:.4f},{a + 2 * b:.4f}" for a, b in pairs]
    (project.workspace / "data" / "raw" / "sums.csv").write_text("\n".join(["a,b,sum", *rows]))
    start(project, Path("data/raw/sums.csv"), Asked(), trial=False, say=lambda _: None)
    set_params(project.workspace, {"runtime": {"progress": "off", "workers": 0}, "train": {"threads": 1}})
    return read_params(project.params_file).dump()


def test_rates_rise_by_equal_factors() -> None:
    assert rates.rate_of(0) == pytest.approx(1e-6)
    assert rates.rate_of(99) == pytest.approx(10.0)
    assert rates.rate_of(51) / rates.rate_of(50) == pytest.approx(rates.rate_of(1) / rates.rate_of(0))


def test_the_average_of_a_constant_is_the_constant() -> None:
    assert rates.smoothed([2.0] * 5) == pytest.approx([2.0] * 5)


def test_the_rate_is_below_that_of_the_lowest_loss() -> None:
    assert rates.best_rate([1e-3, 1e-2, 0.1234, 1.0], [1.0, 0.8, 0.5, 4.0]) == pytest.approx(
        0.1234 / rates._MARGIN, 0.1
    )


def test_a_loss_that_never_falls_is_refused() -> None:
    with pytest.raises(UserError, match="no learning rate"):
        rates.best_rate([1e-3, 1e-2], [1.0, 0.99])
    with pytest.raises(UserError, match="no learning rate"):
        rates.best_rate([], [])


def test_the_smallest_of_the_fast_sizes_is_taken() -> None:
    assert sizes.best_size([(8, 100.0), (16, 190.0), (32, 197.0), (64, 199.0)]) == 16
    with pytest.raises(UserError, match="does not fit"):
        sizes.best_size([])


def test_a_range_test_ends_where_the_loss_rises(project: Project, values: dict[str, Any]) -> None:
    found = rates.range_test(project.workspace, project.workspace / "scratch", values, StopRequest())
    assert len(found["rates"]) == len(found["losses"]) > 10
    smooth = rates.smoothed(found["losses"])
    assert min(smooth) < 0.9 * smooth[0]
    assert 1e-6 < rates.best_rate(found["rates"], smooth) < 1.0


def test_what_stops_the_first_step_is_told(
    project: Project, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("an operation is not deterministic", "take another one")

    monkeypatch.setattr("samebits.training.loop.Training._update", refuse)
    with pytest.raises(UserError, match="not deterministic"):
        rates.range_test(project.workspace, project.workspace / "scratch", values, StopRequest())


def test_sizes_are_timed_up_to_the_split(
    project: Project, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "_SECONDS", 0.02)
    speeds = sizes.measure(project.workspace, project.workspace / "scratch", values, StopRequest())["speeds"]
    assert [size for size, _ in speeds] == [8, 16, 32, 64, 128, 256]
    assert all(speed > 0 for _, speed in speeds)


def test_what_was_found_is_written(project: Project, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ramp = {"rates": [1e-3, 1e-2, 0.1, 1.0], "losses": [1.0, 0.7, 0.1, 9.0]}
    monkeypatch.setattr(rates, "run_job", lambda *_: ramp)
    rates.find_rate(project, said.append, dry_run=True)
    assert read_yaml(project.params_file)["train"]["optimizer"]["lr"] == values["train"]["optimizer"]["lr"]
    rates.find_rate(project, said.append, dry_run=False)
    written = read_yaml(project.params_file)["train"]["optimizer"]["lr"]
    assert f"train.optimizer.lr: {written:g}, " in "\n".join(said)
    assert (project.state / "find-lr.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(sizes, "run_job", lambda *_: {"speeds": [(8, 10.0), (16, 20.0)]})
    sizes.find_batch_size(project, said.append, dry_run=False)
    assert read_yaml(project.params_file)["train"]["batch_size"] == 16
