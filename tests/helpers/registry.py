"""A registry with small real models, and the way of a version through it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper

import samebits
from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.model_registry import register as module
from samebits.model_registry.candidate import Candidate
from samebits.model_registry.gate import Facts
from samebits.model_registry.register import Registry, register, rollback
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.number import NumberTarget
from samebits.tracking.tracking_uri import pick_target
from tests.helpers.workspace import ROOT

CHAMPION = Facts(
    values={"accuracy": 0.990, "log_loss": 0.05, "calibration_error": 0.02},
    intervals={"accuracy": (0.988, 0.992), "log_loss": (0.045, 0.055), "calibration_error": (0.018, 0.023)},
    confidence=0.95,
    data="data",
    test="test",
    size=100_000,
    sha256="old",
)


def make_model(path: Path, bias: float) -> Path:
    """A classifier of grey images of 2 x 2 pixels, with what the export stage writes into a file and beside it."""
    weights = numpy_helper.from_array(np.array([[bias, 0.0]] * 4, dtype=np.float32) / 255, "w")
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    shape = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 1, 2, 2])
    out = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "model", [shape], [out], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    inputs = ImageInputs(shape=[1, 2, 2], mean=[0.5], std=[0.5])
    target = ClassTarget(classes=["light", "dark"])
    kept = {"labels": target.classes, "preprocessing": inputs.model_dump(), "target": target.model_dump()}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in kept.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    path.with_name("card.md").write_text(f"# A model of bias {bias}\n")
    return path


def make_array_model(path: Path) -> Path:
    """A model that adds up arrays of three numbers, as the export stage writes it."""
    nodes = [helper.make_node("ReduceSum", ["arrays", "axis"], ["values"], keepdims=0)]
    axis = numpy_helper.from_array(np.array([1], dtype=np.int64), "axis")
    shape = helper.make_tensor_value_info("arrays", TensorProto.FLOAT, ["batch", 3])
    out = helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch"])
    graph = helper.make_graph(nodes, "model", [shape], [out], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    inputs = {"kind": "array", "shape": [3], "dtype": "float32", "stored_dtype": "float32"}
    target = NumberTarget(name="sum", mean=0.0, std=1.0)
    kept = {"labels": [], "preprocessing": inputs, "target": target.model_dump()}
    helper.set_model_props(model, {name: json.dumps(value) for name, value in kept.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path


def make_project(home: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with the parameters, in which this process stands."""
    home.mkdir()
    shutil.copy(ROOT / "params.yaml", home / "params.yaml")
    monkeypatch.chdir(home)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(home, home)


def offer(project: Project, monkeypatch: pytest.MonkeyPatch, number: int, accuracy: float) -> Candidate:
    """Put a model into the workspace, as `read_candidate` would find it."""
    model = make_model(project.exported / "model.onnx", number / 8)
    facts = dataclasses.replace(
        CHAMPION,
        values=CHAMPION.values | {"accuracy": accuracy},
        intervals=CHAMPION.intervals | {"accuracy": (accuracy - 0.001, accuracy + 0.001)},
        size=model.stat().st_size,
        sha256=sha256_file(model),
    )
    found = Candidate(model, facts, f"{number}.dir")
    monkeypatch.setattr(module, "read_candidate", lambda project: found)
    monkeypatch.setattr(module, "latencies", lambda paths: [0.1 for path in paths if path.is_file()])
    return found


def champion_of(project: Project) -> str:
    found = Registry(project, "m").by_alias("champion")
    return "" if found is None else str(found.version)


def go_through_the_gate(project: Project, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Versions, aliases, the gate, its dry run, a rollback, a sweep; on whichever store the project records to.

    Args:
        folder: an empty one, for what is downloaded.
    """
    said: list[str] = []

    def go(**more: bool) -> str:
        return register(project, name="m", say=said.append, **more).version

    offer(project, monkeypatch, 1, 0.980)
    assert go(dry_run=True) == ""
    assert Registry(project, "m").versions() == []
    assert go() == "1"
    assert champion_of(project) == "1"
    offer(project, monkeypatch, 2, 0.9805)  # not better by more than the interval
    assert go() == "2"
    registry = Registry(project, "m")
    candidate = registry.by_alias("candidate")
    assert candidate is not None
    assert (str(candidate.version), champion_of(project)) == ("2", "1")
    third = offer(project, monkeypatch, 3, 0.990)
    go(dry_run=True)
    assert champion_of(project) == "1"
    assert go() == "3"
    assert go() == "3"  # again: the same version, no fourth
    assert len(Registry(project, "m").versions()) == 3
    assert champion_of(project) == "3"

    # What was registered is the exported file, byte for byte, with signature and example, without a pickle.
    import mlflow.onnx

    version = registry.by_alias("champion")
    assert version is not None
    model = registry.download(version, folder)
    assert sha256_file(model) == third.facts.sha256
    names = {path.name for path in model.parent.rglob("*")}
    assert {"MLmodel", "model.onnx"} <= names
    assert not any(Path(name).suffix in (".pkl", ".pickle", ".joblib", ".pt", ".pth") for name in names)
    mlflow.set_tracking_uri(pick_target(project).uri)
    loaded = mlflow.pyfunc.load_model("models:/m@champion")
    assert loaded.metadata.signature is not None
    picture = np.array([[255, 0], [9, 1]], dtype=np.uint8)
    answer = loaded.predict(pd.DataFrame({"image": [picture, 0 * picture]}))
    told = samebits.load(third.model)([picture, 0 * picture])
    assert answer["prediction"].tolist() == [each.label for each in told]
    assert answer["probabilities"].tolist() == [each.probabilities for each in told]
    assert version.description == "# A model of bias 0.375\n"
    assert mlflow.onnx.load_model("models:/m@champion").graph.input[0].name == "images"

    assert rollback(project, "m", said.append, dry_run=True) == "1"
    assert champion_of(project) == "3"
    rollback(project, "m", said.append)
    assert champion_of(project) == "1"
    with pytest.raises(UserError, match="no registered model n") as raised:
        rollback(project, "n", said.append)
    assert "there are: m" in raised.value.fix
    with pytest.raises(UserError, match="no champion before"):
        rollback(project, "m", said.append)
    assert any("0.98 [0.979, 0.981]" in line for line in said)

    # A sweep moves no alias.
    monkeypatch.setenv("SAMEBITS_TRIAL", "lr/ab/1")
    for act in (lambda: go(), lambda: rollback(project, "m", said.append)):
        with pytest.raises(UserError, match="a sweep"):
            act()
    monkeypatch.delenv("SAMEBITS_TRIAL")
    assert champion_of(project) == "1"
