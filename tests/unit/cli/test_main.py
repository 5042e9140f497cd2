"""The `samebits` command: its help, its exit codes, and that it starts without torch."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import cast

import pytest

import samebits.cli.main as cli
from samebits import __version__
from samebits.base.errors import UserError
from samebits.base.result import Result, Said
from samebits.cli.help import EXAMPLES, GROUPS
from samebits.cli.main import main, parser
from samebits.cli.options import _warn_of_other_code, find_project, project_here
from samebits.inference.predictor import Kind, Request
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import INPUTS, TARGETS

SRC = Path(__file__).resolve().parents[3] / "src"
COMMANDS = [
    "predict",
    "use",
    "new",
    "start",
    "update",
    "keep",
    "ui",
    "runs",
    "summary",
    "fetch",
    "verify",
    "audit",
    "sign",
    "restore",
    "trace",
    "golden",
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return tmp_path


@pytest.mark.parametrize("command", [*COMMANDS, "runs sync"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"usage: samebits {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"samebits {__version__}\n"


@pytest.mark.parametrize("argv", [[], ["runs"], ["predikt"], ["use"], ["predict", "a.png", "--top", "x"]])
def test_a_wrong_command_line_is_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: samebits" in capsys.readouterr().err


OUTSIDE = ["predict a.png", "use mnist", "ui", "runs sync", "summary", "fetch mnist", "verify", "verify --steps 5",
           "restore HEAD", "trace model.onnx", "golden mnist", "golden --all"]  # fmt: skip


@pytest.mark.parametrize("command", OUTSIDE)
def test_outside_a_project_every_command_is_2(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 2
    message = capsys.readouterr().err
    assert f"{tmp_path} is in no samebits project" in message
    assert "fix: cd into yours, or make one: samebits new NAME" in message
    assert list(tmp_path.iterdir()) == []


def test_the_project_is_found_from_inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project / "data" / "deep"
    inside.mkdir(parents=True)
    assert find_project(inside).workspace == project
    (inside / "dvc.yaml").write_text("")
    assert find_project(inside).workspace == inside
    with pytest.raises(UserError, match="no samebits project"):
        find_project(project.parent)


def test_predict_without_an_exported_model_is_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.png"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("samebits predict: error: ")
    assert "model.onnx" in message
    assert "fix:" in message


def test_predict_needs_no_project_where_a_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    assert main(["predict", "a.png", "--model", "m.onnx"]) == 2
    message = capsys.readouterr().err
    assert "m.onnx" in message
    assert "Traceback" not in message


def test_a_command_says_when_it_is_not_the_code_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    package = tmp_path / "src" / "samebits"
    shutil.copytree(SRC / "samebits", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    _warn_of_other_code.cache_clear()
    project_here()
    assert capsys.readouterr().err == "", "a copy of the same code"
    (package / "stage.py").write_text("other\n")
    _warn_of_other_code.cache_clear()
    project_here()
    project_here()
    said = capsys.readouterr().err
    assert said.count("the project here has other code (1 of") == 1
    assert "as stage.py" in said


def test_predict_passes_its_options_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Request] = []

    def answer(request: Request) -> Result:
        given.append(request)
        return Said()

    monkeypatch.setattr("samebits.inference.request.predict", answer)
    assert main(["predict", "a.png", "b.png", "--top", "2", "--invert"]) == 0
    model = project / "models" / "export" / "model.onnx"
    files = (Path("a.png"), Path("b.png"))
    assert given == [Request(model, files, top=2, invert=True)]
    options = ["--text", "a", "--lines", "l", "--column", "c", "--id", "i", "--stdin", "csv", "--format", "jsonl"]
    assert main(["predict", "--model", "other.onnx", *options, "--output", "o"]) == 0
    assert given[1] == Request(
        Path("other.onnx"), text=("a",), lines=Path("l"), column="c", id="i", stdin="csv", format="jsonl",
        output=Path("o"),
    )  # fmt: skip


def test_two_forms_are_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.png", "--json", "--format", "csv"]) == 2
    assert "two forms" in capsys.readouterr().err


def test_a_stale_model_is_said_after_the_answers_and_before_a_job(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = project / "models" / "export" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.touch()
    order: list[str] = []

    def stale(*_: object) -> str:
        order.append("asked")
        return "it is old"

    monkeypatch.setattr("samebits.provenance.stale.stale_model", stale)

    class Answers(Lines):
        def lines(self) -> list[str]:
            order.append("told")
            return self._lines

    def answer(_: object) -> Result:
        order.append("begun")
        return Answers(["an answer"])

    monkeypatch.setattr("samebits.inference.request.predict", answer)
    assert main(["predict", "a.png"]) == 0
    assert order == ["begun", "told", "asked"]
    assert capsys.readouterr().err == "warning: it is old\n"
    order.clear()
    assert main(["predict", "a.png", "--output", "a.csv"]) == 0
    assert order[:2] == ["asked", "begun"]


def test_an_option_of_another_kind_of_model_is_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = (None, {"target": ClassTarget(classes=["a", "b"]), "preprocessing": {}})
    monkeypatch.setattr("samebits.inference.request.open_model", lambda path, **_: opened)
    assert main(["predict", "a.png", "--text", "a"]) == 2
    assert "--text is not for images" in capsys.readouterr().err


def test_every_kind_has_a_module_that_answers() -> None:
    modules = {each.predictor for each in (*INPUTS.values(), *TARGETS.values()) if each.predictor}
    assert modules >= {"image", "text", "table", "array", "masks"}
    for name in modules:
        kind = import_module(f"samebits.inference.{name}").Kind
        assert issubclass(kind, Kind)
        assert kind.noun


def test_an_unknown_recipe_is_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "recipes").mkdir()
    (project / "recipes" / "mnist.yaml").write_text("seed: 1\n")
    assert main(["use", "mnst"]) == 2
    assert "did you mean mnist?" in capsys.readouterr().err


def test_seeds_and_comparisons_pass_their_options_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "samebits.sweeps.seeds.run_seeds", lambda *given, **named: asked.append((given[1:], named)) or {}
    )
    monkeypatch.setattr("samebits.sweeps.compare.compare", lambda found, *given: Lines([str(found.workspace), *given]))
    assert main(["seeds", "5", "--name", "wide", "--jobs", "2", "--dry-run"]) == 0
    ((given, named),) = asked  # type: ignore[misc]
    assert given == (5,)
    assert named.items() >= {"name": "wide", "jobs": 2, "dry_run": True, "take_over": False}.items()
    assert main(["compare", "main", "wide", "--metric", "log_loss", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lines"] == [str(project), "main", "wide", "log_loss"]


def test_one_seed_is_no_study(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["seeds", "1"]) == 2
    assert "the number of seeds is 1" in capsys.readouterr().err


def test_a_summary_before_the_first_run_is_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary"]) == 2
    assert "dvc repro" in capsys.readouterr().err


def test_a_summary_is_printed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("samebits.pipeline.summary.summarize", lambda found, look: Lines([f"of {found.workspace}"]))
    assert main(["summary"]) == 0
    assert capsys.readouterr().out == f"of {project}\n"


class Lines(Result):
    """A result of such lines."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def lines(self) -> list[str]:
        return self._lines

    def json(self) -> dict[str, object]:
        return {"lines": self._lines}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The commands of `samebits`."""
    found = next(action for action in parser()._actions if isinstance(action.choices, dict))
    return cast(dict[str, argparse.ArgumentParser], found.choices)


def test_the_help_has_each_command_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(commands())


def test_each_example_is_a_command_that_can_be_parsed() -> None:
    for name, lines in EXAMPLES.items():
        for line in lines:
            assert line.startswith(f"samebits {name}")
            parser().parse_args(shlex.split(re.split(" && | > ", line)[0], comments=True)[1:])
    taking = {
        name
        for name, command in commands().items()
        if any(action.dest not in ("help", "subcommand") for action in command._actions)
    }
    assert taking <= set(EXAMPLES)


def test_the_help_names_what_each_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert "prove and rebuild:\n  verify" in shown
    with pytest.raises(SystemExit, match="0"):
        main(["predict", "--help"])
    assert "examples:\n  samebits predict cat.jpg" in capsys.readouterr().out


def test_ctrl_c_is_130(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("samebits.pipeline.summary.summarize", stopped)
    assert main(["summary"]) == 130


def test_what_an_ascii_output_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr(cli, "_use", lambda arguments: print("10 µm", flush=True))
    assert main(["use", "mnist"]) == 0
    assert out.buffer.getvalue() == b"10 \\xb5m\n"  # type: ignore[attr-defined]


def test_output_that_nobody_reads_any_more_is_no_traceback() -> None:
    code = (
        "import sys\nimport samebits.cli.main as cli\n"
        "def run(_):\n    while True:\n        print('a line')\n"
        "cli._status = run\nraise SystemExit(cli.main(['runs', 'status']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "a line\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


def test_what_waits_is_told_and_a_server_that_is_down_is_2(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from samebits.tracking.upload.sync import SyncReport

    report = SyncReport(sent=["one"], replayed=[], waiting={"two": 7}, problem="MLflow cannot be reached")
    monkeypatch.setattr("samebits.tracking.upload.sync.sync", lambda _: report)
    assert main(["runs", "sync"]) == 2
    shown = capsys.readouterr()
    assert shown.out == "sent: one\nwaiting: two, 7 events\n"
    assert "MLflow cannot be reached" in shown.err


def test_starting_imports_no_heavy_library() -> None:
    code = (
        "import sys, samebits.cli.main; print(sorted({'torch', 'mlflow', 'numpy', 'onnxruntime'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SRC)!r}); {code}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize(
    ("command", "heavy"),
    [
        (["runs", "status"], ["torch", "mlflow", "numpy", "pandas", "pydantic", "dvc"]),
        (["summary"], ["torch", "mlflow", "pandas", "pyarrow", "optuna"]),
        (["runs", "check"], ["torch", "mlflow", "numpy", "pydantic"]),
        (["packages"], ["torch", "mlflow", "numpy", "pandas", "dvc"]),
        (["completion", "bash"], ["torch", "mlflow", "numpy", "pandas", "pydantic", "dvc"]),
    ],
)
def test_commands_that_only_look_import_no_heavy_library(project: Path, command: list[str], heavy: list[str]) -> None:
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); from samebits.cli.main import main; main({command!r}); "
    code += f"print('imported', sorted(set({heavy!r}) & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60)
    assert result.stdout.endswith("imported []\n"), result.stderr


def test_every_command_has_a_function() -> None:
    for argv in (["use", "x"], ["ui"], ["runs", "sync"], ["summary"], ["fetch", "x"]):
        run = parser().parse_args(argv).run
        assert run is getattr(cli, f"_{argv[-1] if argv[0] == 'runs' else argv[0]}")


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "fast"])
@pytest.mark.parametrize("option", ["--latency-ratio", "--size-ratio", "--latency-ms", "--size-kib"])
def test_a_limit_of_the_gate_that_is_none_is_refused(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["register", option, value])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err


def test_a_full_disk_is_a_message_and_a_bug_stays_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(project / "params.yaml"))

    def broken(_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cli, "_use", full)
    assert main(["use", "mnist"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"samebits use: error: no space left on the disk of {project / 'params.yaml'}"
    assert told[1].endswith("then try again")
    monkeypatch.setattr(cli, "_use", broken)
    assert main(["use", "mnist"]) == 70, "not 1, which says that bits differ"
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "RuntimeError: a bug" in told
