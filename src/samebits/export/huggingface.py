"""The layout of the Hugging Face hub: a folder that `from_pretrained` of `transformers` reads, without code of ours.

It is written where a class of the library computes the same as the model (`models/layers/in_transformers.py`).
Calibration and the units of numbers are in the last layer, so `softmax(logits)` are the model's probabilities and a
number's logits are the number. All files are written here; the library itself only reads them, for the comparison with
the checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor

from samebits.base.errors import UserError
from samebits.base.files import read_json, write_bytes, write_json
from samebits.base.registry import load_module
from samebits.checkpoints.serving import ServingModel
from samebits.export.huggingface_card import readme
from samebits.export.huggingface_tokenizer import quiet, require_same_tokens, tokenizer_files
from samebits.models.layers.in_transformers import InTransformers
from samebits.models.layers.pooling import used_tokens
from samebits.params.choices import MODELS
from samebits.signature.number import NumberTarget
from samebits.signature.tokens import TOKENIZER, TokenInputs
from samebits.tasks.regression import Regression, VectorRegression

FILE = "huggingface"

_PROBLEMS = {
    # task: the library's name of it, and from logits to the answers of other formats
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
    "token_classification": None,
    "language_model": None,
}
_OF_THE_CHECKPOINT = ("step", "epoch", "weights_sha256")
"""Keys beside those of the `model` section in an export's metadata."""
_FIX = "remove huggingface from export.formats"

Floats = npt.NDArray[np.float32]


def require(serving: ServingModel, metadata: dict[str, Any]) -> None:
    """Refuse a model that no class of the library computes the same as, before anything is computed.

    Raises:
        UserError: with the reason.
        ImportError: if transformers is not installed.
    """
    _in_transformers(serving, metadata)
    import_module("transformers")


def export(serving: ServingModel, example: Tensor, path: Path, metadata: dict[str, Any]) -> dict[str, Any]:
    """Write the folder: config.json, model.safetensors, the tokenizer's files.

    Args:
        serving: in eval mode.
        example: not looked at.
        path: of the folder, which does not exist; the tokenizer lies beside it. The bytes depend on the model, the
            metadata and the versions of safetensors and, of encoders, transformers.
        metadata: of the export.

    Returns:
        facts for the report: the library's class.

    Raises:
        UserError: if no class computes the same, or the library cuts texts into other tokens.
    """
    found = _in_transformers(serving, metadata)
    tokens, tokenizer = serving.signature.tokens, path.parent / TOKENIZER
    files, named = tokenizer_files(tokenizer.read_bytes(), tokens, writes=serving.target.generates)
    ends = {f"{name}_token_id": named.get(name) for name in ("bos", "eos")}
    path.mkdir()
    write_json(path / "config.json", {**found.config, **ends, "pad_token_id": tokens.pad, "dtype": "float32"})
    if serving.target.generates:
        write_json(path / "generation_config.json", {key: value for key, value in ends.items() if value is not None})
    # Views of one tensor, such as query, key and value, would be written as one.
    weights = {name: value.detach().float().contiguous().clone() for name, value in sorted(found.weights.items())}
    write_bytes(path / "model.safetensors", save(weights, metadata={"format": "pt"}))
    for name, data in files.items():
        write_bytes(path / name, data)
    require_same_tokens(path, tokenizer, tokens, of_words=serving.target.per_position, writes=serving.target.generates)
    return {"architecture": found.config["architectures"][0]}


def write_card(path: Path, serving: ServingModel, metadata: dict[str, Any], scores: dict[str, float]) -> None:
    """Add README.md, the card as the hub shows it."""
    architecture = read_json(path / "config.json")["architectures"][0]
    write_bytes(path / "README.md", readme(architecture, serving.signature, metadata, scores).encode())


def load(path: Path) -> Callable[[npt.NDArray[Any]], Floats]:
    """What `from_pretrained` makes of the folder, as a function from served samples to answers, on the CPU."""
    model = _from_pretrained(path)
    answers = _answers(model.config.architectures[0], model.config.problem_type)

    def run(samples: npt.NDArray[Any]) -> Floats:
        tokens = torch.from_numpy(samples).long()
        with torch.inference_mode():
            found = model(input_ids=tokens, attention_mask=used_tokens(tokens, model.config.pad_token_id).long())
            output: Floats = answers(found.logits).numpy()
        return output

    return run


