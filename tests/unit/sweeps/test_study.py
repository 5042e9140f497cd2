"""The state of a sweep in a real Optuna storage; what dies is left as a killed process leaves it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import Trial

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.base.result import json_text
from samebits.sweeps.report import for_programs, importances, table, write_files
from samebits.sweeps.spec import Sweep, read_sweep
from samebits.sweeps.study import SweepStudy, SweepTrial, point_of

SPACE = "space:\n  train.optimizer.lr: {low: 0.01, high: 1.0, log: true}\n  train.batch_size: [64, 128]\n"
Write = Callable[[str], Path]


@pytest.fixture
def sweep(project: Project, written: Write) -> Sweep:
    return read_sweep(project, written("method: tpe\ntrials: 6\n" + SPACE))


def finish(study: SweepStudy, count: int) -> list[SweepTrial]:
    done = []
    for _ in range(count):
        trial = study.next_trial(set())
        assert trial is not None
        study.complete(trial, trial.point["train.optimizer.lr"], {})
        done.append(trial)
    return done


@pytest.mark.parametrize("method", ["tpe", "random"])
def test_stopped_and_started_again_tries_the_same_points(
    method: str, project: Project, written: Write, tmp_path: Path
) -> None:
    sweep = read_sweep(project, written(f"method: {method}\ntrials: 12\n" + SPACE))
    with SweepStudy(project, sweep, "code") as study:
        straight = [trial.point for trial in finish(study, 12)]
        assert study.next_trial(set()) is None
    other = Project(tmp_path, tmp_path / "other")
    points = []
    for _ in range(12):
        with SweepStudy(other, sweep, "code") as study:
            points += [trial.point for trial in finish(study, 1)]
    assert points == straight
    assert len({str(point) for point in points}) > 10


def test_a_trial_that_a_dead_process_left_is_gone_on_with(project: Project, sweep: Sweep) -> None:
    with SweepStudy(project, sweep, "code") as study:
        left = study.next_trial(set())
        assert left is not None
        assert not left.resumed
    with SweepStudy(project, sweep, "code") as study:
        again = study.next_trial(set())
        assert again is not None
        assert (again.number, again.name, again.point, again.resumed) == (left.number, left.name, left.point, True)
        other = study.next_trial({again.number})
        assert other is not None
        assert other.number == 1


def test_a_trial_of_another_clone_is_left_alone_unless_it_is_taken_over(
    project: Project, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMEBITS_SWEEP_STORAGE", f"sqlite:///{tmp_path}/shared.db")
    with SweepStudy(project, sweep, "code") as study:
        theirs = study.next_trial(set())
    elsewhere = Project(tmp_path, tmp_path / "elsewhere")
    with SweepStudy(elsewhere, sweep, "code") as study:
        assert theirs is not None
        assert [trial.number for trial in study.elsewhere()] == [theirs.number]
        mine = study.next_trial(set())
        assert mine is not None
        assert mine.number == 1
        taken = study.next_trial({1}, take_over=True)
        assert taken is not None
        assert taken.number == theirs.number


def test_two_that_take_the_last_trial_at_once_keep_to_the_budget(
    project: Project, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SweepStudy(project, sweep, "code") as study:
        finish(study, 5)
        ask = study.study.ask

        def second() -> Trial:
            ask()  # another machine's, between our look and our turn
            return ask()

        monkeypatch.setattr(study.study, "ask", second)
        assert study.next_trial(set()) is None
        assert [trial.number for trial in study.trials()] == [0, 1, 2, 3, 4, 5]


def test_other_settings_or_other_code_are_refused(project: Project, sweep: Sweep, written: Write) -> None:
    with SweepStudy(project, sweep, "code"):
        pass
    with pytest.raises(UserError, match="other values of: code and params"), SweepStudy(project, sweep, "edited"):
        pass
    changed = read_sweep(project, written("method: random\nseed: 3\ntrials: 6\n" + SPACE))
    with pytest.raises(UserError, match="other values of: method, seed"), SweepStudy(project, changed, "code"):
        pass
    more = read_sweep(project, written("method: tpe\ntrials: 60\njobs: 2\n" + SPACE))
    with SweepStudy(project, more, "code"):
        pass


def test_one_process_a_clone(project: Project, sweep: Sweep) -> None:
    with SweepStudy(project, sweep, "code"):
        second = SweepStudy(project, sweep, "code")
        with pytest.raises(UserError, match="runs already in this folder"), second:
            pass


def test_a_storage_that_does_not_answer_is_told_without_its_password(
    project: Project, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMEBITS_SWEEP_STORAGE", "nosuch://me:hidden@host/x")
    with pytest.raises(UserError, match="cannot be used") as caught, SweepStudy(project, sweep, "code"):
        pass
    assert "hidden" not in str(caught.value)


def test_the_report_names_the_best_and_what_mattered(project: Project, sweep: Sweep, tmp_path: Path) -> None:
    with SweepStudy(project, sweep, "code") as study:
        finish(study, 5)
        trial = study.next_trial(set())
        assert trial is not None
        study.failed(trial, "the loss is nan <b>")
        best = study.best()
        assert best is not None
        assert best.value == min(point_of(trial)["train.optimizer.lr"] for trial in study.trials()[:5])
        told = table(study)
        assert "5 complete, 1 failed of 6" in told
        assert f"dvc exp apply lr-{best.number:03d}" in told
        found = json.loads(json_text(for_programs(study)))
        assert found["best"] == found["trials"][0]["name"] == f"lr-{best.number:03d}"
        assert [each["state"] for each in found["trials"]] == ["complete"] * 5 + ["fail"]
        assert found["trials"][0]["params"] == point_of(best)
        assert found["trials"][-1]["reason"] == "the loss is nan <b>"
        explained = importances(study)
        assert sum(explained.values()) == pytest.approx(1.0)
        assert explained["train.optimizer.lr"] > 0.6  # the value is the rate itself
        files = write_files(study, tmp_path / "out")
    page = (tmp_path / "out" / "sweep.html").read_text()
    assert page.count("<polyline") == 5
    assert "&lt;b&gt;" in page
    assert page.count("http") == 1  # the name of SVG; nothing is loaded
    rows = list(csv.reader((tmp_path / "out" / "trials.csv").open()))
    assert len(rows) == 7
    assert {path.name for path in files} == {"trials.csv", "parallel.svg", "sweep.html"}


@pytest.mark.parametrize(("high", "step", "steps"), [(0.3, 0.05, 6), (0.32, 0.05, 6), (0.9, 0.12345678, 7)])
def test_steps_that_are_no_binary_fractions_fit_without_a_warning(
    high: float, step: float, steps: int, project: Project, written: Write, recwarn: pytest.WarningsRecorder
) -> None:
    space = f"space:\n  train.schedule.warmup: {{low: 0.0, high: {high}, step: {step}}}\n"
    sweep = read_sweep(project, written("method: tpe\ntrials: 40\nseed: 0\n" + space))
    with SweepStudy(project, sweep, "code") as study:
        warmups = set()
        for _ in range(40):
            trial = study.next_trial(set())
            assert trial is not None
            warmups.add(trial.point["train.schedule.warmup"])
            study.complete(trial, 1.0, {})
    assert warmups == {float(f"{index * step:.6g}") for index in range(steps + 1)}
    assert [str(each.message) for each in recwarn if "divisible" in str(each.message)] == []
