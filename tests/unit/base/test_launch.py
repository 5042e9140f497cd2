"""The restart that sets what glibc and cuBLAS read when a process starts."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from samebits.base import launch
from samebits.base.launch import environment, relaunch_once

SRC = Path(__file__).resolve().parents[3] / "src"
EVERY = {
    "CUBLAS_WORKSPACE_CONFIG", "GLIBC_TUNABLES", "GOMP_SPINCOUNT", "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
}  # fmt: skip
OURS = sorted({*EVERY, "MKL_CBWR", "OMP_WAIT_POLICY", "SAMEBITS_LAUNCHED"})
glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="there is nothing to restart for")

SCRIPT = """
import os, sys
sys.path.insert(0, os.environ["TEST_SRC"])
from samebits.base.launch import relaunch_once
print("start", os.getpid(), flush=True)
relaunch_once()
print("body", os.getpid(), os.environ.get("GLIBC_TUNABLES"), os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
      *sys.argv[1:], sys.flags.utf8_mode)
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OURS:
        monkeypatch.setenv(name, "")  # so that whatever the test sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.39"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def test_everything_is_wanted_where_nothing_is_set() -> None:
    wanted = environment()
    assert wanted["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert "mmap_threshold" in wanted["GLIBC_TUNABLES"]


@pytest.mark.parametrize("name", sorted(EVERY))
def test_what_the_user_set_stays(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "theirs")
    assert environment().keys() == EVERY - {name}


def test_how_threads_wait_is_the_users_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert environment().keys() == EVERY - {"GOMP_SPINCOUNT"}


def test_other_c_libraries_have_no_tunables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert environment().keys() == EVERY - {"GLIBC_TUNABLES"}


def test_other_processors_have_no_kernels_of_x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert environment().keys() == {"CUBLAS_WORKSPACE_CONFIG", "GLIBC_TUNABLES", "GOMP_SPINCOUNT"}


def test_what_a_stage_needs_more_is_added_and_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment({"OPENBLAS_CORETYPE": "SkylakeX", "MKL_CBWR": "COMPATIBLE"}).items() >= {
        ("OPENBLAS_CORETYPE", "SkylakeX"), ("MKL_CBWR", "COMPATIBLE")
    }  # fmt: skip
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    assert "MKL_CBWR" not in environment({"MKL_CBWR": "COMPATIBLE"})


def run_script(tmp_path: Path, *arguments: str, **extra: str) -> list[list[str]]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    result = subprocess.run(
        [sys.executable, "-X", "utf8", str(script), *arguments],
        env=clean | {"TEST_SRC": str(SRC)} | extra,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()]


@glibc
def test_a_stage_replaces_itself_once_and_keeps_its_pid_and_arguments(tmp_path: Path) -> None:
    first, second, body = run_script(tmp_path, "one", "two")
    assert first == second == ["start", body[1]]
    assert body[2:] == [launch._MALLOC, ":4096:8", "one", "two", "1"]


@glibc
def test_no_restart_where_the_user_set_both(tmp_path: Path) -> None:
    lines = run_script(tmp_path, GLIBC_TUNABLES="glibc.malloc.check=0", CUBLAS_WORKSPACE_CONFIG=":16:8")
    assert [line[0] for line in lines] == ["start", "body"]
    assert lines[-1][2:4] == ["glibc.malloc.check=0", ":16:8"]


def test_a_restarted_process_does_not_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEBITS_LAUNCHED", "1")
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it went round in circles"))
    relaunch_once()


def test_without_glibc_the_variables_are_set_and_nothing_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("there is nothing to restart for"))
    relaunch_once()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("stage", ["prepare", "train", "evaluate", "export"])
def test_a_stage_started_by_another_python_is_told_the_fix(stage: str, tmp_path: Path) -> None:
    """As `.venv/bin/dvc repro` does, where the environment is not active."""
    script = SRC.parent / "stages" / f"{stage}.py"
    # -S: without the packages of this environment.
    found = subprocess.run([sys.executable, "-I", "-S", str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 2
    assert "does not have the project's requirements (no numpy, pydantic, ruamel, torch)" in found.stderr
    assert "source .venv/bin/activate" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("missing", ["torch", "pydantic", "ruamel"])
def test_a_python_without_the_requirements_is_told_the_fix(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec

    def find_spec(name: str, *more: Any) -> Any:
        return None if name == missing else found(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("it cannot run"))
    with pytest.raises(SystemExit) as ended:
        relaunch_once()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert sys.executable in message
    assert "source .venv/bin/activate" in message


IMPORT = """
import importlib, os, signal, sys
import torch

def state():
    return {
        "environment": dict(os.environ),
        "threads": torch.get_num_threads(),
        "threads between": torch.get_num_interop_threads(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "random": torch.get_rng_state().tolist(),
        "type": torch.get_default_dtype(),
        "products": torch.get_float32_matmul_precision(),
        "onednn": torch.backends.mkldnn.enabled,
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32),
        "gradients": torch.is_grad_enabled(),
        "signals": [signal.getsignal(each) for each in (2, 15)],
        "folder": os.getcwd(),
    }

before = state()
import samebits
for name in sys.argv[1:]:
    importlib.import_module(name)
after = state()
print([key for key in before if before[key] != after[key]])
"""


def test_importing_samebits_changes_neither_the_environment_nor_torch(tmp_path: Path) -> None:
    """In a notebook or a server: only the entry scripts set what a stage needs."""
    modules = ("cli.main", "base.launch", "stage", "training.train", "evaluation.evaluate", "export.export")
    others = ("data.preparation.prepare", "inference.image", "inference.generate", "checkpoints.serving")
    more = ("compute.determinism", "tracking.journal.tracker", "models.bert")
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    result = subprocess.run(
        [sys.executable, "-c", IMPORT, *(f"samebits.{each}" for each in modules + others + more)],
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"
