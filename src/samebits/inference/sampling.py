"""Text from a model of the next token, one token after the other: numpy alone, for the checkpoint and for its exports.

The model is a function over a cache of keys and values. When the context is full, generation goes on from the last half
of it, read anew, so that a text may have any length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Floats = npt.NDArray[np.floating]
Run = Callable[[npt.NDArray[np.int32], Floats, Floats], Sequence[Floats]]
"""Tokens int32 [1, L], keys and values [layers, 1, heads, P, size] -> scores [1, L, V], keys and values of P + L."""


_BEFORE = 8
"""Tokens in front of others that can change how those are decoded; a letter has four bytes at most."""


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from its probabilities.

    Attributes:
        temperature: scores are divided by it; 0 always takes the most probable token.
        top_k: only so many of the most probable tokens; None: all.
        top_p: only the most probable tokens that together have this probability (Holtzman et al., 2020); 1: all.
        seed: the same one gives the same text.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float = 0.95
    seed: int = 0


GREEDY = Sampling(temperature=0.0)


def generate(
    run: Run, kv_cache_shape: tuple[int, int, int], context: int, prompt: Sequence[int], sampling: Sampling
) -> Iterator[int]:
    """The tokens that follow a prompt, without end.

    Args:
        kv_cache_shape: layers, heads, size of a head.
        context: tokens that the model sees at once, 2 or more.
        prompt: at least one token; of a longer one than the context, the last are read.
    """
    layers, heads, size = kv_cache_shape
    empty = np.zeros((layers, 1, heads, 0, size), dtype=np.float32)
    random = np.random.Generator(np.random.Philox(sampling.seed))
    tokens = list(prompt)
    pending, keys, values, cached = tokens[-context:], empty, empty, 0
    while True:
        if cached + len(pending) > context:
            pending, keys, values, cached = tokens[-max(1, context // 2) :], empty, empty, 0
        scores, keys, values = run(np.array([pending], dtype=np.int32), keys, values)
        cached += len(pending)
        token = pick(scores[0, -1], sampling, random)
        tokens.append(token)
        pending = [token]
        yield token


def decode_after(tokenizer: Tokenizer, before: Sequence[int], tokens: Sequence[int], *, special: bool = False) -> str:
    """The text of tokens that follow others.

    Decoded alone, the first word of a tokeniser that marks blanks at the beginning of words (Llama, T5) loses its own.

    Args:
        before: the tokens in front; the last of them are looked at.
        special: whether special tokens are shown.
    """
    known = list(before[-_BEFORE:])
    known_text = tokenizer.decode(known, skip_special_tokens=not special)
    return tokenizer.decode([*known, *tokens], skip_special_tokens=not special)[len(known_text) :]


def pick(scores: npt.NDArray[np.floating], sampling: Sampling, random: np.random.Generator) -> int:
    """One token of a vocabulary, by its scores before softmax, [V].

    Exactly one random number is taken for a token, unless the temperature is 0.
    """
    if sampling.temperature == 0.0:
        return int(scores.argmax())
    # Stable: equal scores keep the order of the vocabulary, so the same seed draws the same token everywhere.
    order = np.argsort(-scores, kind="stable")[: sampling.top_k]
    best = scores[order].astype(np.float64)
    with np.errstate(over="ignore"):  # of a temperature near 0: the others have no probability
        probabilities = np.exp((best - best[0]) / sampling.temperature)
    cumulated = np.cumsum(probabilities / probabilities.sum())
    kept = int(np.searchsorted(cumulated, sampling.top_p)) + 1
    cumulated = cumulated[:kept]
    place = int(np.searchsorted(cumulated, random.random() * cumulated[-1], side="right"))
    return int(order[min(place, len(cumulated) - 1)])
