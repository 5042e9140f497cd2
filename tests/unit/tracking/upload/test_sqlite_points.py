"""Points that go past MLflow's client leave the rows that it would have written."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path
from random import Random
from typing import Any

import pytest
from mlflow.entities import Metric

from samebits.base.paths import Project
from samebits.tracking.tracking_uri import Target
from samebits.tracking.upload import mlflow_store
from samebits.tracking.upload.delivery import Entry, Point, RunGone, StoreUnavailable
from samebits.tracking.upload.mlflow_store import MlflowStore
from samebits.tracking.upload.sqlite_points import is_plain

NAMES = ("train/loss", "val/accuracy", "lr")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    home = tmp_path_factory.mktemp("store")
    project = Project(home, home)
    made = MlflowStore(project, Target(f"sqlite:///{project.mlruns / 'mlflow.db'}", local=True))
    made.prepare("points")
    return made


def new_run(store: MlflowStore, key: str) -> str:
    return store.open_run("", key, key, "points", 1).run_id


def rows(store: MlflowStore, run_id: str, table: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(store._database)) as connection:
        query = f'SELECT "key", value, timestamp, step, is_nan, typeof(value) FROM {table} WHERE run_uuid = ?'
        return sorted(connection.execute(query, (run_id,)))


def made_up(seed: int, count: int) -> list[Entry]:
    """Repeated, out of order, not finite, whole numbers."""
    random = Random(seed)
    values = (0.1, -0.0, 0.0, 7, 1e308, math.nan, math.inf, -math.inf)
    return [
        Point(random.choice(NAMES), random.choice(values), random.randrange(-1, 9), random.randrange(3))
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_are_those_of_the_client(store: MlflowStore, seed: int) -> None:
    direct, theirs = new_run(store, f"direct {seed}"), new_run(store, f"theirs {seed}")
    first: list[Entry] = [Point(name, 0.5, 0, 0) for name in NAMES]
    for entries in (first, made_up(seed, 40), made_up(seed, 60), made_up(seed + 9, 5)):
        store.log(direct, entries)
        metrics = [Metric(e.name, e.value, e.time_ms, e.step) for e in entries if isinstance(e, Point)]
        store.client.log_batch(theirs, metrics=metrics)
        for table in ("metrics", "latest_metrics"):
            assert rows(store, direct, table) == rows(store, theirs, table)


def test_of_many_points_the_client_gets_the_first_of_each_name(
    store: MlflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(store, "many")
    asked: list[int] = []
    log_batch = store.client.log_batch

    def counting(run_id: str, metrics: list[Metric], **more: Any) -> None:
        asked.append(len(metrics))
        log_batch(run_id, metrics=metrics, **more)

    monkeypatch.setattr(store.client, "log_batch", counting)
    store.log(run, [Point("new/one", 1.0, 0, 0), Point("new/two", 1.0, 0, 0)])
    for step in range(1, 50):
        store.log(run, [Point("new/one", float(step), step, 5), Point("new/two", float(step), step, 5)])
    assert asked == [2]
    assert len(rows(store, run, "metrics")) == 100
    assert [row[3] for row in rows(store, run, "latest_metrics")] == [49, 49]


@pytest.mark.parametrize(
    ("point", "plain"),
    [
        (Point("a", 1.0, 1, 1), True),
        (Point("a", math.inf, 1, 1), True),
        (Point("a", 3, 1, 1), True),
        (Point("a", 10**400, 1, 1), False),
        (Point("a", True, 1, 1), False),
        (Point("a", "1", 1, 1), False),  # type: ignore[arg-type]
        (Point("a", 1.0, 1 << 63, 1), False),
        (Point("a", 1.0, 1.5, 1), False),  # type: ignore[arg-type]
        (Point("a", 1.0, 1, -1), False),
    ],
)
def test_what_is_no_plain_number_goes_through_the_client(point: Point, plain: bool) -> None:
    assert is_plain(point) is plain


def test_a_deleted_run_is_gone(store: MlflowStore) -> None:
    run = new_run(store, "deleted")
    store.log(run, [Point("lr", 1.0, 0, 0)])
    store.client.delete_run(run)
    with pytest.raises(RunGone):
        store.log(run, [Point("lr", 2.0, 1, 0)])
    with pytest.raises(RunGone):
        store.log("0" * 32, [Point("lr", 2.0, 1, 0)])


def test_a_store_with_other_columns_gets_points_from_the_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, tmp_path)
    made = MlflowStore(project, Target(f"sqlite:///{project.mlruns / 'mlflow.db'}", local=True))
    run = made.open_run("", "k", "k", "points", 1).run_id
    with contextlib.closing(sqlite3.connect(made._database)) as connection, connection:
        connection.execute("ALTER TABLE metrics ADD COLUMN more INTEGER")

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(mlflow_store, "insert_points", never)
    for step in range(2):
        made.log(run, [Point("lr", 2.0, step, 0)])
    assert len(rows(made, run, "metrics")) == 2


def test_a_store_that_was_moved_away_is_not_made_anew(tmp_path: Path) -> None:
    project = Project(tmp_path, tmp_path)
    made = MlflowStore(project, Target(f"sqlite:///{project.mlruns / 'mlflow.db'}", local=True))
    run = made.open_run("", "k", "k", "points", 1).run_id
    made.log(run, [Point("lr", 2.0, 0, 0)])
    for file in project.mlruns.glob("mlflow.db*"):
        file.rename(tmp_path / file.name)
    with pytest.raises(StoreUnavailable):
        made.log(run, [Point("lr", 2.0, 1, 0)])
    assert not (project.mlruns / "mlflow.db").exists()
