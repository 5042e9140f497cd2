"""Several processes that train one model together: ranks and collectives.

`runtime.processes: N` starts N - 1 workers beside the stage; `torchrun --nproc-per-node N stages/train.py` starts all;
`runtime.hosts: N` waits for N - 1 machines that join (`samebits worker`). The first process (rank 0) records, saves and
writes; the others only compute.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed
from torch._C._distributed_c10d import PrefixStore, Store

from samebits.base.boundary import as_user_error
from samebits.base.errors import Interrupted, UserError
from samebits.compute.heartbeat import FIX, GroupError, Heartbeat, Lost
from samebits.compute.launcher import launched, note_hanging, rank_and_size
from samebits.compute.rendezvous import LOOPBACK, await_hosts, launched_store, listen

_EXIT_SECONDS = 60.0
_LOOK = datetime.timedelta(seconds=1)
"""Between two looks at whether the training can go on, where a process waits for others."""

_CHUNK = 64 << 20
_HEADER = 8 + 32  # length and SHA-256

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training. Alone, everything is a no-op.

    Attributes:
        rank: of this process, 0 to size - 1.
        size: processes.
        store: what they tell each other outside of collectives.
        heartbeat: whether they are all there.
    """

    rank: int = 0
    size: int = 1
    store: Store | None = None
    heartbeat: Heartbeat | None = None

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process records, saves and writes."""
        return self.rank == 0

    def named(self, rank: int) -> str:
        """A process for messages: `process 1 of 3 on host desk-b`."""
        return self.heartbeat.named(rank) if self.heartbeat else f"process {rank} of {self.size}"

    def connect(self, device: torch.device) -> None:
        """Connect all processes with each other: collectives work from here on."""
        if self.store is None:
            return
        store = PrefixStore("collectives", self.store.clone())
        backend = "nccl" if device.type == "cuda" else "gloo"
        self.watched(lambda: distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.size))

    def publish(self, name: str, text: str | bytes) -> None:
        """Leave a text or bytes for the others; collectives need not work yet."""
        if (store := self.store) is not None:
            self.watched(lambda: store.set(name, text))  # type: ignore[arg-type]  # it takes bytes as well

    def published(self, name: str) -> str:
        """A text that a process leaves under that name; waits for it."""
        return self.published_bytes(name).decode()

    def published_bytes(self, name: str) -> bytes:
        """The same, of bytes."""
        if (store := self.store) is None:
            raise ValueError("one process has nobody to hear from")
        found: bytes = self.watched(lambda: store.get(name))
        return found

    def forget(self, name: str) -> None:
        """Remove what was left under that name: the store keeps the memory of an empty text, too."""
        if (store := self.store) is not None:
            self.watched(lambda: store.delete_key(name))

    def all_gather(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """A tensor of the same shape from every process, in the order of their ranks."""
        return self.start_all_gather(vector)()

    def start_all_gather(self, vector: torch.Tensor) -> Callable[[], list[torch.Tensor]]:
        """`all_gather`, while this process goes on; what is returned waits for the result."""
        if self.size == 1:
            return lambda: [vector]
        parts = [torch.empty_like(vector) for _ in range(self.size)]
        done = self._start(lambda: distributed.all_gather(parts, vector, async_op=True))
        return lambda: (done(), parts)[1]

    def all_to_all(self, parts: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """What `start_all_to_all` waits for."""
        return self.start_all_to_all(parts, rows)()

    def start_all_to_all(self, parts: torch.Tensor, rows: Sequence[int]) -> Callable[[], torch.Tensor]:
        """Send a part to every process, and get one from each, while this process goes on.

        Args:
            parts: one for each process, [size, mine, L].
            rows: how many rows the part of each process has; `rows[rank]` is `mine`.

        Returns:
            what waits for the result: [sum of rows, L], in the order of their ranks.
        """
        if self.size == 1:
            return lambda: parts[0]
        flat = parts.reshape(-1, parts.shape[-1])
        received = flat.new_empty(sum(rows), parts.shape[-1])
        sent = [parts.shape[1]] * self.size
        done = self._start(lambda: distributed.all_to_all_single(received, flat, list(rows), sent, async_op=True))
        return lambda: (done(), received)[1]

    def all_reduce(self, vector: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place. Its bits depend on the number of processes, unless all but one of
        the summands are 0."""
        if self.size > 1:
            self._collective(lambda: distributed.all_reduce(vector, async_op=True))
        return vector

    def share(self, tensor: torch.Tensor) -> None:
        """Give a tensor the values that it has on rank 0, in place."""
        if self.size > 1:
            self._broadcast(tensor)

    def send(self, tensor: torch.Tensor, rank: int) -> None:
        """Send a contiguous tensor to another process, which calls `receive`."""
        self._collective(lambda: distributed.isend(tensor, rank))

    def receive(self, into: torch.Tensor, rank: int) -> None:
        """Fill a contiguous tensor with what another process sends."""
        self._collective(lambda: distributed.irecv(into, rank))

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether some process says yes; all get the same answer."""
        if self.size == 1:
            return flag
        return bool(self.all_reduce(torch.tensor([int(flag)], device=device)).item())

    def broadcast(self, data: bytes, device: torch.device) -> bytes:
        """What rank 0 gives, on every process.

        Raises:
            UserError: if it arrives with another hash.
        """
        if self.size == 1:
            return data
        header = torch.zeros(_HEADER, dtype=torch.uint8, device=device)
        if self.is_rank_zero:
            mine = len(data).to_bytes(8, "big") + hashlib.sha256(data).digest()
            header.copy_(torch.frombuffer(bytearray(mine), dtype=torch.uint8))
        self._broadcast(header)
        told = bytes(header.tolist())
        length, received = int.from_bytes(told[:8], "big"), bytearray()
        for begin in range(0, length, _CHUNK):
            count = min(_CHUNK, length - begin)
            part = torch.empty(count, dtype=torch.uint8)
            if self.is_rank_zero:
                part = torch.frombuffer(bytearray(data[begin : begin + count]), dtype=torch.uint8)
            part = part.to(device)
            self._broadcast(part)
            received += part.cpu().numpy().tobytes()
        if hashlib.sha256(received).digest() != told[8:]:
            raise UserError("what the first process sent has arrived with another hash", "run dvc repro again")
        return bytes(received)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            self._collective(lambda: distributed.barrier(async_op=True))

    def _broadcast(self, tensor: torch.Tensor) -> None:
        self._collective(lambda: distributed.broadcast(tensor, 0, async_op=True))

    def _collective(self, start: Callable[[], distributed.Work | None]) -> None:
        self._start(start)()

    def _start(self, start: Callable[[], distributed.Work | None]) -> Callable[[], None]:
        """Start a collective; what is returned waits until it is done, or the training cannot go on."""
        if (heartbeat := self.heartbeat) is None:
            raise ValueError("a process of a group without a heartbeat")
        try:
            work = start()
        except RuntimeError as error:
            raise heartbeat.explain(error) from None
        return lambda: self._finish(work, heartbeat)

    def _finish(self, work: distributed.Work | None, heartbeat: Heartbeat) -> None:
        try:
            while work is not None:
                # NCCL's wait is for its stream, not for the others: it has a watchdog of its own.
                if distributed.get_backend() == "nccl":
                    work.wait()
                    return
                try:
                    work.wait(_LOOK)
                    return
                except RuntimeError:
                    if work.is_completed():
                        work.wait()  # it has failed, or was done in this very moment
                        return
                heartbeat.check()
        except RuntimeError as error:
            raise heartbeat.explain(error) from None

    def watched(self, call: Callable[[], T]) -> T:
        """Call something that may wait for another process, and look meanwhile whether the training can go on.

        Raises:
            Lost: if it cannot.
        """
        heartbeat = self.heartbeat
        if heartbeat is None:
            return call()
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except Exception as error:
                done.set_exception(error)

        threading.Thread(target=run, name="samebits-exchange", daemon=True).start()
        while not wait([done], _LOOK.total_seconds()).done:
            heartbeat.check()
        try:
            return done.result()
        except RuntimeError as error:
            raise heartbeat.explain(error) from None


def local_device(device: torch.device) -> torch.device:
    """The device of this process: of several GPUs, the one with its number on this machine."""
    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


@contextlib.contextmanager
def init_process_group(processes: int, hosts: int, say: Callable[[str], None]) -> Iterator[ProcessGroup]:
    """Meet the other processes of this training, or start them. Collectives work after `ProcessGroup.connect`.

    Args:
        processes: `runtime.processes`, of each machine; torchrun's number wins.
        hosts: `runtime.hosts`.

    Raises:
        UserError: if a process cannot be started, or this one fails; the others are told, and end with it.
        Lost: if another one fails or is lost.
    """
    workers: list[subprocess.Popen[bytes]] = []
    if (found := rank_and_size()) is not None:
        rank, size = found
        store = launched_store(rank)
    elif processes * hosts > 1:
        rank, size = 0, processes * hosts
        listening = listen(hosts)
        if hosts > 1:
            await_hosts(listening, hosts, processes, say)
        workers = [start_worker(each, each, size, LOOPBACK, listening.port) for each in range(1, processes)]
        store = PrefixStore("samebits/0", listening)
    else:
        yield ProcessGroup()
        return
    heartbeat = Heartbeat(store, rank, size, lambda: _ended(workers, size))
    try:
        with _told(heartbeat):
            yield ProcessGroup(rank, size, store, heartbeat)
        heartbeat.stop()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        for worker in workers:
            worker.wait(_EXIT_SECONDS)
    finally:
        _end(workers)


@contextlib.contextmanager
def _told(heartbeat: Heartbeat) -> Iterator[None]:
    """Tell the others why this process fails, in the words in which it says so itself."""
    me = heartbeat.named(heartbeat.rank)
    try:
        yield
    except BaseException as error:
        note_hanging("the other processes")
        if isinstance(error, Lost):
            heartbeat.farewell()
            raise
        known = as_user_error(error, ()) if isinstance(error, OSError) else error
        if isinstance(known, UserError):
            named = known if isinstance(known, GroupError) else GroupError(f"{me}: {known.problem}", known.fix)
            heartbeat.tell(named.problem, named.fix)
            raise named from None
        stopped = isinstance(error, (Interrupted, KeyboardInterrupt))
        what = "it was stopped" if stopped else f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        heartbeat.tell(f"{me}: {what}", FIX)
        raise
    finally:
        heartbeat.stop()


def start_worker(rank: int, local_rank: int, size: int, address: str, port: int) -> subprocess.Popen[bytes]:
    """Start the same stage as a worker: it prints only errors."""
    return subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=os.environ | launched(rank, local_rank, size, address, port),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def _ended(workers: Sequence[subprocess.Popen[bytes]], size: int) -> str:
    """What is to be said of a worker of this machine that has ended with an error; empty if there is none."""
    for rank, worker in enumerate(workers, start=1):
        if worker.poll():
            return f"process {rank} of {size} on host {socket.gethostname()} ended with exit code {worker.returncode}"
    return ""


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
