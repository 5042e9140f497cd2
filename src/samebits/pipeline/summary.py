"""The short table at the end of `make repro`: what came out, how long it took, where it lies."""

from __future__ import annotations

from typing import Any

from samebits.base.decimals import shown
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.stage import TIMES
from samebits.tracking.journal.record import PIPELINE

_SHOWN = ("accuracy", "macro_f1", "log_loss", "r2", "rmse", "mae", "loss", "perplexity", "bits_per_byte")
"""Metrics of any task; those that the evaluation has are shown."""

_PREDICTS = {
    "image": "samebits predict IMAGE...",
    "table": "samebits predict ROWS.csv",
    "tokens": "samebits predict --text TEXT",
}
"""Kind of inputs -> command."""

_GENERATES = "samebits generate PROMPT"


def summarize(project: Project) -> str:
    """The last results as text, from the outputs in the workspace and the seconds that the stages noted.

    Raises:
        UserError: if the pipeline has not run here.
    """
    metrics_file = project.reports / "evaluation" / "metrics.json"
    if not metrics_file.is_file():
        raise UserError("the pipeline has no results here yet", "run make repro, or dvc repro")
    metrics = read_json(metrics_file)
    info = read_json(project.prepared / "dataset.json")
    rows = [("data", f"{info['title']}, {sum(info['counts'].values()):,} samples")]
    try:
        rows += _metrics(metrics)
    except (KeyError, TypeError):
        raise UserError(f"{metrics_file} is no evaluation of ours", "make it again: dvc repro evaluate") from None
    rows += [("seconds", _seconds(project))]
    rows += [
        ("model", "models/export/model.onnx" + _command(info)),
        ("report", "reports/evaluation/report/report.html"),
        ("runs", "make ui"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)


def _command(info: dict[str, Any]) -> str:
    """How the exported model is asked, if there is a command for its kind of inputs."""
    signature = info.get("signature", {})
    command = _PREDICTS.get(signature.get("inputs", {}).get("kind"))
    if signature.get("target", {}).get("kind") == "next_token":
        command = _GENERATES
    return f"   ({command})" if command else ""


def _metrics(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """The first metrics of the test split with their confidence intervals, and what is reached without an input."""
    rows = []
    for name in _SHOWN:
        if (value := metrics["test"].get(name)) is None:
            continue
        interval = metrics["interval"].get(name)
        spread = f"   ({shown(interval['low'])} to {shown(interval['high'])})" if interval else ""
        baseline = metrics.get("baseline", {}).get(name)
        without = "" if baseline is None else f"   baseline {shown(baseline)}"
        rows.append((name, f"{shown(value)}{spread}{without}"))
    return rows


def _seconds(project: Project) -> str:
    times = project.state / TIMES
    if not times.is_file():
        return "nothing ran here: the outputs were pulled or cached"
    seconds = read_json(times)
    return "  ".join(f"{stage} {value:.1f}" for stage in PIPELINE if (value := seconds.get(stage)))
