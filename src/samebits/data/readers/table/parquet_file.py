"""Parquet files as arrow tables, for `samebits.data.readers.table.table` and `samebits predict`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from samebits.base.errors import UserError, listed
from samebits.data.readers import cells

_INDEX = re.compile(r"Unnamed: 0(\.\d+)*|__index_level_\d+__")
_UNREADABLE = (pa.ArrowException, OSError, ValueError, ArithmeticError, LookupError, MemoryError, RuntimeError)
"""Whatever pyarrow raises on a damaged file, a text that is no UTF-8 among it."""


def stream_parquet(
    path: Path, name: str, choose: Callable[[list[str], list[str]], Sequence[str]], rows: int
) -> Iterator[Any]:
    """Columns of a file in arrow tables of so many rows, checked to be what the file says they are.

    Args:
        name: of the file, for messages.
        choose: names of the columns and of those among them that are pandas' index -> the columns to read.

    Raises:
        UserError: a file that is damaged (of a damaged part when it is reached), or two columns of one name; whatever
            `choose` raises. A file without rows has no table.
    """
    try:
        file, wanted = _opened(path, name, choose)
        read = 0
        for batch in file.iter_batches(batch_size=rows, columns=list(dict.fromkeys(wanted))):
            batch.validate(full=True)
            read += len(batch)
            yield pa.Table.from_batches([batch])
        if read != file.metadata.num_rows:
            raise ValueError(f"it says {file.metadata.num_rows:,} rows and holds {read:,}")
    except _UNREADABLE as error:
        raise _damaged(name, error) from None


def _opened(path: Path, name: str, choose: Callable[[list[str], list[str]], Sequence[str]]) -> tuple[Any, list[str]]:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    wanted = list(choose(names, pandas_index(names, _pandas(file.schema_arrow))))
    if twice := sorted({each for each in wanted if names.count(each) > 1}):
        raise UserError(f"{name}: two columns are called {listed(twice)}", "give each a name of its own")
    return file, wanted


def _damaged(name: str, error: BaseException) -> UserError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(
        f"{name} is no Parquet file that can be read: {reason}", "it is damaged or encrypted: copy or write it again"
    )


def without_dictionaries(table: Any) -> Any:
    """A table whose columns hold their values themselves."""
    kinds = [kind.value_type if pa.types.is_dictionary(kind) else kind for kind in table.schema.types]
    return table.cast(pa.schema(list(zip(table.column_names, kinds, strict=True))))


def plain_cells(column: Any) -> list[Any]:
    """A column as stripped texts, numbers, truth values, dates and None; a date that Python lacks as a text.

    Raises:
        UserError: for lists, structs and binary data.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_pylist()
        return [None if each is None else _date(each) for each in seconds]
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise UserError(f"a column is of type {kind}", "make texts, numbers or dates of it")
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return [each.strip() if isinstance(each, str) else each for each in column.to_pylist()]


def _date(seconds: int) -> datetime | str:
    try:
        return cells.moment_of(seconds)
    except OverflowError:
        return f"{seconds:,} s after 1970"


def pandas_index(names: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """The columns in which pandas wrote the row labels of a table: no part of what was measured.

    Args:
        known: those that the file's own metadata name.
    """
    return [each for each in names if each in known or _INDEX.fullmatch(each)]


def _pandas(schema: Any) -> list[str]:
    try:
        found = (schema.pandas_metadata or {}).get("index_columns")
    except (ValueError, AttributeError):  # no JSON, or no object
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
