"""Continue a text with an exported language model: ONNX Runtime and the tokeniser alone, no torch, no project.

Two files are enough, side by side: `model.onnx` and `tokenizer.json` of the export stage.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samebits.base.errors import UserError
from samebits.inference.sampling import Floats, Run, Sampling, decode_after, generate
from samebits.inference.session import Opened, Session, open_model, open_tokenizer
from samebits.signature.special_tokens import SEPARATORS

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class EmptyPrompt(UserError):
    """A prompt without a token, for a model that cannot begin a text."""

    def __init__(self) -> None:
        super().__init__("the prompt is empty", "give the text to go on from")


@dataclass(frozen=True)
class Writer:
    """An exported language model, ready to write.

    Attributes:
        context: tokens that it sees at once.
        separator: the token between texts, at which a text ends; None if the tokeniser has none.
    """

    run: Run
    kv_cache_shape: tuple[int, int, int]
    context: int
    tokenizer: Tokenizer
    separator: int | None

    def tokens(self, prompt: str, count: int, sampling: Sampling) -> Iterator[int]:
        """Up to `count` tokens after the prompt; fewer where the text ends before.

        Raises:
            EmptyPrompt: if the tokeniser has no token to begin with.
        """
        # A text stands after a separator in training; in front of it the model has nothing to go by.
        known = self.known(prompt)
        if not known:
            raise EmptyPrompt
        for token in islice(generate(self.run, self.kv_cache_shape, self.context, known, sampling), count):
            if token == self.separator:
                return
            yield token

    def pieces(self, prompt: str, count: int, sampling: Sampling) -> Generator[str, None, int]:
        """The text after the prompt as it is made; a letter of several tokens comes whole. Returns how many tokens it
        has."""
        known = self.known(prompt)
        made: list[int] = []
        shown = ""
        for token in self.tokens(prompt, count, sampling):
            made.append(token)
            text = decode_after(self.tokenizer, known, made)
            if not text.endswith("\ufffd"):
                yield text[len(shown) :]
                shown = text
        rest = decode_after(self.tokenizer, known, made)[len(shown) :]
        if rest:
            yield rest
        return len(made)

    def known(self, prompt: str) -> list[int]:
        """What the model reads before its first own token: the separator, if there is one, and the prompt."""
        begin = [] if self.separator is None else [self.separator]
        return begin + self.tokenizer.encode(prompt, add_special_tokens=False).ids


def require_sampling(sampling: Sampling, count: int) -> None:
    """Refuse what cannot be drawn with.

    Raises:
        UserError: naming the option.
    """
    if count < 1:
        raise UserError(f"--tokens is {count}", "ask for at least one token")
    if not 0.0 <= sampling.temperature < float("inf"):
        raise UserError(f"--temperature is {sampling.temperature:g}", "0 is greedy, 1 the model's own probabilities")
    if sampling.top_k is not None and sampling.top_k < 1:
        raise UserError(f"--top-k is {sampling.top_k}", "keep at least one token")
    if not 0.0 < sampling.top_p <= 1.0:
        raise UserError(f"--top-p is {sampling.top_p:g}", "it is a probability: above 0, up to 1")
    if sampling.seed < 0:
        raise UserError(f"--seed is {sampling.seed}", "use a whole number from 0")


def open_writer(path: Path, opened: Opened | None = None) -> Writer:
    """An exported language model, which is opened if it is not yet, and the tokeniser beside it.

    Raises:
        UserError: a missing or damaged file, a model of another kind, a tokeniser that is not the model's.
    """
    session, metadata = opened or open_model(path)
    inputs = metadata["preprocessing"]
    shapes = {each.name: each.shape for each in session.get_inputs()}
    if set(shapes) != {"tokens", "keys", "values"}:
        raise UserError(
            f"{path} takes {', '.join(shapes)}: it is no language model with a cache",
            "name one that a gpt was exported to; for images, samebits predict",
        )
    session.require_inputs({"tokens": ("int32", 2), "keys": ("float", 5), "values": ("float", 5)})
    layers, _, heads, _, size = shapes["keys"]
    if inputs.get("kind") != "tokens" or not all(type(each) is int for each in (layers, heads, size)):
        raise UserError(f"{path} is no language model of the export stage", "make it again: dvc repro export")
    tokenizer = open_tokenizer(path, inputs)
    found = (tokenizer.token_to_id(name) for name in SEPARATORS)
    return Writer(
        run=session_run(session),
        kv_cache_shape=(layers, heads, size),
        context=int(inputs["length"]),
        tokenizer=tokenizer,
        separator=next((token for token in found if token is not None), None),
    )


def session_run(session: Session) -> Run:
    """A session as a function over the cache."""

    def run(tokens: Any, keys: Floats, values: Floats) -> list[Floats]:
        answers = session.run(None, {"tokens": tokens, "keys": keys, "values": values})
        fits = len(answers) == 3 and all(isinstance(each, np.ndarray) for each in answers)
        if not fits or answers[0].ndim != 3 or answers[0].shape[:2] != tokens.shape or not answers[0].size:
            raise UserError(f"{session.path} gives no scores of a next token", "make it again: dvc repro export")
        if not np.isfinite(answers[0][0, -1]).all():
            raise UserError(f"{session.path} gives a score that is no finite number", "train it again")
        return answers

    return run
