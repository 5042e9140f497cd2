"""Usual parts of models of one's own: exported and loaded again, or refused with the reason in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.checkpoints.serving import ServingModel, build_serving
from samebits.export import onnx, torch_export
from samebits.export.reason import reason
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.signature import Signature, Target
from samebits.signature.tokens import TokenInputs
from samebits.tasks import build_task
from samebits.tasks.classification import Settings as Classification
from samebits.tasks.language_model import Settings as LanguageModel
from tests.helpers.workspace import ROOT

CLASSES = ClassTarget(classes=["a", "b", "c"])


def of_images(model: nn.Module) -> tuple[ServingModel, Tensor]:
    signature = Signature(inputs=ImageInputs(shape=[3, 8, 8], mean=[0.5] * 3, std=[0.2] * 3), target=CLASSES)
    task = build_task(Classification(name="classification"), signature)
    return build_serving(model, task, signature), torch.randint(0, 255, (2, 3, 8, 8), dtype=torch.uint8)


def of_tokens(build: Callable[[Signature], nn.Module], target: Target = CLASSES) -> tuple[ServingModel, Tensor]:
    inputs = TokenInputs(length=12, vocabulary=50, pad=0 if target is CLASSES else None, tokenizer_sha256="0" * 64)
    signature = Signature(inputs=inputs, target=target)
    settings = Classification(name="classification") if target is CLASSES else LanguageModel(name="language_model")
    tokens = torch.randint(1, 50, (2, 12), dtype=torch.int32)
    return build_serving(build(signature), build_task(settings, signature), signature), tokens


class Einsum(nn.Module):
    """Strings among its operators' arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, images: Tensor) -> Tensor:
        rows = functional.gelu(self.conv(images), approximate="tanh").flatten(2)
        return torch.einsum("bic,bjc->bij", rows, rows).softmax(-1).mean(dim=2)


class Attention(nn.Module):
    """torch's own attention fills -inf in where there is padding, and its sizes take the larger of two."""

    def __init__(self, signature: Signature) -> None:
        super().__init__()
        self.embed = nn.Embedding(signature.tokens.vocabulary, 8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, signature.outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        read = self.embed(tokens)
        read, _ = self.attend(read, read, read, key_padding_mask=tokens == 0, need_weights=False)
        answer: Tensor = self.head(read.mean(dim=1))
        return answer


def documented_writer(signature: Signature) -> nn.Module:
    """The language model of docs/models.md."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, type[nn.Module]] = {}
    exec(next(block for block in blocks if "class Writer" in block), names)
    return names["Writer"](signature)


MODELS = {
    "einsum": lambda: of_images(Einsum()),
    "attention": lambda: of_tokens(Attention),
    "the documented writer": lambda: of_tokens(documented_writer, NextTokenTarget()),
}


@pytest.mark.parametrize("exporter", [onnx, torch_export])
@pytest.mark.parametrize("name", MODELS)
def test_usual_parts_go_through(name: str, exporter: ModuleType, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    serving, samples = MODELS[name]()
    exporter.export(serving, samples, tmp_path / exporter.FILE, {})
    example = serving.example(samples)
    with torch.inference_mode():
        wanted = serving(*example)
    first = wanted[0] if isinstance(wanted, tuple) else wanted
    found = exporter.load_all(tmp_path / exporter.FILE)(*(each.numpy() for each in example))[0]
    np.testing.assert_allclose(found, first.numpy(), atol=1e-5)


class Exponential(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.linalg.matrix_exp(images.flatten(2)[:, :, :3]).mean(dim=2)


class Named(nn.Module):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": images.mean(dim=(2, 3))}


@pytest.mark.parametrize(
    ("exporter", "model", "why"),
    [
        (onnx, Exponential(), "No ONNX function found for .*matrix_exp"),
        (onnx, Named(), "'dict' object has no attribute 'float'"),
        (torch_export, Named(), "'dict' object has no attribute 'float'"),
    ],
)
def test_the_reason_is_given_in_one_line(exporter: ModuleType, model: nn.Module, why: str, tmp_path: Path) -> None:
    serving, samples = of_images(model)
    with pytest.raises(UserError, match=f"cannot be exported .*: {why}") as caught:
        exporter.export(serving, samples, tmp_path / exporter.FILE, {})
    assert "\n" not in caught.value.problem
    assert "\x1b" not in caught.value.problem
    assert "Next steps" not in caught.value.problem
    assert not list(tmp_path.iterdir())


def test_reasons_of_odd_errors() -> None:
    assert reason(MemoryError()) == "MemoryError"
    listed = "Constraints violated! For more\n  - You marked length as dynamic\nSuggested fixes:\n  length = 12"
    assert reason(ValueError(listed)) == "Constraints violated! For more You marked length as dynamic"
    assert len(reason(ValueError("x" * 10_000))) == 400


def test_a_model_larger_than_an_onnx_file_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    serving, _ = of_images(Einsum())
    onnx.require(serving, {})
    monkeypatch.setattr(onnx, "LARGEST_FILE", 100)
    with pytest.raises(UserError, match="an ONNX file holds at most") as caught:
        onnx.require(serving, {})
    assert "export.formats: [torch_export]" in caught.value.fix
