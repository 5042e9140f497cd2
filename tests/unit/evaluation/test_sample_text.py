"""Samples as people read them, the same in the report and in a comparison of data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from samebits.sharing.data_diff.version import PREPARED, Version, texts
from samebits.signature.sample_text import row_text, token_text

COLUMNS = [{"kind": "number", "name": "age"}, {"kind": "category", "name": "job", "values": ["clerk", "cook"]}]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # its tokens spell a space as Ġ
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["[PAD]"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["the café is open"] * 4, trainer)
    return made


def test_a_row_of_a_table() -> None:
    assert row_text(COLUMNS, np.array([41.0, 2.0])) == "age 41, job cook"
    assert row_text(COLUMNS, np.array([np.nan, 0.0])) == "age missing, job unknown"


def padded(tokenizer: Tokenizer, text: str, length: int = 40) -> np.ndarray:
    tokens = tokenizer.encode(text).ids
    return np.array(tokens + [0] * (length - len(tokens)))


def test_a_text_ends_with_an_ellipsis_where_it_was_cut(tokenizer: Tokenizer) -> None:
    row = padded(tokenizer, "the café is open")
    assert token_text(tokenizer.decode, row, 0, 300) == "the café is open"
    assert token_text(tokenizer.decode, row, 0, 8) == "the café …"
    assert token_text(tokenizer.decode, row[row != 0], None, 300) == "the café is open …"


class Files:
    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def read_bytes(self, path: str) -> bytes:
        return self.files[path]


def test_a_comparison_of_texts_shows_text_and_no_token_spellings(tokenizer: Tokenizer) -> None:
    info = {"signature": {"inputs": {"kind": "tokens", "pad": 0}, "target": {}}}
    files = Files({f"{PREPARED}/tokenizer.json": tokenizer.to_str().encode()})
    row = padded(tokenizer, "the café is open")
    assert texts(Version("v1", info, pd.DataFrame(), files), [row]) == ["the café is open"]
    broken = Files({f"{PREPARED}/tokenizer.json": json.dumps({}).encode()})
    assert texts(Version("v1", info, pd.DataFrame(), broken), [row])[0].startswith(f"{row[0]} {row[1]}")
