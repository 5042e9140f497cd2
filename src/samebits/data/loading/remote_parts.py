"""The shards of a split of which some lie on the DVC remote alone, and which of them an epoch needs when."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError
from samebits.data.loading.remote import ShardCache, Wanted, mib

Array = npt.NDArray[Any]
Int64 = npt.NDArray[np.int64]


class RemoteParts(Sequence[Array]):
    """The shards of a split, each opened when it is read: from `data/prepared` if it is there, else from the cache.

    Args:
        rows: of each shard.
        open_file: maps a shard's file, by its number.
    """

    def __init__(
        self,
        shards: ShardCache,
        wanted: Sequence[Wanted],
        rows: Sequence[int],
        open_file: Callable[[Path, int], Array],
    ) -> None:
        self._shards, self._wanted, self._open = shards, wanted, open_file
        self._first = np.cumsum([0, *rows])
        folder = shards.workspace / "data" / "prepared"
        self._local = {
            k: open_file(folder / each.name, k) for k, each in enumerate(wanted) if (folder / each.name).exists()
        }
        self._epoch, self._until = -1, 0
        self._uses: tuple[Int64, Int64] = (np.empty(0, np.int64), np.empty(0, np.int64))
        self._after: list[int] = []

    def __len__(self) -> int:
        return len(self._wanted)

    @overload
    def __getitem__(self, k: int) -> Array: ...

    @overload
    def __getitem__(self, k: slice) -> Sequence[Array]: ...

    def __getitem__(self, k: int | slice) -> Array | Sequence[Array]:
        if isinstance(k, slice):
            return [self[each] for each in range(*k.indices(len(self)))]
        if k in self._local:
            return self._local[k]
        return self._shards.mapped(self._wanted[k], lambda path: self._open(path, k))

    def reached(self, epoch: int, position: int, order_of: Callable[[int], Int64], *, ends: bool) -> None:
        """An epoch was read up to a position of its order: read on ahead of it.

        Args:
            order_of: the order of an epoch, int64 [n] rows.
            ends: no other epoch follows.

        Raises:
            UserError: if the cache cannot hold what the order reads at one time.
        """
        if epoch != self._epoch:
            self._epoch, self._until = epoch, position
            self._uses = first, last = self._uses_of(order_of(epoch))
            self._require_room(first, last)
            self._after = [] if ends else np.argsort(self._uses_of(order_of(epoch + 1))[0], kind="stable").tolist()
        if position < self._until:
            return
        first, last = self._uses
        left = [k for k in np.argsort(first, kind="stable").tolist() if last[k] >= position]
        self._until = min((int(last[k]) for k in left), default=len(self)) + 1
        now = [k for k in left if first[k] <= position]
        self._shards.expect(self._files(now), self._files([*left, *self._after]))

    def _files(self, numbers: Sequence[int]) -> list[Wanted]:
        return [self._wanted[k] for k in numbers if k not in self._local]

    def _uses_of(self, order: Int64) -> tuple[Int64, Int64]:
        """Of each shard the first and the last position in an order; -1 for both where it is not in it."""
        shard = np.searchsorted(self._first, order, side="right") - 1
        first, last = np.full(len(self), len(order)), np.full(len(self), -1)
        places = np.arange(len(order))
        np.minimum.at(first, shard, places)
        np.maximum.at(last, shard, places)
        return first, last

    def _require_room(self, first: Int64, last: Int64) -> None:
        most = 0
        sizes = np.array([0 if k in self._local else each.size for k, each in enumerate(self._wanted)])
        for position in np.unique(first[last >= 0]).tolist():
            most = max(most, int(sizes[(first <= position) & (last >= position)].sum()))
        if most > self._shards.limit:
            raise UserError(
                f"the order of an epoch reads shards of {mib(most)} MiB at one time, runtime.shard_cache_mib is "
                f"{mib(self._shards.limit)}",
                f"set it to {2 * mib(most)}, so that the next ones are read ahead ({mib(most)} at least); or set "
                "train.shuffle: window with a small train.shuffle_window: another order, and so other bits",
            )


def npy_size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Bytes of an array's .npy file of version 1.0."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return len(header.getvalue()) + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
