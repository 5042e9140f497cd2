"""A Dataset that gives words with their tags: the same samples as files of them, and what is refused."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.tagged_files import columns, json_lines, sentence, tagged_project
from tests.helpers.workspace import ROOT

COUNT = 80
TEXT = {"vocabulary": 300, "length": 24}
CODE = """
class Samples:
    {attributes}

    def __init__(self, path):
        lines = (path / "names.jsonl").read_text().splitlines()
        self.items = [json.loads(line) for line in lines]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        words, tags = self.items[index]["tokens"], self.items[index]["tags"]
        {change}
        return words, tags
"""


def words_project(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, change: str = "", attributes: str = "", **data: Any
) -> Project:
    code = "import json\nimport torch\n" + CODE.format(change=change, attributes=attributes)
    project = own_project(workspace, monkeypatch, code, task="token_classification", model={"name": "text_conv"},
                          text=TEXT, **data)  # fmt: skip
    (workspace / "data/raw/mine/names.jsonl").write_text(json_lines([sentence(seed) for seed in range(COUNT)]))
    return project


def stored(project: Project) -> tuple[dict[str, Any], list[bytes]]:
    """What a model sees of the data, and the bytes of the shards."""
    info = read_json(project.prepared / "dataset.json")
    shards = [each for split in ("train", "validation", "test") for each in info["shards"][split]]
    files = [(project.prepared / each[part]).read_bytes() for each in shards for part in ("inputs", "targets")]
    return info["signature"], files


@pytest.mark.parametrize(
    "change",
    [
        "",
        "words, tags = tuple(words), np.array(tags)",
        "tags = np.array([self.classes.index(tag) for tag in tags])",
        "tags = torch.tensor([self.classes.index(tag) for tag in tags])",
    ],
)
def test_the_samples_are_those_of_a_file(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = words_project(tmp_path, monkeypatch, change, "classes = ['I-PER', 'O', 'B-LOC', 'I-LOC', 'B-PER']")
    lines = run_stages(project, "prepare")
    assert "tags of 2 types of entities: LOC, PER" in lines
    other = tmp_path / "file"
    (other / "data/raw").mkdir(parents=True)
    (other / "data/raw/names.jsonl").write_bytes((tmp_path / "data/raw/mine/names.jsonl").read_bytes())
    files = tagged_project(other, data={"source": "data/raw/names.jsonl", "text": TEXT})
    run_stages(files, "prepare")
    assert stored(project) == stored(files)


def test_a_generator_with_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        def Samples(path):
            for index in range(90):
                words = [f"w{index}", "is", f"n{index % 7}"]
                yield words, ["A", "B", "C" if index % 2 else "A"], {"group": index // 9}
    """
    project = own_project(tmp_path, monkeypatch, code, task="token_classification", text=TEXT, split="group")
    run_stages(project, "prepare")
    info = read_json(project.prepared / "dataset.json")
    assert info["signature"]["target"]["classes"] == ["A", "B", "C"]
    assert all(count % 9 == 0 for count in info["counts"].values())
    assert sum(info["counts"].values()) == 90


def test_the_documented_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "data-own.md").read_text(encoding="utf-8")
    (code,) = (each for each in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "def sentences" in each)
    own = {"file": "custom/mine.py", "class_name": "sentences"}
    project = own_project(tmp_path, monkeypatch, code, task="token_classification", text=TEXT, own=own)
    (tmp_path / "data/raw/mine/words.txt").write_text(columns([sentence(seed) for seed in range(COUNT)]))
    assert "tags of 2 types of entities: LOC, PER" in run_stages(project, "prepare")


def test_items_that_cannot_be_used_are_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = """
        if index == 3:
            tags = tags[:-1]
        if index == 5:
            words, tags = [], []
        if index == 7:
            tags = [0] * len(words)
        if index == 9:
            words = " ".join(words)
        if index == 11:
            words = np.zeros(len(words), dtype=np.float32)
        if index == 13:
            words = ["", *words[1:]]
        if index == 15:
            tags = 1.5
        if index == 17:
            raise OSError("disk on fire")
    """.strip()
    project = words_project(tmp_path, monkeypatch, change, max_rejected_fraction=0.2)
    run_stages(project, "prepare")
    with (project.prepared / "set_aside.csv").open() as file:
        found = {row["id"]: row["reason"] for row in csv.DictReader(file)}
    said = {
        "3": "words, ",
        "5": "it has no words",
        "7": "its tags are numbers: give their names, or the Dataset an attribute `classes`",
        "9": "its input is of type str: give an array, a tensor, a PIL image or a list of words",
        "11": "its input is no list of words",
        "13": "word 1 is empty",
        "15": "its target is of type float: give a list with a tag for each word",
        "17": "OSError: disk on fire",
    }
    assert list(found) == list(said)
    for number, reason in said.items():
        assert reason in found[number]


@pytest.mark.parametrize(
    ("change", "data", "problem"),
    [
        ("", {"target_kind": "class"}, "gives lists of words, which have tags, and data.target_kind is 'class'"),
        ("tags = tags + ['O']", {}, "none of its first 50 items can be used; item 0: "),
        ("tags = ['O' if np.random.rand() < .5 else 'B-X' for word in words]", {}, "is not deterministic: item"),
        ("tags = [5 for word in words]", {}, "its tag 5 has no name: `classes` of the Dataset holds 2"),
        ("tags = ['odd'] * len(words) if index == 1 else tags", {}, "do not: 'odd' ("),
    ],
)
def test_refused(
    change: str, data: dict[str, Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = words_project(tmp_path, monkeypatch, change, "classes = ('O', 'B-PER')", **data)
    with pytest.raises(UserError) as caught:
        run_stages(project, "prepare")
    assert problem in str(caught.value)
    assert not (project.prepared / "dataset.json").exists()


def test_words_among_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        def Samples(path):
            for index in range(60):
                yield (["a"] if index == 4 else np.full(3, index, dtype=np.float32)), index % 2
    """
    project = own_project(tmp_path, monkeypatch, code, max_rejected_fraction=0.1)
    run_stages(project, "prepare")
    assert (
        "its input is a list of words, that of the first item an array"
        in (project.prepared / "set_aside.csv").read_text()
    )
    assert np.load(next((project.prepared / "shards").glob("train*.npy"))).shape[1:] == (3,)
