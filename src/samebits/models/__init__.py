"""Models: one file each, a plain `nn.Module` that knows nothing of the trainer.

A model file defines `Settings`, a `Section` with the model's own keys, and `build(settings, signature) -> nn.Module`.
To add one: write the file, add its name to `MODELS` in `params/choices.py`. More functions of a module, where it needs
them: `PER_PIXEL = True`, of a model that itself answers for every pixel (others become encoders of a U-Net where data
have masks, `layers/segmenter.py`); `reads(settings, signature) -> int`, tokens of a text, of a model that reads only
the beginning; `settle(settings, signature) -> settings`, what another library's release decides, written out for the
checkpoint; `notes(settings, signature)`, lines on how pretrained weights are fed; `in_transformers(network, settings,
signature)`, the same model as a class of `transformers` (`layers/in_transformers.py`); those of
`training.pretrained.load`.
A module whose parameters of several axes are no matrices but factors of single features names them in a class
attribute, `elementwise`: they are not decayed.
"""

from __future__ import annotations

from typing import cast

from torch import nn

from samebits.base.registry import load_module
from samebits.models.layers.segmenter import segmenter
from samebits.params.choices import MODELS
from samebits.params.section import Section
from samebits.signature.mask import MaskTarget
from samebits.signature.signature import Signature


def build_model(settings: Section, signature: Signature) -> nn.Module:
    """A freshly initialised model (weights from torch's current random state).

    Args:
        settings: the `model` section; its `name` picks the file.
        signature: what goes in and what comes out.

    Raises:
        UserError: if the model is not for such data.
    """
    name = str(getattr(settings, "name", ""))
    module = load_module("model", name, MODELS)
    if isinstance(signature.target, MaskTarget) and not getattr(module, "PER_PIXEL", False):
        return segmenter(module, settings, signature)
    return cast(nn.Module, module.build(settings, signature))


def settled_settings(settings: Section, signature: Signature) -> Section:
    """The `model` section as a checkpoint keeps it: what a library's release decides is written out.

    Raises:
        UserError: if the model is not for such data.
    """
    module = load_module("model", str(getattr(settings, "name", "")), MODELS)
    settle = getattr(module, "settle", None)
    return settings if settle is None else cast(Section, settle(settings, signature))


def pretraining_notes(settings: Section, signature: Signature) -> list[str]:
    """Lines on how the data are fed to pretrained weights.

    Raises:
        UserError: if the model is not for such data.
    """
    module = load_module("model", str(getattr(settings, "name", "")), MODELS)
    notes = getattr(module, "notes", None)
    return [] if notes is None else list(notes(settings, signature))


def tokens_read(settings: Section, signature: Signature) -> int | None:
    """How many tokens of a text the model's encoder reads, the first ones; None for a model that reads them all.

    Raises:
        UserError: if the model is not for such data.
    """
    module = load_module("model", str(getattr(settings, "name", "")), MODELS)
    reads = getattr(module, "reads", None)
    return None if reads is None else int(reads(settings, signature))
