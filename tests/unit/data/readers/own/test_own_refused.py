"""A Dataset that cannot be used, or not all of it: what is said, and that nothing is written."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project

ROW = "np.random.default_rng(index).normal(size=4).astype(np.float32)"
CLASS = """
class Samples:
    def __init__(self, path):
        {init}
    def __len__(self):
        return {count}
    def __getitem__(self, index):
        if index >= {count}:
            raise IndexError
        {body}
"""


def of(body: str, count: int = 60, init: str = "pass") -> str:
    return CLASS.format(body=body, count=count, init=init)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("x = (", "custom/mine.py cannot be loaded: SyntaxError"),
        (
            "import no_such_package",
            "No module named 'no_such_package' (custom/mine.py, line 2: import no_such_package)",
        ),
        ("class Sample:\n    pass", "did you mean Sample?"),
        ("Samples = 3", "Samples of custom/mine.py cannot be opened: TypeError"),
        ("def Samples():\n    return []", "cannot be opened: TypeError"),
        ("def Samples(path):\n    return 3", "of type int, which has neither __getitem__ nor __iter__"),
        ("def Samples(path):\n    return []", "holds no usable sample"),
        (of("return 3"), "none of its first 50 items can be used; item 0: it is of type int: give (input, target)"),
        (of(f"return {ROW}.astype(float), 1"), "convert it, as with .astype(numpy.float32)"),
        (of(f"return {ROW}.tolist(), 1"), "item 0: its input is of type list"),
        (of(f"return {ROW}, np.zeros((2, 4), dtype=int)"), "its target is [2, 4], its input [4]: no mask of it"),
        (of("return np.zeros((3, 2, 4), dtype='u1'), np.full((2, 4), -1)"), "its mask has the values -1 to -1"),
        (
            of("return np.zeros((3, 2, 4), dtype='u1'), np.zeros((2, 4), dtype=int)"),
            "all pixels of all masks are of one",
        ),
        (of(f"return {ROW}, None"), "its target is None"),
        (of(f"return {ROW}, 1"), "all targets are 1: a classifier needs two classes"),
        (of(f"return {ROW}, index"), "60 samples have 60 different targets, such as 0 and 1"),
        (
            of("return np.zeros(4, dtype=np.float32), index % 2, {'split': ['train', 'val', 'test'][index % 3]}"),
            "all training arrays are equal",
        ),
        (of(f"return {ROW}, index % 2, {{'groups': 1}}"), "its third element has 'groups'"),
        (of(f"return {ROW}, index % 2", init="self.groups = [1]"), "has 60 items, but 1 groups"),
        (of(f"return {ROW}, index % 2", init="self.splits = ['x'] * 60"), "its split is 'x'; known: train"),
        (of("raise KeyError('a')"), "item 0: KeyError: 'a' (custom/mine.py, line 11: raise KeyError('a'))"),
        (of("return np.random.normal(size=4).astype(np.float32), index % 2"), "is not deterministic: item 0, 1, 2 and"),
        (of(f"return {ROW}, int(np.random.random() * 2)"), "is not deterministic"),
        (
            of("self.n += 1; return np.full(4, self.n, dtype=np.float32), index % 2", init="self.n = 0"),
            "another at a second reading",
        ),
        (
            "def Samples(path):\n    for i in range(60):\n        yield np.random.normal(size=4).astype('f4'), i % 2",
            "is not deterministic",
        ),
        (
            "def Samples(path):\n    yield np.zeros(4, dtype='f4'), 1\n    raise OSError('no file')",
            "item 1: OSError: no file (custom/mine.py, line 4",
        ),
    ],
)
def test_refused(code: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = own_project(tmp_path, monkeypatch, code)
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert problem in str(caught.value)
    assert caught.value.fix
    assert not (project.prepared / "dataset.json").exists()
    assert not list(project.state.glob("prepare-*"))


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("nubmer", "did you mean number?"), ("next_token", "data.target_kind is 'next_token'")],
)
def test_a_kind_of_target_that_no_dataset_gives(
    kind: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = own_project(tmp_path, monkeypatch, of(f"return {ROW}, 1.0"), target_kind=kind)
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert problem in str(caught.value)


def test_broken_items_are_set_aside_with_their_number_and_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
        class Samples:
            def __init__(self, path):
                self.path = path

            def __len__(self):
                return 100

            def __getitem__(self, index):
                values = np.random.default_rng(index).normal(size=(2, 5)).astype(np.float32)
                if index == 3:
                    raise OSError("disk on fire")
                if index == 5:
                    values[1, 2] = np.nan
                if index == 60:
                    values = values[:, :4]
                return values, 1.5 if index == 70 else index % 2
    """
    project = own_project(tmp_path, monkeypatch, code, max_rejected_fraction=0.05)
    run_stages(project, "prepare")
    with (project.prepared / "set_aside.csv").open() as file:
        found = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    assert list(found) == ["3", "5", "60", "70"]
    assert found["3"].startswith("OSError: disk on fire (custom/mine.py, line 13")
    assert "not finite" in found["5"]
    assert found["60"].startswith("its input is float32 [2, 4], that of item 0 is float32 [2, 5]")
    assert found["70"].startswith("its target is a number, that of the first sample a class")


def test_too_many_broken_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = own_project(tmp_path, monkeypatch, of(f"assert index % 5; return {ROW}, index % 2"))
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert "12 of 60 samples of data/raw/mine cannot be used" in caught.value.problem
    assert "0: AssertionError" in caught.value.problem
    assert not (project.prepared / "dataset.json").exists()


@pytest.mark.parametrize(
    ("third", "said"), [("", "it has no time"), (", 'soon'", "neither a date"), (", ''", "no time")]
)
def test_a_split_by_time_without_times(third: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = own_project(tmp_path, monkeypatch, of(f"return {ROW}, index % 2{third}"), split="time")
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert said in caught.value.problem


def test_files_beside_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of(f"(self.path.parent / 'other.txt').read_text(); return {ROW}, index % 2", init="self.path = path")
    project = own_project(tmp_path, monkeypatch, code)
    (tmp_path / "data/raw/other.txt").write_text("a")
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert "reads data/raw/other.txt, which data/raw/mine does not hold" in caught.value.problem
    assert not (project.prepared / "dataset.json").exists()


def test_code_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of(f"open('custom/mine.py', 'a').write('#'); return {ROW}, index % 2")
    project = own_project(tmp_path, monkeypatch, code)
    with pytest.raises(UserError, match=r"custom/mine\.py changed while prepare ran"):
        run_stages(project, "prepare")
