"""Equal bytes of the final weights, however the training was run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from samebits.base.files import read_json
from tests.helpers.shared import shared
from tests.helpers.workspace import make_workspace, outputs, run_stage, set_params


def train(folder: Path, prepared: Path, override: dict[str, Any], **environment: str) -> dict[str, str]:
    workspace = make_workspace(folder, prepared)
    set_params(workspace, override)
    result = run_stage(workspace, "train", **environment)
    assert result.returncode == 0, result.stderr
    return outputs(workspace)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, small_mnist: Path) -> dict[str, str]:
    """The straight run that all others are held against."""
    return outputs(shared(tmp_path_factory, "reference", lambda folder: train(folder, small_mnist, {})))


WAYS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "again": ({}, {}),
    "no workers": ({"runtime": {"workers": 0}}, {}),
    "2 workers": ({"runtime": {"workers": 2}}, {}),
    "4 workers": ({"runtime": {"workers": 4}}, {}),
    "memory-mapped": ({"runtime": {"memory_mib": 1}}, {}),
    "never saved": ({"runtime": {"checkpoint_seconds": 1e6}}, {}),
    "saved at each step": ({"runtime": {"checkpoint_seconds": 1e-6}}, {}),
    "recorded in MLflow": ({"runtime": {"tracking": {"enabled": True}}}, {}),
    "no progress": ({"runtime": {"progress": "off"}}, {}),
    "random hash seed and another locale": (
        {},
        {"PYTHONHASHSEED": "random", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kolkata"},
    ),
    "other machine settings": (
        {},
        {
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "12345",
            "USER": "somebody",
            "LOGNAME": "somebody",
            "HOME": "/nonexistent",
            "OMP_NUM_THREADS": "1",
        },
    ),
}


QUICK = ("again",)


@pytest.mark.parametrize("way", [way if way in QUICK else pytest.param(way, marks=pytest.mark.slow) for way in WAYS])
def test_the_same_bits(way: str, reference: dict[str, str], tmp_path: Path, small_mnist: Path) -> None:
    override, environment = WAYS[way]
    assert train(tmp_path / "another folder", small_mnist, override, **environment) == reference


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("mode", ["strict", "portable"])
def test_cores_change_no_bit(mode: str, tmp_path: Path, small_mnist: Path) -> None:
    settings = {"reproducibility": mode, "train": {"threads": 2, "epochs": 1}}
    whole = train(tmp_path / "all cores", small_mnist, settings)
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert train(tmp_path / "one core", small_mnist, settings) == whole
    finally:
        os.sched_setaffinity(0, cores)


@pytest.mark.slow
def test_windowed_order_is_the_same_from_memory_and_from_disk(tmp_path: Path, small_mnist: Path) -> None:
    order = {"train": {"shuffle": "window", "shuffle_window": 2, "epochs": 1}}
    memory = train(tmp_path / "memory", small_mnist, order)
    assert train(tmp_path / "disk", small_mnist, order | {"runtime": {"memory_mib": 1}}) == memory


@pytest.mark.slow
def test_accumulation_is_the_same_batch(tmp_path: Path, small_mnist: Path) -> None:
    """Micro-batches change the statistics of batch normalisation, so only closeness can be asked for."""
    whole = train(tmp_path / "whole", small_mnist, {})
    parts = train(tmp_path / "parts", small_mnist, {"train": {"micro_batch_size": 32}})
    assert whole != parts
    losses = [read_json(tmp_path / name / "reports/train/metrics.json")["val"]["loss"] for name in ("whole", "parts")]
    assert losses[1] == pytest.approx(losses[0], rel=0.25)
