"""What every entry script in `stages/` does around its one function: parameters, signals, tracking, errors, exit codes.

A stage is a function whose parameters are named after the sections of params.yaml that it reads. It gets those and no
other; a contract test holds the same names against the `params:` of dvc.yaml.
"""

from __future__ import annotations

import importlib
import inspect
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from samebits.base.boundary import as_user_error
from samebits.base.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, Interrupted, UserError, listed
from samebits.base.files import read_json, write_json
from samebits.base.paths import Project, current_project
from samebits.base.redaction import without_secrets
from samebits.base.signals import StopRequest
from samebits.base.terminal import escape_unprintable
from samebits.compute.launcher import end_if_hanging, rank_and_size
from samebits.pipeline.context import TIMES, StageContext, is_rank_zero
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_yaml import stage_files
from samebits.pipeline.packages import require_packages
from samebits.pipeline.ran import Record, inputs_now, record_path, write_record
from samebits.pipeline.summary import after_stage

if TYPE_CHECKING:
    from samebits.params.schema import Params


def sections_of(body: Callable[..., None]) -> tuple[str, ...]:
    """The sections of params.yaml that a stage function reads: its positional parameters."""
    kinds = inspect.Parameter
    return tuple(
        name
        for name, parameter in inspect.signature(body).parameters.items()
        if parameter.kind is kinds.POSITIONAL_OR_KEYWORD
    )


def load_body(target: str) -> Callable[..., None]:
    """The function behind `package.module:function`."""
    module, _, function = target.partition(":")
    body: Callable[..., None] = getattr(importlib.import_module(module), function)
    return body


def run_stage(name: str, target: str, workspace: Path) -> int:
    """Run a stage and return the exit code of its process: 0, 2 for bad input, 130 when stopped, 1 for a bug.

    Args:
        name: the stage in dvc.yaml.
        target: `package.module:function`.
        workspace: the folder that holds params.yaml.
    """
    os.chdir(workspace)
    escape_unprintable()
    stop = StopRequest()
    project = current_project(workspace)
    try:
        stop.install()
        rank_and_size()  # what is_rank_zero reads is sound from here on
        require_packages(workspace, name)
        from samebits.params.schema import read_params  # torch is imported here; an early Ctrl-C is handled by now

        params = read_params(project.params_file)
        inputs = inputs_now(workspace, name)
        context = _open(name, project, params, stop)
    except BaseException as error:
        return _explain(name, _for_people(error, project))
    started = time.monotonic()
    status, trace, result, refused = "FINISHED", None, 0, False
    try:
        body = load_body(target)
        sections = sections_of(body)
        for section in sections:
            if section in params.notes:
                context.say(params.notes[section])
        body(*(params.sections[section] for section in sections), context=context)
        if is_rank_zero():
            _require_unchanged(name, project, inputs)
            write_record(workspace, name, inputs)
            context.tracker.lineage(*stage_files(workspace, name))
            _note_facts(context)
            _note_seconds(context, time.monotonic() - started)
    except (Interrupted, KeyboardInterrupt) as error:
        status, result = "KILLED", _explain(name, error)
    except UserError as error:
        status, trace, result, refused = "FAILED", str(error), _explain(name, error), True
    except BaseException as error:
        status, trace, result = "FAILED", traceback.format_exc(), _explain(name, _for_people(error, project))
    finally:
        stop.ignore()
        _close(context, status, trace, refused=refused)
    if not result and is_rank_zero() and (text := after_stage(project, name)):
        print(text, flush=True)
    end_if_hanging(result)
    return result


def _open(name: str, project: Project, params: Params, stop: StopRequest) -> StageContext:
    from samebits.tracking.journal.tracker import NullTracker, open_tracker  # recording cannot change a result: no dep

    if not is_rank_zero():
        return StageContext(name, project, params.runtime, NullTracker(), stop)
    tracker = open_tracker(project, params.runtime, stage=name, params=params.dump())
    return StageContext(name, project, params.runtime, tracker, stop)


def _note_facts(context: StageContext) -> None:
    from samebits.tracking.environment.facts import note_facts

    try:
        note_facts(context.project, context.name, context.runtime.device)
    except (OSError, RuntimeError, UserError) as error:  # a record only: it never stops a stage
        context.say(f"warning: the facts of this machine are not noted: {error}")


def _note_seconds(context: StageContext, seconds: float) -> None:
    """For `samebits summary` (the tracker notes its own); never in an output, which would differ from run to run."""
    file = context.project.state / TIMES
    with suppress(UserError, OSError):
        noted = read_json(file) if file.is_file() else {}
        record = existing_md5(context.project.workspace / record_path(context.name))
        write_json(file, noted | {context.name: {"seconds": round(seconds, 1), "record": record}})


def _close(context: StageContext, status: str, trace: str | None, *, refused: bool) -> None:
    if not is_rank_zero():
        return
    log = context.project.state / "logs" / f"{context.name}-{os.getpid()}.log"
    with suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        # A library's message may have an address with its password in it.
        log.write_text(without_secrets("\n".join([*context.log, trace or ""])) + "\n", encoding="utf-8")
        named = log.with_name(f"{context.name}.log")
        shutil.move(log, named)
        context.tracker.artifact(named, "logs")
    context.tracker.close(status, trace, refused=refused)


def _require_unchanged(name: str, project: Project, before: Record) -> None:
    """DVC hashes deps and parameters again after a stage ran, and would lock those edited meanwhile (dvc#11058)."""
    if edited := before.differences(inputs_now(project.workspace, name)):
        raise UserError(
            f"edited while the stage {name} ran, so that its outputs are of neither state: {listed(edited)}",
            "run dvc repro again",
        )


def _for_people(error: BaseException, project: Project) -> BaseException:
    """The same error as a message, where it is no bug of ours."""
    folders = (project.checkpoint, project.reports, project.prepared, project.state, Path(tempfile.gettempdir()))
    return as_user_error(error, folders) or error


def _explain(name: str, error: BaseException) -> int:
    if isinstance(error, Interrupted):
        print(f"{name}: {error}; dvc repro goes on from there", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED
    if isinstance(error, KeyboardInterrupt):
        print(f"{name}: stopped", file=sys.stderr, flush=True)
        return EXIT_INTERRUPTED
    if isinstance(error, UserError):
        print(f"{name}: error: {without_secrets(str(error))}", file=sys.stderr, flush=True)
        return EXIT_USER_ERROR
    print(without_secrets("".join(traceback.format_exception(error))), end="", file=sys.stderr, flush=True)
    return 1
