"""Models of texts, exported: any number of texts of any length up to the longest, the same answers."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from samebits.checkpoints.serving import build_serving
from samebits.data.loading.prepared import open_split
from samebits.export import int8, onnx, torch_export
from samebits.export.parity import served_inputs
from samebits.models import bert, build_model, embedding_bag, text_conv
from samebits.params.section import Section
from samebits.signature.classes import ClassTarget
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TokenInputs
from samebits.tasks import build_task, classification, regression, token_classification
from tests.helpers.text_project import make_text_context

BERT = bert.Settings(name="bert", layers=1, width=16, heads=2, hidden=32, positions=24)
CONV = text_conv.Settings(name="text_conv", width=16, layers=2)
WIDE = BERT.model_copy(update={"reads": 5, "words": True})
LONGER = BERT.model_copy(update={"reads": 30})
"""More than the texts have, and more than the positions serve."""


CLASSES = (ClassTarget(classes=["a", "b", "c"]), classification.Settings(name="classification"))
TAGS = (TagsTarget(classes=["O", "B-X", "I-X"], length=12), token_classification.Settings(name="token_classification"))


@pytest.mark.parametrize("exporter", [onnx, torch_export])
@pytest.mark.parametrize(
    ("settings", "target"),
    [
        (WIDE, CLASSES),
        (CONV, TAGS),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((BERT, CLASSES), (LONGER, CLASSES), (BERT, TAGS))),
    ],
)
def test_texts_of_every_length(
    settings: Section,
    target: tuple[Any, Section],
    exporter: ModuleType,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    inputs = TokenInputs(length=12, vocabulary=50, pad=0, tokenizer_sha256="0" * 64)
    signature = Signature(inputs=inputs, target=target[0])
    torch.manual_seed(0)
    network = build_model(settings, signature)
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.1 * torch.randn(each.shape))
    serving = build_serving(network, build_task(target[1], signature), signature)
    tokens = torch.randint(1, 50, (3, 12), dtype=torch.int32)
    tokens[0, 2:], tokens[1, 9:] = 0, 0
    path = tmp_path / exporter.FILE
    exporter.export(serving, tokens[:2], path, {})
    assert capfd.readouterr() == ("", "")
    predict = exporter.load(path)
    for rows in (tokens, tokens[:1, :1], tokens[:1, :4], tokens[:2, :5], tokens[:2, :6], tokens[2:]):
        with torch.inference_mode():
            wanted = serving(rows).numpy()
        np.testing.assert_allclose(predict(rows.numpy()), wanted, atol=1e-5)


BAG = embedding_bag.Settings(name="embedding_bag", width=16, dropout=0.0)
YEARS = (NumberTarget(name="year", mean=1900.0, std=60.0), regression.Settings(name="regression"))


@pytest.mark.parametrize(
    ("settings", "target", "allowed"),
    [
        pytest.param(BERT, CLASSES, 0.05, id="masks"),  # beside minus infinity all scores would be one number
        pytest.param(BAG, YEARS, 1.0, id="units"),  # a step would be 8 years
    ],
)
def test_int8_keeps_what_has_too_wide_a_range(
    settings: Section, target: tuple[Any, Section], allowed: float, tmp_path: Path
) -> None:
    prepared = make_text_context(tmp_path / "project").project.prepared
    split = open_split(prepared, "train", in_memory=True)
    signature = Signature(inputs=split.info.signature.inputs, target=target[0])
    torch.manual_seed(0)
    network = build_model(settings, signature)
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.3 * torch.randn(each.shape))
    serving = build_serving(network, build_task(target[1], signature), signature)
    tokens = served_inputs(split, np.arange(64))
    exact, small = tmp_path / onnx.FILE, tmp_path / int8.FILE
    onnx.export(serving, torch.from_numpy(tokens[:2]), exact, {})
    int8.quantize(exact, small, split, 64)
    differences = np.abs(onnx.load(small)(tokens) - onnx.load(exact)(tokens))
    assert differences.max() < allowed
