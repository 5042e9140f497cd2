"""Which of several processes of one training this is: the environment variables of a launcher (torchrun or ours)."""

from __future__ import annotations

import os

from samebits.base.errors import UserError

RENDEZVOUS = "SAMEBITS_RENDEZVOUS"
"""The rendezvous file of our own workers; those of torchrun meet at MASTER_ADDR."""

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


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
    wanted = ["RANK", "WORLD_SIZE"] + ([] if RENDEZVOUS in os.environ else ["MASTER_ADDR", "MASTER_PORT"])
    if missing := [name for name in wanted if name not in os.environ]:
        raise UserError(
            f"the environment has {shown}, as of one of several processes, but not {', '.join(missing)}", fix
        )
    if not all(value.isdecimal() for value in given.values()):
        raise UserError(f"the environment has {shown}, and these are numbers from 0 on", fix)
    rank, size = int(given["RANK"]), int(given["WORLD_SIZE"])
    if rank >= size:
        raise UserError(f"the environment has {shown}, and RANK is less than WORLD_SIZE", fix)
    return rank, size
