"""A model of one's own: a class in a file of the folder `custom`, see docs/models.md.

The file is code of the project, like `src`: it is committed, and `custom` is a dependency of the stages that build the
model. It is loaded by its path from the folder that holds params.yaml, in which every stage runs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from samebits.base.boundary import OWN_CODE, own_place
from samebits.base.errors import UserError
from samebits.base.registry import nearest
from samebits.models.layers.trial import computed
from samebits.params.section import Section, matching
from samebits.preprocess import build_preprocess
from samebits.signature.signature import Signature

_FILE = r"custom/([A-Za-z0-9_-]+/)*[A-Za-z0-9_-]+\.py"


class Settings(Section):
    """The `model` section for `name: own`.

    Attributes:
        file: the Python file, `custom/NAME.py`.
        class_name: the class in it, a `torch.nn.Module`. It is called with the data's signature, which has
            `row_shape` and `outputs`, and with `arguments`.
        arguments: keyword arguments of its `__init__`.
    """

    name: Literal["own"]
    file: Annotated[str, matching(_FILE, "a path as custom/mine.py, of letters, digits, _ and -")] = "custom/example.py"
    class_name: Annotated[str, matching("[A-Za-z_][A-Za-z0-9_]*", "the name of a class")] = "Net"
    arguments: dict[str, Any] = Field(default={})


def build(settings: Settings, signature: Signature) -> nn.Module:
    """The model that the file defines.

    Raises:
        UserError: if there is no such file or class, either fails, or the model is not for such data.
    """
    module = _load(Path(settings.file))
    found = getattr(module, settings.class_name, None)
    if found is None:
        known = [name for name, value in vars(module).items() if isinstance(value, type)]
        near = nearest(settings.class_name, known)
        hint = f"did you mean {near}? " if near else ""
        raise UserError(
            f"{settings.file} has no class {settings.class_name}", f"{hint}set model.class_name; it has {known}"
        )
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise UserError(f"{settings.class_name} of {settings.file} is no torch.nn.Module", "derive it from nn.Module")
    try:
        model = found(signature, **settings.arguments)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{settings.class_name} of {settings.file} cannot be built: {_where(error)}",
            f"it is called as {settings.class_name}(signature, **model.arguments)",
        ) from error
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"{settings.class_name} of {settings.file} has no parameters", "give it layers in __init__")
    _try_out(model, f"{settings.class_name} of {settings.file}", signature)
    if others := [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]:
        raise UserError(
            f"{settings.class_name} of {settings.file} has {', '.join(others)} in its state dict, which is no tensor",
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
    given = f"{signature.inputs.batch}, here {list(inputs.shape)}"
    takes = f"its forward is given {given}, and has to give {list(wanted)}"
    try:
        found = computed(model, inputs)
    except Exception as error:
        raise UserError(f"{name} cannot compute two samples: {_where(error)}", takes) from error
    if not isinstance(found, Tensor) or tuple(found.shape) != wanted:
        shown = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"{name} gives {shown} for two samples", takes)


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        known = sorted(each.name for each in Path(OWN_CODE).glob("*.py"))
        raise UserError(
            f"model.file {path} does not exist", f"write it; {OWN_CODE} has {', '.join(known) or 'no file'}"
        )
    spec = importlib.util.spec_from_file_location(f"custom_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{path} cannot be loaded: {_where(error)}", "fix it") from error
    return module


def _where(error: Exception) -> str:
    """The error and the line of the user's file that it came from."""
    text, place = f"{type(error).__name__}: {error}", own_place(error)
    return text if place is None else f"{text} ({place})"
