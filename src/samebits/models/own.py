"""A model of one's own: a class in a file of the folder `custom`, see docs/models.md.

`custom` is a dependency of the stages that build the model (see `samebits.base.own_code`).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from samebits.base.errors import UserError
from samebits.base.own_code import asked, error_line, load_own, name_of
from samebits.models.layers.trial import computed
from samebits.params.own import OwnFile, OwnName
from samebits.params.section import Section
from samebits.preprocess import build_preprocess
from samebits.signature.signature import Signature

PER_PIXEL = True


class Settings(Section):
    """The `model` section for `name: own`.

    Attributes:
        file: the Python file, `custom/NAME.py`.
        class_name: the class in it, a `torch.nn.Module`. It is called with the data's signature, which has
            `row_shape` and `outputs`, and with `arguments`.
        arguments: keyword arguments of its `__init__`.
    """

    name: Literal["own"]
    file: OwnFile = "custom/example.py"
    class_name: OwnName = "Net"
    arguments: dict[str, Any] = Field(default={})


def build(settings: Settings, signature: Signature) -> nn.Module:
    """The model that the file defines.

    Raises:
        UserError: if there is no such file or class, either fails, or the model is not for such data.
    """
    found = load_own(settings.file, settings.class_name, "model")
    name = name_of(settings)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise UserError(f"{name} is no torch.nn.Module", "derive it from nn.Module")
    model = asked(
        lambda: found(signature, **settings.arguments),
        f"{name} cannot be built",
        f"it is called as {settings.class_name}(signature, **model.arguments)",
    )
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"{name} has no parameters", "give it layers in __init__")
    _try_out(model, name, signature)
    if others := [key for key, value in model.state_dict().items() if not isinstance(value, Tensor)]:
        raise UserError(
            f"{name} has {', '.join(others)} in its state dict, which is no tensor",
            "keep it in a buffer (register_buffer), or out of the state: weights are saved as safetensors",
        )
    return model


def _try_out(model: nn.Module, name: str, signature: Signature) -> None:
    """Compute two samples, so that a model for other data is told so here and not by a traceback of the training.

    Raises:
        UserError: if it fails, or its outputs are not of the shape that the task takes.
    """
    stored = signature.inputs.two_samples().astype(signature.inputs.served_dtype)
    inputs: Tensor = build_preprocess(signature)(torch.from_numpy(stored))
    wanted = (len(inputs), *signature.output_shape)
    alike = {wanted, (*wanted, 1)} if signature.outputs == 1 and len(wanted) == 1 else {wanted}  # nn.Linear(…, 1)
    given = f"{signature.inputs.batch}, here {list(inputs.shape)}"
    takes = f"its forward is given {given}, and has to give {list(wanted)}"
    try:
        found = computed(model, inputs)
    except Exception as error:
        raise UserError(f"{name} cannot compute two samples: {error_line(error)}", takes) from error
    if not isinstance(found, Tensor) or tuple(found.shape) not in alike:
        shown = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{name} gives {shown} for two samples", takes)
