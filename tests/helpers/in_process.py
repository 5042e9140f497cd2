"""All four stages in this process, in a folder of their own: no git, no DVC, no MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import read_params
from samebits.pipeline.context import StageContext
from samebits.stage import load_body, sections_of
from samebits.starting.smoke import BODIES
from samebits.tracking.journal.tracker import NullTracker
from tests.helpers.workspace import ROOT, set_params

QUICK = {
    "train": {"epochs": 2, "batch_size": 16, "threads": 1, "precision": "fp32"},
    "evaluate": {"bootstrap": 100, "mistakes": 3},
    "export": {"formats": ["onnx"], "batch_sizes": [1, 7]},
    "runtime": {"progress": "off", "workers": 0},
}


class Said(StageContext):
    """Keeps the lines of a stage."""

    def say(self, line: str) -> None:
        self.lines.append(line)

    lines: list[str]


def make_workspace(workspace: Path, override: Mapping[str, Any], replace: Mapping[str, Any]) -> Project:
    """A folder with params.yaml: that of the project, made quick, and changed."""
    (workspace / "data" / "raw").mkdir(parents=True, exist_ok=True)
    (workspace / "data" / "catalog").mkdir(exist_ok=True)
    (workspace / "dvc.yaml").write_text("stages: {}\n")
    shutil.copy(ROOT / "params.yaml", workspace)
    set_params(workspace, QUICK)
    set_params(workspace, override, replace=replace)
    return Project(workspace, workspace)


def run_stages(project: Project, *names: str, stop: StopRequest | None = None) -> list[str]:
    """Run stages, all of them if none is named; what they said. `stop`: asks them to."""
    params = read_params(project.params_file)
    lines: list[str] = []
    for name in names or BODIES:
        body = load_body(BODIES[name])
        context = Said(name, project, params.runtime, NullTracker(), stop or StopRequest())
        context.lines = lines
        body(*(params.sections[section] for section in sections_of(body)), context=context)
    return lines
