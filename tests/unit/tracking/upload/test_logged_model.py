"""A run's model: what the journal knows of it, and on a real store each thing once, however often it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samebits.base.paths import Project
from samebits.tracking.tracking_uri import pick_target
from samebits.tracking.upload.delivery import Delivery, StoreRefused, StoreUnavailable
from samebits.tracking.upload.logged_model import ModelFacts
from tests.helpers.memory_store import MemoryStore, Recorded

CHECKPOINT = {"dvc.out.models/checkpoint": "c1.dir", "model.sha256": "ab", "data.digest": "d" * 64}


def train(recorded: Recorded, accuracy: float = 0.9) -> None:
    writer = recorded.stage("train")
    writer.append("params", v={"model.name": "mlp", "task.name": "classification", "runtime.device": "cpu"})
    writer.append("dataset", name="MNIST", digest="d" * 64, source="x", counts={"train": 3}, stage="train")
    writer.append("metrics", step=1, v={"val/loss": 0.7})
    writer.append("metrics", step=2, v={"val/loss": 0.5, "lr": 0.1})
    writer.append("summary", step=0, v={"test/accuracy": accuracy, "time/train_s": 4.0})
    writer.append("tags", v=CHECKPOINT)
    writer.append("end", stage="train", status="FINISHED", error="")
    writer.close()


def deliver(recorded: Recorded, store: MemoryStore) -> None:
    delivery = Delivery(recorded.record)
    delivery.read()
    delivery.send(store)
    delivery.acknowledge(0.0)


def test_the_model_of_a_run_is_what_its_journal_says(recorded: Recorded, store: MemoryStore) -> None:
    train(recorded)
    deliver(recorded, store)
    facts: ModelFacts = store.runs["run0"]["model"]
    assert (facts.name, facts.kind) == ("mnist-convnet-abcdabcd", "classification")
    assert facts.params == {"model.name": "mlp", "task.name": "classification"}
    assert facts.tags["dvc.md5"] == "c1.dir"
    assert facts.dataset == ("MNIST", "d" * 64)
    assert store.calls.index("log_model") < store.calls.index("FINISHED")


def test_a_run_without_a_checkpoint_has_no_model(recorded: Recorded, store: MemoryStore) -> None:
    writer = recorded.stage("train")
    writer.append("end", stage="train", status="FAILED", error="boom")
    deliver(recorded, store)
    assert "model" not in store.runs["run0"]


def test_a_store_that_takes_no_models_keeps_nothing_else_back(
    recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run_id: str, facts: ModelFacts) -> None:
        raise StoreRefused("no page for models")

    monkeypatch.setattr(store, "log_model", refuse)
    train(recorded)
    deliver(recorded, store)
    assert store.runs["run0"]["status"] == "FINISHED"


def test_a_store_that_goes_away_gets_the_model_later(
    recorded: Recorded, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(run_id: str, facts: ModelFacts) -> None:
        raise StoreUnavailable("down")

    train(recorded)
    with monkeypatch.context() as patch:
        patch.setattr(store, "log_model", away)
        with pytest.raises(StoreUnavailable):
            deliver(recorded, store)
    assert store.runs["run0"]["status"] == "RUNNING"
    deliver(recorded, store)
    assert store.runs["run0"]["status"] == "FINISHED"
    assert "model" in store.runs["run0"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_sqlite_each_model_and_point_is_there_once(
    recorded: Recorded, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mlflow.entities import LoggedModelStatus

    from samebits.tracking.upload import logged_model
    from samebits.tracking.upload.mlflow_store import MlflowStore

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    store = MlflowStore(project, pick_target(project))
    train(recorded)

    # Killed between a model's creation and its end; after all of it, before that was acknowledged; then whole.
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    experiment = store.prepare("samebits")
    for victim in ("finalize_logged_model", "log_outputs", "log_batch", ""):
        with monkeypatch.context() as patch:
            if victim == "log_batch":
                patch.setattr(logged_model, "_METRICS", ())
            elif victim:
                patch.setattr(store.client, victim, die)
            delivery = Delivery(recorded.record)
            delivery.read()
            try:
                delivery.send(store)
            except Killed:
                assert victim
    again = Delivery(recorded.record)
    again.read()
    again.send(store)

    (run,) = store.client.search_runs([experiment])
    (model,) = store.client.search_logged_models([experiment])
    assert model.status == LoggedModelStatus.READY
    assert (model.source_run_id, model.model_type) == (run.info.run_id, "classification")
    assert [each.model_id for each in run.outputs.model_outputs] == [model.model_id]
    linked = {(m.key, m.value, m.step, m.dataset_name, m.dataset_digest) for m in model.metrics}
    assert linked == {("test/accuracy", 0.9, 0, "MNIST", "d" * 16), ("val/loss", 0.5, 2, "MNIST", "d" * 16)}
    assert len(model.metrics) == 2
    for name, steps in (("test/accuracy", [0]), ("val/loss", [1, 2]), ("lr", [2])):
        assert [point.step for point in store.client.get_metric_history(run.info.run_id, name)] == steps
    for name, version in (("m", "1"), ("n", "1"), ("m", "2")):
        logged_model.link_version(store.client, run, name, version)
    tags = store.client.get_logged_model(model.model_id).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "n", "version": "1"}, {"name": "m", "version": "2"}]
    assert run.info.run_id in tags["mlflow.note.content"]
