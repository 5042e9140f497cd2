"""`samebits worker`: a machine that computes with another one, whose `dvc repro` waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from samebits.base.errors import UserError
from samebits.compute.launcher import launched
from samebits.compute.rendezvous import PORT, join

_STAGE = Path("stages") / "train.py"


def join_training(workspace: Path, where: str, wait: float, say: Callable[[str], None]) -> int:
    """Join the training of another machine, and compute with it to its end; the exit code of this one's stage.

    Args:
        where: `HOST` or `HOST:PORT`.
        wait: seconds to wait until it listens.

    Raises:
        UserError: if `where` is no address, nobody listens there, or the training has all its machines.
    """
    address, _, port = where.partition(":")
    if not address or (port and not port.isdecimal()):
        raise UserError(f"--join {where} is no address", "write HOST or HOST:PORT, as the first machine says it")
    if not (workspace / _STAGE).is_file():
        raise UserError(f"{workspace / _STAGE} does not exist", "run it in a clone of the project that trains")
    number = int(port or PORT)
    joined = join(address, number, wait, say)
    size = joined.hosts * joined.processes
    say(f"joined {address}:{number}: machine {joined.number + 1} of {joined.hosts}, {size} processes")
    stages = [
        subprocess.Popen(
            [sys.executable, str(_STAGE)],
            cwd=workspace,
            env=os.environ | launched(joined.number * joined.processes + each, each, size, address, number),
            stdin=subprocess.DEVNULL,
        )
        for each in range(joined.processes)
    ]
    codes = [_code(stage) for stage in stages]
    return next((code for code in codes if code), 0)


def _code(stage: subprocess.Popen[bytes]) -> int:
    """How a stage ends. Ctrl-C reaches it as well: it stops together with the others, and we wait for that."""
    while True:
        with suppress(KeyboardInterrupt):
            code = stage.wait()
            return code if code >= 0 else 128 - code
