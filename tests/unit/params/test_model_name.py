"""What a model is called for people."""

from __future__ import annotations

from typing import Any

import pytest

from samebits.params.model_name import shown_model


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ({"name": "convnet", "crop": 2}, "convnet"),
        ({"name": "timm", "architecture": "resnet18.a1_in1k"}, "timm resnet18.a1_in1k"),
        ({"name": "torchvision", "architecture": "convnext_tiny"}, "torchvision convnext_tiny"),
        ({"name": "encoder", "family": "roberta", "config": {}}, "encoder roberta"),
        ({"name": "own", "file": "custom/example.py", "class_name": "Net"}, "own Net"),
        ({}, "model"),
    ],
)
def test_the_name_and_which_of_a_librarys_models(model: dict[str, Any], shown: str) -> None:
    assert shown_model(model) == shown
