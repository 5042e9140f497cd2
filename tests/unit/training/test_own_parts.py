"""A loss, metrics, an augmentation and a task of one's own: those of docs/own_code.md in all four stages, and what does
not fit."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from samebits.base.files import read_json, sha256_file
from samebits.base.paths import Project
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.workspace import ROOT, set_params

PAGE = (ROOT / "docs" / "own_code.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
IMAGES = """
class Samples(list):
    classes = ["a", "b", "c"]

    def __init__(self, path):
        random = np.random.default_rng(0)
        images = random.integers(0, 200, (150, 1, 6, 6), dtype=np.uint8)
        for index, image in enumerate(images):
            image[:, :, index % 3] += 50
            self.append((image, index % 3))
"""
NUMBERS = """
class Samples(list):
    def __init__(self, path):
        random = np.random.default_rng(0)
        self.extend((row, float(row.sum())) for row in random.random((150, 4), dtype=np.float32))
"""
VECTORS = NUMBERS.replace("float(row.sum())", "[float(row.sum()), float(row[0])]")
LABELS = NUMBERS.replace("float(row.sum())", '[name for name, value in zip("abcd", row) if value > 0.5]')
MASKS = IMAGES.replace("index % 3))", "np.where(image[0] > 120, 1, np.where(image[0] > 90, 0, 2)).astype(np.uint8)))")
UNET = {"name": "unet", "widths": [4, 8]}

pytestmark = pytest.mark.usefixtures("restored")


@pytest.fixture(autouse=True)
def _timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """A prepared project with the classes of the page and more in custom/parts.py."""

    def make(samples: str = IMAGES, code: str = "", **settings: Any) -> Project:
        model = settings.pop("model", None)
        project = own_project(tmp_path, monkeypatch, samples, settings.pop("kind", "classification"), model)
        (tmp_path / "custom" / "parts.py").write_text(
            "import numpy as np\nimport random as of_python\nimport torch\n"
            + "\n\n".join(block for block in BLOCKS if "for x, y in" not in block)
            + "\n\n"
            + textwrap.dedent(code)
        )
        set_params(tmp_path, settings)
        run_stages(project, "prepare")
        return project

    return make


def part(class_name: str, **arguments: Any) -> dict[str, Any]:
    return {"file": "custom/parts.py", "class_name": class_name, "arguments": arguments}


def weights(project: Project) -> str:
    return sha256_file(project.checkpoint / "model.safetensors")


def test_the_files_of_custom_are_those_of_the_page() -> None:
    for name in ("losses", "metrics", "augmentation", "task"):
        assert (
            sum((ROOT / "custom" / f"{name}.py").read_text(encoding="utf-8").endswith(block) for block in BLOCKS) == 1
        )


def test_all_of_them_in_all_stages(made: Callable[..., Project]) -> None:
    project = made(
        task={"own_loss": part("FocalLoss", gamma=1.0), "own_metrics": [part("Cost", price=3.0)]},
        augment={"own": part("Speckle", share=0.1)},
    )
    said = run_stages(project, "train", "evaluate", "export")
    curves = read_json(project.reports / "train" / "metrics.json")["val"]
    assert set(curves) == {"accuracy", "cost", "loss"}
    metrics = read_json(project.reports / "evaluation" / "metrics.json")
    assert metrics["better"] == {"cost": "lower"}
    assert metrics["interval"]["cost"]["low"] <= metrics["test"]["cost"] <= metrics["interval"]["cost"]["high"]
    assert "cost" in metrics["baseline"]
    assert any(line.startswith("cost ") for line in said)
    assert "cost" in (project.reports / "evaluation" / "report" / "report.html").read_text()
    for folder in (project.checkpoint, project.exported):
        assert (folder / "custom" / "parts.py").read_bytes() == Path("custom/parts.py").read_bytes()
    assert "`custom/parts.py`" in (project.exported / "card.md").read_text()


def test_a_task_of_ones_own_in_all_stages(made: Callable[..., Project]) -> None:
    project = made(task={"name": "own", **part("OneAgainstRest"), "own_metrics": [part("Cost")]})
    run_stages(project, "train", "evaluate", "export")
    assert set(read_json(project.reports / "train" / "metrics.json")["val"]) == {"accuracy", "cost", "loss"}
    score = read_json(project.exported / "export.json")["test"]["accuracy"]
    assert read_json(project.reports / "evaluation" / "metrics.json")["test"]["accuracy"] == score
