"""Books of random words, as a source of running text."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from samebits.data.readers.reader import Source
from samebits.params.data import DataParams
from samebits.params.text import TextParams

WORDS = [
    "the",
    "sea",
    "was",
    "calm",
    "and",
    "a",
    "whale",
    "turned",
    "in",
    "it",
    "slowly",
    "while",
    "nobody",
    "on",
    "the",
    "deck",
    "said",
    "one",
    "word",
    "of",
    "what",
    "they",
    "saw",
]


def book(seed: int, paragraphs: int = 150) -> str:
    """Paragraphs of random words."""
    drawn = random.Random(seed)
    lines = (" ".join(drawn.choices(WORDS, k=drawn.randint(5, 120))) for _ in range(paragraphs))
    return "".join(f"{line.capitalize()} {seed}.\n\n" for line in lines)


def settings(**changed: Any) -> DataParams:
    text = {"tokenizer": "bpe", "vocabulary": 300, "length": 16, **changed.pop("text", {})}
    return DataParams(
        source="data/raw/books",
        format="running_text",
        **({"validation_fraction": 0.2, "test_fraction": 0.2} | changed),
        text=TextParams(**text),
    )


def source(folder: Path, **changed: Any) -> Source:
    """The folder `books` as the user's own data."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    own = folder / "books"
    return Source("books", settings(**changed), None, {}, own, scratch, print, find_asset=asset_of(folder))


def asset_of(folder: Path) -> Any:
    return lambda name, file, key: folder / name


def books(folder: Path, **content: str | bytes) -> Path:
    """A folder of books; the names' `_` is a dot."""
    (folder / "books").mkdir(exist_ok=True)
    for name, text in content.items():
        data = text.encode() if isinstance(text, str) else text
        (folder / "books" / name.replace("_", ".")).write_bytes(data)
    return folder
