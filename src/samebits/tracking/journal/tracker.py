"""What a stage records: the calls that stages make, all cheap, none of which ever stops a stage.

tracker = open_tracker(project, runtime, stage="train", params=sections)
tracker.metrics({"train/loss": 0.3}, step=100)
tracker.close("FINISHED")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from samebits.base.paths import Project
from samebits.params.model_name import shown_model
from samebits.params.runtime import RuntimeParams
from samebits.pipeline.fingerprint import fingerprint_of
from samebits.tracking.journal.journal_tracker import JournalTracker
from samebits.tracking.journal.record import open_record, prepared_digest
from samebits.tracking.tracking_uri import check_reachable, pick_target


class Tracker(Protocol):
    """What stages may call."""

    def computes(self) -> None:
        """Say that the stage has taken all that it was given, torch is set up, and its computation begins: from here on
        there is a run. The first point of a curve says it, too."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Points of curves. A (metric, step) that the run already has is dropped, so a resumed stage may send
        again what it is not sure of. NaN and infinity are left out, and named in a tag."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Final values: one number a metric, no curve."""

    def report(self, path: Path) -> None:
        """Final values from a metrics file: see `replay.numbers`. The same names come from a skipped stage."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Facts as text."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """A file for people (figure, report, log). It is copied at once; over 20 MiB only its path is noted."""

    def dataset(self, *, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None:
        """The data set that the stage read; `counts` are samples per split."""

    def lineage(self, reads: Iterable[Path], writes: Iterable[Path]) -> None:
        """Files and folders read and written, recorded by the hash that DVC gives them."""

    def flush(self) -> None:
        """Wait until the disk has all that was recorded. Call it before a checkpoint is written."""

    def close(self, status: str, error: str | None = None, *, refused: bool = False) -> None:
        """End the stage's record, once: FINISHED, FAILED or KILLED; `error` is a traceback or message.

        With `refused`, a failure before `computes` leaves no run: a wrong value was met, and nothing was tried.
        """


class NullTracker:
    """Records nothing (`runtime.tracking.enabled: false`)."""

    def computes(self) -> None: ...

    def metrics(self, values: Mapping[str, float], step: int) -> None: ...

    def summary(self, values: Mapping[str, float]) -> None: ...

    def report(self, path: Path) -> None: ...

    def tags(self, values: Mapping[str, str]) -> None: ...

    def artifact(self, path: Path, folder: str = "") -> None: ...

    def dataset(self, *, name: str, digest: str, source: str, counts: Mapping[str, int]) -> None: ...

    def lineage(self, reads: Iterable[Path], writes: Iterable[Path]) -> None: ...

    def flush(self) -> None: ...

    def close(self, status: str, error: str | None = None, *, refused: bool = False) -> None: ...


def open_tracker(
    project: Project,
    runtime: RuntimeParams,
    *,
    stage: str,
    params: Mapping[str, Any],
    say: Callable[[str], None] = print,
) -> Tracker:
    """The tracker of a stage.

    Args:
        stage: its name in dvc.yaml.
        params: every section of params.yaml as plain values, `runtime` included.
        say: prints one line; used for the warning that something could not be recorded.

    Raises:
        UserError: with `runtime.tracking.required`, if MLflow cannot be reached or refuses.
    """
    if not runtime.tracking.enabled:
        return NullTracker()
    if runtime.tracking.required:
        check_reachable(pick_target(project))
    try:
        fingerprint = fingerprint_of(project, params)
        name = f"{_name(params)}-{fingerprint.whole[:8]}"
        digest = "" if stage == "prepare" else prepared_digest(project)
        opened = open_record(
            project,
            stage=stage,
            fingerprint=fingerprint,
            name=name,
            experiment=runtime.tracking.experiment,
            data_digest=digest,
        )
        tracker = JournalTracker(project, opened, stage, say)
        tracker.begin(params)
    except Exception as error:  # tracking never stops a stage
        say(f"warning: this stage is not recorded in MLflow: {type(error).__name__}: {error}")
        return NullTracker()
    return tracker


def _name(params: Mapping[str, Any]) -> str:
    """`mnist-convnet`, as far as the parameters say so; own data have the name of their file or folder."""
    parts = []
    data, model = params.get("data"), params.get("model")
    if isinstance(data, Mapping) and isinstance(data.get("source"), str):
        parts.append(Path(data["source"]).stem)
    if isinstance(model, Mapping) and isinstance(model.get("name"), str):
        parts += shown_model(model).split()
    return "-".join(parts) or "run"
