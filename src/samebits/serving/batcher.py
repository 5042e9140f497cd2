"""Requests that wait for the model, answered together.

A batch is what has come while the model was at work: no request waits for others to come. The queue is bounded, and
a request that does not fit is refused at once, so that those in it are answered in time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from samebits.inference.answer import Answer
from samebits.inference.items import Item

Ask = Callable[[Sequence[Item]], list[Answer]]
"""A model: the answer for each item."""


class Busy(Exception):
    """The queue is full.

    Attributes:
        seconds: after which to try again.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"try again in {seconds} s")
        self.seconds = seconds


@dataclass
class _Job:
    ask: Ask
    items: Sequence[Item]
    answers: asyncio.Future[list[Answer]]


class Batcher:
    """Answers items in the order in which they came, with one batch at a time per worker.

    Args:
        most: items of a batch, unless one request has more.
        waiting: items that may wait.
        workers: threads; while one decodes, another has the model.
        on_batch: is told the size of each batch.
    """

    def __init__(
        self, most: int, waiting: int, workers: int = 2, on_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        self._most, self._limit = most, waiting
        self._jobs: deque[_Job] = deque()
        self._came = asyncio.Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="model")
        self._tasks = [asyncio.create_task(self._work()) for _ in range(workers)]
        self._on_batch = on_batch
        self._item_seconds = 0.0
        self.waiting = 0

    async def answers(self, ask: Ask, items: Sequence[Item], seconds: float) -> list[Answer]:
        """Of each item.

        Raises:
            Busy: if the queue has no room.
            TimeoutError: if they take longer.
            UserError: if the model cannot be run.
        """
        if self.waiting and self.waiting + len(items) > self._limit:
            raise Busy(min(60, max(1, math.ceil(self.waiting * self._item_seconds))))
        job = _Job(ask, items, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self.waiting += len(items)
        self._came.set()
        async with asyncio.timeout(seconds):
            return await job.answers

    async def close(self) -> None:
        """After the last request: what still waits is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._came.wait()
            jobs = self._next()
            if not jobs:
                self._came.clear()
                continue
            items = [item for job in jobs for item in job.items]
            self._on_batch(len(items))
            begun = time.monotonic()
            try:
                found = await loop.run_in_executor(self._pool, jobs[0].ask, items)
            except Exception as error:
                for job in jobs:
                    if not job.answers.done():
                        job.answers.set_exception(error)
                continue
            # A moving average: what the next batches will take, about.
            self._item_seconds += 0.1 * ((time.monotonic() - begun) / len(items) - self._item_seconds)
            begin = 0
            for job in jobs:
                end = begin + len(job.items)
                if not job.answers.done():
                    job.answers.set_result(found[begin:end])
                begin = end

    def _next(self) -> list[_Job]:
        """Jobs for one model that together fit into a batch; those that nobody waits for any more are left out."""
        jobs: list[_Job] = []
        size = 0
        while self._jobs:
            first = self._jobs[0]
            if jobs and (first.ask != jobs[0].ask or size + len(first.items) > self._most):
                break
            self._jobs.popleft()
            self.waiting -= len(first.items)
            if not first.answers.done():
                jobs.append(first)
                size += len(first.items)
        return jobs
