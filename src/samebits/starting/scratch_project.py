"""A project whose stages write into a scratch folder, and record nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samebits.base.paths import Project
from samebits.pipeline.context import StageContext


@dataclass(frozen=True)
class ScratchProject(Project):
    """The project around the user, whose outputs lie in `home`, a scratch folder: states go there, too."""

    @property
    def prepared(self) -> Path:
        return self.home / "prepared"

    @property
    def checkpoint(self) -> Path:
        return self.home / "checkpoint"

    @property
    def calibration(self) -> Path:
        return self.home / "calibration.json"

    @property
    def reference(self) -> Path:
        return self.home / "reference.json"

    @property
    def states(self) -> Path:
        return self.home / "states"

    @property
    def kept_state(self) -> Path:
        return self.home / "training_state"

    @property
    def exported(self) -> Path:
        return self.home / "export"

    @property
    def reports(self) -> Path:
        return self.home / "reports"


class QuietContext(StageContext):
    """Keeps what is said, and prints nothing."""

    def say(self, line: str) -> None:
        self.log.append(line)
