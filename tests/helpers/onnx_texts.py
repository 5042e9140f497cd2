"""Exported models of texts whose answers show what they were given; made in milliseconds, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from tests.helpers.onnx_models import saved

LENGTH = 32


def _tokenizer(folder: Path, words: Sequence[str], *, padded: bool) -> tuple[dict[str, int], dict[str, Any]]:
    """`tokenizer.json` with a token a word, and what goes into a model's metadata."""
    known = {word: place for place, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.decoder = WordPiece(prefix="##")  # a blank between words
    if padded:
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        tokenizer.enable_truncation(LENGTH)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return known, {"kind": "tokens", "length": LENGTH, "vocabulary": len(known), "pad": 0, "tokenizer_sha256": sha256}


def word_model(folder: Path, words: Mapping[str, float], *, tags: bool = False) -> Path:
    """Classes `ham` and `spam`: the sum of the words' numbers speaks for spam. With `tags`, of each word for itself."""
    known, inputs = _tokenizer(folder, list(words), padded=True)
    weights = np.zeros((len(known), 2), dtype=np.float32)
    for word, weight in words.items():
        weights[known[word], 1] = weight
    nodes = [helper.make_node("Gather", ["weights", "tokens"], ["each"])]
    nodes += [] if tags else [helper.make_node("ReduceSum", ["each", "axes"], ["logits"], keepdims=0)]
    nodes.append(helper.make_node("Softmax", ["each" if tags else "logits"], ["probabilities"], axis=-1))
    axes = ["batch", "length"] if tags else ["batch"]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", "length"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [*axes, 2])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel()),
            helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        ],
    )
    classes = ["O", "B-prize"] if tags else ["ham", "spam"]
    target = {"kind": "tags", "classes": classes, "length": LENGTH} if tags else {"kind": "class", "classes": classes}
    return saved(folder / "model.onnx", graph, {"labels": classes, "preprocessing": inputs, "target": target})


def next_word_model(folder: Path, words: Sequence[str]) -> Path:
    """A language model that says the words in their order, over and over."""
    known, inputs = _tokenizer(folder, words, padded=False)
    scores = np.zeros((len(known), len(known)), dtype=np.float32)
    for place, word in enumerate(words):
        scores[known[word], known[words[(place + 1) % len(words)]]] = 20.0
    cache = [1, "batch", 1, "past", 2]
    after = [1, "batch", 1, "all", 2]
    nodes = [helper.make_node("Gather", ["scores", "tokens"], ["logits"])]
    # As many new places in the cache as there are tokens: their numbers, twice.
    nodes += [
        helper.make_node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "outer"], ["placed"]),
        helper.make_node("Concat", ["placed", "placed"], ["new"], axis=4),
        helper.make_node("Concat", ["keys", "new"], ["all_keys"], axis=3),
        helper.make_node("Concat", ["values", "new"], ["all_values"], axis=3),
    ]
    graph = helper.make_graph(
        nodes,
        "next word",
        [
            helper.make_tensor_value_info("tokens", TensorProto.INT32, ["batch", "length"]),
            helper.make_tensor_value_info("keys", TensorProto.FLOAT, cache),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, cache),
        ],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "length", len(known)]),
            helper.make_tensor_value_info("all_keys", TensorProto.FLOAT, after),
            helper.make_tensor_value_info("all_values", TensorProto.FLOAT, after),
        ],
        [
            helper.make_tensor("scores", TensorProto.FLOAT, scores.shape, scores.ravel()),
            helper.make_tensor("outer", TensorProto.INT64, [3], [0, 2, 4]),
        ],
    )
    inputs = {key: value for key, value in inputs.items() if key != "pad"}
    return saved(
        folder / "model.onnx", graph, {"labels": [], "preprocessing": inputs, "target": {"kind": "next_token"}}
    )
