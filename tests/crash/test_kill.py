"""Killed at any moment, started again: the bytes of the uninterrupted run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.interrupt import interrupt, start
from tests.helpers.workspace import outputs, run_stage, set_params, stage_environment

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="signals")]


def moments(seed: int, count: int, longest: float = 2.5) -> list[float]:
    chosen = random.Random(seed)
    return [chosen.uniform(0.0, longest) for _ in range(count)]


@pytest.mark.slow
def test_sigkill_at_random_moments(long: Path, straight: dict[str, str]) -> None:
    """Two; test_fifty_kills.py has many."""
    codes = interrupt(long, moments(seed=3, count=2))
    assert -signal.SIGKILL in codes, "no kill fell into the training"
    assert outputs(long) == straight
    assert not list((long / ".samebits" / "resume").glob("*/*")), "a finished training leaves no state"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_saves_and_goes_on(number: signal.Signals, long: Path, straight: dict[str, str]) -> None:
    assert interrupt(long, [1.0], number) == [130]
    assert outputs(long) == straight


# Each is a place inside `StateStore.save`: the call that is about to be made for the n-th time.
PLACES = [
    ("os.replace", 1, "before the first file of a state has its name"),
    ("os.replace", 5, "between two files of the second state"),
    ("pathlib.Path.rename", 2, "before the second state is in its place"),
    ("shutil.rmtree", 9, "while an old state is removed"),
    ("os.fsync", 7, "inside the write of the second state"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("function", "turn", "place"), PLACES, ids=[place for *_, place in PLACES])
def test_sigkill_inside_a_checkpoint_write(
    function: str, turn: int, place: str, long: Path, straight: dict[str, str]
) -> None:
    set_params(long, {"runtime": {"checkpoint_seconds": 1e-6}})
    killer = textwrap.dedent(f"""
        import os, pathlib, runpy, shutil, signal, sys
        sys.path.insert(0, "src")
        from samebits.training.resume import store
        os.environ["SAMEBITS_LAUNCHED"] = "1"
        owner, name = {function.rpartition(".")[0]}, {function.rpartition(".")[2]!r}
        original, calls, saving = getattr(owner, name), [0], [False]

        def counted(*arguments, **options):
            calls[0] += saving[0]
            if calls[0] >= {turn}:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        save = store.StateStore.save
        def watched(self, *arguments):
            saving[0] = True
            save(self, *arguments)
            saving[0] = False

        store.StateStore.save = watched
        setattr(owner, name, counted)
        runpy.run_path("stages/train.py", run_name="__main__")
    """)
    died = subprocess.run([sys.executable, "-c", killer], cwd=long, env=stage_environment(), capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    result = run_stage(long, "train")
    assert result.returncode == 0, result.stderr
    assert outputs(long) == straight


@pytest.mark.slow
def test_a_truncated_newest_state_falls_back(long: Path, straight: dict[str, str]) -> None:
    process = start(long)
    folder = long / ".samebits" / "resume"
    while len(list(folder.glob("*/*[0-9]/complete.json"))) < 2:
        assert process.poll() is None, "the training ended before it saved twice"
    process.kill()
    process.communicate()
    newest = max(folder.glob("*/*[0-9]/state.safetensors"), key=lambda path: path.parent.name)
    newest.write_bytes(newest.read_bytes()[:1000])
    result = run_stage(long, "train")
    assert "is damaged" in result.stdout
    assert "resuming at step" in result.stdout
    assert outputs(long) == straight


@pytest.mark.slow
def test_changed_parameters_start_afresh(long: Path) -> None:
    process = start(long)
    while not list((long / ".samebits" / "resume").glob("*/*[0-9]/complete.json")):
        assert process.poll() is None
    process.kill()
    process.communicate()
    set_params(long, {"seed": 1, "train": {"epochs": 1}})
    assert "resuming" not in run_stage(long, "train").stdout


@pytest.mark.slow
def test_resume_never_starts_afresh(long: Path, straight: dict[str, str]) -> None:
    interrupted = start(long)
    while not list((long / ".samebits" / "resume").glob("*/*[0-9]/complete.json")):
        assert interrupted.poll() is None
    interrupted.kill()
    interrupted.communicate()
    set_params(long, {"runtime": {"resume": "never"}})
    assert "resuming" not in run_stage(long, "train").stdout
    assert outputs(long) == straight


@pytest.mark.slow
def test_a_second_training_of_the_same_waits_for_the_first(long: Path) -> None:
    set_params(long, {"train": {"epochs": 40}})
    first = start(long)
    second = run_stage(long, "train")
    first.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert "runs in another process" in second.stdout
    assert "resuming" not in second.stdout, "the first one finished: there is nothing to resume"


def test_a_nan_loss_stops_before_the_update(long: Path) -> None:
    set_params(long, {"train": {"optimizer": {"lr": 1e30}, "schedule": {"warmup": 0.0}}})
    result = run_stage(long, "train")
    assert result.returncode == 2
    assert "the loss is nan at step" in result.stderr or "the loss is inf at step" in result.stderr
    assert "train.optimizer.lr" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (long / "models").exists()
