"""A stage's record of what it ran on, and entries of dvc.lock that no run had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.dvc_lock import never_ran, require_ran
from samebits.pipeline.ran import inputs_now, read_record, write_record
from tests.helpers.locked_stage import DVC, RECORD, make_locked, write_lock


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return make_locked(tmp_path)


def test_a_stage_that_ran_is_a_pair(workspace: Path) -> None:
    assert never_ran(workspace) == {}
    require_ran(workspace)
    record = read_record(workspace / RECORD)
    assert list(record.deps) == ["data", "mlp.py", "train.py"]
    assert record.outs == {"weights": dvc_md5(workspace / "weights")}


def test_the_same_run_writes_the_same_bytes_and_no_metric(workspace: Path) -> None:
    before = (workspace / RECORD).read_bytes()
    write_record(workspace, "train", inputs_now(workspace, "train"))
    assert (workspace / RECORD).read_bytes() == before
    assert all(isinstance(value, list) for value in json.loads(before).values())


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("mlp.py", "edited", "mlp.py"),
        ("data/new.csv", "x", "data"),
        ("params.yaml", "model: mlp\nrate: 2e-3\n", "params.yaml: rate"),
        ("weights", "of another run", "weights"),
    ],
)
def test_a_lock_that_pairs_what_never_ran_is_named(file: str, text: str, named: str, workspace: Path) -> None:
    (workspace / file).write_text(text)
    assert never_ran(workspace) == {}, "an edit alone is no broken pair: DVC sees it"
    write_lock(workspace)
    assert never_ran(workspace) == {"train": f"its run had another {named}"}
    with pytest.raises(UserError, match="never ran together") as error:
        require_ran(workspace)
    assert "dvc repro --force --single-item train" in error.value.fix


def test_a_record_of_another_run_and_one_that_is_gone(workspace: Path) -> None:
    (workspace / RECORD).write_text("{}")
    assert never_ran(workspace) == {"train": f"{RECORD} is the record of another run"}
    (workspace / RECORD).unlink()
    assert never_ran(workspace) == {"train": f"its record {RECORD} is gone"}


def test_a_damaged_record_is_a_user_error(workspace: Path) -> None:
    (workspace / RECORD).write_text('{"deps": 1}')
    write_lock(workspace)
    with pytest.raises(UserError, match="is no record"):
        never_ran(workspace)


def test_a_stage_without_a_record_is_not_judged(workspace: Path) -> None:
    (workspace / "dvc.yaml").write_text(DVC.replace("metrics", "# metrics"))
    (workspace / RECORD).unlink()
    write_record(workspace, "train", inputs_now(workspace, "train"))
    assert not (workspace / RECORD).exists()
    write_lock_without = (workspace / "dvc.lock").read_text().replace(RECORD, "reports/other.json")
    (workspace / "dvc.lock").write_text(write_lock_without)
    assert never_ran(workspace) == {}
