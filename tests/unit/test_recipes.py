"""`samebits use`: params.yaml takes over a recipe and keeps its comments; what is not valid is not written."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from samebits.errors import UserError
from samebits.params.read import read_yaml
from samebits.params.schema import read_params
from samebits.recipes import merge, use

ROOT = Path(__file__).resolve().parents[2]
PARAMS = """\
# Every parameter of a run.
seed: 0
task:
  name: classification
model:
  name: convnet
  stages: [[32, 32], [64, 128]]  # of two convolutions each

train:
  epochs: 5
  optimizer:
    name: "sgd"  # the classic
    lr: 0.25
    weight_decay: 1e-4

# Nothing below can change a result.
runtime:
  workers: 1
"""
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "recipes").mkdir()
    return tmp_path


def add_recipe(project: Path, name: str, text: str) -> None:
    (project / "recipes" / f"{name}.yaml").write_text(text)


def test_values_change_and_comments_and_notation_stay(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_recipe(project, "long", "train:\n  epochs: 77\n")
    use(project, "long")
    assert (project / "params.yaml").read_text() == PARAMS.replace("epochs: 5", "epochs: 77")
    assert "recipes/long.yaml" in capsys.readouterr().out


def test_null_stays_null(project: Path) -> None:
    written = PARAMS.replace("epochs: 5", "epochs: 5\n  micro_batch_size: null")
    (project / "params.yaml").write_text(written)
    add_recipe(project, "other", "seed: 5\n")
    use(project, "other")
    assert (project / "params.yaml").read_text() == written.replace("seed: 0", "seed: 5")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_valid_parameters(project: Path, name: str) -> None:
    shutil.copy(ROOT / "params.yaml", project)
    shutil.copytree(ROOT / "recipes", project / "recipes", dirs_exist_ok=True)
    use(project, name)
    sections = read_params(project / "params.yaml").dump()
    for section, values in read_yaml(ROOT / "recipes" / f"{name}.yaml").items():
        for key, value in values.items():
            if not isinstance(value, dict):
                assert sections[section][key] == value, f"{section}.{key}"


def test_using_a_recipe_twice_changes_nothing_more(project: Path) -> None:
    add_recipe(project, "mirrored", "augment:\n  flip: true\ntrain:\n  ema_decay: 0.99\n")
    use(project, "mirrored")
    once = (project / "params.yaml").read_text()
    use(project, "mirrored")
    assert (project / "params.yaml").read_text() == once


def test_an_unknown_recipe_is_told_the_nearest(project: Path) -> None:
    add_recipe(project, "mnist", "seed: 1\n")
    add_recipe(project, "cifar10", "seed: 1\n")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match="'minst'") as error:
        use(project, "minst")
    assert error.value.cure == "did you mean mnist? known: cifar10, mnist"
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: 3\ntrain:\n  epoch: 8\n", r"train\.epoch"),
        ("seed: 3\ntrain:\n  batch_size: 128\n  micro_batch_size: 100\n", r"train\.micro_batch_size"),
        ("seed: 3\nmodel:\n  name: perceptron\n", r"model\.name"),
        ("seed: [3\n", "line"),
    ],
)
def test_an_invalid_result_writes_nothing(project: Path, text: str, problem: str) -> None:
    add_recipe(project, "wrong", text)
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match=problem):
        use(project, "wrong")
    assert (project / "params.yaml").read_bytes() == before
    assert sorted(path.name for path in project.iterdir()) == ["params.yaml", "recipes"]


def test_a_broken_params_file_is_named_by_line(project: Path) -> None:
    add_recipe(project, "mnist", "seed: 1\n")
    (project / "params.yaml").write_text("seed: 1\ntrain: [\n")
    with pytest.raises(UserError, match=r"params\.yaml, line"):
        use(project, "mnist")


def test_another_optimizer_replaces_the_section(project: Path) -> None:
    add_recipe(project, "adam", "train:\n  optimizer:\n    name: adamw\n    lr: 1e-3\n")
    use(project, "adam")
    optimizer = read_yaml(project / "params.yaml")["train"]["optimizer"]
    # momentum is no key of adamw; its own keys are written out, so that `dvc exp run -S` can change them
    defaults = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    assert optimizer == {"name": "adamw", "lr": 1e-3, **defaults}


def test_the_same_optimizer_is_merged(project: Path) -> None:
    add_recipe(project, "slow", "train:\n  optimizer:\n    name: sgd\n    lr: 0.01\n")
    use(project, "slow")
    optimizer = read_yaml(project / "params.yaml")["train"]["optimizer"]
    assert optimizer == {"name": "sgd", "lr": 0.01, "weight_decay": 1e-4}


@pytest.mark.parametrize(
    ("base", "override", "merged"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({}, {"a": {"b": 3}}, {"a": {"b": 3}}),
        ({"a": None}, {"a": {"name": "x"}}, {"a": {"name": "x"}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"name": "x", "b": 1}}, {"a": {"name": "y"}}, {"a": {"name": "y"}}),
        ({"a": {"name": "x", "b": 1}}, {"a": {"c": 2}}, {"a": {"name": "x", "b": 1, "c": 2}}),
    ],
)
def test_merge(base: dict[str, Any], override: dict[str, Any], merged: dict[str, Any]) -> None:
    merge(base, override)
    assert base == merged
