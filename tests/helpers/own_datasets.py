"""Datasets of a user's own, and a project that reads them."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from samebits.base.paths import Project
from tests.helpers.in_process import make_workspace

MLP = {"name": "mlp", "hidden": [16]}


def own_project(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    task: str = "classification",
    model: dict[str, Any] | None = None,
    **data: Any,
) -> Project:
    """A project whose samples `Samples` of custom/mine.py gives; stages run in its folder.

    Args:
        code: the file; numpy is imported as np.
        data: more keys of the section `data`.
    """
    (workspace / "custom").mkdir(exist_ok=True)
    (workspace / "data" / "raw" / "mine").mkdir(parents=True, exist_ok=True)
    (workspace / "custom" / "mine.py").write_text("import numpy as np\n" + textwrap.dedent(code))
    monkeypatch.chdir(workspace)
    section = {
        "source": "data/raw/mine",
        "format": "own",
        "own": {"file": "custom/mine.py"},
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
        **data,
    }
    return make_workspace(
        workspace,
        {"data": section, "train": {"optimizer": {"lr": 0.02}}},
        {"task": {"name": task}, "model": model or MLP, "augment": {}},
    )
