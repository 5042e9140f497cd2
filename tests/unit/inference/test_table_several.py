"""Tables with several labels or numbers per row: trained, judged, exported, and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samebits.base.files import read_json
from samebits.cli.main import main
from tests.helpers.in_process import make_workspace, run_stages
from tests.helpers.same_answers import evaluated, line_of, predicted, same_number, same_share


def rows(n: int = 240) -> list[str]:
    random = np.random.default_rng(0)
    size, heat = random.uniform(-1, 1, n).round(3), random.uniform(-1, 1, n).round(3)
    return [
        f"{a},{b},{int(a > 0)},{int(a + b > 0)},{3 * a + 10:.3f},{b - a:.3f}"
        for a, b in zip(size.tolist(), heat.tolist(), strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "drop", "task", "metric", "header"),
    [
        (
            ["wet", "cold"],
            ["low", "high"],
            {"name": "multilabel"},
            "macro_f1",
            "name,prediction,probability of cold,probability of wet,notes,error",
        ),
        (
            ["low", "high"],
            ["wet", "cold"],
            {"name": "regression", "loss": "mse"},
            "r2",
            "name,low,high,low of low,high of low,low of high,high of high,notes,error",
        ),
    ],
)
def test_trained_and_asked(
    target: list[str],
    drop: list[str],
    task: dict[str, Any],
    metric: str,
    header: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = {
        "source": "data/raw/own.csv",
        "format": "table",
        "table": {"target": target, "drop": drop, "allow_leaks": True},
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
    }
    train = {"epochs": 30, "batch_size": 16, "optimizer": {"name": "adamw", "lr": 0.02}}
    model = {"name": "tabular", "width": 16, "embedding": 4, "members": 2, "layers": 1}
    project = make_workspace(
        tmp_path,
        {"data": data, "train": train, "export": {"formats": ["onnx"]}},
        {"task": task, "model": model, "augment": {}},
    )
    (tmp_path / "data/raw/own.csv").write_text("\n".join(["size,heat,wet,cold,low,high", *rows()]))
    run_stages(project)
    found = read_json(project.reports / "evaluation" / "metrics.json")
    assert found["test"][metric] > 0.8
    assert found["baseline"][metric] < 0.8
    capsys.readouterr()
    told, wrote = predicted(project, capsys, tmp_path / "data/raw/own.csv"), evaluated(project)
    assert len(wrote) > 40
    for row in wrote:
        answer = told[line_of(row) - 1]
        if metric == "r2":
            assert same_number(answer[row["component"]], row["predicted"])
            continue
        assert (answer["prediction"].replace("; ", ", ") or "no label") == row["predicted"]
        assert all(same_share(answer[f"probability of {name}"], row[f"probability of {name}"]) for name in target)
    (tmp_path / "new.csv").write_text("heat,size\n0.9,0.9\n-0.9,-0.9\n")
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "new.csv"), "--model", str(project.exported / "model.onnx")]) == 0
    first, *answers = capsys.readouterr().out.splitlines()
    assert first == header
    if metric == "macro_f1":
        assert ",cold; wet,0.9" in answers[0]
        assert ":3,,0.0" in answers[1]
    else:
        assert [round(float(cell)) for cell in answers[0].split(",")[1:3]] == [13, 0]
