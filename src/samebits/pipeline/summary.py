"""The short table at the end of `dvc repro`: what came out, how long it took, where it lies, what to do next."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from samebits.base.decimals import shown
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.git import GitError, names
from samebits.base.paths import Project
from samebits.metrics.registry import directions, no_better
from samebits.pipeline.context import STAGES, TIMES
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.ran import inputs_now, read_record, record_path
from samebits.signature.signature import Signature

_JUDGE, _EXPORTER = "evaluate", "export"
"""The last stages: neither reads what the other one writes."""

_COMMITTED = ("params.yaml", "dvc.lock", "dvc.yaml", "packages.yaml", "custom", "data", "reports")
"""What git keeps of a run; DVC keeps the rest."""


def summarize(project: Project, look: Callable[[Path], Mapping[str, str]]) -> str:
    """The last results as text, from the outputs in the workspace and the seconds that the stages noted.

    Args:
        look: gives the stages of a workspace whose results were made from other data, code or parameters than those
            here, and why; these stand in place of results.

    Raises:
        UserError: if the pipeline has not run here.
    """
    metrics_file = project.reports / "evaluation" / "metrics.json"
    dataset = project.prepared / "dataset.json"
    if not dataset.is_file():
        raise UserError("the pipeline has no results here yet", "run make repro, or dvc repro")
    info = read_json(dataset)
    stale = look(project.workspace)
    rows = [("data", f"{info['title']}, {sum(info['counts'].values()):,} samples"), *stale.items()]
    if _JUDGE not in stale:
        try:
            rows += _metrics(read_json(metrics_file))
        except (KeyError, TypeError):
            raise UserError(f"{metrics_file} is no evaluation of ours", "make it again: dvc repro evaluate") from None
    rows += [("seconds", _seconds(project, stale))]
    if _EXPORTER not in stale:
        rows += [("model", "models/export/model.onnx" + _command(info))]
    if _JUDGE not in stale:
        rows += [("report", "reports/evaluation/report/report.html")]
    rows += [("runs", "make ui")]
    if stale:
        rows += [("next", "dvc repro")]
    elif changed := _uncommitted(project.workspace):
        rows += [("next", f'git add {" ".join(changed)} && git commit -m "…"   (samebits share sends the rest)')]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {text}" for name, text in rows)


def after_stage(project: Project, stage: str) -> str:
    """The summary, if this stage was the last that `dvc repro` had to run; else empty.

    DVC says nowhere what it will run next, and its status cannot be asked while a stage runs. So the record of the
    other last stage is held against what is here.
    """
    others = {_JUDGE: _EXPORTER, _EXPORTER: _JUDGE}
    if stage not in others:
        return ""
    other = others[stage]
    try:
        record = read_record(project.workspace / record_path(other))
        now = inputs_now(project.workspace, other)
        same = (record.commands, record.deps, record.params) == (now.commands, now.deps, now.params)
        return summarize(project, lambda _: {}) if same else ""
    except (UserError, OSError):
        return ""  # the other stage has not run yet, or something was deleted meanwhile: DVC goes on and says so


def _uncommitted(workspace: Path) -> list[str]:
    """Of what git keeps of a run, what is not committed; nothing in an experiment, which DVC commits."""
    if "DVC_EXP_BASELINE_REV" in os.environ:
        return []
    try:
        changed = names(workspace, "status", "--porcelain", "-z", "--no-renames", "--", *_COMMITTED)
    except (GitError, UserError):
        return []
    paths = [line[3:] for line in changed]
    return [name for name in _COMMITTED if any(path == name or path.startswith(f"{name}/") for path in paths)]


def _command(info: dict[str, Any]) -> str:
    """How the exported model is asked; empty for data of another release."""
    try:
        signature = Signature.model_validate(info.get("signature"))
    except ValidationError:
        return ""
    return f"   ({signature.target.predict or signature.inputs.predict})"


def _metrics(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """Metrics of the test split that can decide, with their intervals, and what is reached without an input."""
    test, intervals, baseline = metrics["test"], metrics["interval"], metrics.get("baseline", {})
    rows = []
    for name in directions(metrics.get("better")):
        if (value := test.get(name)) is None:
            continue
        interval = intervals.get(name)
        spread = f"   ({shown(interval['low'])} to {shown(interval['high'])})" if interval else ""
        reached = baseline.get(name)
        without = "" if reached is None else f"   baseline {shown(reached)}"
        rows.append((name, f"{shown(value)}{spread}{without}"))
    if worse := no_better(test, baseline, metrics.get("better")):
        rows.append(("warning", f"no better than the baseline in {', '.join(worse)}"))
    return rows


def _seconds(project: Project, stale: Mapping[str, str]) -> str:
    """What the stages took that made the results here; not the others, which were pulled or cached."""
    times = project.state / TIMES
    noted = read_json(times) if times.is_file() else {}
    shown = []
    for stage in STAGES:
        match noted.get(stage):
            case {"seconds": float(seconds), "record": str(record)} if stage not in stale:
                if record == existing_md5(project.workspace / record_path(stage)):
                    shown.append(f"{stage} {seconds:.1f}")
    return "  ".join(shown) or "nothing of this ran here: the outputs were pulled or cached"
