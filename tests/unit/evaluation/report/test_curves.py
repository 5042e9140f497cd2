"""Reading of the training curves."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.evaluation.report.curves import read_curves


def test_empty_cells_and_the_learning_rate_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    file.write_text("step,epoch,train/loss,train/lr,val/loss,val/none\n1,0.5,2.0,0.1,,\n2,1,1.0,0.1,1.5,\n")
    loss, validation = read_curves(file)
    assert (loss.name, loss.steps, loss.values, loss.group) == ("train/loss", (1, 2), (2.0, 1.0), "loss")
    assert (validation.name, validation.steps, validation.values) == ("val/loss", (2,), (1.5,))


def test_no_rows_is_no_curve(tmp_path: Path) -> None:
    file = tmp_path / "curves.csv"
    file.write_text("step,train/loss\n")
    assert read_curves(file) == []


@pytest.mark.parametrize("text", [None, "step,train/loss\n1,abc\n", "epoch,train/loss\n1,2\n"])
def test_missing_and_damaged_files_name_the_fix(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "curves.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match="dvc repro train"):
        read_curves(file)
