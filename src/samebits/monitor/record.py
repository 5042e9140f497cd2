"""The metrics of a comparison, in the MLflow run that made the model."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.monitor.monitor import Monitored


def record(project: Project, found: Monitored) -> None:
    """Add a point to each curve `monitor/...`; its step is the time in seconds since 1970.

    What cannot be recorded is said, and costs nothing else.
    """
    from samebits.params.schema import read_params
    from samebits.tracking.journal.later import add_later, run_that_made

    with _noting(found):
        if not read_params(project.params_file).runtime.tracking.enabled:
            return
        run = run_that_made(project, project.exported)
        if run is None:
            found.notes.append("not recorded in MLflow: the run that made this model was not on this machine")
            return
        if warning := add_later(project, run, "monitor", found.metrics, int(time.time())):
            print(warning, file=sys.stderr)
        found.recorded = found.metrics


def record_by(add: Callable[[Mapping[str, float], int], None], found: Monitored) -> None:
    """Likewise, by a function of the points and their step."""
    with _noting(found):
        add(found.metrics, int(time.time()))
        found.recorded = found.metrics


@contextmanager
def _noting(found: Monitored) -> Iterator[None]:
    """Of what cannot be recorded, a note."""
    try:
        yield
    except (UserError, OSError, TimeoutError) as error:  # a busy lock raises a TimeoutError
        reason = error.problem if isinstance(error, UserError) else str(error)
        found.notes.append(f"not recorded in MLflow: {reason}")
