"""Scaled dot-product attention (Vaswani et al., 2017), by whichever way is faster on the hardware."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from samebits.models.layers.dropout import dropout as drop

_LONGEST_PLAIN = 512
"""Keys up to which all scores are kept, [N, heads, L, L]: beyond, their memory costs more than their speed is worth."""


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """The values, weighed by softmax(query key^T / sqrt(D)).

    torch's fused kernel, but for bfloat16 on a CPU with at most 512 keys: there torch 2.14's fused backward takes
    several times as long as plain matrix products do (docs/decisions.md). The products round the scores to bfloat16,
    which the kernel keeps in float32.

    Args:
        query: [N, heads, L, D].
        key, value: [N, heads, P, D].
        mask: bool [L, P] or [N, 1 or heads, 1 or L, P], true where a position may look; None: everywhere.
        causal: position i looks at none after i; without a mask.
        dropout: probability of zeroing a weight.

    Returns:
        [N, heads, L, D], in the type of `value`.
    """
    # The type is asked first: an exported graph is float32, and its lengths are symbols that must not be compared.
    if query.dtype == torch.bfloat16 and query.device.type == "cpu" and key.shape[2] <= _LONGEST_PLAIN:
        return _products(query, key, value, _causal(query, key) if causal else mask, dropout)
    mixed: Tensor = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal
    )
    return mixed


def _causal(query: Tensor, key: Tensor) -> Tensor:
    return torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril()


def _products(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    batch, heads, length, size = query.shape
    bias = query.new_zeros(())
    if mask is not None:
        # The lowest number, not -inf: where nothing may be looked at, the softmax is uniform and not NaN.
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, torch.finfo(query.dtype).min)
        bias = bias.expand(batch, heads, *mask.shape[2:]).flatten(0, 1) if mask.ndim == query.ndim else bias
    scores = torch.baddbmm(bias, query.flatten(0, 1), key.flatten(0, 1).transpose(1, 2), alpha=1.0 / math.sqrt(size))
    weights = drop(scores.softmax(dim=-1), dropout)
    return torch.bmm(weights, value.flatten(0, 1)).view(batch, heads, length, value.shape[3])
