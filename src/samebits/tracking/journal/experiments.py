"""DVC's experiments as git keeps them: refs/exps/ab/cdef…/NAME."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from samebits.base.git import git


@dataclass(frozen=True)
class DvcExperiment:
    """A finished experiment.

    Attributes:
        revision: its commit, 40 hex digits.
        committed: when that was made, in seconds since 1970.
        baseline: the commit that it was started on.
    """

    name: str
    revision: str
    committed: int
    baseline: str


def dvc_experiments(folder: Path) -> list[DvcExperiment]:
    """All experiments of a repository, newest first; none outside a repository."""
    shown = "--format=%(objectname) %(committerdate:unix) %(refname)"
    listed = git(folder, "for-each-ref", "refs/exps", "--sort=-committerdate", shown, check=False)
    found = []
    for line in listed.splitlines():
        revision, time, ref = line.split(" ", 2)
        parts = ref.split("/")
        # Beside them lie refs of DVC's own (refs/exps/exec/…, refs/exps/celery/…).
        if len(parts) == 5 and len(parts[2]) == 2 and len(parts[3]) == 38:
            found.append(DvcExperiment(parts[4], revision, int(time), parts[2] + parts[3]))
    return found


def experiment_revision(folder: Path, name: str) -> str | None:
    """The commit of the newest experiment of this name; None if there is none."""
    return next((each.revision for each in dvc_experiments(folder) if each.name == name), None)
