from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samebits.tracking.upload.delivery import Delivery, Entry, StoreRefused, StoreUnavailable, clean_name, shorten

if TYPE_CHECKING:
    from .conftest import MemoryStore, Recorded


def deliver(delivery: Delivery, store: MemoryStore) -> None:
    delivery.read()
    delivery.send(store)
    delivery.acknowledge(0.0)


def test_a_pipeline_is_one_run_with_all_that_was_said(recorded: Recorded, store: MemoryStore) -> None:
    recorded.finished_stage("prepare")
    train = recorded.stage("train")
    train.append("params", v={"train.lr": "0.1"})
    train.append("tags", v={"git.commit": "c0ffee"})
    train.append("metrics", step=0, v={"loss": 2.0, "lr": 0.1})
    train.append("metrics", step=1, v={"loss": 1.0})
    train.append("summary", step=0, v={"loss": 1.0, "time/train_s": 4.0})
    (recorded.record.folder / "note.txt").write_text("hello")
    train.append("artifact", file="note.txt", folder="logs")
    train.append("dataset", name="MNIST", digest="d1", source="x", counts={"train": 3}, stage="train")
    train.append("end", stage="train", status="FINISHED", error="")
    delivery = Delivery(recorded.record)
    deliver(delivery, store)
    run = store.runs["run0"]
    assert store.counts() == {("loss", 0): 1, ("loss", 1): 1, ("lr", 0): 1, ("time/train_s", 0): 1}
    assert run["params"] == {"train.lr": "0.1"}
    assert run["tags"]["git.commit"] == "c0ffee"
    note = run["tags"]["mlflow.note.content"]
    assert "git checkout c0ffee" in note
    assert "`samebits restore run0`" in note
    assert run["artifacts"] == {"logs/note.txt": "hello"}
    assert run["datasets"] == ["d1"]
    assert (run["status"], run["name"]) == ("FINISHED", "mnist-convnet-abcdabcd")
    assert delivery.drained


def test_prepare_alone_makes_no_run_unless_it_fails(recorded: Recorded, store: MemoryStore) -> None:
    writer = recorded.stage("prepare")
    delivery = Delivery(recorded.record)
    deliver(delivery, store)
    assert delivery.drained
    assert store.calls == []
    writer.append("end", stage="prepare", status="FAILED", error="no such file: x.gz")
    deliver(delivery, store)
    assert store.runs["run0"]["status"] == "FAILED"
    assert "no such file: x.gz" in store.runs["run0"]["tags"]["samebits.error"]


def test_points_repeated_from_a_checkpoint_are_dropped(recorded: Recorded, store: MemoryStore) -> None:
    killed = recorded.stage("train")
    for step in range(100):
        killed.append("metrics", step=step, v={"loss": 1.0})
    deliver(Delivery(recorded.record), store)
    resumed = recorded.stage("train")
    for step in range(80, 120):
        resumed.append("metrics", step=step, v={"loss": 1.0})
    deliver(Delivery(recorded.record), store)
    assert store.counts() == {("loss", step): 1 for step in range(120)}


