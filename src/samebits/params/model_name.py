"""What a model is called in lines for people: `convnet`, `timm resnet18.a1_in1k`, `encoder roberta`, `own Net`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHICH = ("architecture", "family", "class_name")
"""Keys of the `model` section that say which of a library's models it is."""


def shown_model(model: Mapping[str, Any]) -> str:
    """The name of a model, and which of its library's it is.

    Args:
        model: the `model` section, or what a checkpoint keeps of it.
    """
    which = next((str(model[key]) for key in _WHICH if model.get(key)), "")
    return f"{model.get('name') or 'model'} {which}".rstrip()
