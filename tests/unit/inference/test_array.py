"""Arrays of one shape, one a file or many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samebits.base.errors import UserError
from tests.helpers.asked import answered, asked
from tests.helpers.onnx_models import array_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return array_model(tmp_path / "model.onnx")


def test_a_file_that_the_model_cannot_take_has_its_error(model: Path, tmp_path: Path) -> None:
    for name, array in {
        "right": np.ones((2, 3)),
        "several": np.ones((4, 2, 3), dtype=np.int64),
        "other": np.ones((3, 2)),
        "broken": np.full((2, 3), 0.5),
        "objects": np.array(["a"]),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "text.npy").write_text("a,b")
    listed = tmp_path / "list.jsonl"
    listed.write_text('{"path": "gone.npy"}\n{"path": "several.npy"}\n')
    names = ("right", "several", "other", "broken", "objects", "text")
    found = asked(model, files=(*(tmp_path / f"{name}.npy" for name in names), listed))
    assert [bool(each.error) for each in found] == [False] * 5 + [True] * 6
    errors = {Path(each.name).stem: each.error for each in found if each.error}
    assert errors["other"] == "its shape is [3, 2], the model takes [2, 3] or several of them, [N, ...]"
    assert errors["broken"] == "it holds 0.5, which is no int16 as the model takes them"
    assert errors["objects"] == "it holds no array of numbers"
    assert errors["text"] == "it is no .npy file"
    assert errors["gone"] == "No such file or directory"
    assert errors["several"] == "its shape is [4, 2, 3], the model takes [2, 3]"


def test_arrays_of_a_file_are_numbered(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[[1, 0, 0], [0, 0, 0]], [[0, 0, 0], [9, 9, 9]]]))
    first, second = answered(model, files=(tmp_path,))
    assert (first.name, first.classes[0][0]) == (f"{tmp_path / 'a.npy'}[0]", "up")
    assert (second.name, second.classes[0][0]) == (f"{tmp_path / 'a.npy'}[1]", "down")


def test_a_truncated_file_is_an_error_of_its_own(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((100, 2, 3)))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:400])
    with pytest.raises(UserError, match="1 of 1 samples"):
        answered(model, files=(tmp_path / "a.npy",))
