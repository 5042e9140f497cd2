"""Our stage, as it is, with a clock on its progress reports: runs `stages/NAME.py` of a workspace.

    python bench/ours/stage.py WORKSPACE train --warmup-steps 100 --steps 300
    python bench/ours/stage.py WORKSPACE train --whole

Tracking, saved states and determinism are what params.yaml of the workspace says. The stage is told to stop as by
Ctrl-C's gentler sister, SIGTERM, once enough steps are counted: it saves its state and ends with exit code 130.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

from clock_path import Clock, add_arguments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("stage")
    parser.add_argument("--batch", type=int, default=1, help="samples per step")
    parser.add_argument("--whole", action="store_true", help="to the end; prints the seconds from first to last step")
    add_arguments(parser)
    arguments = parser.parse_args()
    workspace = arguments.workspace.resolve()
    sys.path.insert(0, str(workspace / "src"))
    script = workspace / "stages" / f"{arguments.stage}.py"

    from samebits.base.progress import Progress  # imports no torch: the stage may still replace the process

    update, clock, times = Progress.update, Clock(arguments, arguments.batch), []
    used: list[float] = []

    def timed(self: Progress, *values: Any) -> None:
        update(self, *values)
        times.append(time.perf_counter())
        used.append(time.process_time())
        loss = values[1]
        if not arguments.whole and clock.step(loss):
            os.kill(os.getpid(), signal.SIGTERM)

    Progress.update = timed  # type: ignore[method-assign]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        if arguments.whole:
            loop = times[-1] - times[0] if times else None
            result = {
                "loop_seconds": loop,
                "loop_cpu": used[-1] - used[0] if used else None,
                "steps": len(times),
                **_recording(workspace / ".samebits" / "profile" / "phases.txt"),
                "tunables": os.environ.get("GLIBC_TUNABLES", ""),
            }
            print("\n" + json.dumps(result), flush=True)


def _recording(table: Path) -> dict[str, float]:
    """Of a profiled training (`runtime.profile`), the percentages of its time that recording took."""
    if not table.is_file():
        return {}
    rows = [line.split() for line in table.read_text().split("\n\n")[0].splitlines()]
    seconds = {row[0]: float(row[1]) for row in rows if row[0] in ("logging", "checkpoint", "all")}
    total = seconds.pop("all")
    return {f"{name}_percent": 100 * each / total for name, each in seconds.items()}


if __name__ == "__main__":
    main()
