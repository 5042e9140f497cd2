"""Every recipe is valid and trains a step: those for images on a cut of MNIST, the others on the data they name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from samebits.data.catalog import load_card
from samebits.files import read_json
from samebits.params.read import read_yaml
from samebits.recipes import use
from tests.conftest import ROOT, make_workspace, run_stage, set_params, stage_environment

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
IMAGES = {"cifar", "idx", "image_folder"}

QUICK = {
    "train": {"threads": 1},
    "runtime": {"tracking": {"enabled": False}, "progress": "off"},
}


def source(recipe: str) -> str:
    """The card that a recipe names."""
    name: str = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")["data"]["source"]
    return name


def of_images(recipe: str) -> bool:
    return load_card(ROOT / "data" / "catalog", source(recipe)).format in IMAGES


def first_step(workspace: Path) -> float:
    """The loss of one step, from the train stage's own code."""
    done = subprocess.run(
        [sys.executable, "-m", "samebits.verify.steps", "1", "trace.json"],
        cwd=workspace,
        env=stage_environment(PYTHONPATH=str(workspace / "src")),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (loss,) = read_json(workspace / "trace.json")["losses"]
    return float.fromhex(loss)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if of_images(name)])
def test_a_recipe_for_images_trains_a_step(recipe: str, tmp_path: Path, small_mnist: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", small_mnist, quick=False)
    use(workspace, recipe)
    # Weights that another recipe makes are not there.
    set_params(workspace, {**QUICK, "transfer": {"weights": None}})
    assert 1.5 < first_step(workspace) < 4.0  # log 10 is 2.3


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("recipe", [name for name in RECIPES if not of_images(name)])
def test_a_recipe_for_other_data_prepares_them_and_trains_a_step(
    recipe: str, tmp_path: Path, small_mnist: Path
) -> None:
    workspace = make_workspace(tmp_path / "workspace", small_mnist, quick=False)
    use(workspace, recipe)
    set_params(workspace, QUICK)
    prepared = run_stage(workspace, "prepare", timeout=600)
    assert prepared.returncode == 0, prepared.stderr
    assert 0.0 < first_step(workspace) < 12.0
    assert read_json(workspace / "data" / "prepared" / "dataset.json")["name"] == source(recipe)
