"""Another language, spelt in the same letters, and a tagger's lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from samebits.drift.answers import watched_columns
from samebits.drift.measure import kind_of
from samebits.inference.calibration import UNCALIBRATED
from samebits.inference.text import Kind
from samebits.signature.classes import ClassTarget
from samebits.signature.kind import Array
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TokenInputs
from tests.helpers.tokenizer import fit

ENGLISH = "the old house stood near a river and many people came with their boats every morning before work"
GERMAN = "das alte haus stand nahe am fluss und viele leute kamen mit ihren booten jeden morgen vor der arbeit"


def texts(language: str, count: int) -> list[str]:
    random = np.random.default_rng(count)
    return [" ".join(random.choice(language.split(), random.integers(6, 12))) for _ in range(count)]


def test_another_language_has_rare_and_surprising_tokens() -> None:
    fitted = fit(texts(ENGLISH, 300), length=48)
    tokenizer = Tokenizer.from_str(fitted.json.decode())
    inputs = TokenInputs(length=48, vocabulary=fitted.vocabulary, pad=fitted.pad, tokenizer_sha256="0" * 64)

    def rows(language: str, count: int) -> Array:
        return np.array([each.ids for each in tokenizer.encode_batch(texts(language, count))])

    kind = kind_of(inputs)
    counts = kind.token_counts(rows(ENGLISH, 200)).tolist()
    english, german = (kind.measure(rows(language, 100), counts) for language in (ENGLISH, GERMAN))
    for name in ("rare tokens", "bits per token"):
        assert english[name].values.max() < german[name].values.min()


def test_a_sample_with_many_answers_has_none_to_compare() -> None:
    assert watched_columns(NextTokenTarget(), UNCALIBRATED) == {}
    assert watched_columns(TagsTarget(classes=["O", "B-X"], length=8), UNCALIBRATED) == {}
    assert watched_columns(ClassTarget(classes=["a", "b"]), UNCALIBRATED) == {
        "prediction": "text",
        "probability": "share",
    }


def test_rows_of_a_tagger_are_lines_of_words_as_in_training() -> None:
    fitted = fit(length=8)
    tokenizer = Tokenizer.from_str(fitted.json.decode())
    tagger: Any = SimpleNamespace(
        target=TagsTarget(classes=["O", "B-X"], length=8),
        tokenizer=tokenizer,
        length=8,
        inputs={"pad": fitted.pad},
    )
    rows = Kind.rows(tagger, ["the quick fox\n\n  \nthe dog", "lazy"])
    assert rows.shape == (3, 8)
    wanted = tokenizer.encode(["the", "dog"], is_pretokenized=True)
    used = sum(wanted.attention_mask)
    assert rows[1].tolist() == wanted.ids[:used] + [fitted.pad] * (8 - used)
