"""Drawing tokens, and going on beyond the context."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from samebits.inference.sampling import GREEDY, Floats, Sampling, decode_after, generate, pick

SHAPE = (1, 1, 2)
SCORES = np.log(np.array([0.1, 0.5, 0.15, 0.25]))


class Counter:
    """A model whose scores say the last token plus one, and which notes what it was given."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.calls: list[tuple[list[int], int]] = []

    def __call__(self, tokens: Any, keys: Floats, values: Floats) -> list[Floats]:
        self.calls.append((tokens[0].tolist(), keys.shape[3]))
        scores = np.zeros((1, tokens.shape[1], self.vocabulary), dtype=np.float32)
        scores[0, -1, (tokens[0, -1] + 1) % self.vocabulary] = 5.0
        new = np.zeros((*keys.shape[:3], keys.shape[3] + tokens.shape[1], keys.shape[4]), dtype=np.float32)
        return [scores, new, new]


def drawn(sampling: Sampling, count: int = 4000) -> list[float]:
    random = np.random.Generator(np.random.Philox(sampling.seed))
    found = [pick(SCORES, sampling, random) for _ in range(count)]
    return [found.count(token) / count for token in range(len(SCORES))]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=0.0), [0, 1, 0, 0]),
        (Sampling(temperature=1.0, top_p=1.0), [0.1, 0.5, 0.15, 0.25]),
        (Sampling(temperature=1.0, top_p=1.0, top_k=2), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(temperature=1.0, top_p=0.5), [0, 1, 0, 0]),
        (Sampling(temperature=1.0, top_p=0.7), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(temperature=1e-3, top_p=1.0), [0, 1, 0, 0]),
        (Sampling(temperature=1e-320, top_p=1.0), [0, 1, 0, 0]),
        (Sampling(temperature=0.5, top_p=1.0), [0.029, 0.725, 0.065, 0.181]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_should_be(sampling: Sampling, expected: list[float]) -> None:
    assert drawn(sampling) == pytest.approx(expected, abs=0.03)


def test_the_same_seed_draws_the_same_tokens() -> None:
    run = Counter(10)

    def text(seed: int) -> list[int]:
        return list(islice(generate(run, SHAPE, 8, [0], Sampling(temperature=3.0, seed=seed)), 30))

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_the_prompt_is_read_once_and_then_a_token_at_a_time() -> None:
    run = Counter(100)
    assert list(islice(generate(run, SHAPE, 10, [4, 5, 6], GREEDY), 4)) == [7, 8, 9, 10]
    assert run.calls == [([4, 5, 6], 0), ([7], 3), ([8], 4), ([9], 5)]


def test_beyond_the_context_it_goes_on_from_the_last_half() -> None:
    run = Counter(100)
    assert list(islice(generate(run, SHAPE, 4, [1, 2, 3], GREEDY), 5)) == [4, 5, 6, 7, 8]
    assert run.calls == [([1, 2, 3], 0), ([4], 3), ([4, 5], 0), ([6], 2), ([7], 3)]
    assert all(past + len(tokens) <= 4 for tokens, past in run.calls)


def test_of_a_prompt_longer_than_the_context_the_end_is_read() -> None:
    run = Counter(100)
    assert next(generate(run, SHAPE, 4, list(range(20)), GREEDY)) == 20
    assert run.calls == [([16, 17, 18, 19], 0)]


@pytest.mark.parametrize("kind", ["metaspace", "bytes"])
def test_blanks_between_a_prompt_and_what_follows_stay(kind: str) -> None:
    mark = "\u2581" if kind == "metaspace" else "\u0120"
    words = {f"{mark}The": 0, f"{mark}team": 1, f"{mark}goal": 2, "s": 3, "<s>": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="s"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace() if kind == "metaspace" else decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>"])
    assert decode_after(tokenizer, [4, 0, 1], [2, 3]) == " goals"
    assert decode_after(tokenizer, [0] * 20, [2]) == " goal"
    assert decode_after(tokenizer, [4, 0, 1], [4, 2], special=True).strip().startswith("<s>")
    assert decode_after(tokenizer, [4], [0]).strip() == "The"
