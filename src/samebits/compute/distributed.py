"""Several processes that train one model together: who is who, and what they tell each other.

`runtime.processes: N` starts N - 1 helpers beside the stage; `torchrun --nproc-per-node N stages/train.py` starts all.
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
from samebits.compute.launcher import MEETING, rank_and_size

_GOODBYE_SECONDS = 60.0


@dataclass(frozen=True)
class Team:
    """The processes of one training. Alone, everything is a no-op.

    Attributes:
        rank: of this process, 0 to size - 1.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process records, saves and writes."""
        return self.rank == 0

    def gather(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of the same shape from every process, in the order of their ranks."""
        if self.size == 1:
            return [vector]
        parts = [torch.empty_like(vector) for _ in range(self.size)]
        self._talk(lambda: distributed.all_gather(parts, vector))
        return parts

    def sum(self, vector: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place. Its bits depend on the number of processes, unless all but one of
        the summands are 0."""
        if self.size > 1:
            self._talk(lambda: distributed.all_reduce(vector))
        return vector

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether some process says yes; all get the same answer."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor([int(flag)], device=device)).item())

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            self._talk(distributed.barrier)

    def _talk(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank} of {self.size} lost another one: {str(error).splitlines()[0]}",
                "its own message is above; dvc repro goes on from the last saved state",
            ) from None


def own_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs, the one with its number on this machine."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextlib.contextmanager
def join_team(processes: int, device: torch.device, state: Path) -> Iterator[Team]:
    """Meet the other processes of this training, or start them.

    Args:
        processes: `runtime.processes`; torchrun's number wins.
        state: a folder for the file at which helpers meet.

    Raises:
        UserError: if a process cannot be had.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    if (launched := rank_and_size()) is not None:
        team = Team(*launched)
        with _group(team, backend, os.environ.get(MEETING)):
            yield team
        return
    if processes == 1:
        yield Team()
        return
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state, prefix="team-") as folder:
        meeting = str(Path(folder) / "meeting")
        helpers = [_start(rank, processes, meeting) for rank in range(1, processes)]
        try:
            with _group(Team(0, processes), backend, meeting):
                yield Team(0, processes)
            for helper in helpers:
                helper.wait(_GOODBYE_SECONDS)
        finally:
            _end(helpers)


@contextlib.contextmanager
def _group(team: Team, backend: str, meeting: str | None) -> Iterator[None]:
    if meeting is not None:
        # All on this machine: the name of the host may lead nowhere.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(backend, f"file://{meeting}", rank=team.rank, world_size=team.size)
    else:
        distributed.init_process_group(backend)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _start(rank: int, size: int, meeting: str) -> subprocess.Popen[bytes]:
    """The same stage again, as a helper: it says nothing unless it fails."""
    variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), MEETING: meeting}
    return subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _end(helpers: Sequence[subprocess.Popen[bytes]]) -> None:
    for helper in helpers:
        if helper.poll() is None:
            helper.kill()
        helper.wait()
