"""`samebits start`: what it writes, says and keeps, and its trial."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import samebits.starting.start as command
import samebits.starting.trial as trial_module
from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.cli.main import main
from samebits.params.schema import read_params
from samebits.params.yaml_file import read_yaml
from samebits.starting import job
from samebits.starting.found import Asked
from samebits.starting.start import start
from samebits.starting.trial import TrialResult, run_trial
from tests.helpers.git_repository import git, start_repository


@pytest.fixture
def houses(raw: Path) -> str:
    draw = random.Random(0)
    rows = [f"{draw.random():.4f},{draw.random():.4f},{'ab'[k % 2]},{draw.random():.4f}" for k in range(120)]
    (raw / "houses.csv").write_text("\n".join(["size,age,town,price", *rows]))
    return "data/raw/houses.csv"


def begin(project: Project, path: str, *, trial: bool = False, dry_run: bool = False, **asked: str) -> list[str]:
    said: list[str] = []
    start(project, Path(path), Asked(**asked), trial=trial, dry_run=dry_run, say=said.append)  # type: ignore[arg-type]
    return said


def test_the_lines_are_written_with_reasons_and_the_difference(project: Project, houses: str) -> None:
    said = begin(project, houses)
    data = read_params(project.params_file).sections["data"]
    assert (data.source, data.format, data.table.target) == (houses, "table", "price")
    assert "  data.table.target: price  (the last column)" in said
    assert "    +    target: price" in said
    assert read_params(project.params_file).dump()["train"]["patience"] == 20, "the recipe's"
    assert begin(project, houses)[-1].startswith("params.yaml has these values already")


def test_a_dry_run_writes_nothing(project: Project, houses: str) -> None:
    before = project.params_file.read_bytes()
    assert begin(project, houses, dry_run=True)[-1] == "nothing is written (--dry-run)"
    assert project.params_file.read_bytes() == before


def test_values_that_git_lacks_are_kept_aside(project: Project, houses: str) -> None:
    start_repository(project.workspace)
    git(project.workspace, "add", "params.yaml")
    git(project.workspace, "commit", "-q", "-m", "params")
    assert not [line for line in begin(project, houses) if "git does not have" in line]
    edited = project.params_file.read_text().replace("epochs: 100", "epochs: 7")
    project.params_file.write_text(edited)
    assert [line for line in begin(project, houses) if "git does not have" in line]
    assert (project.state / "params-before-start.yaml").read_text() == edited


def test_settings_of_how_the_same_source_is_read_stay(project: Project, houses: str) -> None:
    begin(project, houses)
    text = project.params_file.read_text()
    text = text.replace("validation_fraction: 0.15", "validation_fraction: 0.3").replace(
        "decimal: auto", "decimal: '.'"
    )
    project.params_file.write_text(text)
    begin(project, houses, target="age")
    data = read_yaml(project.params_file)["data"]
    assert data["validation_fraction"] == 0.3
    assert (data["table"]["decimal"], data["table"]["target"]) == (".", "age")


def test_seed_and_runtime_stay(project: Project, houses: str) -> None:
    project.params_file.write_text(project.params_file.read_text().replace("seed: 0", "seed: 5"))
    begin(project, houses)
    assert read_params(project.params_file).sections["seed"] == 5


def test_a_trial_that_fails_writes_nothing(project: Project, houses: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("the trial failed:\nx is wrong", "set data.csv.y")

    monkeypatch.setattr(job, "run_module", fail)
    before = project.params_file.read_bytes()
    with pytest.raises(UserError, match="x is wrong") as refused:
        begin(project, houses, trial=True)
    assert f"beside data.source: {houses}" in refused.value.fix
    assert project.params_file.read_bytes() == before


def test_what_a_trial_found_is_told(project: Project, houses: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = TrialResult(
        lines=["houses: 80 train", "digest 12"], counts={"train": 80}, classes={"a": 60, "b": 20}, spread=3.25,
        counted="words",
        prepare_s=0.2, step_s=0.5, timed=9, validation_s=1.0, steps_per_epoch=10, epochs=20, patience=3,
    )  # fmt: skip
    monkeypatch.setattr(command, "run_job", lambda *_: result.model_dump())
    said = "\n".join(begin(project, houses, trial=True))
    assert "always 'a' is right in 75.0% of the training words" in said
    assert "off by 3.25 (RMSE)" in said
    assert "train 2 min for 20 epochs of 10 steps, less if it stops early" in said
    assert "9 steps here took 500 ms each" in said
    assert "digest" not in said


def test_the_mean_of_a_step_leaves_first_ones_and_validations_out() -> None:
    assert trial_module.mean_step([5.0, 7.0, 8.0, 19.0, 20.0], per_epoch=4) == (1.0, 2)
    assert trial_module.mean_step([5.0, 7.0], per_epoch=9) == (2.0, 1)
    assert trial_module.mean_step([1.0, 3.0, 5.0], per_epoch=1) == (2.0, 1)


def test_a_trial_prepares_elsewhere_and_times_steps(
    project: Project, houses: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "_STEPS", 3)
    begin(project, houses)
    values = read_params(project.params_file).dump()
    values["runtime"] |= {"progress": "off", "resume": "never"}
    scratch = tmp_path_factory.mktemp("trial")
    result = run_trial(project.workspace, scratch, values, StopRequest())
    assert sum(result.counts.values()) == 120
    assert result.timed > 1
    assert result.step_s > 0.0
    assert (scratch / "prepared" / "dataset.json").is_file()
    assert not project.prepared.exists()
    assert not project.checkpoint.exists()


def test_a_setting_that_is_asked_for_before_anything_is_written(project: Project, raw: Path) -> None:
    (raw / "sizes.csv").write_text(
        "\n".join(["a,b", *(f'"{1 + k % 9},{100 + k:03d}",{k * 37 % 101}.5' for k in range(80))])
    )
    with pytest.raises(UserError, match="may be") as refused:
        begin(project, "data/raw/sizes.csv")
    assert "beside data.source: data/raw/sizes.csv" in refused.value.fix
    text = project.params_file.read_text().replace("data/catalog/mnist.yaml", "data/raw/sizes.csv")
    project.params_file.write_text(text.replace("decimal: auto", "decimal: '.'"))
    begin(project, "data/raw/sizes.csv")
    assert read_params(project.params_file).sections["data"].table.decimal == "."


def test_a_link_to_a_folder_is_refused_without_a_trial(
    project: Project, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (raw / "pets").symlink_to(tmp_path_factory.mktemp("pets"))
    with pytest.raises(UserError, match="in which DVC sees no change"):
        begin(project, "data/raw/pets")


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("data/raw/nothing", "does not exist"),
        ("bikeshare", "is no data of your own"),
        ("data/raw", "is where data lie"),
    ],
)
def test_a_path_that_is_no_data_is_refused(
    project: Project, houses: str, path: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.workspace / "dvc.yaml").write_text("stages: {}\n")
    assert main(["start", path]) == 2
    assert problem in capsys.readouterr().err