def load_all(path: Path) -> Callable[..., list[Floats]]:
    """The same of a language model: from tokens, keys and values to logits and the new cache."""
    from transformers import DynamicCache

    model = _from_pretrained(path)

    def run(tokens: npt.NDArray[Any], keys: Floats, values: Floats) -> list[Floats]:
        cache = DynamicCache()
        if keys.shape[3]:
            for layer, pair in enumerate(zip(torch.from_numpy(keys), torch.from_numpy(values), strict=True)):
                cache.update(*pair, layer)
        with torch.inference_mode():
            found = model(input_ids=torch.from_numpy(tokens).long(), past_key_values=cache, use_cache=True)
            layers = found.past_key_values.layers
            parts = found.logits, torch.stack([each.keys for each in layers]), torch.stack([e.values for e in layers])
            return [part.numpy() for part in parts]

    return run


def _in_transformers(serving: ServingModel, metadata: dict[str, Any]) -> InTransformers:
    """The library's class for the model, with labels, calibration and units in it."""
    model, task = metadata.get("model", {}), metadata.get("task")
    name = model.get("name")
    module = load_module("model", name, MODELS) if name in MODELS else None
    if not (isinstance(serving.signature.inputs, TokenInputs) and module and hasattr(module, "in_transformers")):
        raise UserError(
            f"the model {name} cannot be exported to the Hugging Face layout: no class of transformers computes it",
            f"{_FIX}, or set model.name to bert, encoder or gpt, which are for texts",
        )
    if task not in _PROBLEMS:
        raise UserError(
            f"the model cannot be exported to the Hugging Face layout: transformers knows no task {task}",
            f"{_FIX}, or set task.name to {', '.join(_PROBLEMS)}",
        )
    settings = module.Settings.model_validate({k: v for k, v in model.items() if k not in _OF_THE_CHECKPOINT})
    found: InTransformers = module.in_transformers(serving.model, settings, serving.signature)
    if not found.last:
        return found
    labels = _labels(serving)
    config = {
        **found.config,
        "problem_type": _PROBLEMS[task],
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
    }
    return InTransformers(config, {**found.weights, **_last_layer(found, serving)}, found.last)


def _labels(serving: ServingModel) -> list[str]:
    target = serving.target
    return list(target.labels) or ([target.name] if isinstance(target, NumberTarget) else list(target.columns()))


def _last_layer(found: InTransformers, serving: ServingModel) -> dict[str, Tensor]:
    """Weight and bias of the last layer, so that its outputs are calibrated logits, or numbers in their unit."""
    names = [f"{found.last}.weight", f"{found.last}.bias"]
    weight, bias = (found.weights[name].double() for name in names)
    if isinstance(serving.task, Regression | VectorRegression):
        scale, shift = (torch.tensor(each, dtype=torch.float64) for each in (serving.task.std, serving.task.mean))
    else:
        scale, shift = torch.tensor(1 / serving.temperature, dtype=torch.float64), torch.tensor(0.0)
    return dict(zip(names, (weight * scale.reshape(-1, 1), bias * scale + shift), strict=True))


def _answers(architecture: str, problem: str | None) -> Callable[[Tensor], Tensor]:
    if problem == "regression":
        return lambda logits: logits.squeeze(1) if logits.shape[1] == 1 else logits
    if problem == "multi_label_classification":
        return torch.sigmoid
    return lambda logits: logits.softmax(-1)


def _from_pretrained(path: Path) -> Any:
    """Raises UserError if the library makes up a tensor, or leaves one out."""
    import transformers

    architecture = json.loads((path / "config.json").read_bytes())["architectures"][0]
    auto = getattr(transformers, f"AutoModelFor{architecture.partition('For')[2]}")
    with quiet():
        model, loaded = auto.from_pretrained(path, local_files_only=True, output_loading_info=True)
    wrong = {name: sorted(map(str, each)) for name, each in loaded.items() if each}
    if wrong:
        raise UserError(f"transformers {transformers.__version__} does not load what was written: {wrong}", _FIX)
    return model.eval()
