"""Texts that a language model writes, each in a thread, while others are answered."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

from samebits.inference.generate import Writer
from samebits.serving.batcher import Busy
from samebits.serving.schema import Prompt
from samebits.serving.settings import Limits

_END = object()


class Texts:
    """So many at a time as `limits.texts` says."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._now = 0

    def write(self, writer: Writer, asked: Prompt) -> AsyncIterator[str]:
        """Pieces of the text after a prompt. It stops where nobody reads them any more, and after `limits.seconds`.

        Raises:
            Busy: if too many are being written.
        """
        if self._now >= self._limits.texts:
            raise Busy(2)
        self._now += 1
        return self._pieces(writer, asked)

    async def _pieces(self, writer: Writer, asked: Prompt) -> AsyncIterator[str]:
        loop, stop = asyncio.get_running_loop(), threading.Event()
        queue: asyncio.Queue[object] = asyncio.Queue()
        late = time.monotonic() + self._limits.seconds

        def work() -> None:
            try:
                for piece in writer.pieces(asked.prompt, asked.tokens, asked.sampling):
                    if stop.is_set() or time.monotonic() > late:
                        break
                    loop.call_soon_threadsafe(queue.put_nowait, piece)
                loop.call_soon_threadsafe(queue.put_nowait, _END)
            except Exception as error:
                loop.call_soon_threadsafe(queue.put_nowait, error)

        task = asyncio.create_task(asyncio.to_thread(work))
        try:
            while (found := await queue.get()) is not _END:
                if isinstance(found, Exception):
                    raise found
                yield str(found)
        finally:
            stop.set()
            await task
            self._now -= 1
