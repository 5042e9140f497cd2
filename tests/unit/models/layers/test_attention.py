"""Attention: both ways give the same, up to the rounding of bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from samebits.models.layers import attention
from samebits.models.layers.attention import attend


def _heads(length: int, keys: int | None = None) -> list[Tensor]:
    generator = torch.Generator().manual_seed(length)
    shapes = [(3, 2, length, 16), (3, 2, keys or length, 16), (3, 2, keys or length, 8)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


_LENGTHS = torch.tensor([9, 4, 1])
_PADDING = (torch.arange(9)[None, :] < _LENGTHS[:, None])[:, None, None, :]
_SHARED = torch.arange(12)[None, :] <= torch.arange(5)[:, None] + 7


@pytest.mark.parametrize(
    ("length", "keys", "mask", "causal"),
    [(9, 9, None, False), (9, 9, None, True), (9, 9, _PADDING, False), (5, 12, _SHARED, False)],
)
def test_products_in_bfloat16_are_the_attention_of_torch(
    length: int, keys: int, mask: Tensor | None, causal: bool
) -> None:
    exact = [each.bfloat16().float().requires_grad_() for each in _heads(length, keys)]
    wanted = functional.scaled_dot_product_attention(*exact, attn_mask=mask, is_causal=causal)
    rounded = [each.detach().bfloat16().requires_grad_() for each in exact]
    found = attend(*rounded, mask, causal=causal)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.03, rtol=0.03)

    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1))
    wanted.backward(direction)
    found.backward(direction.bfloat16())
    for ours, theirs in zip(rounded, exact, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.float(), theirs.grad, atol=0.06, rtol=0.06)


def test_what_is_masked_has_no_influence_at_all() -> None:
    query, key, value = (each.bfloat16() for each in _heads(9))
    before = attend(query, key, value, _PADDING)
    key[1, :, 4:], value[1, :, 4:] = 100.0, -100.0
    assert torch.equal(attend(query, key, value, _PADDING), before)


def test_a_row_that_may_look_nowhere_is_finite() -> None:
    query, key, value = (each.bfloat16() for each in _heads(9))
    assert attend(query, key, value, torch.zeros(3, 1, 1, 9, dtype=torch.bool)).isfinite().all()


@pytest.mark.parametrize(("dtype", "length"), [(torch.float32, 9), (torch.bfloat16, 513)])
def test_other_types_and_long_texts_take_torchs_kernel(
    dtype: torch.dtype, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Tensor:
        raise AssertionError("plain products")

    monkeypatch.setattr(attention, "_products", refuse)
    query, key, value = (each.to(dtype) for each in _heads(length))
    wanted = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert torch.equal(attend(query, key, value, causal=True), wanted)


def test_dropout_zeroes_weights_and_keeps_their_mean() -> None:
    torch.manual_seed(0)
    query, key = torch.zeros(64, 8, 4, 4), torch.zeros(64, 8, 32, 4)
    value = torch.ones(64, 8, 32, 1)
    mixed = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), dropout=0.5).float()
    assert mixed.std() > 0.05
    assert mixed.mean().item() == pytest.approx(1.0, abs=0.02)
