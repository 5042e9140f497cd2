"""A trial in a process of its own, with what must be set before torch starts; nothing of it is recorded or kept.

    python -m MODULE JOB.json RESULT.json     in the project

Another process, since torch's threads and instruction sets are settled when it starts.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samebits.base.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, Interrupted, UserError
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.base.terminal import escape_unprintable
from samebits.pipeline.recipes import merge
from samebits.provenance.verify.copies import clean_environment, run_module, scratch

Work = Callable[..., dict[str, Any]]
"""Workspace, scratch folder, all of params.yaml, what ends it early; options -> a result that JSON holds."""

_ALONE = {"runtime": {"progress": "off", "resume": "never", "processes": 1, "hosts": 1}}


def run_job(
    project: Project, module: str, values: dict[str, Any], what: str, *, quiet: bool = True, **options: Any
) -> dict[str, Any]:
    """Run a module's job, and return its result.

    Args:
        module: its `main` is `do_job`.
        values: all of params.yaml, plain.
        what: for the message, as `the trial`.
        quiet: what it prints is not shown.
        options: keyword arguments of the job.

    Raises:
        UserError: what keeps it from running.
    """
    import samebits

    values = copy.deepcopy(values)
    merge(values, _ALONE)
    with scratch(project, module.rpartition(".")[2]) as folder:
        job, result = folder / "job.json", folder / "result.json"
        write_json(job, {"scratch": str(folder), "params": values, "options": options})
        run_module(
            module,
            str(job),
            str(result),
            copy=project.workspace,
            environ=clean_environment(),
            source=Path(samebits.__file__).parents[1],
            what=what,
            quiet=quiet,
        )
        found: dict[str, Any] = read_json(result)
        return found


def do_job(work: Work) -> int:
    """Do the job of the command line, in the project that is the current folder; the exit code."""
    escape_unprintable()
    stop = StopRequest()
    stop.install()
    job = read_json(Path(sys.argv[1]))
    try:
        result = work(Path.cwd(), Path(job["scratch"]), job["params"], stop, **job["options"])
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_USER_ERROR
    except (Interrupted, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    write_json(Path(sys.argv[2]), result)
    return 0
