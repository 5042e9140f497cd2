"""`dvc plots show`, `dvc plots diff` and `dvc metrics show` of every task: each chart has its data, nothing warns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from samebits.params.choices import TASKS
from samebits.params.yaml_file import read_yaml
from tests.helpers.workspace import ROOT

CSV: dict[str, tuple[str, str]] = {
    # task: what reports/train/curves.csv and reports/evaluation/report/predictions.csv hold
    "classification": (
        "step,epoch,train/loss,train/lr,val/accuracy,val/loss\n1,,2.3,0.1,,\n2,1,2.1,0.1,0.5,2.2\n",
        "index,id,source,actual,predicted,confidence\n0,a,a,cat,dog,0.5\n1,b,b,dog,dog,0.9\n",
    ),
    "multilabel": (
        "step,epoch,train/loss,train/lr,val/label_accuracy,val/loss\n1,,2.3,0.1,,\n2,1,2.1,0.1,0.5,2.2\n",
        'index,id,source,actual,predicted,probability of cat\n0,a,a,"cat, dog",cat,0.9\n1,b,b,no label,dog,0.2\n',
    ),
    "own": (
        "step,epoch,train/loss,train/lr,val/accuracy,val/loss\n1,,2.3,0.1,,\n2,1,2.1,0.1,0.5,2.2\n",
        "index,id,source,actual,predicted,confidence\n0,a,a,cat,dog,0.5\n1,b,b,dog,dog,0.9\n",
    ),
    "regression": (
        "step,epoch,train/loss,train/lr,val/loss,val/mae,val/mse\n1,,2.3,0.1,,,\n2,1,2.1,0.1,2.2,1.1,1.7\n",
        "index,id,source,actual,predicted,residual\n0,a,a,1.5,2.5,1.0\n1,b,b,2,2,0\n",
    ),
    "segmentation": (
        "step,epoch,train/loss,train/lr,val/loss,val/mean_iou,val/pixel_accuracy\n1,,2.3,0.1,,,\n2,1,2,0.1,2,0.5,0.7\n",
        "index,id,source,pixels,iou,accuracy,loss\n0,a,a,9,0.5,0.7,1.5\n1,b,b,9,0.25,0.6,2\n",
    ),
    "token_classification": (
        "step,epoch,train/loss,train/lr,val/entity_f1,val/loss,val/tag_accuracy\n1,,2.3,0.1,,,\n2,1,2,0.1,0.5,2,0.7\n",
        "index,id,source,words,accuracy,loss,entities_right,entities,entities_predicted\n"
        "0,a,a,9,0.5,0.7,1,2,3\n1,b,b,9,0.25,0.6,0,1,1\n",
    ),
    "language_model": (
        "step,epoch,train/loss,train/lr,val/accuracy,val/loss,val/perplexity\n1,,2.3,0.1,,,\n2,1,2.1,0.1,0.5,2.2,9.0\n",
        "index,id,source,loss,accuracy\n0,a,a,1.5,0.5\n1,b,b,2,0.25\n",
    ),
}


@pytest.fixture(params=sorted(TASKS))
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The project's dvc.yaml over results of a task."""
    from dvc.repo import Repo

    Repo.init(str(tmp_path), no_scm=True).close()
    shutil.copytree(ROOT / ".dvc/plots", tmp_path / ".dvc/plots")
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    params = read_yaml(ROOT / "params.yaml")
    (tmp_path / "params.yaml").write_text(json.dumps(params | {"task": {"name": request.param}}))
    curves, predictions = CSV[request.param]
    record = {name: ["0  x"] for name in ("commands", "deps", "outs", "params")}
    files = {
        "reports/train/curves.csv": curves,
        "reports/evaluation/report/predictions.csv": predictions,
        "reports/train/metrics.json": json.dumps({"train": {"loss": 1.0}}),
        "reports/evaluation/metrics.json": json.dumps({"test": {"loss": 1.0}}),
        **{f"reports/provenance/{stage}.json": json.dumps(record) for stage in read_yaml(ROOT / "dvc.yaml")["stages"]},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "reports/evaluation/figures").mkdir()
    (tmp_path / "reports/evaluation/figures/curves.png").write_bytes(b"png")
    return tmp_path


def test_charts_fit_the_task(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    from dvc.render.match import match_defs_renderers
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        found = repo.plots.show()
        drawn = match_defs_renderers(found, templates_dir=repo.plots.templates_dir)
    contents: dict[str, Any] = {}
    for renderer, of_sources, of_definitions in drawn:
        assert not of_sources
        assert not of_definitions
        if renderer.TYPE == "vega":
            contents[renderer.name] = json.loads(renderer.partial_html())
    assert not [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")]
    assert {name for name, content in contents.items() if content} == {"loss", "validation", "predictions"}
    for name in ("validation", "predictions"):
        assert len(contents[name]["data"]["values"]) == 2
        shown = json.dumps({key: value for key, value in contents[name].items() if key != "data"})
        assert "<DVC_METRIC" not in shown


def test_metrics_are_numbers(project: Path) -> None:
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        shown = repo.metrics.show()[""]["data"]
    assert set(shown) == {"reports/train/metrics.json", "reports/evaluation/metrics.json"}


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_chart_names_columns_that_are_there(task: str) -> None:
    curves, predictions = (text.split("\n")[0].split(",") for text in CSV[task])
    drawn = (ROOT / ".dvc/plots" / f"{task}.json").read_text()
    named = {name for name in ("actual", "predicted", "loss", "accuracy") if f'"{name}"' in drawn}
    assert named <= set(predictions)
    folded = json.loads((ROOT / ".dvc/plots/validation.json").read_text())["transform"][0]["fold"]
    assert {name for name in curves if name.startswith("val/")} - set(folded) <= {"val/mse"}
