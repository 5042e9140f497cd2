"""Two hosts as two threads: the first gives its data, the other one takes them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch._C._distributed_c10d import TCPStore

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.compute.distributed import ProcessGroup
from samebits.compute.heartbeat import GroupError, Heartbeat
from samebits.compute.rendezvous import listen
from samebits.params.runtime import RuntimeParams
from samebits.params.transfer import TransferParams
from samebits.training.delivery import bring_data
from tests.helpers.image_project import FakeContext

_PATIENCE = timedelta(seconds=5)
_stores: list[TCPStore] = []
"""They stay, as a thread of a transfer that failed still waits for an answer."""


def keys_left() -> int:
    """In the store of the last delivery."""
    return _stores[-1].num_keys()


def settle() -> None:
    """Let such threads give up: the interpreter would not end."""
    for thread in threading.enumerate():
        if thread.name == "samebits-exchange":
            thread.join()
    _stores.clear()


def host(root: Path) -> Any:
    """A host's context; what the first one says is in `said`."""
    said: list[str] = []
    project = Project(root, root)
    return FakeContext(name="train", project=project, runtime=RuntimeParams(), say=said.append, said=said)


def deliver(first: Any, other: Any, transfer: TransferParams | None = None) -> dict[int, Exception]:
    """Bring the data of the first host to the other one; the error of each rank that had one."""
    _stores.append(store := listen(1))
    beats = [Heartbeat(store, rank, 2) for rank in range(2)]
    errors: dict[int, Exception] = {}

    def run(rank: int) -> None:
        (own := store.clone()).set_timeout(_PATIENCE)
        group = ProcessGroup(rank, 2, own, beats[rank])
        try:
            bring_data(transfer or TransferParams(), group, (first, other)[rank])
        except Exception as error:
            errors[rank] = error
            if not isinstance(error, GroupError):  # as the group does
                problem, fix = (error.problem, error.fix) if isinstance(error, UserError) else (str(error), "")
                beats[rank].tell(f"process {rank}: {problem}", fix)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, range(2)))
    for beat in beats:
        beat.stop()
    return errors
