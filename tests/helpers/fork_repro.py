"""`dvc repro` that is killed at a named moment and then repeated, for each of many moments in little time: DVC and its
stages are forked from a process that has imported what they need.

    python FOLDER/dvc PROJECT SCRATCH MOMENTS     prints one JSON line

This file must be called `dvc`, so that the stages know what started them. MOMENTS is JSON: lists of [place, who,
signal]. A place is STAGE:WHERE, as the hooks below name it; who is dvc, stage or group. The sender is left out: the
journals are looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dvc.cli
import dvc.dvcfile
import dvc.stage
import dvc.stage.run
from dvc.repo.reproduce import reproduce  # noqa: F401
from dvc.stage.exceptions import StageCmdFailedError

from samebits import stage
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.params.schema import read_params
from samebits.tracking.journal import journal_tracker, record, spawn
from samebits.tracking.journal.record import read_records

met: list[str] = []


def meet(place: str, who: str, number: int, here: str) -> None:
    """Kill, if this is the place."""
    if here != place or place in met:
        return
    met.append(place)
    in_stage = "DVC_STAGE" in os.environ
    above = os.getppid()
    if who == "group":
        os.killpg(0, number)
    else:
        os.kill(above if in_stage and who == "dvc" else os.getpid(), number)
        while in_stage and who == "dvc" and os.getppid() == above:
            time.sleep(0.001)


def before(owner: Any, name: str, action: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def changed(*arguments: Any, **options: Any) -> Any:
        action()
        return original(*arguments, **options)

    setattr(owner, name, changed)


def after(owner: Any, name: str, action: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def changed(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        action()
        return result

    setattr(owner, name, changed)


def run_stage(name: str, environment: dict[str, str], moment: tuple[str, str, int]) -> None:
    """The life of a stage's process."""
    os.environ.update(environment)
    place, who, number = moment
    before(StopRequest, "install", lambda: meet(place, who, number, f"{name}:starts"))
    after(StopRequest, "install", lambda: meet(place, who, number, f"{name}:stoppable"))
    before(record, "new_segment", lambda: meet(place, who, number, f"{name}:recorded"))
    after(journal_tracker.JournalTracker, "begin", lambda: meet(place, who, number, f"{name}:begun"))
    before(journal_tracker.JournalTracker, "flush", lambda: meet(place, who, number, f"{name}:computes"))
    after(journal_tracker.JournalTracker, "close", lambda: meet(place, who, number, f"{name}:ended"))
    sys.path.insert(0, str(Path.cwd()))
    code = 1
    try:
        code = stage.run_stage(name, f"tiny:{name}", Path.cwd())
    finally:
        os._exit(code)  # not back into DVC's own code, of which this process is a copy


def repro(project: Path, moment: tuple[str, str, int], log: Path, *arguments: str) -> int:
    """Fork a `dvc repro` and wait for it; its exit code, negative after a signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.setpgid(0, 0)
    os.chdir(project)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    place, who, number = moment

    def run(_: Any, command: str, **options: Any) -> None:
        name = options["env"]["DVC_STAGE"]
        child = os.fork()
        if not child:
            run_stage(name, options["env"], moment)
        meet(place, who, number, f"{name}:spawned")
        # Not one long wait: a signal that comes just before it would be handled after it, and the stage waits for that.
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            time.sleep(0.001)
        code = os.waitstatus_to_exitcode(ended[1])
        if code:
            raise StageCmdFailedError(command, code)

    def hook(where: str) -> Callable[..., None]:
        return lambda: meet(place, who, number, f"{current[-1]}:{where}")

    current = [""]
    dvc.stage.run._run = run
    original = dvc.stage.Stage.run

    def named(self: Any, *given: Any, **options: Any) -> Any:
        current.append(self.addressing)
        return original(self, *given, **options)

    dvc.stage.Stage.run = named
    before(dvc.stage.Stage, "save", hook("saves"))
    before(dvc.dvcfile.ProjectFile, "_dump_lockfile", hook("locks"))
    after(dvc.dvcfile.ProjectFile, "_dump_lockfile", hook("locked"))
    os._exit(dvc.cli.main(["repro", *arguments]))


def look(project: Path) -> list[dict[str, Any]]:
    """Each record: the stages that finished in it."""
    records = read_records(Project(project, project))
    return [{"finished": [name for name in ("train", "evaluate") if each.finished(name)]} for each in records]


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup has it ignored, here and in all that is forked
    template, scratch, moments = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    read_params(template / "params.yaml")
    spawn.ensure_sender = lambda *_: False
    spawn.await_delivery = lambda *_: ""
    found = []
    for index, (place, who, name) in enumerate(moments):
        project, log = scratch / f"{index}", scratch / f"{index}.log"
        shutil.copytree(template, project)
        killed = repro(project, (place, who, signal.Signals[name]), log)
        code = repro(project, ("", "", 0), log)
        records = look(project)
        lock = (project / "dvc.lock").read_text() if code == 0 else ""
        # One more is another execution.
        again = repro(project, ("", "", 0), log, "--force") if index == 0 else 0
        found.append(
            {
                "killed": killed,
                "code": code,
                "records": records,
                "lock": lock,
                "again": again,
                "after": len(look(project)) - (index == 0),
            }
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
