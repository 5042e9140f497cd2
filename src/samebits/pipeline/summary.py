"""The short table at the end of `dvc repro`: what came out, how long it took, where it lies, what to do next."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from samebits.base.decimals import shown
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.git import GitError, names
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.metrics.registry import directions, no_better
from samebits.pipeline.context import STAGES, TIMES
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.ran import inputs_now, read_record, record_path
from samebits.signature.corrections import corrections_text
from samebits.signature.signature import Signature

_JUDGE, _EXPORTER = "evaluate", "export"
"""The last stages: neither reads what the other one writes."""

_COMMITTED = ("params.yaml", "dvc.lock", "dvc.yaml", "packages.yaml", "custom", "data", "models", "reports")
"""What git keeps of a run; DVC keeps the rest."""


@dataclass(frozen=True)
class MetricValue:
    """A metric of the test split.

    Attributes:
        low, high: its interval; None where there is none.
        baseline: what is reached without an input; None where that is unknown.
        better: `higher` or `lower`.
    """

    value: float
    low: float | None
    high: float | None
    baseline: float | None
    better: str

    def text(self) -> str:
        """For people."""
        spread = "" if self.low is None or self.high is None else f"   ({shown(self.low)} to {shown(self.high)})"
        return shown(self.value) + spread + ("" if self.baseline is None else f"   baseline {shown(self.baseline)}")


@dataclass(frozen=True)
class Summary(Result):
    """The last results.

    Attributes:
        title, samples: of the data.
        corrections: labels corrected and samples dropped by hand, for people; empty if none.
        stale: stages whose results were made from other data, code or parameters, and why: nothing of them is here.
        metrics: of the test split that can decide.
        worse: of these, which are no better than without an input, for people.
        seconds: what the stages took that ran here.
        model: the exported model; empty if there is none of this code, data and parameters.
        usage: a command that asks it.
        report: the page of the evaluation; as `model`.
        next: a command.
    """

    title: str
    samples: int
    corrections: str
    stale: Mapping[str, str]
    metrics: Mapping[str, MetricValue]
    worse: Sequence[str]
    seconds: Mapping[str, float]
    model: str
    usage: str
    report: str
    next: str

    def lines(self) -> Iterator[str]:
        rows = [("data", f"{self.title}, {self.samples:,} samples")]
        if self.corrections:
            rows.append(("corrected", self.corrections))
        rows += self.stale.items()
        rows += [(name, metric.text()) for name, metric in self.metrics.items()]
        if self.worse:
            rows.append(("warning", f"no better than the baseline in {', '.join(self.worse)}"))
        took = "  ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items())
        rows.append(("seconds", took or "nothing of this ran here: the outputs were pulled or cached"))
        if self.model:
            rows.append(("model", self.model + (f"   ({self.usage})" if self.usage else "")))
        if self.report:
            rows.append(("report", self.report))
        rows.append(("runs", "make ui"))
        if self.next:
            rows.append(("next", self.next + ("   (samebits share sends the rest)" if not self.stale else "")))
        width = max(len(name) for name, _ in rows)
        return (f"  {name:<{width}}  {text}" for name, text in rows)

    def json(self) -> dict[str, Any]:
        return {
            "data": {"title": self.title, "samples": self.samples, "corrections": self.corrections or None},
            "stale": self.stale,
            "metrics": {name: asdict(metric) for name, metric in self.metrics.items()},
            "no_better_than_baseline": self.worse,
            "seconds": self.seconds,
            "model": self.model or None,
            "report": self.report or None,
            "next": self.next or None,
        }


def summarize(project: Project, look: Callable[[Path], Mapping[str, str]]) -> Summary:
    """The last results, from the outputs in the workspace and the seconds that the stages noted.

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
    judged = _JUDGE not in stale
    metrics: Mapping[str, MetricValue] = {}
    worse: list[str] = []
    if judged:
        try:
            metrics, worse = metric_values(read_json(metrics_file))
        except (KeyError, TypeError, AttributeError):
            raise UserError(f"{metrics_file} is no evaluation of ours", "make it again: dvc repro evaluate") from None
    changed = [] if stale else _uncommitted(project.workspace)
    commit = f'git add {" ".join(changed)} && git commit -m "…"' if changed else ""
    return Summary(
        title=str(info["title"]),
        samples=sum(info["counts"].values()),
        corrections=corrections_text(info.get("audit", {}).get("corrections", {})),
        stale=stale,
        metrics=metrics,
        worse=worse,
        seconds=_seconds(project, stale),
        model="" if _EXPORTER in stale else "models/export/model.onnx",
        usage=_command(info),
        report="reports/evaluation/report/report.html" if judged else "",
        next="dvc repro" if stale else commit,
    )


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
        return summarize(project, lambda _: {}).text() if same else ""
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
    return signature.target.predict or signature.inputs.predict


def metric_values(metrics: dict[str, Any]) -> tuple[dict[str, MetricValue], list[str]]:
    """Metrics of the test split that can decide, with their intervals, and what is reached without an input.

    Args:
        metrics: what metrics.json holds.

    Returns:
        the metrics; and those that are no better than without an input, for people.

    Raises:
        KeyError, TypeError, AttributeError: if it is of another kind of file.
    """
    test, intervals, baseline = metrics["test"], metrics["interval"], metrics.get("baseline", {})
    found = {}
    for name, better in directions(metrics.get("better")).items():
        if (value := test.get(name)) is None:
            continue
        interval = intervals.get(name) or {}
        numbers = (value, interval.get("low"), interval.get("high"), baseline.get(name))
        if not all(isinstance(number, int | float | None) for number in numbers):
            raise TypeError(f"{name} is no number")
        found[name] = MetricValue(*numbers, better)
    return found, no_better(test, baseline, metrics.get("better"))


def _seconds(project: Project, stale: Mapping[str, str]) -> dict[str, float]:
    """What the stages took that made the results here; not the others, which were pulled or cached."""
    times = project.state / TIMES
    noted = read_json(times) if times.is_file() else {}
    found = {}
    for stage in STAGES:
        match noted.get(stage):
            case {"seconds": float(seconds), "record": str(record)} if stage not in stale:
                if record == existing_md5(project.workspace / record_path(stage)):
                    found[stage] = seconds
    return found
