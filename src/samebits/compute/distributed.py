"""Several processes that train one model together: ranks and collectives.

`runtime.processes: N` starts N - 1 workers beside the stage; `torchrun --nproc-per-node N stages/train.py` starts all.
The first process (rank 0) records, saves and writes; the others only compute.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

from samebits.base.errors import UserError
from samebits.compute.launcher import RENDEZVOUS, rank_and_size

_EXIT_SECONDS = 60.0


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training. Alone, everything is a no-op.

    Attributes:
        rank: of this process, 0 to size - 1.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process records, saves and writes."""
        return self.rank == 0

    def all_gather(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of the same shape from every process, in the order of their ranks."""
        if self.size == 1:
            return [vector]
        parts = [torch.empty_like(vector) for _ in range(self.size)]
        self._collective(lambda: distributed.all_gather(parts, vector))
        return parts

    def all_reduce(self, vector: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place. Its bits depend on the number of processes, unless all but one of
        the summands are 0."""
        if self.size > 1:
            self._collective(lambda: distributed.all_reduce(vector))
        return vector

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether some process says yes; all get the same answer."""
        if self.size == 1:
            return flag
        return bool(self.all_reduce(torch.tensor([int(flag)], device=device)).item())

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            self._collective(distributed.barrier)

    def _collective(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank} of {self.size} lost another one: {str(error).splitlines()[0]}",
                "its own message is above; dvc repro goes on from the last saved state",
            ) from None


def local_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs, the one with its number on this machine."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextlib.contextmanager
def init_process_group(processes: int, device: torch.device, state: Path) -> Iterator[ProcessGroup]:
    """Meet the other processes of this training, or start them.

    Args:
        processes: `runtime.processes`; torchrun's number wins.
        state: a folder for the rendezvous file.

    Raises:
        UserError: if a process cannot be started.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    if (launched := rank_and_size()) is not None:
        group = ProcessGroup(*launched)
        with _process_group(group, backend, os.environ.get(RENDEZVOUS)):
            yield group
        return
    if processes == 1:
        yield ProcessGroup()
        return
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state, prefix="ranks-") as folder:
        rendezvous = str(Path(folder) / "rendezvous")
        workers = [_start(rank, processes, rendezvous) for rank in range(1, processes)]
        try:
            with _process_group(ProcessGroup(0, processes), backend, rendezvous):
                yield ProcessGroup(0, processes)
            for worker in workers:
                worker.wait(_EXIT_SECONDS)
        finally:
            _end(workers)


@contextlib.contextmanager
def _process_group(group: ProcessGroup, backend: str, rendezvous: str | None) -> Iterator[None]:
    if rendezvous is not None:
        # All on this machine: the name of the host may lead nowhere.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(backend, f"file://{rendezvous}", rank=group.rank, world_size=group.size)
    else:
        distributed.init_process_group(backend)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _start(rank: int, size: int, rendezvous: str) -> subprocess.Popen[bytes]:
    """Start the same stage as a worker: it prints only errors."""
    variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), RENDEZVOUS: rendezvous}
    return subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
