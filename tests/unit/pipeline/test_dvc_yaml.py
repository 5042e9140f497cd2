"""dvc.yaml as stages with what they read and write."""

from __future__ import annotations

from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.pipeline.dvc_yaml import Output, read_pipeline, stage_files

DVC = """
stages:
  train:
    cmd: python stages/train.py ${model.name}
    deps: [stages/train.py, "src/models/${model.name}.py", data/prepared]
    params: [seed, other.yaml: [a, b], all.yaml: ]
    outs: [models/checkpoint]
    metrics:
      - reports/metrics.json:
          cache: false
    plots:
      - reports/curves.csv:
          x: step
      - reports/confusion.png
  other:
    cmd: [one, two]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(DVC)
    (tmp_path / "params.yaml").write_text("seed: 1\nmodel: {name: mlp}\n")
    return tmp_path


def test_what_a_stage_reads_and_writes(workspace: Path) -> None:
    reads, writes = stage_files(workspace, "train")
    assert [path.relative_to(workspace).as_posix() for path in reads] == [
        "stages/train.py", "src/models/mlp.py", "data/prepared",
    ]  # fmt: skip
    names = ["models/checkpoint", "reports/metrics.json", "reports/curves.csv", "reports/confusion.png"]
    assert writes == [workspace / name for name in names]


@pytest.mark.parametrize("stage", ["other", "absent"])
def test_a_stage_without_entries_reads_and_writes_nothing(workspace: Path, stage: str) -> None:
    assert stage_files(workspace, stage) == ([], [])


def test_a_stage_has_commands_params_and_kinds_of_outputs(workspace: Path) -> None:
    stages = read_pipeline(workspace)
    assert list(stages) == ["train", "other"]
    train = stages["train"]
    assert train.commands == ("python stages/train.py mlp",)
    assert train.params == {"params.yaml": ("seed",), "other.yaml": ("a", "b"), "all.yaml": ()}
    assert train.outputs[1] == Output("reports/metrics.json", "metrics", cached=False)
    assert train.paths("plots") == ["reports/curves.csv", "reports/confusion.png"]
    assert stages["other"].commands == ("one", "two")


@pytest.mark.parametrize("text", ["stages: [1]\n", "stages: {a: 1}\n", "stages: {a: {deps: 1}}\n", "x"])
def test_what_is_no_pipeline_is_a_user_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(UserError) as error:
        read_pipeline(tmp_path)
    assert error.value.fix
