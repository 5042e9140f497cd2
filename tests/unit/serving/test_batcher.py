"""Requests are answered together, in order, within bounds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from samebits.base.errors import UserError
from samebits.inference.answer import Answer
from samebits.inference.items import Item
from samebits.serving.batcher import Batcher, Busy


def items(*names: str) -> list[Item]:
    return [Item(name) for name in names]


class Model:
    """Answers with the names; holds the first batch until it is released."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()

    def ask(self, given: Sequence[Item]) -> list[Answer]:
        self.batches.append([each.name for each in given])
        assert self.go.wait(30)
        if any(each.name == "bad" for each in given):
            raise UserError("cannot be run", "look")
        return [Answer(each.name) for each in given]


async def _started(model: Model) -> None:
    while not model.batches:
        await asyncio.sleep(0.001)


def test_what_comes_while_the_model_works_is_one_batch_and_each_gets_its_own() -> None:
    async def body() -> None:
        model, batcher = Model(), Batcher(most=4, waiting=100, workers=1)
        first = asyncio.create_task(batcher.answers(model.ask, items("a"), 30))
        await _started(model)
        others = [asyncio.create_task(batcher.answers(model.ask, items(*names), 30)) for names in ("bc", "de", "f")]
        await asyncio.sleep(0)
        model.go.set()
        found = [await task for task in (first, *others)]
        assert [[each.name for each in part] for part in found] == [["a"], ["b", "c"], ["d", "e"], ["f"]]
        assert model.batches == [["a"], ["b", "c", "d", "e"], ["f"]]
        assert batcher.waiting == 0
        await batcher.close()

    asyncio.run(body())


def test_what_does_not_fit_is_refused_at_once_and_a_late_one_is_left_out() -> None:
    async def body() -> None:
        model, batcher = Model(), Batcher(most=4, waiting=3, workers=1)
        first = asyncio.create_task(batcher.answers(model.ask, items("a"), 30))
        await _started(model)
        late = asyncio.create_task(batcher.answers(model.ask, items("b", "c"), 0.01))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await batcher.answers(model.ask, items("d", "e"), 30)
        with pytest.raises(TimeoutError):
            await late
        model.go.set()
        await first
        assert [each.name for each in await batcher.answers(model.ask, items("f"), 30)] == ["f"]
        assert model.batches == [["a"], ["f"]], "nobody waited for b and c any more"
        await batcher.close()

    asyncio.run(body())


def test_a_model_that_fails_fails_its_batch_alone_and_two_models_are_not_mixed() -> None:
    async def body() -> None:
        one, two, batcher = Model(), Model(), Batcher(most=9, waiting=100, workers=1)
        first = asyncio.create_task(batcher.answers(one.ask, items("a"), 30))
        await _started(one)
        waiting = [
            asyncio.create_task(batcher.answers(model.ask, items(name), 30))
            for model, name in ((one, "bad"), (two, "c"), (two, "d"))
        ]
        await asyncio.sleep(0)
        one.go.set()
        two.go.set()
        assert [each.name for each in await first] == ["a"]
        with pytest.raises(UserError, match="cannot be run"):
            await waiting[0]
        assert [(await task)[0].name for task in waiting[1:]] == ["c", "d"]
        assert (one.batches, two.batches) == ([["a"], ["bad"]], [["c", "d"]])
        await batcher.close()

    asyncio.run(body())
