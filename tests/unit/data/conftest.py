"""The prepared folder that comes of a small IDX data set, and no cache of the user's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from samebits.base.paths import Project
from samebits.data.fetching.catalog import Card
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from tests.helpers.idx_source import Source, card_dict, make_source

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SAMEBITS_CACHE", str(cache))
    monkeypatch.delenv("SAMEBITS_DATA", raising=False)
    return cache / "data"


@pytest.fixture
def run_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the stage on a source in a workspace of its own; returns its `data/prepared`."""

    def run(raw: Source, /, workspace: str = "workspace", *, card: dict[str, Any] | None = None, **data: Any) -> Path:
        root = tmp_path / workspace
        (root / "data/catalog").mkdir(parents=True, exist_ok=True)
        folder = tmp_path / f"{workspace}-files"
        folder.mkdir(exist_ok=True)
        contents = raw.contents()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        card = card or card_dict(contents)
        Card.model_validate(card)
        # JSON is YAML.
        (root / "data/catalog/tiny.yaml").write_text(str(card).replace("'", '"'), encoding="utf-8")
        monkeypatch.setenv("SAMEBITS_DATA", str(folder))
        context = SimpleNamespace(
            project=Project(workspace=root, home=root), runtime=RuntimeParams(progress="off"), say=said.append
        )
        params = {"source": "data/catalog/tiny.yaml", "validation_fraction": 0.2, "shard_mib": 30 * 30 / 2**20, **data}
        prepare(DataParams(**params), context=context)  # type: ignore[arg-type]
        return root / "data/prepared"

    said: list[str] = []
    run.said = said  # type: ignore[attr-defined]
    return run


@pytest.fixture
def prepared(run_prepare: Callable[..., Path]) -> Path:
    """A prepared folder: 300 training images of 6 x 5 (a fifth held out) in several shards, 40 test images."""
    return run_prepare(make_source())
