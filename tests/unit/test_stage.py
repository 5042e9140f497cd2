"""What an entry script does around its function: sections, exit codes, edits while it ran, the record."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from samebits import stage as module
from samebits.base.errors import Interrupted, UserError
from samebits.base.signals import StopRequest
from samebits.params.augment import AugmentParams
from samebits.pipeline.context import StageContext
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.stage import load_body, run_stage, sections_of
from samebits.tracking.journal import tracker as tracking
from samebits.tracking.journal.tracker import NullTracker

PARAMS = """
seed: 7
task: {name: classification}
model: {name: convnet}
data: {source: mnist}
augment: {shift: 3}
train: {optimizer: {name: sgd, lr: 0.1}}
"""
DVC = """
stages:
  train:
    cmd: python stages/train.py
    deps: [stages/train.py, data]
    params: [seed, augment]
    outs: [out]
"""


class FakeTracker(NullTracker):
    """Notes how the stage ended and what it was given."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, str | None]] = []
        self.logs: dict[str, str] = {}
        self.files: tuple[list[Path], list[Path]] | None = None
        self.opened: dict[str, Any] = {}

    def artifact(self, path: Path, folder: str = "") -> None:
        self.logs[f"{folder}/{path.name}"] = path.read_text()

    def lineage(self, reads: Any, writes: Any) -> None:
        self.files = (list(reads), list(writes))

    def close(self, status: str, error: str | None = None, *, refused: bool = False) -> None:
        self.refused = refused
        self.closed.append((status, error))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)  # run_stage changes it; this brings it back
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "train.py").write_text("1\n")
    return tmp_path


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    fake = FakeTracker()

    def open_tracker(project: Any, runtime: Any, **given: Any) -> FakeTracker:
        fake.opened = {"project": project, "runtime": runtime, **given}
        return fake

    monkeypatch.setattr(tracking, "open_tracker", open_tracker)
    return fake


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test process keeps its own handlers, and asks nothing of the kernel about its parent."""
    monkeypatch.setattr("samebits.base.signals.sys.platform", "test")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


Run = Callable[[Callable[..., None]], int]


@pytest.fixture
def run(workspace: Path, tracker: FakeTracker, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a function as the body of the stage `train`."""

    def with_body(body: Callable[..., None]) -> int:
        monkeypatch.setattr(module, "load_body", lambda target: body)
        return run_stage("train", "some:body", workspace)

    return with_body


def test_a_stage_is_given_the_sections_it_names_and_no_other(run: Run, tracker: FakeTracker, workspace: Path) -> None:
    given: list[Any] = []

    def body(augment: AugmentParams, seed: int, *, context: StageContext) -> None:
        given.extend([augment, seed, context])
        assert Path.cwd() == workspace

    assert run(body) == 0
    augment, seed, context = given
    assert (augment, seed) == (AugmentParams(shift=3), 7)
    assert context.name == "train"
    assert context.project.workspace == context.project.home == workspace
    assert isinstance(context.stop, StopRequest)
    assert context.tracker is tracker
    assert tracker.opened["stage"] == "train"
    assert tracker.opened["params"]["train"]["epochs"] == 4  # every default filled in
    assert tracker.closed == [("FINISHED", None)]
    assert tracker.files == ([workspace / "stages/train.py", workspace / "data"], [workspace / "out"])


def test_sections_are_the_positional_parameters() -> None:
    def body(seed: int, data: Any, *, context: Any) -> None: ...

    assert sections_of(body) == ("seed", "data")


def test_a_target_is_a_module_and_a_function() -> None:
    assert load_body("samebits.stage:run_stage") is run_stage


def test_what_is_said_is_printed_and_kept_in_the_log(
    run: Run, tracker: FakeTracker, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lambda *, context: context.say("something")) == 0
    assert capsys.readouterr().out == "train: something\n"
    assert tracker.logs["logs/train.log"].startswith("something\n")
    assert [path.name for path in (workspace / ".samebits" / "logs").iterdir()] == ["train.log"]


