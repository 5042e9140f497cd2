"""Exported models whose answers show what they were given; made in milliseconds, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

LABELS = ["left", "right", "top"]


def brightness_model(path: Path, shape: tuple[int, int, int] = (1, 8, 8), mean: float = 0.1, **metadata: Any) -> Path:
    """Softmax over the brightness of the left half, the right half, and the top quarter."""
    channels, height, width = shape
    weights = np.zeros((channels, height, width, 3), dtype=np.float32)
    deep = metadata.get("preprocessing", {}).get("bits") == 16
    weights[:, :, : width // 2, 0] = weights[:, :, width // 2 :, 1] = 1 / (65535 if deep else 255)
    weights[:, : height // 4, :, 2] = 1 / (65535 if deep else 255)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["pixels"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.INT32 if deep else TensorProto.UINT8, ["batch", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [channels * height * width, 3], weights.ravel())],
    )
    known = {"labels": LABELS, "preprocessing": {"shape": list(shape), "mean": [mean] * channels}} | metadata
    return saved(path, graph, known)


def sum_model(path: Path, columns: Sequence[str] = ("a", "b"), target: Mapping[str, Any] | None = None) -> Path:
    """A table's: the sum of the numbers of a row. Of a `target` of classes, the softmax over the numbers; of a vector,
    the numbers."""
    kind = target["kind"] if target else "number"
    node = {
        "number": helper.make_node("ReduceSum", ["rows", "axes"], ["answers"], keepdims=0),
        "class": helper.make_node("Softmax", ["rows"], ["answers"]),
        "vector": helper.make_node("Identity", ["rows"], ["answers"]),
    }[kind]
    shape = ["batch", *([] if kind == "number" else [len(columns)])]
    graph = helper.make_graph(
        [node],
        "sum",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", len(columns)])],
        [helper.make_tensor_value_info("answers", TensorProto.FLOAT, shape)],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])] if kind == "number" else [],
    )
    described = [{"kind": "number", "name": name, "mean": 0.0, "std": 1.0, "fill": 0.0} for name in columns]
    known = {
        "labels": list(target.get("classes", ())) if target else [],
        "preprocessing": {"kind": "table", "columns": described, "missing": ["", "?"], "decimal": "."},
        "target": target or {"kind": "number", "name": "total", "mean": 0.0, "std": 1.0},
    }
    return saved(path, graph, known)


def array_model(path: Path) -> Path:
    """Of int16 [2, 3]: the softmax over its two rows' sums."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["arrays"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["numbers", "axes"], ["logits"], keepdims=0),
            helper.make_node("Softmax", ["logits"], ["probabilities"]),
        ],
        "arrays",
        [helper.make_tensor_value_info("arrays", TensorProto.INT32, ["batch", 2, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [2])],
    )
    inputs = {
        "kind": "array",
        "shape": [2, 3],
        "dtype": "int32",
        "stored_dtype": "int16",
        "mean": [0, 0],
        "std": [1, 1],
    }
    return saved(path, graph, {"labels": ["up", "down"], "preprocessing": inputs})


def text_model(path: Path) -> Path:
    """Of a text as bytes: the softmax over the numbers of its first two tokens."""
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["tokens", "begin", "end", "axis"], ["two"]),
            helper.make_node("Cast", ["two"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("Softmax", ["numbers"], ["probabilities"]),
        ],
        "texts",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", 16])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])],
        [
            helper.make_tensor(name, TensorProto.INT64, [1], [value])
            for name, value in (("begin", 0), ("end", 2), ("axis", 1))
        ],
    )
    inputs = _byte_tokenizer(path, 16)
    return saved(path, graph, {"labels": ["first", "second"], "preprocessing": inputs})


def writing_model(path: Path) -> Path:
    """A language model of bytes: random scores for the byte after each."""
    weights = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    cache = [1, 1, 1, "past", 1]
    nodes = [
        helper.make_node("Gather", ["weights", "tokens"], ["scores"]),
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "shape"], ["new"]),
        helper.make_node("Concat", ["keys", "new"], ["keys_after"], axis=3),
        helper.make_node("Concat", ["values", "new"], ["values_after"], axis=3),
    ]
    graph = helper.make_graph(
        nodes,
        "bytes",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT32, [1, "length"]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, cache) for name in ("keys", "values")),
        ],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, "length", 256]),
            *(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, "all", 1])
                for name in ("keys_after", "values_after")
            ),
        ],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [256, 256], weights.ravel()),
            helper.make_tensor("shape", TensorProto.INT64, [5], [1, 1, 1, -1, 1]),
        ],
    )
    inputs = _byte_tokenizer(path)
    return saved(path, graph, {"labels": [], "preprocessing": inputs, "target": {"kind": "next_token"}})


def _byte_tokenizer(model: Path, length: int | None = None) -> dict[str, Any]:
    """Write a tokeniser of bytes beside a model; `preprocessing` of the model. `length`: texts are brought to it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if length is not None:
        tokenizer.enable_truncation(length)
        tokenizer.enable_padding(length=length, pad_token=alphabet[0])
    file = model.with_name("tokenizer.json")
    tokenizer.save(str(file))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"kind": "tokens", "length": length or 64, "tokenizer_sha256": digest, "pad": 0}


def mask_model(path: Path, **metadata: Any) -> Path:
    """Of grey images of 8 × 8 pixels: `ink` where a pixel is bright, else `paper`."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["pixels", "half"], ["ink"]),
            helper.make_node("Neg", ["ink"], ["paper"]),
            helper.make_node("Concat", ["paper", "ink"], ["logits"], axis=1),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "mask",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2, 8, 8])],
        [helper.make_tensor("half", TensorProto.FLOAT, [], [127.5])],
    )
    classes = ["paper", "ink"]
    target = {"kind": "mask", "classes": classes, "shape": [8, 8], "colours": [[0, 0, 0], [255, 0, 0]]}
    inputs = {"shape": [1, 8, 8], "mean": [0.1]}
    return saved(path, graph, {"labels": classes, "preprocessing": inputs, "target": target} | metadata)


def saved(path: Path, graph: Any, metadata: Mapping[str, Any]) -> Path:
    """A model of a graph, with metadata as the export stage writes them."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, str(path))
    return path
