"""Readers: from the files of a catalogue card to arrays.

A reader is a module with a function `read(card, files) -> RawDataset`, found by the card's `format`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from samebits.data.catalog import Card
from samebits.registry import load_module


@dataclass(frozen=True)
class RawSplit:
    """One split as its source has it.

    Attributes:
        images: uint8 [n, C, H, W]; may be mapped from a file.
        labels: int64 [n], each an index into the card's classes.
        ids: n names that are unique in the data set and stay with the sample (`train/000123`).
        origins: n places that a person can look up (`train-images-idx3-ubyte#123`).
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    ids: Sequence[str]
    origins: Sequence[str]


@dataclass(frozen=True)
class RawDataset:
    """What a reader returns: the source's own train and test split."""

    train: RawSplit
    test: RawSplit


SOURCES: dict[str, str] = {"idx": "samebits.data.idx"}
"""Format of a card -> module of its reader."""


def read_source(card: Card, files: Mapping[str, Path]) -> RawDataset:
    """Read a card's files.

    Args:
        card: its `format` names the reader.
        files: path of each of the card's files, by the file's name.

    Raises:
        UserError: if the files are not what the card says.
    """
    raw: RawDataset = load_module("format of data", card.format, SOURCES).read(card, files)
    return raw
