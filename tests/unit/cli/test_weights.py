"""`samebits keep`: a copy of the checkpoint's weights below data/raw, and a recipe that starts from it."""

from __future__ import annotations

import shutil

import pytest

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.cli.weights import keep_weights
from samebits.params.schema import read_params
from samebits.pipeline.recipes import use
from tests.helpers.workspace import ROOT

NAME = "data/raw/mnist_resnet18.safetensors"


def test_the_weights_are_copied_once_and_others_are_not_lost(tiny_project: Project) -> None:
    said: list[str] = []
    trained, kept = tiny_project.checkpoint / "model.safetensors", tiny_project.workspace / NAME
    keep_weights(tiny_project, NAME, say=said.append)
    assert kept.read_bytes() == trained.read_bytes()
    assert f"transfer.weights: {NAME}\n  transfer.sha256: {sha256_file(trained)}" in said[-1]
    keep_weights(tiny_project, NAME, say=said.append)
    kept.write_bytes(b"others")
    with pytest.raises(UserError, match="holds other weights") as caught:
        keep_weights(tiny_project, NAME)
    assert "--replace" in caught.value.fix
    assert kept.read_bytes() == b"others"
    keep_weights(tiny_project, NAME, replace=True, say=said.append)
    assert kept.read_bytes() == trained.read_bytes()
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


@pytest.mark.parametrize("name", ["x.safetensors", "data/raw/x.pth", "data/raw/../x.safetensors", "/tmp/x.safetensors"])
def test_another_place_is_refused(name: str, tiny_project: Project) -> None:
    with pytest.raises(UserError, match=r"is no \.safetensors file below data/raw"):
        keep_weights(tiny_project, name)


def test_nothing_trained_and_a_folder_in_the_way(tiny_project: Project) -> None:
    (tiny_project.workspace / NAME).mkdir(parents=True)
    with pytest.raises(UserError, match="is a folder"):
        keep_weights(tiny_project, NAME, replace=True)
    shutil.rmtree(tiny_project.checkpoint)
    with pytest.raises(UserError, match=r"config\.json does not exist"):
        keep_weights(tiny_project, NAME)


def test_a_recipe_that_starts_from_them_says_what_is_missing_and_pins_what_is_there(
    tiny_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny_project.workspace
    shutil.copytree(ROOT / "recipes", root / "recipes")
    for name in ("params.yaml", "dvc.yaml", "packages.yaml"):
        shutil.copy(ROOT / name, root)
    said: list[str] = []
    use(root, "transfer_resnet18", say=said.append)
    assert said[-1].startswith(f"but first make {NAME}")
    assert "samebits keep " + NAME in (root / "recipes" / "transfer_resnet18.yaml").read_text()
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(root / "data")
    assert main(["keep", NAME]) == 0
    assert NAME in capsys.readouterr().out
    use(root, "transfer_resnet18", say=said.append)
    assert said[-1] == f"it starts from {NAME} as it is now: transfer.sha256 pins it"
    assert read_params(root / "params.yaml").sections["transfer"].sha256 == sha256_file(root / NAME)
