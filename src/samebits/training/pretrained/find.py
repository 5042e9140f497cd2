"""Find the weights that `transfer.weights` names: the file of tensors, verified, held against its config.json.

A model's module may help with two functions: `published(settings)`, the address of weights on ImageNet, and
`require_config(config, settings, signature, label)`, which raises UserError where the config.json of some weights
contradicts the model that is to be filled with them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file
from samebits.data.fetching.catalog import WEIGHTS, is_path, load_card
from samebits.data.fetching.fetch import fetch, fetch_url
from samebits.data.fetching.hub import CONFIG, TENSORS, fetch_hub
from samebits.params.section import Section
from samebits.params.transfer import TransferParams, is_hub_name
from samebits.signature.signature import Signature

if TYPE_CHECKING:
    from samebits.pipeline.context import StageContext

IMAGENET = "imagenet"
_SAFETENSORS = ".safetensors"
_RAW = Path("data/raw")

Check = Callable[[Path], None]
"""Raises UserError if a config.json is of another model than the one to be filled."""


def find_weights(
    settings: TransferParams, model: Section, module: ModuleType, signature: Signature, context: StageContext
) -> Path | None:
    """The file that `transfer.weights` names, verified; None for random weights.

    Args:
        model: the `model` section; `module` is the model's.
        signature: of the data, whose tokens the weights must know.

    Raises:
        UserError: if it cannot be had, is not the one that `transfer.sha256` names, or is of another model.
    """
    name = settings.weights
    if name is None:
        return None
    if name == IMAGENET:
        return _imagenet(settings, model, module, context)
    check = _config_check(name, model, module, signature)
    if is_hub_name(name):
        return _from_hub(settings, name, _required(check, name, model), context)
    if not is_path(name):
        return _from_card(settings, name, check, context)
    if name.endswith(_SAFETENSORS):
        path = _own_file(name, context)
    else:
        path = _from_folder(name, _required(check, name, model), context)
    _require_pinned(settings, sha256_file(path), name)
    return path


def own_files(settings: TransferParams, context: StageContext) -> dict[str, Path]:
    """The files below data/raw that `transfer.weights` names and that are here: name to path."""
    name = os.path.normpath(settings.weights or "")
    if _RAW not in Path(name).parents:
        return {}
    wanted = [name] if name.endswith(_SAFETENSORS) else [f"{name}/{CONFIG}", f"{name}/{TENSORS}"]
    roots = (context.project.home, context.project.workspace)
    return {each: root / each for root in roots for each in wanted if (root / each).is_file()}


def is_torchs_own(settings: TransferParams, catalog: Path) -> bool:
    """True if torch.save wrote the file that `find_weights` finds; else it is a safetensors file."""
    name = str(settings.weights)
    if name == IMAGENET or is_path(name):
        return name == IMAGENET
    return not load_card(catalog, name).file("model").name.endswith(_SAFETENSORS)


def _config_check(name: str, model: Section, module: ModuleType, signature: Signature) -> Check | None:
    """What holds a config.json against the model; None for a model that reads none."""
    require = getattr(module, "require_config", None)
    if require is None:
        return None

    def check(path: Path) -> None:
        try:
            config = read_json(path)
        except UserError as error:
            raise UserError(error.problem, "put the weights' own there") from None
        if not isinstance(config, dict):
            raise UserError(f"{path} holds no keys", "put the weights' own there")
        require(config, model, signature, name)

    return check


def _required(check: Check | None, name: str, model: Section) -> Check:
    if check is None:
        raise UserError(
            f"transfer.weights {name} is a model with a {CONFIG}, which the model {getattr(model, 'name', '')} cannot "
            "be held against",
            "set model.name to bert, encoder or timm, or name a .safetensors file below data/raw",
        )
    return check


def _from_hub(settings: TransferParams, name: str, check: Check, context: StageContext) -> Path:
    def get(file: str, sha256: str = "") -> Path:
        revision = str(settings.revision)
        return fetch_hub(name, revision, file, sha256, say=context.say, progress=context.runtime.progress)

    # The small file first: weights of another model are not worth a download.
    check(get(CONFIG))
    path = get(TENSORS, settings.sha256 or "")
    _require_pinned(settings, sha256_file(path), name)
    return path


def _from_card(settings: TransferParams, name: str, check: Check | None, context: StageContext) -> Path:
    card = load_card(context.project.catalog, name)
    if card.format != WEIGHTS:
        raise UserError(f"transfer.weights {name!r} is a card of data, not of weights", "name one of format weights")
    file = card.file("model")
    _require_pinned(settings, file.sha256, name)
    found = fetch(card, say=context.say, progress=context.runtime.progress)
    config = next((each.name for each in card.files if each.role == "config"), None)
    if check is not None and config is not None:
        check(found[config])
    return found[file.name]


def _own_file(name: str, context: StageContext) -> Path:
    # A temporary experiment has no files that git and DVC do not know; the sha256 says that it is the right one.
    for folder in (context.project.workspace, context.project.home):
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"transfer.weights {name} does not exist", "put it there, or set transfer.weights: null")


def _from_folder(name: str, check: Check, context: StageContext) -> Path:
    """The tensors of a folder as `save_pretrained` writes it."""
    folder = _own_folder(name, context)
    if not (folder / TENSORS).is_file():
        raise UserError(*_without_tensors(folder, name))
    if not (folder / CONFIG).is_file():
        raise UserError(
            f"transfer.weights {name} has no {CONFIG}, which says what no tensor shows, such as the number of heads",
            f"put it beside {TENSORS}; or name {name}/{TENSORS}, if model in params.yaml is known to be right",
        )
    check(folder / CONFIG)
    return folder / TENSORS


def _own_folder(name: str, context: StageContext) -> Path:
    path = Path(os.path.normpath(name))
    if _RAW in path.parents:
        for root in (context.project.workspace, context.project.home):
            if (root / path).is_dir():
                return root / path
    raise UserError(
        f"transfer.weights {name} is no .safetensors file and no folder below {_RAW.as_posix()}",
        "name a folder that save_pretrained wrote; a pickled file may run code when it is read: convert it with "
        "safetensors.torch.save_file",
    )


def _without_tensors(folder: Path, name: str) -> tuple[str, str]:
    again = f'AutoModel.from_pretrained("{name}").save_pretrained("{name}"'
    if any(folder.glob("pytorch_model*.bin")):
        return (
            f"transfer.weights {name} holds pickled weights, which may run code when they are read, and no {TENSORS}",
            f"if you trust them, write them once more with transformers: {again})",
        )
    if any(folder.glob(f"*{_SAFETENSORS}")):
        return (
            f"transfer.weights {name} holds no {TENSORS}, but weights in other files",
            f'write them as one file with transformers: {again}, max_shard_size="100GB")',
        )
    return f"transfer.weights {name} holds no {TENSORS}", f"put what save_pretrained writes there: it and {CONFIG}"


def _require_pinned(settings: TransferParams, found: str, name: str) -> None:
    if settings.sha256 is None:
        raise UserError(
            f"transfer.weights is {name}, and transfer.sha256 does not pin it", f"set transfer.sha256: {found}"
        )
    if settings.sha256 != found:
        raise UserError(
            f"transfer.weights {name} has sha256 {found}, transfer.sha256 names {settings.sha256}",
            f"put the right file there, or set transfer.sha256: {found}",
        )


def _imagenet(settings: TransferParams, model: Section, module: ModuleType, context: StageContext) -> Path:
    published: Callable[[Section], tuple[str, str, int]] | None = getattr(module, "published", None)
    if published is None:
        raise UserError(
            f"there are no published weights for the model {getattr(model, 'name', '')}",
            "set model.name to torchvision, resnet18, resnet34 or resnet50, or transfer.weights: null",
        )
    url, prefix, limit = published(model)
    if settings.sha256 is not None and not settings.sha256.startswith(prefix):
        raise UserError(f"transfer.sha256 does not begin with {prefix}", f"the file is {url}; fix it or set it to null")
    path = fetch_url(url, settings.sha256 or prefix, limit=limit, say=context.say, progress=context.runtime.progress)
    if settings.sha256 is None:
        context.say(f"to pin it in full: transfer.sha256: {sha256_file(path)}")
    return path
