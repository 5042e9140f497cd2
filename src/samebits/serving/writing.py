"""Texts that a language model writes, each in a thread, while others are answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from samebits.inference.generate import Writer
from samebits.serving.batcher import Busy
from samebits.serving.schema import Prompt
from samebits.serving.settings import Limits


@dataclass(frozen=True)
class Ended:
    """The end of a text.

    Attributes:
        reason: `end`: the model ended it; `length`: it has as many tokens as were asked for; `time`: `limits.seconds`
            are over.
    """

    reason: str


class Text:
    """One text, which a thread writes from now on, whether it is read or not.

    Attributes:
        ended: why, once it has; empty before.
    """

    def __init__(self, writer: Writer, asked: Prompt, limits: Limits, done: Callable[[], None]) -> None:
        self._writer, self._asked, self._count = writer, asked, asked.count(limits)
        self._late = time.monotonic() + limits.seconds
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue[str | Ended | Exception]()
        self._unread = threading.Event()
        self._first: str | Ended | None = None
        self.ended = ""
        self._task = asyncio.create_task(asyncio.to_thread(self._write))
        self._task.add_done_callback(lambda _: done())

    async def start(self) -> None:
        """Wait for its beginning: what the model cannot do is known then, before a response has begun.

        Raises:
            UserError: for a prompt that is empty (`EmptyPrompt`), a model that cannot be run.
        """
        self._first = await self._next()

    async def pieces(self) -> AsyncIterator[str]:
        """After `start`. The thread stops where nobody reads them any more."""
        try:
            found = self._first
            while isinstance(found, str):
                yield found
                found = await self._next()
            self.ended = found.reason if found else ""
        finally:
            self._unread.set()

    async def _next(self) -> str | Ended:
        found = await self._queue.get()
        if isinstance(found, Exception):
            raise found
        return found

    def _write(self) -> None:
        try:
            end: str | Ended | Exception = self._pieces()
        except Exception as error:
            end = error
        self._put(end)

    def _pieces(self) -> Ended:
        pieces = self._writer.pieces(self._asked.prompt, self._count, self._asked.sampling)
        while True:
            try:
                self._put(next(pieces))
            except StopIteration as stop:
                return Ended("length" if stop.value == self._count else "end")
            if self._unread.is_set() or time.monotonic() > self._late:
                return Ended("time")

    def _put(self, piece: str | Ended | Exception) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)


class Texts:
    """As many at a time as `limits.texts` says."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._now = 0

    async def write(self, writer: Writer, asked: Prompt) -> Text:
        """A text that has begun.

        Raises:
            Busy: if too many are being written.
            UserError: as of `Text.start`.
        """
        if self._now >= self._limits.texts:
            raise Busy(2)
        self._now += 1
        text = Text(writer, asked, self._limits, self._release)
        await text.start()
        return text

    def _release(self) -> None:
        self._now -= 1
