"""The short table at the end of `make repro`: what came out, how long it took, where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from samebits.base.decimals import shown
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.metrics.registry import directions
from samebits.pipeline.context import TIMES
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.ran import record_path
from samebits.provenance.stale import stale_stages
from samebits.signature.signature import Signature
from samebits.tracking.journal.record import PIPELINE


def summarize(project: Project) -> str:
    """The last results as text, from the outputs in the workspace and the seconds that the stages noted.

    A stage whose results were made from other data, code or parameters than those here is named instead of them.

    Raises:
        UserError: if the pipeline has not run here.
    """
    metrics_file = project.reports / "evaluation" / "metrics.json"
    dataset = project.prepared / "dataset.json"
    if not dataset.is_file():
        raise UserError("the pipeline has no results here yet", "run make repro, or dvc repro")
    info = read_json(dataset)
    stale = stale_stages(project.workspace)
    rows = [("data", f"{info['title']}, {sum(info['counts'].values()):,} samples"), *stale.items()]
    if "evaluate" not in stale:
        try:
            rows += _metrics(read_json(metrics_file))
        except (KeyError, TypeError):
            raise UserError(f"{metrics_file} is no evaluation of ours", "make it again: dvc repro evaluate") from None
    rows += [("seconds", _seconds(project, stale))]
    if "export" not in stale:
        rows += [("model", "models/export/model.onnx" + _command(info))]
    if "evaluate" not in stale:
        rows += [("report", "reports/evaluation/report/report.html")]
    rows += [("runs", "make ui")]
    if stale:
        rows += [("next", "dvc repro")]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)


def _command(info: dict[str, Any]) -> str:
    """How the exported model is asked; empty for data of another release."""
    try:
        signature = Signature.model_validate(info.get("signature"))
    except ValidationError:
        return ""
    return f"   ({signature.target.predict or signature.inputs.predict})"


def _metrics(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Metrics of the test split that can decide, with their intervals, and what is reached without an input."""
    rows = []
    for name in directions(metrics.get("better")):
        if (value := metrics["test"].get(name)) is None:
            continue
        interval = metrics["interval"].get(name)
        spread = f"   ({shown(interval['low'])} to {shown(interval['high'])})" if interval else ""
        baseline = metrics.get("baseline", {}).get(name)
        without = "" if baseline is None else f"   baseline {shown(baseline)}"
        rows.append((name, f"{shown(value)}{spread}{without}"))
    return rows


def _seconds(project: Project, stale: Mapping[str, str]) -> str:
    """What the stages took that made the results here; not the others, which were pulled or cached."""
    times = project.state / TIMES
    noted = read_json(times) if times.is_file() else {}
    shown = []
    for stage in PIPELINE:
        match noted.get(stage):
            case {"seconds": float(seconds), "record": str(record)} if stage not in stale:
                if record == existing_md5(project.workspace / record_path(stage)):
                    shown.append(f"{stage} {seconds:.1f}")
    return "  ".join(shown) or "nothing of this ran here: the outputs were pulled or cached"
