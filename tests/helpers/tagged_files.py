"""Made sentences with the names of people and places tagged, in files of columns and in JSON Lines."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samebits.base.paths import Project
from tests.helpers.in_process import make_workspace

NAMES = ("Ada", "Bern", "Den Haag", "Paris", "Sydney Hall", "Rio")
"""Each of a person or of a place: what stands around it says which."""
FORMS = ("{p} lives in {l} .", "in {l} , {p} met {q}", "{p} and {q} left for {l} early", "nobody was there today")

Sentence = tuple[list[str], list[str]]


def sentence(seed: int) -> Sentence:
    """Words and their tags, IOB2."""
    drawn = random.Random(seed)
    words: list[str] = []
    tags: list[str] = []
    for part in drawn.choice(FORMS).split():
        kind = {"{p}": "PER", "{q}": "PER", "{l}": "LOC"}.get(part)
        names = (drawn.choice(NAMES) if kind else part).split()
        words += names
        tags += [f"{'I' if k else 'B'}-{kind}" for k in range(len(names))] if kind else ["O"]
    return words, tags


def columns(sentences: Sequence[Sentence]) -> str:
    """As CoNLL has it."""
    return "\n".join("".join(f"{word} {tag}\n" for word, tag in zip(*each, strict=True)) for each in sentences)


def json_lines(sentences: Sequence[Sentence]) -> str:
    return "".join(json.dumps({"tokens": words, "tags": tags}) + "\n" for words, tags in sentences)


def write_tagged(path: Path, count: int = 300) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(columns([sentence(seed) for seed in range(count)]))


def tagged_project(workspace: Path, *, data: dict[str, Any] | None = None, **sections: Any) -> Project:
    """A workspace on `data/raw/names.conll` with a small BERT; sections replace those here, `train` is merged."""
    source = {"source": "data/raw/names.conll", "format": "tagged_text", "split": "hash"}
    source |= {"validation_fraction": 0.2, "test_fraction": 0.2, "text": {"vocabulary": 320, "length": 24}}
    bert = {"name": "bert", "layers": 1, "width": 32, "heads": 2, "hidden": 32, "positions": 24, "dropout": 0.0}
    train = {"epochs": 8, "batch_size": 16, "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.0}}
    replace = {"task": {"name": "token_classification"}, "model": bert, "augment": {}}
    return make_workspace(
        workspace, {"data": source | (data or {}), "train": train | sections.pop("train", {})}, replace | sections
    )
