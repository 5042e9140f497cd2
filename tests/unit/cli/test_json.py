"""`--json`: each command that prints a result gives one document on stdout, with the keys of docs/scripting.md."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import samebits.cli.main as cli
from samebits.base import errors
from samebits.base.errors import UserError
from samebits.base.result import Result
from samebits.cli.main import main, parser
from samebits.inference.answer import Answer, Reading
from samebits.inference.formats import Csv, Text
from samebits.inference.request import Predictions
from samebits.inference.tags import Span
from samebits.labels.suspects import Suspects
from samebits.model_registry.gate import Row
from samebits.model_registry.register import Outcome
from samebits.monitor.compare import Finding
from samebits.monitor.monitor import Limits, Monitored
from samebits.pipeline.summary import MetricValue, Summary
from samebits.provenance.audit.report import Audit
from samebits.provenance.restore.runs import Run
from samebits.provenance.restore.trace import Trace
from samebits.provenance.review.review import Review
from samebits.provenance.review.version import Version as ReviewVersion
from samebits.provenance.verify.report import OutputResult, Verification
from samebits.sharing.data_diff.command import DataDiff
from samebits.sharing.data_diff.compare import compare
from samebits.sharing.data_diff.version import Version
from samebits.sharing.doctor.doctor import Findings
from samebits.sharing.doctor.finding import Line
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget
from samebits.starting.estimate import Estimate, EstimateResult
from samebits.starting.trial import TrialResult
from samebits.sweeps.compare import Comparison, Judgement
from samebits.sweeps.seed_runs import Side
from samebits.tracking.ui.housekeeping import JournalState, RunsStatus
from samebits.tracking.upload.sync import SyncReport
from tests.helpers.workspace import ROOT

PAGE = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")


def table(title: str, columns: int) -> list[list[str]]:
    """Rows of the table that follows a line of the page which begins so."""
    rows = []
    for line in PAGE[PAGE.index(f"\n{title}") :].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    assert all(len(row) == columns for row in rows)
    return rows[2:]


KEYS = {name.strip("`"): keys for name, keys in table("Keys of each document", 2)}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _version(name: str) -> Version:
    samples = pd.DataFrame(
        {"id": ["a"], "split": ["train"], "target": [0.0], "sha256": ["0"], "shard": [0], "row": [0]}
    )
    info = {"signature": {"inputs": {"kind": "image"}, "target": {"kind": "class", "classes": ["cat"]}}}
    return Version(name, info, samples, None)


def _side(name: str) -> ReviewVersion:
    metrics = {"accuracy": MetricValue(0.9, 0.8, 0.95, 0.1, "higher")}
    return ReviewVersion(name, "0" * 40, False, {}, {"export": "has not run"}, [], {"seed": name}, metrics)


def _says(answer: object) -> Callable[..., object]:
    """A function that says a line, starts a process that prints, and returns `answer`."""

    def command(*arguments: Any, **options: Any) -> object:
        say = options.get("say") or next(
            (each for each in arguments if getattr(each, "__name__", "") in ("say", "keep")), print
        )
        say("said on the way")
        os.system("echo printed by a process")
        return answer

    return command


CLASSES, NUMBER = ClassTarget(classes=["cat", "dog"]), NumberTarget(name="price", mean=0.0, std=1.0)
PAIR = np.array([0.25, 0.75], np.float32)
TRIAL = TrialResult(
    lines=[], counts={"test": 9}, classes={}, spread=None, prepare_s=1.0, step_s=0.1, timed=3, validation_s=1.0,
    steps_per_epoch=5, epochs=2, patience=None,
)  # fmt: skip
TIMES = {"evaluate": 1.0, "export": 2.0}
ESTIMATE = EstimateResult(trial=TRIAL, first=TIMES, per_sample=TIMES, peak_mib=100, sizes={"models/export": 5})
SUMMARY = Summary(
    title="MNIST", samples=3, corrections="", stale={}, worse=[],
    metrics={"accuracy": MetricValue(0.9, 0.8, None, 0.1, "higher")},
    seconds={"train": 1.5}, model="models/export/model.onnx", usage="", report="", next="dvc repro",
)  # fmt: skip
SPAN = Span(0, 3, "Ann", "PER", 0.9)

COMMANDS: dict[str, tuple[str, object]] = {
    "audit": ("samebits.provenance.audit.audit.audit", Audit(3, [(0, 10)], drawn=True, facts={"cpu": ("a", "b")})),
    "compare main here": (
        "samebits.sweeps.compare.compare",
        Comparison(
            (Side("main", {}), Side("here", {})), [0], ["lr"],
            [Judgement("accuracy", "higher", np.array([0.5]), np.array([0.75]), None, None)],
        ),
    ),
    "data diff old new": (
        "samebits.sharing.data_diff.command.data_diff", DataDiff(compare(_version("a"), _version("b")), Path("p.html")),
    ),
    "doctor": ("samebits.sharing.doctor.doctor.doctor", Findings(iter([Line("git", "ok", "fine")]))),
    "estimate": ("samebits.starting.estimate.estimate", Estimate(ESTIMATE)),
    "fetch mnist": ("samebits.data.fetching.fetch.fetch", {"images": Path("a.gz")}),
    "find batch-size": ("samebits.starting.find_batch_size.find_batch_size", 64),
    "find lr": ("samebits.starting.find_rate.find_rate", 0.125),
    "golden mnist": ("samebits.provenance.golden.golden.record", True),
    "monitor a.csv --model model.onnx": ("samebits.monitor.monitor.monitor", Monitored(30, 0, [], Limits())),
    "packages --write": ("samebits.pipeline.packages.write_packages", None),
    "predict a.png": (
        "samebits.inference.request.predict",
        Predictions(iter([[Answer("a.png", given=PAIR, reading=Reading(CLASSES))]]), Text(CLASSES.columns())),
    ),
    "predict rows.csv": (
        "samebits.inference.request.predict",
        Predictions(iter([[Answer("rows.csv:2", given=PAIR[0], reading=Reading(NUMBER))]]), Csv(NUMBER.columns())),
    ),
    "register": (
        "samebits.model_registry.register.register", Outcome("m", "2", "1", [Row("accuracy", "1", "2", True)], True),
    ),
    "prepare --part 1/2": (
        "samebits.starting.parts.prepare_part",
        {"part": 1, "parts": 2, "images": 3, "file": Path("p"), "conditions": {}},
    ),
    "prepare --dask a:1 --parts 2": ("samebits.starting.parts.prepare_on_dask", {"parts": 2, "images": 3}),
    "register --rollback": ("samebits.model_registry.register.rollback", "1"),
    "restore HEAD": ("samebits.provenance.restore.restore.restore", True),
    "review main": ("samebits.provenance.review.review.review", Review(_side("main"), _side("here"))),
    "labels accept a.csv": (
        "samebits.labels.accept.accept", {"relabelled": 1, "dropped": 0, "new": 1, "file": "data/corrections.csv"},
    ),
    "labels suspects": ("samebits.labels.suspects.suspects", Suspects(9, 1, True, [], Path("p.html"), Path("t.csv"))),
    "runs clean": ("samebits.tracking.ui.housekeeping.clean", 2),
    "runs status": (
        "samebits.tracking.ui.housekeeping.runs_status",
        RunsStatus("the store", [JournalState("a", Path("j"), "waiting", 3, "down")], ""),
    ),
    "runs sync": ("samebits.tracking.upload.sync.sync", SyncReport(["a"], [], {}, "")),
    "seeds 3": ("samebits.sweeps.seeds.run_sweep", {"seeds": [], "metrics": {}}),
    "seeds 3 --dry-run": ("samebits.sweeps.seeds.plan_seeds", "the plan"),
    "smoke": ("samebits.starting.smoke.smoke", {"train": 1.0}),
    "start data/raw/a": ("samebits.starting.start.start", {"data.source": "data/raw/a"}),
    "submit": (
        "samebits.starting.submit.submit", {"name": "a", "script": Path("a.sh"), "tasks": 0, "job": "17"},
    ),
    "summary": ("samebits.pipeline.summary.summarize", SUMMARY),
    "sweep a.yaml": ("samebits.sweeps.runner.run_sweep", {"trials": [], "best": None, "importance": {}}),
    "sweep a.yaml --dry-run": ("samebits.sweeps.plan.plan", "the plan"),
    "trace model.onnx": (
        "samebits.provenance.restore.trace.trace_file",
        Trace(Path("model.onnx"), "00", {"a": "b"}, [Run("id", "name", "FINISHED", 1)], ["abc 2026-01-01 (main) x"]),
    ),
    "verify": (
        "samebits.provenance.verify.pipeline.verify",
        Verification([OutputResult("train", "a", "0", "0")], facts={"train": {"cpu": ("a", "b")}}),
    ),
    "verify --steps 3": ("samebits.provenance.golden.golden.verify_steps", True),
}  # fmt: skip
"""A command line to the function that it calls, and the smallest result of that."""

OPTIONAL = {
    "prepare --dask a:1 --parts 2": {"part", "file", "conditions"},
    "register --rollback": {"name", "champion_before", "rows"},
    "sweep a.yaml --dry-run": {"trials", "best", "importance"},
    "seeds 3 --dry-run": {"seeds", "metrics"},
    "verify": {"messages"},
    "verify --steps 3": {"outputs", "code_and_parameters", "never_ran", "environment", "environment_unknown"},
}


def documented(command: str) -> set[str]:
    """Keys that the page names for a command line."""
    name = next(name for name in sorted(KEYS, key=len, reverse=True) if command.startswith(name))
    return set(re.findall(r"`([a-z0-9_]+)`", KEYS[name]))


@pytest.mark.parametrize("command", COMMANDS)
def test_stdout_is_one_document_with_the_documented_keys(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    target, answer = COMMANDS[command]
    monkeypatch.setattr(target, _says(answer))
    model = SimpleNamespace(record=SimpleNamespace(root=""), folder=Path(), shown="")
    monkeypatch.setattr("samebits.provenance.audit.audit.find_model", lambda *_: model)
    monkeypatch.setattr("samebits.data.fetching.catalog.load_card", lambda *_: None)
    sweep = SimpleNamespace(name="lr", budget=3, file=SimpleNamespace(metric="val/loss", goal="minimize"))
    monkeypatch.setattr("samebits.sweeps.spec.read_sweep", lambda *_: sweep)
    monkeypatch.setattr("samebits.sweeps.seeds.seeds_sweep", lambda *_: sweep)
    assert main([*command.split(), "--json"]) == 0
    out, err = capfd.readouterr()
    found = json.loads(out)
    assert set(found) == documented(command) - OPTIONAL.get(command, set())
    assert "printed by a process" in err


def test_every_command_that_gives_a_result_is_on_the_page_and_tried_here() -> None:
    def leaves(top: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
        below = [each for each in top._actions if isinstance(each, argparse._SubParsersAction)]
        for group in below:
            for key, command in group.choices.items():
                yield from leaves(command, f"{name} {key}".strip())
        if not below:
            yield name, top

    giving = {name for name, command in leaves(parser()) if "--json" in command._option_string_actions}
    assert giving == set(KEYS)
    assert giving - {"generate"} == {next(k for k in KEYS if each.startswith(k)) for each in COMMANDS}


def test_codes_on_the_page_are_those_of_the_code() -> None:
    known = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert {int(row[0]) for row in table("## Exit codes", 3)} == known | {0}


def test_an_error_is_a_document_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise UserError("https://ann:planted-77@host.org/x does not answer", "start it")

    monkeypatch.setattr("samebits.pipeline.summary.summarize", fail)
    assert main(["summary", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["fix"] == "start it"
    assert "does not answer" in json.loads(out)["error"]
    assert "fix: start it" in err
    assert "planted" not in out + err


def test_what_waits_is_an_error_of_sync_that_keeps_its_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("samebits.tracking.upload.sync.sync", lambda _: SyncReport([], [], {"a": 3}, "down"))
    assert main(["runs", "sync", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert (found["waiting"], found["error"]) == ({"a": 3}, "down")


@pytest.mark.parametrize(("command", "result"), [
    ("verify", Verification([OutputResult("train", "a", "0", "1")])),
    ("audit", Audit(3, [(0, 10)], drawn=True, different={"first state": ["x"]})),
    ("doctor", Findings(iter([Line("git", "error", "broken", "mend it")]))),
    ("monitor", Monitored(30, 0, [Finding("inputs", "a", 0.5, 0.0, 1.0, "", "", [], drift=True)], Limits())),
])  # fmt: skip
def test_what_differs_is_1_in_either_form(command: str, result: Result) -> None:
    document = result.json()
    assert result.exit_code == 1
    assert not document.get("same", document.get("healthy"))


def test_text_is_as_before(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("samebits.pipeline.summary.summarize", lambda *_: SUMMARY)
    assert main(["summary"]) == 0
    assert "  accuracy  0.9000   baseline 0.1000\n" in capsys.readouterr().out


def test_a_fault_is_70_without_a_document(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "project_here", lambda: 1 / 0)
    assert main(["summary", "--json"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert "ZeroDivisionError" in err
