"""Models of other libraries in the stages: the same bytes twice, loaded again where the first weights are not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file
from samebits.base.signals import StopRequest
from samebits.checkpoints.checkpoint import load_checkpoint
from samebits.data.loading.prepared import read_info
from samebits.models import build_model
from samebits.params.augment import AugmentParams
from samebits.params.runtime import RuntimeParams
from samebits.params.section import Section
from samebits.params.train import TrainParams
from samebits.params.transfer import TransferParams
from samebits.tasks.classification import Settings as Classification
from samebits.training.train import train
from tests.helpers.backbones import CONFIGS, NEEDS_TIMM, encoder_settings, image_settings
from tests.helpers.image_project import make_context
from tests.helpers.text_project import make_text_context

TRAIN: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 32,
    "threads": 1,
    "precision": "fp32",
    "optimizer": {"name": "adamw", "lr": 0.01},
}
VIT = {"img_size": 12, "embed_dim": 12, "depth": 1, "num_heads": 2, "patch_size": 4}
CASES: dict[str, Section] = {
    "torchvision": image_settings("torchvision", "shufflenet_v2_x0_5", input_size=32),
    "timm": image_settings("timm", "vit_tiny_patch16_224", arguments=VIT),
    "roberta": encoder_settings("roberta", config={**CONFIGS["roberta"], "max_position_embeddings": 64}),
}


def of_images(root: Path) -> Any:
    context = make_context(root)
    context.stop = StopRequest()
    context.runtime = RuntimeParams(device="cpu", workers=0, progress="off", checkpoint_seconds=1e6)
    (root / "dvc.yaml").write_text("stages: {}\n")
    return context


def run(context: Any, model: Section, transfer: TransferParams) -> str:
    """Train anew; the SHA-256 of the weights."""
    shutil.rmtree(context.project.state, ignore_errors=True)
    sections = (Classification(name="classification"), model, AugmentParams(), TrainParams.model_validate(TRAIN))
    train(3, "strict", *sections, transfer, context=context)
    return sha256_file(context.project.checkpoint / "model.safetensors")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("case", ["torchvision", pytest.param("timm", marks=NEEDS_TIMM), "roberta"])
def test_the_same_bytes_twice_and_loaded_without_the_weights(case: str, tmp_path: Path) -> None:
    context = make_text_context(tmp_path) if case == "roberta" else of_images(tmp_path)
    settings, signature = CASES[case], read_info(context.project.prepared).signature
    torch.manual_seed(9)
    name = "data/raw/start.safetensors"
    (tmp_path / "data/raw").mkdir(parents=True, exist_ok=True)
    save_file({name: value.clone() for name, value in build_model(settings, signature).state_dict().items()},
              tmp_path / name)  # fmt: skip
    transfer = TransferParams(weights=name, sha256=sha256_file(tmp_path / name), layer_decay=0.5)
    first = run(context, settings, transfer)
    assert run(context, settings, transfer) == first
    assert any("are from data/raw/start.safetensors" in line for line in context.said)
    assert (case == "roberta") != any("normalised by mean" in line for line in context.said)
    (tmp_path / name).unlink()
    kept = read_json(context.project.checkpoint / "config.json")["model"]
    assert kept["config"]["num_hidden_layers"] == 2 if case == "roberta" else len(kept["mean"]) == 3
    checkpoint = load_checkpoint(context.project.checkpoint)
    assert not checkpoint.model.training


@pytest.mark.usefixtures("restored")
def test_a_net_that_cannot_take_the_images_stops_before_the_first_step(tmp_path: Path) -> None:
    context = of_images(tmp_path)
    shutil.rmtree(context.project.checkpoint)
    with pytest.raises(UserError, match="cannot compute images of 12x12 pixels"):
        run(context, image_settings("torchvision", "alexnet"), TransferParams())
    assert not context.project.checkpoint.exists()
