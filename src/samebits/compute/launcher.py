"""Which of several processes of one training this is: the environment variables of a launcher (torchrun or ours)."""

from __future__ import annotations

import os
import sys

from samebits.base.errors import UserError

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_hanging: list[str] = []


def rank_and_size() -> tuple[int, int] | None:
    """This process's number and how many there are; None if no launcher started it.

    Raises:
        UserError: if the variables do not belong together: they are left over from something else.
    """
    given = {name: os.environ[name] for name in _NAMES if name in os.environ}
    if not given:
        return None
    shown = ", ".join(f"{name}={value}" for name, value in given.items())
    fix = (
        f"unset {' '.join(given)} if they are left over, or let a launcher set them: "
        "torchrun --nproc-per-node N stages/train.py"
    )
    if missing := [name for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise UserError(
            f"the environment has {shown}, as of one of several processes, but not {', '.join(missing)}", fix
        )
    if not all(value.isdecimal() for value in given.values()):
        raise UserError(f"the environment has {shown}, and these are numbers from 0 on", fix)
    rank, size = int(given["RANK"]), int(given["WORLD_SIZE"])
    if rank >= size:
        raise UserError(f"the environment has {shown}, and RANK is less than WORLD_SIZE", fix)
    return rank, size


def launched(rank: int, local_rank: int, size: int, address: str, port: int) -> dict[str, str]:
    """The variables that make a stage the process `rank` of a training whose store is at `address:port`."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        # A store that closes is told about by us, in one line.
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }


def note_hanging(why: str) -> None:
    """Note that a thread of a library waits for a process that will not answer: the interpreter would wait for it."""
    _hanging.append(why)


def end_if_hanging(code: int) -> None:
    """End this process at once, if a thread of a library would keep it: all is written and closed by now."""
    if _hanging:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
