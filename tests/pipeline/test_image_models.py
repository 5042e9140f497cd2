"""The image recipes that need what is not here, on small made data: a step, the evaluation, and the export's parity."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from samebits.base.files import read_json, sha256_file
from samebits.data.fetching.catalog import load_card
from samebits.pipeline.recipes import use
from tests.helpers.cifar_source import contents, source
from tests.helpers.workspace import make_workspace, run_stage, set_params

QUICK: dict[str, Any] = {
    "train": {"epochs": 1, "batch_size": 32, "threads": 1},
    "evaluate": {"bootstrap": 100},
    "export": {"batch_sizes": [3]},
    "runtime": {"tracking": {"enabled": False}},
}


@pytest.mark.slow
def test_cifar10_resnet18_on_made_files(tmp_path: Path, few_mnist: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", few_mnist, quick=False)
    # Random pixels in CIFAR's layout: the card of the real ones, with the hash of these.
    few = {name: data[: 20 * 3073] if name.endswith(".bin") else data for name, data in contents(10).items()}
    (tmp_path / "made").mkdir()
    made = source(tmp_path / "made", 10, few).own
    name = load_card(workspace / "data/catalog", "cifar10").files[0].name
    card = workspace / "data/catalog/cifar10.yaml"
    text = card.read_text()
    old = load_card(workspace / "data/catalog", "cifar10").files[0]
    text = text.replace(old.sha256, sha256_file(made)).replace(f"bytes: {old.bytes}", f"bytes: {made.stat().st_size}")
    card.write_text(text)
    shutil.move(made, tmp_path / "made" / name)
    use(workspace, "cifar10_resnet18")
    set_params(workspace, {**QUICK, "export": {"batch_sizes": [3], "formats": ["onnx"]}})  # the other is tested below
    for stage in ("prepare", "train", "evaluate", "export"):
        result = run_stage(workspace, stage, SAMEBITS_DATA=str(tmp_path / "made"))
        assert result.returncode == 0, result.stdout + result.stderr
    assert read_json(workspace / "models/checkpoint/config.json")["model"]["stem"] == "small"
    assert (workspace / "models/export/model.onnx").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    "model",
    [
        {"name": "efficientnet_lite0", "stem": "small", "mirror": True},
        {"name": "resnet9", "widths": [4, 8, 8, 16], "mirror": True},
    ],
    ids=lambda model: model["name"],
)
def test_a_model_that_looks_at_both_sides_is_exported(model: dict[str, Any], tmp_path: Path, few_mnist: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", few_mnist)
    set_params(workspace, QUICK, replace={"model": model})
    for stage in ("train", "evaluate", "export"):
        result = run_stage(workspace, stage)
        assert result.returncode == 0, result.stdout + result.stderr
    report = read_json(workspace / "models/export/export.json")
    assert report["formats"].keys() == {"onnx", "torch_export"}


@pytest.mark.slow
def test_weights_are_transferred_and_a_model_of_ones_own_is_exported(tmp_path: Path, few_mnist: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", few_mnist)
    own = {"name": "own", "file": "custom/example.py", "class_name": "Net", "arguments": {"width": 8}}
    set_params(workspace, QUICK, replace={"model": own})
    for stage in ("train", "evaluate", "export"):
        result = run_stage(workspace, stage)
        assert result.returncode == 0, result.stdout + result.stderr
    shutil.copy(workspace / "models/checkpoint/model.safetensors", workspace / "data/raw.safetensors")
    (workspace / "data/raw").mkdir(exist_ok=True)
    shutil.move(workspace / "data/raw.safetensors", workspace / "data/raw/first.safetensors")
    set_params(workspace, {"transfer": {"weights": "data/raw/first.safetensors", "freeze": ["0.*", "1.*"]}})
    result = run_stage(workspace, "train")
    assert result.returncode == 2
    digest = sha256_file(workspace / "data/raw/first.safetensors")
    assert f"set transfer.sha256: {digest}" in result.stderr + result.stdout
    before = read_json(workspace / "reports/train/metrics.json")["val"]["loss"]
    set_params(workspace, {"transfer": {"sha256": digest}})
    result = run_stage(workspace, "train")
    assert result.returncode == 0, result.stderr
    assert "transfer: 9 of 9 tensors (100.0% of the values) are from data/raw/first.safetensors" in result.stdout
    assert read_json(workspace / "reports/train/metrics.json")["val"]["loss"] < before
