"""A model of MLflow's registry is served, and another version when the alias moves, without a failed request."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.model_registry.register import register
from samebits.serving.model import Current
from samebits.serving.source import RegisteredModel, source_of
from samebits.tracking.tracking_uri import pick_target
from tests.helpers.amount import FULL
from tests.helpers.http_client import Ask, until
from tests.helpers.onnx_models import brightness_model, sum_model
from tests.helpers.registry import make_project, offer


def _version(registry: str, model: Path) -> str:
    """Registered as a version of `m`, the files as they are."""
    from mlflow import MlflowClient

    client = MlflowClient(registry)
    if not client.search_registered_models():
        client.create_registered_model("m")
    return str(client.create_model_version("m", model.parent.as_uri()).version)


@pytest.mark.slow
def test_the_alias_moves_while_requests_are_answered(
    client: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = f"sqlite:///{tmp_path / 'mlflow.db'}"
    from mlflow import MlflowClient

    store = MlflowClient(registry)
    for number, columns in enumerate((("a", "b"), ("b", "a")), start=1):
        (tmp_path / str(number)).mkdir()
        assert _version(registry, sum_model(tmp_path / f"{number}" / "model.onnx", columns)) == str(number)
    (tmp_path / "3").mkdir()
    _version(registry, brightness_model(tmp_path / "3" / "model.onnx"))
    store.set_registered_model_alias("m", "champion", "1")
    server = client(Path("models:/m@champion"), registry=registry, reload_seconds=0.05)

    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            found = server.post("/predict", json={"inputs": [{"a": 1, "b": 2}]})
            right = found.status_code == 200 and found.json()["predictions"][0]["values"] == [3.0]
            answers.append((found.status_code if right else 0, found.json().get("model", "")))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for each in clients:
        each.start()
    served = [server.get("/ready").json()["model"]["sha256"]]
    for number in range(20 if FULL else 4):
        store.set_registered_model_alias("m", "champion", "12"[(number + 1) % 2])
        until(lambda: server.get("/ready").json()["model"]["sha256"] != served[-1])
        served.append(server.get("/ready").json()["model"]["sha256"])
        time.sleep(0.1)
    # One that cannot take its place changes nothing, and neither does an alias that is gone.
    store.set_registered_model_alias("m", "champion", "3")
    until(lambda: "has inputs image" in server.get("/ready").json().get("problem", ""))
    store.delete_registered_model_alias("m", "champion")
    until(lambda: "is not registered" in server.get("/ready").json().get("problem", ""))
    stop.set()
    for each in clients:
        each.join(60)
    assert {code for code, _ in answers} == {200}
    assert {model for _, model in answers} == set(served)
    assert len(set(served)) == 2
    with pytest.raises(UserError, match="models:/m@champion is not registered"):
        RegisteredModel("models:/m@champion", registry).mark()


@pytest.mark.slow
def test_what_samebits_register_made_is_served_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project", monkeypatch)
    candidate = offer(project, monkeypatch, 1, 0.98)
    register(project, name="m", say=lambda _: None)
    monkeypatch.chdir(tmp_path)
    current = Current(source_of(Path("models:/m@champion"), pick_target(project).uri), 1000)
    assert current.served.sha256 == candidate.facts.sha256
    assert current.look() is False
    offer(project, monkeypatch, 2, 0.999)
    register(project, name="m", say=lambda _: None)
    assert current.look() is True
    assert current.served.sha256 != candidate.facts.sha256
    assert current.problem == ""


def test_names_of_no_registered_model_are_refused(tmp_path: Path) -> None:
    for uri in ("models:/m", "models:m@champion@x", "models:/a/b", "models:/m@"):
        with pytest.raises(UserError, match="names no registered model"):
            RegisteredModel(uri, f"sqlite:///{tmp_path / 'mlflow.db'}")
    with pytest.raises(UserError, match="nothing is registered"):
        RegisteredModel("models:/m@champion", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not (tmp_path / "mlflow.db").exists()
