"""The `Dataset` and `DataLoader` face of a prepared split, for people who want what PyTorch's guides show.

    loader = make_loader("data/prepared", "train", batch_size=256, seed=0, epoch=0, num_workers=2)
    for images, labels in loader: ...

It yields the very batches of `samebits.data.loading.batches.Batches`, bit for bit, for any number of workers: the
order comes from a sampler that knows (seed, epoch), the augmentation from (seed, epoch, sample).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from samebits.data.loading.augment import apply, apply_to_masks, draw
from samebits.data.loading.order import epoch_order, steps_in_epoch
from samebits.data.loading.own_augment import OwnAugmentation
from samebits.data.loading.prepared import Split, SplitName, open_split, read_info
from samebits.data.loading.tensors import as_tensor
from samebits.params.augment import AugmentParams

Item = tuple[torch.Tensor, torch.Tensor]


class PreparedDataset(Dataset[Item]):
    """A map-style dataset: item i is a sample as it is stored and its target (image uint8 [C, H, W], or int32 where it
    has 16 bits, label int64 []).

    Pickles as its arguments, so that a worker process of any start method opens the files itself.

    Args:
        folder: `data/prepared`.
        split: `train`, `validation` or `test`.
        transform: applied to the sample of each item.
        in_memory: read the split whole, or map its files.
    """

    def __init__(
        self,
        folder: str | Path,
        split: SplitName,
        transform: Callable[[torch.Tensor], Any] | None = None,
        *,
        in_memory: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.split = split
        self.transform = transform
        self.in_memory = in_memory
        self.samples: Split = open_split(self.folder, split, in_memory=in_memory)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Item:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        rows = np.array([index % len(self)], dtype=np.int64)
        inputs, targets = self.samples.samples(rows)
        sample, target = as_tensor(inputs)[0], as_tensor(targets)[0]
        return (sample if self.transform is None else self.transform(sample)), target

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "samples"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.samples = open_split(self.folder, self.split, in_memory=self.in_memory)


class EpochBatchSampler(Sampler[list[int]]):
    """Lists of row numbers, one per batch, in the order of (seed, epoch); the last partial batch is dropped.

    Args:
        shard_rows: `Split.shard_rows`.
        shuffle, window: see `samebits.data.loading.order.epoch_order`.
    """

    def __init__(
        self,
        shard_rows: tuple[int, ...],
        *,
        batch_size: int,
        seed: int,
        epoch: int = 0,
        shuffle: Literal["full", "window"] = "full",
        window: int = 8,
    ) -> None:
        self.shard_rows = shard_rows
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.shuffle = shuffle
        self.window = window
        self._steps = steps_in_epoch(sum(shard_rows), batch_size)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration yields, as with `DistributedSampler`."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[int]]:
        order = epoch_order(
            sum(self.shard_rows),
            self.seed,
            self.epoch,
            shard_rows=self.shard_rows,
            shuffle=self.shuffle,
            window=self.window,
        )
        for step in range(self._steps):
            yield order[step * self.batch_size : (step + 1) * self.batch_size].tolist()


class _AugmentedBatches(PreparedDataset):
    """Gathers and augments a whole batch at once: `DataLoader` asks `__getitems__` for it."""

    def __init__(
        self,
        folder: str | Path,
        split: SplitName,
        *,
        seed: int,
        epoch: int,
        augment: AugmentParams | None,
        in_memory: bool,
    ) -> None:
        super().__init__(folder, split, in_memory=in_memory)
        self.seed = seed
        self.epoch = epoch
        self.augment = augment

    @functools.cached_property
    def own(self) -> OwnAugmentation | None:
        """Loaded by each worker process for itself."""
        own = self.augment.own if self.augment is not None else None
        return OwnAugmentation(own, self.samples.info.signature, self.seed) if own else None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "own"}

    def __getitems__(self, indices: list[int]) -> Item:
        rows = np.array(indices, dtype=np.int64)
        inputs, targets = self.samples.samples(rows)
        kind, target = self.samples.info.signature.inputs, self.samples.info.signature.target
        if self.augment is not None and kind.augments:
            chance = draw(rows, self.augment, seed=self.seed, epoch=self.epoch)
            inputs = apply(inputs, chance, self.augment, fill=kind.fill)
            if target.moves:
                targets = apply_to_masks(targets, chance, self.augment)
        if self.own is not None:
            inputs, targets = self.own(inputs, targets, rows, self.epoch)
        return as_tensor(inputs), as_tensor(targets)


def _as_is(batch: Any) -> Any:
    """In place of collation: `__getitems__` has made the batch."""
    return batch


def make_loader(
    folder: str | Path,
    split: SplitName,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    augment: AugmentParams | None = None,
    num_workers: int = 0,
    shuffle: Literal["full", "window"] = "full",
    window: int = 8,
    in_memory: bool = True,
    **options: Any,
) -> DataLoader[Item]:
    """A loader of one epoch's training batches: inputs and targets as in `samebits.data.loading.batches.Batch`.

    Args:
        num_workers: processes; the batches are the same for any number.
        options: passed on to `DataLoader` (`pin_memory`, `multiprocessing_context`, ...).

    Raises:
        UserError: if the prepared files are missing or damaged, or the split is smaller than a batch.
    """
    rows = tuple(shard.rows for shard in read_info(Path(folder)).shards[split])
    sampler = EpochBatchSampler(rows, batch_size=batch_size, seed=seed, epoch=epoch, shuffle=shuffle, window=window)
    data = _AugmentedBatches(folder, split, seed=seed, epoch=epoch, augment=augment, in_memory=in_memory)
    return DataLoader(data, batch_sampler=sampler, num_workers=num_workers, collate_fn=_as_is, **options)
