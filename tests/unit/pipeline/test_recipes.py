"""`samebits use`: params.yaml takes over a recipe and keeps its comments; what is not valid is not written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.params.schema import read_params
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import merge, use
from tests.helpers.workspace import ROOT

PARAMS = (ROOT / "params.yaml").read_text()
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "recipes").mkdir()
    return tmp_path


def add_recipe(project: Path, name: str, text: str) -> None:
    (project / "recipes" / f"{name}.yaml").write_text(text)


def recipe(**changes: Any) -> str:
    """The MNIST recipe with other values, as text."""
    values = read_yaml(ROOT / "recipes" / "mnist.yaml")
    merge(values, changes)
    return json.dumps(values)  # JSON is YAML


def test_the_committed_parameters_are_the_recipe_of_mnist(project: Path) -> None:
    add_recipe(project, "mnist", recipe())
    use(project, "mnist")
    assert (project / "params.yaml").read_text() == PARAMS


def test_values_change_and_comments_and_notation_stay(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_recipe(project, "long", recipe(train={"epochs": 77}, data={"shard_mib": 1.0}))
    use(project, "long")
    expected = PARAMS.replace("  epochs: 5", "  epochs: 77").replace("shard_mib: 8.0", "shard_mib: 1.0")
    assert (project / "params.yaml").read_text() == expected
    assert "recipes/long.yaml" in capsys.readouterr().out


def test_how_a_run_is_made_stays_and_what_is_learnt_does_not(project: Path) -> None:
    edited = PARAMS.replace("seed: 0", "seed: 7").replace("  workers: 1", "  workers: 3")
    (project / "params.yaml").write_text(edited.replace("  flip: false", "  flip: true"))
    add_recipe(project, "mnist", recipe())
    use(project, "mnist")
    assert (project / "params.yaml").read_text() == edited


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


def test_a_recipe_leaves_nothing_behind_for_the_next(project: Path) -> None:
    shutil.copytree(ROOT / "recipes", project / "recipes", dirs_exist_ok=True)
    for name in RECIPES:
        use(project, name)
        once = (project / "params.yaml").read_text()
        use(project, name)
        assert (project / "params.yaml").read_text() == once, name
    use(project, "mnist")
    assert read_yaml(project / "params.yaml") == read_yaml(ROOT / "params.yaml")


def test_an_unknown_recipe_is_told_the_nearest(project: Path) -> None:
    add_recipe(project, "mnist", "seed: 1\n")
    add_recipe(project, "cifar10", "seed: 1\n")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError, match="'minst'") as error:
        use(project, "minst")
    assert error.value.fix.startswith("did you mean mnist? known: bikeshare, bikeshare_hours, cifar10, ")
    assert (project / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (recipe(train={"epoch": 8}), r"train\.epoch"),
        (recipe(train={"micro_batch_size": 100}), r"train\.micro_batch_size"),
        (recipe(model={"name": "perceptron"}), r"model\.name"),
        ("seed: 3\n", r"task\.name"),
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


def test_defaults_of_another_optimizer_are_written_out(project: Path) -> None:
    """`dvc exp run -S` changes only keys that are there."""
    add_recipe(project, "adam", recipe(train={"optimizer": {"name": "adamw", "lr": 1e-3}}))
    use(project, "adam")
    optimizer = read_yaml(project / "params.yaml")["train"]["optimizer"]
    defaults = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    assert optimizer == {"name": "adamw", "lr": 1e-3, **defaults}


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


def test_a_recipe_for_own_data_says_what_to_set(project: Path) -> None:
    data = {"source": "data/raw/own.csv", "format": "table"}
    add_recipe(project, "own", recipe(data=data))
    said: list[str] = []
    use(project, "own", said.append)
    assert said[1:] == ["but first set data.source to your own file or folder: data/raw/own.csv does not exist"]
    (project / "data/raw").mkdir(parents=True)
    (project / "data/raw/own.csv").write_text("a,b\n1,2\n")
    said.clear()
    use(project, "own", said.append)
    assert len(said) == 1
