"""Batches of a prepared split: `batch = f(prepared data, seed, step)`.

There is no loader state. Any step's batch can be asked for at any time, by any number of threads; a training
run that was interrupted asks for the next step and gets what the uninterrupted run would have got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from threading import Lock
from typing import Literal

from samebits.data.loading.augment import Floats, apply, apply_to_masks, draw
from samebits.data.loading.order import Int64, bucketed, epoch_order, steps_in_epoch
from samebits.data.loading.own_augment import OwnAugmentation
from samebits.data.loading.prepared import Split
from samebits.data.loading.sequential import Batch
from samebits.data.loading.tensors import as_tensor
from samebits.params.augment import AugmentParams

_STEPS_DRAWN = 32
"""Steps whose random numbers are drawn at once: those of 32 batches of 256 images fit a core's second-level cache."""


class Batches:
    """The training batches of a split, by step.

    Args:
        split: what to draw from.
        batch_size: samples per step; an epoch's last partial batch is dropped.
        seed: of the order and the augmentation.
        augment: random changes of images, or None; other samples are changed by `augment.own` alone.
        shuffle: see `samebits.data.loading.order.epoch_order`.
        window: shards a window, for `window`.
        bucket: batches a window within which samples are sorted by length (`bucketed`); None: no sorting.

    Raises:
        UserError: if the split is smaller than a batch.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        augment: AugmentParams | None = None,
        shuffle: Literal["full", "window"] = "full",
        window: int = 8,
        bucket: int | None = None,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.augment = augment
        self.own = OwnAugmentation(augment.own, split.info.signature, seed) if augment and augment.own else None
        self.shuffle = shuffle
        self.window = window
        self.bucket = bucket
        self._lengths = None if bucket is None else split.lengths()
        self.steps_per_epoch = steps_in_epoch(len(split), batch_size)
        self._lock = Lock()
        self._orders: dict[int, Int64] = {}
        self._draws: dict[tuple[int, int], Floats] = {}

    def indices(self, step: int) -> Int64:
        """Rows of the split that step `step` (from 0) trains on: int64 [B]."""
        epoch, place = divmod(step, self.steps_per_epoch)
        start = place * self.batch_size
        return self._order(epoch)[start : start + self.batch_size]

    def batch(self, step: int) -> Batch:
        """The batch of step `step` (from 0)."""
        indices = self.indices(step)
        inputs, targets = self.split.samples(indices)
        kind, target = self.split.info.signature.inputs, self.split.info.signature.target
        if self.augment is not None and kind.augments:
            chance = self._random_draws(step, self.augment)
            inputs = apply(inputs, chance, self.augment, fill=kind.fill)
            if target.moves:
                targets = apply_to_masks(targets, chance, self.augment)
        if self.own is not None:
            inputs, targets = self.own(inputs, targets, indices, step // self.steps_per_epoch)
        return Batch(as_tensor(inputs), as_tensor(targets), indices)

    def stream(self, start: int, stop: int, workers: int = 1) -> Generator[Batch]:
        """The batches of steps start .. stop - 1, in order, prepared ahead by `workers` threads.

        At most 2 * workers + 1 batches exist ahead of the consumer. A worker's exception is raised here, at its
        step. When the consumer stops early, the threads end before this generator does.

        Args:
            workers: 0 prepares each batch when it is asked for.
        """
        self._reached(start, 0, stop)
        with closing(self._prepared(start, stop, workers)) as batches:
            for step, batch in zip(range(start, stop), batches, strict=True):
                self._reached(step, 1, stop)
                yield batch

    def _reached(self, step: int, done: int, stop: int) -> None:
        """Have shards read ahead that lie on a remote, and let those go that the epoch has passed."""
        if self.split.remote is not None:
            epoch, place = divmod(step, self.steps_per_epoch)
            ends = (epoch + 1) * self.steps_per_epoch >= stop
            self.split.remote.reached(epoch, (place + done) * self.batch_size, self._order, ends=ends)

    def _prepared(self, start: int, stop: int, workers: int) -> Generator[Batch]:
        if workers == 0:
            yield from map(self.batch, range(start, stop))
            return
        ahead: deque[Future[Batch]] = deque()
        steps = iter(range(start, stop))
        pool = ThreadPoolExecutor(workers, thread_name_prefix="samebits-batches")
        try:
            for step in steps:
                ahead.append(pool.submit(self.batch, step))
                if len(ahead) > 2 * workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _random_draws(self, step: int, params: AugmentParams) -> Floats:
        """The random numbers of a step's images, drawn for many steps per call: each call has a fixed cost."""
        epoch, place = divmod(step, self.steps_per_epoch)
        block, within = divmod(place, _STEPS_DRAWN)
        order = self._order(epoch)
        with self._lock:
            drawn = self._draws.get((epoch, block))
            if drawn is None:
                rows = _STEPS_DRAWN * self.batch_size
                drawn = draw(order[block * rows : (block + 1) * rows], params, seed=self.seed, epoch=epoch)
                # Two blocks: workers read ahead over the end of one.
                self._draws = {(epoch, block): drawn, **dict(list(self._draws.items())[:1])}
        return drawn[within * self.batch_size : (within + 1) * self.batch_size]

    def _order(self, epoch: int) -> Int64:
        with self._lock:
            order = self._orders.get(epoch)
            if order is None:
                order = epoch_order(
                    len(self.split),
                    self.seed,
                    epoch,
                    shard_rows=self.split.shard_rows,
                    shuffle=self.shuffle,
                    window=self.window,
                )
                if self.bucket is not None and self._lengths is not None:
                    order = bucketed(
                        order,
                        self._lengths,
                        batch_size=self.batch_size,
                        window=self.bucket,
                        seed=self.seed,
                        epoch=epoch,
                    )
                order.flags.writeable = False
                # Two epochs: workers read ahead over the end of one.
                self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
                self._orders[epoch] = order
            return order
