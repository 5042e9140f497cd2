"""Fixtures over real MNIST: its files through the project's own catalogue and cache, a small cut of it, a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from samebits.data.fetching.catalog import Card, load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.idx import read
from samebits.data.readers.image.images import RawImages
from samebits.params.data import DataParams
from tests.helpers.postgres import Postgres
from tests.helpers.workspace import (
    ROOT,
    about,
    card_source,
    make_workspace,
)


@pytest.fixture(scope="session")
def mnist_card() -> Card:
    return load_card(ROOT / "data" / "catalog", "mnist")


@pytest.fixture(scope="session")
def mnist_files(mnist_card: Card) -> dict[str, Path]:
    """The four files of MNIST, downloaded once a user (about 11 MB) and verified."""
    return dict(fetch(mnist_card, say=print))


@pytest.fixture(scope="session")
def small_mnist(mnist_card: Card, mnist_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder with the first 3,000 training and 500 test images."""
    raw = read(card_source(mnist_card, mnist_files))
    keep = np.r_[0:3000, 60_000:60_500]
    cut = RawImages(
        ids=[raw.ids[row] for row in keep],
        origins=[raw.origins[row] for row in keep],
        hashes=raw.hashes[keep],
        targets=raw.targets[keep],
        classes=raw.classes,
        given=[raw.given[row] for row in keep],
        parts=[raw.read(keep)],
    )
    folder = tmp_path_factory.mktemp("small") / "prepared"
    encoded = split_and_encode(cut, DataParams(validation_fraction=0.1))
    write_prepared(folder, about(mnist_card), encoded, shard_mib=0.5)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, small_mnist: Path) -> Path:
    return make_workspace(tmp_path / "workspace", small_mnist)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that lives as long as the test."""
    server = Postgres()
    yield server
    server.close()
