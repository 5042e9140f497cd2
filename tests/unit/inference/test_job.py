"""A job of answers in a file: killed, stopped, out of disk, and started again."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.cli.main import main
from samebits.inference.job import Parts
from samebits.inference.table import Kind
from tests.helpers.onnx_models import brightness_model, sum_model
from tests.helpers.workspace import ROOT

ROWS = 1000
FORMATS = ["csv", "jsonl", "json", "txt", "parquet"]


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten parts: of 25 batches of 4 rows."""
    monkeypatch.setattr("samebits.inference.table._BATCH", 4)
    monkeypatch.setattr("samebits.inference.job._BATCHES", 25)


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes rows and a model; the arguments of a job that answers for them, one in 100 with an error."""
    model = sum_model(tmp_path / "model.onnx")
    numbers = np.random.default_rng(0).normal(size=(ROWS, 2)).round(5)
    lines = [f"{a},{b}" if at % 100 else f"none,{b}" for at, (a, b) in enumerate(numbers.tolist())]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b", *lines]))

    def arguments(output: Path, *more: str) -> list[str]:
        return ["predict", str(tmp_path / "rows.csv"), "--model", str(model), "--output", str(output), *more]

    return arguments


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that are computed from now on."""
    sizes: list[int] = []
    whole = Kind.ready

    def ready(self: Kind, items: Any) -> Any:
        sizes.append(len(items))
        return whole(self, items)

    monkeypatch.setattr(Kind, "ready", ready)
    return sizes


def failing(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Raise an error instead of keeping a part, once so many are kept."""
    keep, done = Parts.keep, [0]

    def fail(self: Parts, *arguments: Any) -> None:
        if done[0] == after:
            raise error
        done[0] += 1
        keep(self, *arguments)

    monkeypatch.setattr(Parts, "keep", fail)


@pytest.mark.parametrize("ending", FORMATS)
def test_a_killed_job_goes_on_and_gives_the_same_bytes(
    ending: str, job: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, output = tmp_path / "straight" / f"x.{ending}", tmp_path / "killed" / f"x.{ending}"
    assert main(job(straight)) == 3
    killer = f"""
        import os, signal
        import samebits.inference.job, samebits.inference.table
        from samebits.cli.main import main
        samebits.inference.table._BATCH, samebits.inference.job._BATCHES = 4, 25
        keep, done = samebits.inference.job.Parts.keep, []
        def kill(self, *arguments):
            if len(done) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(1)
            keep(self, *arguments)
        samebits.inference.job.Parts.keep = kill
        main({job(output)!r})
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(killer)], env=environment, check=False)
    assert done.returncode == -9
    assert not output.exists()
    sizes = counted(monkeypatch)
    assert main(job(output)) == 3
    assert sum(sizes) == 600, "four of ten parts were done"
    expected = straight.read_bytes()
    if ending == "json":  # which names itself
        expected = expected.replace(str(straight).encode(), str(output).encode())
    assert output.read_bytes() == expected
    assert [each.name for each in output.parent.iterdir()] == [output.name]


def test_only_what_is_still_the_same_is_kept(
    job: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out" / "x.csv"

    def stopped_then(change: Callable[[], object], *more: str) -> int:
        """Rows that are computed after a stop at the sixth part, and a change."""
        with monkeypatch.context() as patch:
            failing(patch, 5, KeyboardInterrupt())
            assert main(job(output)) == 130
        change()
        with monkeypatch.context() as patch:
            sizes = counted(patch)
            assert main(job(output, *more)) == 3
        return sum(sizes)

    rows, model = tmp_path / "rows.csv", tmp_path / "model.onnx"
    text = rows.read_text()
    assert stopped_then(lambda: None) == 500
    assert stopped_then(lambda: rows.write_text(text.replace(text.splitlines()[150], "1,1"))) == 600
    assert output.read_text().splitlines()[150].endswith(":151,2,,")
    part = output.parent / ".x.csv.parts" / "000003.part"
    assert stopped_then(lambda: part.write_bytes(part.read_bytes()[:-5])) == 600
    assert stopped_then(lambda: None, "--id", "b") == 1000
    assert stopped_then(lambda: sum_model(model, ["b", "a"])) == 1000


def test_a_stop_says_what_is_kept(
    job: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        failing(patch, 3, KeyboardInterrupt())
        assert main(job(tmp_path / "x.csv")) == 130
    assert "300 answers are kept: the same command goes on" in capsys.readouterr().err
    assert main(job(tmp_path / "x.csv")) == 3
    assert "300 of 1,000 answers are of a job that was stopped" in capsys.readouterr().err


def test_a_full_disk_is_one_message_and_keeps_the_parts(
    job: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out" / "x.csv"
    with monkeypatch.context() as patch:
        failing(patch, 2, OSError(errno.ENOSPC, "No space left on device", "a part"))
        assert main(job(output)) == 2
        assert "no space left on the disk" in capsys.readouterr().err
        patch.undo()
    with monkeypatch.context() as patch:
        sizes = counted(patch)
        assert main(job(output)) == 3
        assert sum(sizes) == 800


def test_a_job_that_never_began_leaves_nothing(
    job: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(tmp_path.rglob("*"))
    failing(monkeypatch, 0, OSError(errno.ENOSPC, "No space left on device", "a part"))
    assert main(job(tmp_path / "x.csv")) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_two_jobs_of_one_output(
    job: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from filelock import FileLock

    (tmp_path / ".x.csv.parts").mkdir()
    with FileLock(tmp_path / ".x.csv.parts" / "lock"):
        assert main(job(tmp_path / "x.csv")) == 2
    assert "another samebits predict writes" in capsys.readouterr().err


def test_a_changed_image_is_answered_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    monkeypatch.setattr("samebits.inference.image._BATCH", 1)
    monkeypatch.setattr("samebits.inference.job._BATCHES", 1)
    model = brightness_model(tmp_path / "model.onnx")
    for number in range(3):
        Image.new("L", (8, 8), 9).save(tmp_path / f"{number}.png")
    command = ["predict", str(tmp_path), "--model", str(model), "--output", str(tmp_path / "x.csv")]
    with monkeypatch.context() as patch:
        failing(patch, 2, KeyboardInterrupt())
        assert main(command) == 130
    light = np.zeros((8, 8), dtype=np.uint8)
    light[:, 4:] = 255
    Image.fromarray(light).save(tmp_path / "0.png")
    capsys.readouterr()
    assert main(command) == 0
    assert "1 of 3 answers are of a job that was stopped" in capsys.readouterr().err
    assert "0.png,right" in (tmp_path / "x.csv").read_text()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """Peak memory of 20,000 and of 400,000 rows."""
    model = sum_model(tmp_path / "model.onnx")
    peaks = []
    for rows in (20_000, 400_000):
        path = tmp_path / f"{rows}.csv"
        path.write_text("a,b\n" + "0.25,0.5\n" * rows)
        arguments = ["predict", str(path), "--model", str(model), "--output", str(tmp_path / "out.csv")]
        program = (
            "import resource; from samebits.cli.main import main; "
            f"assert main({arguments!r}) == 0; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
        peaks.append(int(done.stdout) >> 10)
    assert peaks[1] < peaks[0] + 120