def test_what_an_ascii_output_cannot_show_is_escaped(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    assert run(lambda *, context: context.say("R² of café")) == 0
    assert out.buffer.getvalue() == b"train: R\\xb2 of caf\\xe9\n"  # type: ignore[attr-defined]


def test_inputs_that_change_meanwhile_fail_the_stage(
    run: Run, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files copied into a folder while it is read would be locked as if they had been read."""
    (workspace / "data").mkdir()
    assert run(lambda *, context: (workspace / "data" / "late.csv").write_text("1\n")) == 2
    assert "edited while the stage train ran" in (said := capsys.readouterr().err)
    assert "data" in said


def test_the_seconds_of_each_stage_are_noted(run: Run, workspace: Path) -> None:
    file = workspace / ".samebits" / "times.json"
    file.parent.mkdir()
    prepare = {"seconds": 3.0, "record": "0" * 32}
    file.write_text(json.dumps({"prepare": prepare}))
    record = workspace / "reports" / "provenance" / "train.json"
    (workspace / "dvc.yaml").write_text(DVC + f"    metrics: [{record.relative_to(workspace)}]\n")
    assert run(lambda *, context: None) == 0
    noted = json.loads(file.read_text())
    assert noted["prepare"] == prepare
    assert noted["train"]["seconds"] >= 0.0
    assert noted["train"]["record"] == dvc_md5(record), "the seconds of which run"


ENDINGS = [
    (UserError("the loss is nan", "lower it"), 2, "FAILED", "train: error: the loss is nan\n  fix: lower it\n"),
    (Interrupted("stopped by SIGTERM"), 130, "KILLED", "train: stopped by SIGTERM; dvc repro goes on from there\n"),
    (KeyboardInterrupt(), 130, "KILLED", "train: stopped\n"),
]


@pytest.mark.parametrize(("error", "code", "status", "shown"), ENDINGS, ids=["user error", "stopped", "Ctrl-C"])
def test_an_end_that_is_no_bug_is_one_message(
    error: BaseException,
    code: int,
    status: str,
    shown: str,
    run: Run,
    tracker: FakeTracker,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def body(*, context: StageContext) -> None:
        raise error

    assert run(body) == code
    assert capsys.readouterr().err == shown
    assert [each[0] for each in tracker.closed] == [status]
    assert tracker.files is None  # outputs that are not whole are not recorded
    assert not (workspace / ".samebits" / "times.json").exists()


@pytest.mark.parametrize("error", [ValueError("a bug"), MemoryError("a bug"), SystemExit("a bug")])
def test_a_bug_is_1_with_its_traceback_on_the_terminal_and_in_the_record(
    error: BaseException, run: Run, tracker: FakeTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(*, context: StageContext) -> None:
        raise error

    assert run(body) == 1
    assert "Traceback" in capsys.readouterr().err
    ((status, trace),) = tracker.closed
    assert status == "FAILED"
    assert trace is not None
    assert "in body" in trace
    assert "a bug" in trace
    assert "a bug" in tracker.logs["logs/train.log"]


@pytest.mark.parametrize("kind", [UserError, OSError])
def test_a_password_in_an_error_is_neither_shown_nor_logged(
    kind: type[Exception], run: Run, tracker: FakeTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://ann:" + "planted-1@data.acme.net/x"

    def body(*, context: StageContext) -> None:
        raise kind(f"cannot open {address}")

    assert run(body) == (2 if kind is UserError else 1)
    shown = capsys.readouterr().err
    assert "cannot open https://data.acme.net/x" in shown
    assert "cannot open https://data.acme.net/x" in tracker.logs["logs/train.log"]
    assert "planted-1@" not in shown + tracker.logs["logs/train.log"]


def test_a_user_error_is_recorded_with_its_fix(run: Run, tracker: FakeTracker) -> None:
    def body(*, context: StageContext) -> None:
        raise UserError("it is wrong", "fix it")

    run(body)
    assert tracker.closed == [("FAILED", "it is wrong\n  fix: fix it")]
    assert tracker.refused


def test_sigterm_stops_a_stage_and_no_signal_hurts_its_record(run: Run, tracker: FakeTracker) -> None:
    def body(*, context: StageContext) -> None:
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it went on")

    assert run(body) == 130
    assert tracker.closed == [("KILLED", None)]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_wrong_parameters_stop_before_anything_runs(
    run: Run, tracker: FakeTracker, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "params.yaml").write_text(PARAMS + "evaluate: {confidense: 0.9}\n")
    assert run(lambda *, context: pytest.fail("it ran")) == 2
    assert "evaluate.confidense" in capsys.readouterr().err
    assert tracker.opened == {}


def test_another_release_of_a_package_stops_before_anything_runs(
    run: Run, tracker: FakeTracker, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "dvc.yaml").write_text(DVC.replace("augment]", "augment, packages.yaml: [numpy]]"))
    (workspace / "packages.yaml").write_text('numpy: "1.0"\n')
    assert run(lambda *, context: pytest.fail("it ran")) == 2
    said = capsys.readouterr().err
    assert f"numpy {metadata.version('numpy')} is installed, packages.yaml names 1.0" in said
    assert "samebits packages --write" in said
    assert tracker.opened == {}


def test_a_missing_dependency_stops_before_anything_runs(run: Run, workspace: Path) -> None:
    (workspace / "stages" / "train.py").unlink()
    assert run(lambda *, context: pytest.fail("it ran")) == 2


def test_a_tracker_that_is_required_and_down_is_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("MLflow cannot be reached", "start it")

    monkeypatch.setattr(tracking, "open_tracker", refuse)
    assert run(lambda *, context: pytest.fail("it ran")) == 2
    assert "MLflow cannot be reached" in capsys.readouterr().err


def test_code_edited_meanwhile_fails_the_stage(
    run: Run, tracker: FakeTracker, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(lambda *, context: (workspace / "stages" / "train.py").write_text("2\n")) == 2
    err = capsys.readouterr().err
    assert "edited while the stage train ran" in err
    assert "stages/train.py" in err
    assert tracker.closed[0][0] == "FAILED"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("seed: 7", "seed: 8", 2),
        ("shift: 3", "shift: 4", 2),
        ("lr: 0.1", "lr: 0.2", 0),  # of another stage: DVC re-runs that one
        ("seed: 7", "# a comment\nseed:   7", 0),
    ],
)
def test_parameters_edited_meanwhile_fail_only_the_stage_that_reads_them(
    old: str, new: str, code: int, run: Run, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(seed: int, augment: AugmentParams, *, context: StageContext) -> None:
        (workspace / "params.yaml").write_text(PARAMS.replace(old, new))

    assert run(body) == code
    section = "seed" if "seed" in old else "augment"
    assert (f"params.yaml: {section}" in capsys.readouterr().err) is (code == 2)


def test_a_stop_that_was_asked_for_before_the_stage_began_is_told(
    workspace: Path, tracker: FakeTracker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(_: StopRequest) -> None:
        raise Interrupted("stopped by SIGTERM")

    monkeypatch.setattr(StopRequest, "install", stopped)
    assert run_stage("train", "samebits.training.train:train", workspace) == 130
    assert capsys.readouterr().err == "train: stopped by SIGTERM; dvc repro goes on from there\n"
    assert tracker.closed == []


LEFT_OVER = [
    {"RANK": "1"},
    {"WORLD_SIZE": "1"},
    {"WORLD_SIZE": "1", "RANK": "0"},
    {"LOCAL_RANK": "0"},
    {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"},
    {"WORLD_SIZE": "two", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"},
]


@pytest.mark.parametrize("left", LEFT_OVER, ids=lambda each: " ".join(f"{k}={v}" for k, v in each.items()))
def test_variables_that_a_launcher_left_are_refused(
    left: dict[str, str], run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    assert run(lambda *, context: pytest.fail("it ran")) == 2
    said = capsys.readouterr().err
    shown = [f"{name}={value}" for name, value in left.items() if not name.startswith("MASTER")]
    assert all(each in said for each in shown)
    assert "fix: unset " in said
