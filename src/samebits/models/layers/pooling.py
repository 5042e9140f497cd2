"""What of a text's tokens is used, and from one vector per token to one per text, padding left out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def used_tokens(tokens: Tensor, pad: int | None) -> Tensor:
    """Which tokens are looked at: bool [N, L]. The first always is, so that no text is without any.

    Args:
        tokens: int64 [N, L].
        pad: the token that is not; None where rows are full.
    """
    used = torch.ones_like(tokens, dtype=torch.bool) if pad is None else tokens != pad
    first = torch.arange(tokens.shape[1], device=tokens.device) == 0
    return used | first


def first_tokens(tokens: Tensor, count: int, pad: int | None) -> Tensor:
    """The beginning of each text: [N, L] -> [N, min(L, count)], or filled up to [N, count] while a model is exported.

    A length that is the smaller of two would split an exported program into one for shorter and one for longer texts,
    which torch.export refuses.

    Args:
        tokens: int64 [N, L].
        pad: what fills up; None where rows are full, and thus of one length.
    """
    if pad is None or not torch.compiler.is_exporting():
        return tokens[:, :count]
    return functional.pad(tokens, (0, count), value=pad)[:, :count]


def mean_of_tokens(states: Tensor, used: Tensor) -> Tensor:
    """The mean over the tokens in use: [N, L, W] and bool [N, L] -> [N, W]."""
    weight = used.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(dim=1) / weight.sum(dim=1)
