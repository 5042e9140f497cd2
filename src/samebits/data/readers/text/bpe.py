"""A byte-level BPE for running text, and what running text asks of any tokeniser.

As in GPT-2 (Radford et al., 2019): any text can be encoded, and decoding gives it back byte for byte. The tokenisers of
`readers.text.tokenizer` are for single texts: they put marks around each and change white space. The same texts give
the same `tokenizer.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.signature.special_tokens import SEPARATORS

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.trainers import Trainer

SEPARATOR = "<|endoftext|>"
FEWEST = 257
"""256 bytes and the separator."""
LONGEST_WORD = 1000
"""Bytes of a word that merges are learnt from in one piece: the time grows with the square of that."""


def train_bpe(texts: Iterable[str], vocabulary: int, *, lowercase: bool = False) -> Tokenizer:
    """Learn the merges of a byte-level BPE. There are fewer than `vocabulary` tokens where the text has fewer pairs.

    Raises:
        UserError: if `vocabulary` has no room for all bytes.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if vocabulary < FEWEST:
        raise UserError(
            f"data.text.vocabulary is {vocabulary}: 256 bytes and a separator need {FEWEST}",
            f"set data.text.vocabulary to {FEWEST} or more",
        )
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[SEPARATOR],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    train(tokenizer, trainer, texts)
    return tokenizer


def train(tokenizer: Tokenizer, trainer: Trainer, texts: Iterable[str]) -> None:
    """Train a tokeniser in time that grows with the length of the texts alone.

    Words of more than `LONGEST_WORD` bytes (DNA, base64, minified code) are cut for training, and only for training:
    what is written and how texts are encoded does not know of it.
    """
    from tokenizers import Regex, pre_tokenizers

    own = tokenizer.pre_tokenizer
    cut = pre_tokenizers.Split(Regex(f".{{1,{LONGEST_WORD}}}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([own, cut])
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = own


def separator_of(tokenizer: Tokenizer) -> int | None:
    """The token that stands between texts, or None if the tokeniser has none of the usual ones."""
    found = (tokenizer.token_to_id(name) for name in SEPARATORS)
    return next((token for token in found if token is not None), None)


def tokenizer_bytes(tokenizer: Tokenizer) -> tuple[bytes, str]:
    """`tokenizer.json` as it is written, and its SHA-256."""
    data = (tokenizer.to_str(pretty=True) + "\n").encode()
    return data, hashlib.sha256(data).hexdigest()


def encode_all(tokenizer: Tokenizer, texts: Iterator[str], *, at_once: int = 256) -> Iterator[list[int]]:
    """The tokens of each text, without any that the tokeniser would add around it."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == at_once:
            yield from (each.ids for each in tokenizer.encode_batch(batch, add_special_tokens=False))
            batch = []
    yield from (each.ids for each in tokenizer.encode_batch(batch, add_special_tokens=False))
