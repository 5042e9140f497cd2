"""One setting over seeds: its study, and what is said of it."""

from __future__ import annotations

import csv
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.sweeps.parent_run import ParentRun
from samebits.sweeps.runner import code_fingerprint
from samebits.sweeps.seeds import plan_seeds, seeds_sweep
from samebits.sweeps.seeds_report import SEEDS, numbers, seed_results, table, write_files
from samebits.sweeps.spec import Sweep
from samebits.sweeps.study import SweepStudy
from samebits.sweeps.trial import require_same
from tests.helpers.git_repository import git, start_repository
from tests.helpers.workspace import set_params

RESULTS = [(0.9964, 0.11), (0.9958, 0.1), (0.9961, 0.12), (0.9964, 0.1), (0.9953, 0.11)]


def finish(study: SweepStudy, count: int) -> list[int]:
    """Trials with the numbers of `RESULTS`; their seeds."""
    seeds = []
    for _ in range(count):
        trial = study.next_trial(set())
        assert trial is not None
        accuracy, loss = RESULTS[trial.point["seed"]]
        found = {"test/accuracy": accuracy, "test/own": 2.0, "val/loss": loss, "train/loss": 0.5, "samples": 10.0}
        study.complete(trial, loss, {"numbers": found, "better": {"own": "lower"}, "revision": "0" * 40})
        seeds.append(trial.point["seed"])
    return seeds


def open_study(project: Project, sweep: Sweep) -> SweepStudy:
    return SweepStudy(project, sweep, code_fingerprint(project, sweep))


def test_the_name_is_of_the_setting_and_not_of_the_seed_or_the_count(project: Project) -> None:
    first = seeds_sweep(project, 3).name
    assert first.startswith("seeds-")
    assert seeds_sweep(project, 8).name == first
    set_params(project.workspace, {"seed": 7})
    assert seeds_sweep(project, 3).name == first
    set_params(project.workspace, {"train": {"epochs": 2}})
    assert seeds_sweep(project, 3).name != first
    assert seeds_sweep(project, 3, "wide").name == "wide"


def test_more_seeds_go_on_with_those_that_are_there(project: Project) -> None:
    with open_study(project, seeds_sweep(project, 2)) as study:
        assert finish(study, 2) == [0, 1]
        assert study.next_trial(set()) is None
    set_params(project.workspace, {"seed": 7})
    with open_study(project, seeds_sweep(project, 5)) as study:
        assert finish(study, 3) == [2, 3, 4]
        assert study.next_trial(set()) is None
    with open_study(project, seeds_sweep(project, 2)) as study:
        assert [each.seed for each in seed_results(study)] == [0, 1, 2, 3, 4], "as in MLflow, which has all of them"


def test_another_setting_of_the_same_name_is_refused(project: Project) -> None:
    with open_study(project, seeds_sweep(project, 2, "wide")):
        pass
    set_params(project.workspace, {"train": {"epochs": 2}})
    with pytest.raises(UserError, match="began with other values of: code and params"):
        open_study(project, seeds_sweep(project, 2, "wide")).__enter__()


@pytest.mark.parametrize(("count", "name", "told"), [(1, None, "is 1"), (2000, None, "is 2000"), (3, "a/b", "a/b")])
def test_what_is_no_study_of_seeds_is_refused(count: int, name: str | None, told: str, project: Project) -> None:
    with pytest.raises(UserError, match=told):
        seeds_sweep(project, count, name)


def test_a_pipeline_that_judges_nothing_is_refused(project: Project) -> None:
    (project.workspace / "dvc.yaml").write_text("stages: {train: {cmd: t}}\n")
    with pytest.raises(UserError, match="no stage evaluate"):
        seeds_sweep(project, 3)


def test_each_seed_is_shown_with_mean_spread_and_interval(project: Project, tmp_path: Path) -> None:
    with open_study(project, seeds_sweep(project, 5, "wide")) as study:
        finish(study, 5)
        told = table(study)
        files = write_files(study, tmp_path / "out")
        found = numbers(study)
    accuracies = [accuracy for accuracy, _ in RESULTS]
    assert found["mean/test/accuracy"] == pytest.approx(statistics.fmean(accuracies), abs=1e-15)
    assert found["std/test/accuracy"] == pytest.approx(statistics.stdev(accuracies), abs=1e-15)
    assert found["mean/test/own"] == 2.0
    assert set(found) == {
        f"{of}/{name}" for of in ("mean", "std") for name in ("test/accuracy", "test/own", "val/loss")
    }
    lines = told.splitlines()
    assert lines[0] == "wide: 5 of 5 seeds are complete"
    assert lines[1].split() == ["seed", "test/accuracy", "test/own", "val/loss", "experiment"]
    assert lines[3].split() == ["1", "0.9958", "2", "0.1", "wide-001"]
    assert "95%   0.995424 to 0.996576" in told  # 0.996 and 2.776 times 0.000464 / sqrt(5)
    assert "best" not in told
    assert [path.name for path in files] == ["seeds.csv", "seeds.html"]
    rows = list(csv.DictReader(files[0].open()))
    assert [float(row["test/accuracy"]) for row in rows] == accuracies, "every digit"
    page = files[1].read_text()
    assert page.count("<circle") == 15
    assert "http" not in page


