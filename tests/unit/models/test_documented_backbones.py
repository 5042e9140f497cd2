"""docs/models.md on models of other libraries: its examples are valid, its names of layers those of the nets."""

from __future__ import annotations

import re
from fnmatch import filter as matching
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from torch import nn

from samebits.base.registry import load_module
from samebits.models import build_model
from samebits.params.choices import MODELS
from samebits.params.transfer import TransferParams
from tests.helpers.backbones import CONFIGS, NEEDS_TIMM, encoder_settings, image_settings, texts, vit
from tests.helpers.signatures import images
from tests.helpers.workspace import ROOT

PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
PART = PAGE[PAGE.index("## torchvision and timm") : PAGE.index("## A model of your own")]
EXAMPLES = {
    values["model"]["name"]: values
    for values in map(YAML(typ="safe").load, re.findall(r"```yaml\n(.*?)```", PART, re.DOTALL))
}
ROWS = [
    (label, re.findall(r"`([^`]+)`", cells))
    for label, cells in re.findall(r"^\| (?:`encoder`|torchvision|timm): ([^|]+) (\|.*)$", PART, re.MULTILINE)
]


@pytest.mark.parametrize("name", ["encoder", "timm", "torchvision"])
def test_the_examples_are_valid(name: str) -> None:
    example = EXAMPLES[name]
    settings = load_module("model", name, MODELS).Settings.model_validate(example["model"])
    names = [each for each, _ in built(settings).named_parameters()]
    for pattern in TransferParams.model_validate(example["transfer"]).freeze:
        assert matching(names, pattern), pattern


def built(settings: Any) -> nn.Module:
    if settings.name == "encoder":
        return build_model(encoder_settings(settings.family), texts())
    if settings.name == "timm":
        pytest.importorskip("timm")
        return build_model(vit(), images((3, 32, 32), 2))
    return build_model(settings, images((3, 32, 32), 2))


NETS: dict[str, list[Any]] = {
    "resnet, resnext": [image_settings("torchvision", "resnet18")],
    "convnext, efficientnet, mobilenet": [image_settings("torchvision", "mobilenet_v3_small")],
    "vit": [image_settings("torchvision", "vit_b_32", arguments={"image_size": 32})],
    "convnext": [image_settings("timm", "test_convnext")],
    "roberta, xlm-roberta, deberta-v2": [encoder_settings("roberta"), encoder_settings("deberta-v2")],
    "distilbert": [encoder_settings("distilbert")],
    "modernbert": [encoder_settings("modernbert")],
}


def test_every_family_of_encoders_is_documented() -> None:
    assert {family for label, _ in ROWS for family in label.split(", ")} >= set(CONFIGS)
    assert len(ROWS) == 8


@NEEDS_TIMM
@pytest.mark.parametrize(("label", "patterns"), ROWS)
def test_the_names_of_layers(label: str, patterns: list[str]) -> None:
    nets = [vit()] if "net.blocks.0.*" in patterns else NETS[label]
    for settings in nets:
        network = build_model(settings, texts() if settings.name == "encoder" else images((3, 32, 32), 2))
        names = [name for name, _ in network.named_parameters()]
        for pattern in patterns:
            assert matching(names, pattern), pattern


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
