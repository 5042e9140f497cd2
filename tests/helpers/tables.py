"""Small tables for tests, as CSV and as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from samebits.data.preparation.prepare import require_usable, split_and_encode
from samebits.data.readers.reader import Encoded, Raw, Source, read_source
from samebits.params.data import DataParams

COLUMNS = ("size", "town", "sold", "garden", "price")


def rows(n: int = 200, seed: int = 0) -> list[list[str]]:
    """Houses: a number, a category, a date, a boolean, and a price that follows from them with noise."""
    random = np.random.default_rng(seed)
    size = random.uniform(30, 200, n).round(2)
    town = random.choice(["Ulm", "Bonn", "Köln"], n)
    day = random.integers(0, 3000, n)
    garden = random.integers(0, 2, n)
    price = size * 3 + 20 * garden + 50 * (town == "Köln") + random.normal(0, 5, n)
    return [
        [
            f"{size[k]}",
            str(town[k]),
            str(np.datetime64("2015-01-01") + day[k]),
            ["no", "yes"][garden[k]],
            f"{price[k]:.1f}",
        ]
        for k in range(n)
    ]


def csv_text(body: list[list[str]], header: tuple[str, ...] = COLUMNS, separator: str = ",") -> str:
    """A CSV; cells must not need quotes."""
    return "\n".join(separator.join(row) for row in [list(header), *body]) + "\n"


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    """A Parquet file of these columns."""
    pq.write_table(pa.table(columns), path)
    return path


def settings(**table: Any) -> DataParams:
    """`data` for a table of one's own; what is no key of `data` is one of `data.table`."""
    own = {key: table.pop(key) for key in list(table) if key in DataParams.model_fields}
    shares = {"validation_fraction": 0.2, "test_fraction": 0.2}
    return DataParams(**{"source": "data/raw/x.csv", "format": "table", "table": table, **shares, **own})


def read(path: Path, data: DataParams) -> Raw:
    """What the reader makes of a file."""
    return read_source("table", Source("x", data, None, {}, path, path.parent, print))


def prepare(path: Path, **table: Any) -> tuple[Raw, Encoded]:
    """A file through everything that `prepare` does before it writes."""
    data = settings(**table)
    raw = read(path, data)
    require_usable(raw, data)
    return raw, split_and_encode(raw, data)