def test_a_seed_that_failed_is_told(project: Project) -> None:
    with open_study(project, seeds_sweep(project, 3, "wide")) as study:
        finish(study, 1)
        trial = study.next_trial(set())
        assert trial is not None
        study.failed(trial, "the loss is nan <b>\nmore")
        assert study.next_trial(set()) is not None
        told = table(study)
        assert [each.state for each in seed_results(study)] == ["complete", "failed", "open"]
        assert numbers(study) == {"mean/test/accuracy": 0.9964, "mean/test/own": 2.0, "mean/val/loss": 0.11}
    assert "1 of 3 seeds are complete" in told
    assert "seed 1 failed: the loss is nan <b>\n" in told
    assert "may flatter the setting" in told


def test_a_plan_says_what_is_there(project: Project) -> None:
    told = plan_seeds(project, seeds_sweep(project, 4, "wide"), 2)
    assert "wide: seeds 0 to 3, 2 at a time, each runs prepare, train, evaluate" in told
    assert "0 of them are there: experiments wide-000 to wide-003" in told


def test_what_a_sweep_varies_may_change_in_params_yaml(project: Project) -> None:
    sweep = seeds_sweep(project, 2)
    before = code_fingerprint(project, sweep)
    set_params(project.workspace, {"seed": 3})
    assert code_fingerprint(project, sweep) == before
    set_params(project.workspace, {"model": {"dropout": 0.5}})
    assert code_fingerprint(project, sweep) != before


def test_an_experiment_with_other_parameters_or_code_is_not_taken_for_a_seed(project: Project) -> None:
    sweep = seeds_sweep(project, 2, "wide")
    start_repository(project.home)
    (project.state / "sweeps").mkdir(parents=True)
    (project.workspace / "train.py").write_text("1\n")
    md5 = dvc_md5(project.workspace / "train.py")
    (project.workspace / "dvc.lock").write_text(
        f"stages: {{train: {{cmd: t, deps: [{{path: train.py, md5: {md5}}}, {{path: data/raw, md5: other}}]}}}}\n"
    )

    def ask() -> None:
        git(project.home, "add", "-A")
        git(project.home, "commit", "-q", "--allow-empty", "-m", "wide-000")
        require_same(project, "wide-000", "HEAD", sweep.base, sweep.stages)

    set_params(project.workspace, {"runtime": {"workers": 1}})
    ask()
    (project.workspace / "train.py").write_text("2\n")
    with pytest.raises(UserError, match=r"already, with another train\.py\n"):
        ask()
    set_params(project.workspace, {"train": {"epochs": 77}})
    with pytest.raises(UserError, match=r"already, with another train\.epochs, train\.py\n"):
        ask()


class Client:
    """MLflow's, as far as a parent run asks it."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, float, int]] = []
        self.tags: dict[str, str] = {}

    def get_metric_history(self, _: str, name: str) -> list[Any]:
        return [type("Point", (), {"step": step}) for known, _, step in self.metrics if known == name]

    def log_metric(self, _: str, name: str, value: float, step: int) -> None:
        self.metrics.append((name, value, step))

    def set_tag(self, _: str, name: str, value: str) -> None:
        self.tags[name] = value

    def search_runs(self, *_: Any, **__: Any) -> list[Any]:
        return []


def test_a_searchs_parent_run_has_the_best(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    monkeypatch.setattr(ParentRun, "_connect", lambda _: client)
    with open_study(project, seeds_sweep(project, 3, "wide")) as study:
        parent = ParentRun(project, study, "experiment", print)
        parent.run_id = "r"
        for count in (1, 2):
            finish(study, count)
            parent.update()
    history = {(name, step): value for name, value, step in client.metrics}
    assert len(history) == len(client.metrics) == 6, "each once"
    assert [history["best/val/loss", step] for step in range(3)] == [0.11, 0.1, 0.1]
    assert [history["trial/val/loss", step] for step in range(3)] == [0.11, 0.1, 0.12]
    assert client.tags["sweep.best"] == "wide-001"


def test_the_parent_run_has_the_means_and_no_best(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    client = Client()
    monkeypatch.setattr(ParentRun, "_connect", lambda _: client)
    with open_study(project, seeds_sweep(project, 3, "wide")) as study:
        parent = ParentRun(project, study, "experiment", said.append, SEEDS)
        parent.run_id = "r"
        finish(study, 1)
        parent.update()
        parent.update()
        finish(study, 2)
        parent.update()
        told, expected = table(study), numbers(study)
        assert sum(trial.state == TrialState.COMPLETE for trial in study.trials()) == 3
    assert said == []
    points = [(name, step) for name, _, step in client.metrics]
    assert len(points) == len(set(points)), "each once"
    last = {name: value for name, value, step in client.metrics if step == 3}
    assert last == expected
    assert not [name for name in (*client.tags, *last) if "best" in name or "importance" in name]
    assert told in client.tags["mlflow.note.content"]
    shutil.rmtree(project.state)
