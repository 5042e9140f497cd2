"""Where two files diverge, by kind of file; tensors to the last bit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from samebits.provenance.verify.compare import (
    compare_tensors,
    describe,
    describe_output,
    first_difference,
    tensor_difference,
)


def write(folder: Path, name: str, old: bytes, new: bytes) -> tuple[Path, Path]:
    (folder / "old").mkdir()
    (folder / "new").mkdir()
    (folder / "old" / name).write_bytes(old)
    (folder / "new" / name).write_bytes(new)
    return folder / "old" / name, folder / "new" / name


@pytest.mark.parametrize(
    ("old", "new", "offset"),
    [
        (b"abc", b"abc", None),
        (b"", b"", None),
        (b"abc", b"abd", 2),
        (b"abc", b"ab", 2),
        (b"", b"x", 0),
        (b"x" * (1 << 20), b"x" * (1 << 20) + b"y", 1 << 20),
        (b"x" * (3 << 19) + b"y", b"x" * (3 << 19) + b"z", 3 << 19),
    ],
)
def test_first_difference(old: bytes, new: bytes, offset: int | None, tmp_path: Path) -> None:
    assert first_difference(*write(tmp_path, "f", old, new)) == offset


def test_equal_files_have_nothing_to_tell(tmp_path: Path) -> None:
    assert describe("a.json", *write(tmp_path, "a.json", b"{}", b"{}")) == []


def test_tensors_name_the_first_and_the_largest(tmp_path: Path) -> None:
    old = {"a": torch.ones(3), "b": torch.tensor([1.0, 2.0]), "c": torch.zeros(2, 2)}
    new = {"a": torch.ones(3), "b": torch.tensor([1.0, 2.5]), "c": torch.full((2, 2), 4.0)}
    save_file(old, tmp_path / "old.safetensors")
    save_file(new, tmp_path / "new.safetensors")
    (line,) = describe("w.safetensors", tmp_path / "old.safetensors", tmp_path / "new.safetensors")
    assert line.startswith("2 of 3 tensors differ; the first is b, by up to 0.5 (relative 0.2)")
    assert line.endswith("the most c, by 4 (relative 1)")


def test_tensors_of_another_name_shape_or_dtype() -> None:
    old = {"a": torch.ones(3), "b": torch.ones(2), "gone": torch.ones(1)}
    new = {"a": torch.ones(3, dtype=torch.bfloat16), "b": torch.ones(3), "came": torch.ones(1)}
    text = "\n".join(compare_tensors(old, new))
    assert "other tensors: -gone, +came" in text
    assert "a was torch.float32 (3,) and is torch.bfloat16 (3,)" in text
    assert "b was torch.float32 (2,) and is torch.float32 (3,)" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([1.0], [1.0], (0.0, 0.0)),
        ([2.0], [1.0], (1.0, 0.5)),
        ([0.0], [-0.0], (0.0, 0.0)),
        ([math.nan], [math.nan], (0.0, 0.0)),
        ([math.inf], [math.inf], (0.0, 0.0)),
        ([math.nan], [1.0], (math.inf, math.inf)),
        ([math.inf], [1.0], (math.inf, math.inf)),
        ([], [], (0.0, 0.0)),
    ],
)
def test_how_far_apart(old: list[float], new: list[float], expected: tuple[float, float]) -> None:
    assert tensor_difference(torch.tensor(old), torch.tensor(new)) == expected


def test_the_sign_of_a_zero_is_a_difference_of_bits() -> None:
    (line,) = compare_tensors({"a": torch.tensor([0.0])}, {"a": torch.tensor([-0.0])})
    assert line.startswith("1 of 1 tensors differ")


def test_curves_part_at_a_step(tmp_path: Path) -> None:
    old = b"step,train/loss,val/loss\n5,2.5,\n10,2.0,1.9\n"
    new = b"step,train/loss,val/loss\n5,2.5,\n10,2.0000002,1.9\n"
    (line,) = describe("curves.csv", *write(tmp_path, "curves.csv", old, new))
    assert line == "the curves diverge at step 10: train/loss 2.0 -> 2.0000002"


def test_tables_json_and_arrays(tmp_path: Path) -> None:
    rows = write(tmp_path, "a.csv", b"x\n1\n2\n", b"x\n1\n")
    assert describe("a.csv", *rows) == ["had 2 rows and has 1"]
    for side, value in (("old", {"a": {"b": 1}, "c": 2}), ("new", {"a": {"b": 1.5}, "c": 3})):
        (tmp_path / side / "a.json").write_text(json.dumps(value))
    assert describe("a.json", tmp_path / "old/a.json", tmp_path / "new/a.json") == [
        "a.b was 1 and is 1.5 (and 1 more keys)"
    ]
    for side, last in (("old", 3.0), ("new", 3.5)):
        (tmp_path / side / "a.json").write_text(
            json.dumps({"curve": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": last}]})
        )
    assert describe("a.json", tmp_path / "old/a.json", tmp_path / "new/a.json") == ["curve.1.loss was 3.0 and is 3.5"]
    for side, last in (("old", 3), ("new", 4)):
        np.save(tmp_path / side / "a.npy", np.array([[1, 2], [3, last]]))
    assert describe("a.npy", tmp_path / "old/a.npy", tmp_path / "new/a.npy") == [
        "1 of 4 values differ, the first at [1, 1]"
    ]


@pytest.mark.parametrize("name", ["a.json", "a.safetensors", "a.npy", "a.png", "a.csv"])
def test_what_is_not_what_its_name_says_is_told_by_its_bytes(name: str, tmp_path: Path) -> None:
    lines = describe(name, *write(tmp_path, name, b"\x00\xffx", b"\x00\xffyz"))
    assert lines == ["bytes differ from offset 2 on (3 and 4 bytes)"] or name == "a.csv"
    assert lines


def test_files_of_a_folder(tmp_path: Path) -> None:
    old, new = write(tmp_path, "f", b"1", b"2")
    lines = describe_output("out", {"f": old, "gone": old}, {"f": new, "came": new})
    assert lines == [
        "out/came: was not there before",
        "out/f: bytes differ from offset 0 on (1 and 1 bytes)",
        "out/gone: not written this time",
    ]
