"""Processes of a group as threads of one process: what they exchange, without gloo."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from samebits.compute.distributed import ProcessGroup

T = TypeVar("T")


class Meeting:
    """Processes of a group as threads: what each sends in an exchange, and how many numbers of it leave the process."""

    def __init__(self, size: int) -> None:
        self.barrier = threading.Barrier(size)
        self.sent: list[torch.Tensor] = [torch.empty(0)] * size
        self.numbers = [0] * size

    def exchange(self, rank: int, given: torch.Tensor) -> list[torch.Tensor]:
        self.sent[rank] = given
        self.barrier.wait(10)
        found = list(self.sent)
        self.barrier.wait(10)
        return found


@dataclass(frozen=True)
class Member(ProcessGroup):
    meeting: Meeting = field(kw_only=True)

    def all_gather(self, vector: torch.Tensor) -> list[torch.Tensor]:
        self.meeting.numbers[self.rank] += vector.numel() * (self.size - 1)
        return self.meeting.exchange(self.rank, vector)

    def all_to_all(self, parts: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        self.meeting.numbers[self.rank] += parts[0].numel() * (self.size - 1)
        found = [each[self.rank] for each in self.meeting.exchange(self.rank, parts)]
        assert [len(each) for each in found] == list(rows)
        return torch.cat(found)

    def start_all_gather(self, vector: torch.Tensor) -> Callable[[], list[torch.Tensor]]:
        found = self.all_gather(vector)
        return lambda: found

    def start_all_to_all(self, parts: torch.Tensor, rows: Sequence[int]) -> Callable[[], torch.Tensor]:
        found = self.all_to_all(parts, rows)
        return lambda: found

    def all_reduce(self, vector: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.meeting.exchange(self.rank, vector)).sum(dim=0)


def together(size: int, work: Callable[[Member], T], meeting: Meeting | None = None) -> list[T]:
    """What each process of a group finds."""
    met = meeting or Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: work(Member(rank, size, meeting=met)), range(size)))
