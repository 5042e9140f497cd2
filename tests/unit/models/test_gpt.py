"""The gpt: what it may look at, its cache, its sizes."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.models.gpt import Gpt, Settings, build, rotary_angles, rotate
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs

CONTEXT, VOCABULARY = 24, 50


def gpt(**settings: Any) -> Gpt:
    torch.manual_seed(1)
    inputs = TokenInputs(length=CONTEXT, vocabulary=VOCABULARY, tokenizer_sha256="0")
    small = {"layers": 2, "heads": 2, "width": 16} | settings
    signature = Signature(inputs=inputs, target=NextTokenTarget())
    return cast(Gpt, build(Settings(name="gpt", **small), signature)).eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (3, CONTEXT), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("mlp", ["swiglu", "relu2"])
@pytest.mark.parametrize("tied", [True, False])
@torch.inference_mode()
def test_a_position_sees_what_came_before_it_and_nothing_else(tokens: torch.Tensor, mlp: str, tied: bool) -> None:
    model = gpt(mlp=mlp, tied=tied)
    changed = tokens.clone()
    changed[:, 10] = (changed[:, 10] + 1) % VOCABULARY
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :10], after[:, :10])
    assert (before[:, 10:] != after[:, 10:]).any(dim=2).all()


@pytest.mark.parametrize("pieces", [[CONTEXT], [1] * CONTEXT, [5, 1, 1, 10, 7]])
@torch.inference_mode()
def test_reading_by_pieces_with_a_cache_gives_what_reading_at_once_gives(
    tokens: torch.Tensor, pieces: list[int]
) -> None:
    model = gpt()
    layers, heads, size = model.kv_cache_shape
    keys = values = torch.zeros(layers, 3, heads, 0, size)
    found, at = [], 0
    for piece in pieces:
        logits, keys, values = model.decode_step(tokens[:, at : at + piece], keys, values)
        found.append(logits)
        at += piece
    assert keys.shape == values.shape == (layers, 3, heads, CONTEXT, size)
    torch.testing.assert_close(torch.cat(found, dim=1), model(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("preset", "millions"), [("nano", 0.8), ("small", 10.6), ("gpt2", 123.5), ("medium", 353.4)])
def test_a_preset_has_its_size(preset: str, millions: float) -> None:
    vocabulary = {"nano": 65, "small": 65}.get(preset, 50257)
    with torch.device("meta"):
        model = Gpt(vocabulary, 1024, Settings(name="gpt", preset=preset))
    assert sum(each.numel() for each in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.02)


def test_a_number_of_ones_own_wins_over_the_preset() -> None:
    assert Settings(name="gpt", preset="small", layers=3).shape == (3, 6, 384)


@torch.inference_mode()
def test_a_fresh_model_has_no_opinion(tokens: torch.Tensor) -> None:
    logits = gpt(width=64)(tokens)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens.roll(-1, 1).flatten())
    assert loss.item() == pytest.approx(math.log(VOCABULARY), rel=0.02)


def test_rotation_depends_on_the_distance_alone() -> None:
    cos, sin = rotary_angles(100, 8, 10000.0)
    q, k = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0))

    def product(first: int, second: int) -> float:
        a = rotate(q, cos[first : first + 1], sin[first : first + 1])
        b = rotate(k, cos[second : second + 1], sin[second : second + 1])
        return float((a * b).sum())

    assert product(7, 3) == pytest.approx(product(90, 86), abs=1e-4)
    assert product(7, 3) != pytest.approx(product(7, 4), abs=1e-3)


@torch.inference_mode()
def test_dropout_is_for_training_alone(tokens: torch.Tensor) -> None:
    model = gpt(dropout=0.5)
    assert torch.equal(model(tokens), model(tokens))
    assert not torch.equal(model.train()(tokens), model(tokens))


def test_rope_base_is_used(tokens: torch.Tensor) -> None:
    assert not torch.equal(gpt(rope_base=100.0).cos, gpt().cos)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"width 16 cannot have 3 heads"):
        gpt(heads=3)
