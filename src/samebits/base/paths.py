"""Where things lie: the workspace that a stage runs in, and the project's own state."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def user_cache() -> Path:
    """What is kept for all projects of a user: `SAMEBITS_CACHE`, else below the user's cache folder (XDG)."""
    if own := os.environ.get("SAMEBITS_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "samebits"


@dataclass(frozen=True)
class Project:
    """Two folders that are one under `dvc repro` and two under `dvc exp run --temp` or `--queue`.

    Attributes:
        workspace: holds params.yaml, dvc.yaml and the outputs of this execution. DVC removes a temporary
            one at the end, with whatever in it is no output.
        home: the main working tree (`DVC_ROOT`). What must outlive the execution goes below it.
    """

    workspace: Path
    home: Path

    @property
    def params_file(self) -> Path:
        return self.workspace / "params.yaml"

    @property
    def catalog(self) -> Path:
        return self.workspace / "data" / "catalog"

    @property
    def prepared(self) -> Path:
        return self.workspace / "data" / "prepared"

    @property
    def checkpoint(self) -> Path:
        return self.workspace / "models" / "checkpoint"

    @property
    def calibration(self) -> Path:
        return self.workspace / "models" / "calibration.json"

    @property
    def reference(self) -> Path:
        """What `samebits monitor` compares with."""
        return self.workspace / "models" / "reference.json"

    @property
    def states(self) -> Path:
        """States of a finished training that `train.audit_steps` keeps."""
        return self.workspace / "models" / "states"

    @property
    def kept_state(self) -> Path:
        """The state of a finished training that `train.keep_state` keeps."""
        return self.workspace / "models" / "training_state"

    @property
    def exported(self) -> Path:
        return self.workspace / "models" / "export"

    @property
    def reports(self) -> Path:
        return self.workspace / "reports"

    @property
    def state(self) -> Path:
        """Git-ignored working state: resume states, journals, locks."""
        return self.home / ".samebits"

    @property
    def mlruns(self) -> Path:
        return self.home / "mlruns"


def current_project(workspace: Path | None = None) -> Project:
    """The project of a stage. `DVC_ROOT` is set by DVC; without it, the workspace is its own home."""
    here = (workspace or Path.cwd()).resolve()
    home = os.environ.get("DVC_ROOT")
    return Project(workspace=here, home=Path(home).resolve() if home else here)