@pytest.mark.parametrize("seed", range(30))
def test_each_point_arrives_once_whoever_dies_and_whenever(
    recorded: Recorded, store: MemoryStore, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stages are killed and repeat steps; senders die before, inside and after a batch, and before acknowledging."""
    dice = random.Random(seed)
    monkeypatch.setattr("samebits.tracking.upload.delivery._ENTRIES_AT_ONCE", dice.choice([1, 3, 1000]))
    monkeypatch.setattr("samebits.tracking.journal.journal._READ_AT_ONCE", dice.choice([100, 300, 1 << 20]))
    delivery, step, top, last = Delivery(recorded.record), 0, 0, 60
    writer = recorded.stage("train")
    while step < last:
        for _ in range(dice.randrange(1, 8)):
            writer.append("metrics", step=step, v={"loss": 1.0 / (step + 1), "accuracy": step / last})
            step += 1
            top = max(top, step)
        store.faults = dice.choices(["", "before", "after"], k=2)
        delivery.read()
        try:
            delivery.send(store)
        except StoreUnavailable:
            delivery.problem = "down"
        if dice.random() < 0.5:
            delivery.acknowledge(0.0)
        if dice.random() < 0.3:
            delivery = Delivery(recorded.record)  # the sender was killed, another one starts
        if dice.random() < 0.2:
            with writer.path.open("ab") as file:
                file.write(b'{"k":"metrics","step":9')
            writer = recorded.stage("train")  # the stage was killed, and goes on from its checkpoint
            step = max(0, step - dice.randrange(10))
    store.faults = []
    deliver(Delivery(recorded.record), store)
    expected = {(name, s) for name in ("loss", "accuracy") for s in range(top)}
    assert store.counts() == dict.fromkeys(expected, 1)
    assert len(store.runs) == 1


def test_the_status_is_the_worst_of_the_latest_attempts(recorded: Recorded, store: MemoryStore) -> None:
    delivery = Delivery(recorded.record)
    seen = []
    for stage, status in (("train", "KILLED"), ("train", "FINISHED"), ("evaluate", "FAILED"), ("export", "FINISHED")):
        writer = recorded.stage(stage)
        deliver(delivery, store)
        seen.append(store.runs["run0"]["status"])
        writer.append("end", stage=stage, status=status, error="")
        deliver(delivery, store)
        seen.append(store.runs["run0"]["status"])
    assert seen == ["RUNNING", "KILLED", "RUNNING", "FINISHED", "RUNNING", "FAILED", "RUNNING", "FAILED"]


def test_a_parameter_that_changed_is_a_tag(recorded: Recorded, store: MemoryStore) -> None:
    recorded.stage("train").append("params", v={"runtime.workers": "1"})
    recorded.stage("train").append("params", v={"runtime.workers": "4"})
    deliver(Delivery(recorded.record), store)
    assert store.runs["run0"]["params"] == {"runtime.workers": "1"}
    assert store.runs["run0"]["tags"]["params.changed.runtime.workers"] == "4"


def test_long_values_are_cut_with_a_marker(recorded: Recorded, store: MemoryStore) -> None:
    recorded.stage("train").append("params", v={"a": "x" * 20_000})
    deliver(Delivery(recorded.record), store)
    value = store.runs["run0"]["params"]["a"]
    assert len(value) == 6000
    assert value.endswith("… [20000 characters; see params.yaml]")
    assert shorten("short", 6) == "short"


def test_what_the_store_refuses_is_left_out_and_the_rest_arrives(recorded: Recorded, store: MemoryStore) -> None:
    real = store.log

    def picky(run_id: str, entries: list[Entry]) -> None:
        if any(entry.name == "bad" for entry in entries):
            raise StoreRefused("no")
        real(run_id, entries)

    store.log = picky  # type: ignore[method-assign]
    writer = recorded.stage("train")
    writer.append("metrics", step=0, v={"loss": 1.0, "bad": 2.0, "lr": 0.1})
    writer.append("tags", v={"t": "1"})
    deliver(Delivery(recorded.record), store)
    assert store.counts() == {("loss", 0): 1, ("lr", 0): 1}
    assert store.runs["run0"]["tags"]["t"] == "1"


def test_a_deleted_run_is_recorded_anew_whole(recorded: Recorded, store: MemoryStore) -> None:
    writer = recorded.stage("train")
    writer.append("metrics", step=0, v={"loss": 1.0})
    delivery = Delivery(recorded.record)
    deliver(delivery, store)
    store.runs["run9"] = store.runs.pop("run0") | {"key": "deleted"}
    writer.append("metrics", step=1, v={"loss": 0.5})
    delivery.read()
    with pytest.raises(StoreUnavailable, match="recorded anew"):
        delivery.send(store)
    deliver(delivery, store)
    assert store.counts("run1") == {("loss", 0): 1, ("loss", 1): 1}
    assert store.runs["run1"]["tags"]["samebits.resumed_from"] == "run0"


def test_another_store_gets_all_of_it(recorded: Recorded, store: MemoryStore) -> None:
    recorded.finished_stage("train", points=3)
    deliver(Delivery(recorded.record), store)
    other = type(store)("memory://other")
    delivery = Delivery(recorded.record)
    recorded.finished_stage("evaluate", points=2)
    deliver(delivery, other)
    assert other.counts() == {("train/loss", 0): 1, ("train/loss", 1): 1, ("train/loss", 2): 1} | {
        ("evaluate/loss", 0): 1,
        ("evaluate/loss", 1): 1,
    }


def test_a_moved_repository_finds_its_run(recorded: Recorded, store: MemoryStore) -> None:
    recorded.finished_stage("train", points=3)
    deliver(Delivery(recorded.record), store)
    store.uri = "memory://after/the/move"
    recorded.finished_stage("evaluate")
    deliver(Delivery(recorded.record), store)
    assert list(store.runs) == ["run0"]
    assert set(store.counts().values()) == {1}
    assert "samebits.resumed_from" not in store.runs["run0"]["tags"]


def test_a_delivered_record_is_drained_for_the_next_sender(recorded: Recorded, store: MemoryStore) -> None:
    recorded.finished_stage("train", points=3)
    deliver(Delivery(recorded.record), store)
    again = Delivery(recorded.record)
    again.read()
    assert again.drained
    sent = json.loads((recorded.record.folder / "sent.json").read_text())
    assert sent["offsets"]["001-train"] == recorded.record.segments()[0].end()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("val/loss", "val/loss"), ("a,b", "a_b"), ("../x", "_/x"), ("a//b", "a/_/b"), ("x" * 300, "x" * 250), ("", "_")],
)
def test_names_that_mlflow_refuses_are_made_good(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


def test_a_store_of_files_that_fails_keeps_no_numbers_back(
    recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run_id: str, path: Path, folder: str) -> None:
        raise StoreUnavailable("no bucket")

    monkeypatch.setattr(store, "add_artifact", refuse)
    writer = recorded.stage("train")
    (recorded.record.folder / "note.txt").write_text("hello")
    writer.append("artifact", file="note.txt", folder="")
    writer.append("metrics", step=0, v={"loss": 1.0})
    writer.append("end", stage="train", status="FINISHED", error="")
    delivery = Delivery(recorded.record)
    delivery.read()
    with pytest.raises(StoreUnavailable, match="no bucket"):
        delivery.send(store)
    assert not delivery.drained
    assert store.runs["run0"]["status"] == "FINISHED"
    monkeypatch.undo()
    deliver(delivery, store)
    assert store.counts() == {("loss", 0): 1}
    assert store.runs["run0"]["artifacts"] == {"note.txt": "hello"}


def test_many_events_are_sent_in_parts_and_wait_without_memory(
    recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samebits.tracking.upload.delivery._EVENTS_AT_ONCE", 7)
    writer = recorded.stage("train")
    for step in range(50):
        writer.append("metrics", step=step, v={"loss": float(step)})
    writer.append("summary", step=0, v={"loss": 49.0, "best": 1.0})
    delivery = Delivery(recorded.record)
    delivery.read()
    assert [type(waiting).__name__ for waiting in delivery._waiting] == ["PendingRange"]
    # The fourth part does not arrive, the fifth does, and nobody hears of it.
    store.faults = ["", "", "", "before", "", "after"]
    for _ in range(3):
        with contextlib.suppress(StoreUnavailable):
            delivery.send(store)
    assert store.counts() == {("loss", step): 1 for step in range(50)} | {("best", 0): 1}
    assert [point.value for point in store.runs["run0"]["points"][:50]] == [float(step) for step in range(50)]
    assert delivery.drained


def test_a_journal_that_was_cut_ends_there(recorded: Recorded, store: MemoryStore) -> None:
    writer = recorded.stage("train")
    for step in range(50):
        writer.append("metrics", step=step, v={"loss": 1.0})
    delivery = Delivery(recorded.record)
    delivery.read()
    lines = writer.path.read_bytes().splitlines(keepends=True)
    writer.path.write_bytes(b"".join(lines[:12]))
    delivery.send(store)
    assert store.counts() == {("loss", step): 1 for step in range(10)}
