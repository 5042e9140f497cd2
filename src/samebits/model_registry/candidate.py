"""The model that lies in the workspace, with all that the gate and the registry want to know of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samebits.base.errors import UserError, listed
from samebits.base.files import read_json, sha256_file
from samebits.base.paths import Project
from samebits.inference.latency import median_milliseconds
from samebits.inference.session import onnx_session
from samebits.model_registry.gate import Facts
from samebits.params.model_name import shown_model
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import dvc_md5, existing_md5
from samebits.pipeline.dvc_lock import drift, read_lock, require_ran
from samebits.pipeline.dvc_yaml import read_pipeline

EXPORT_STAGE, EVALUATE_STAGE = "export", "evaluate"
MODEL = "model.onnx"

Inputs = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Candidate:
    """A model that is whole and belongs to its numbers.

    Attributes:
        model: the ONNX file.
        export_md5: DVC's hash of its folder, by which its MLflow run is found.
    """

    model: Path
    facts: Facts
    export_md5: str


def read_candidate(project: Project) -> Candidate:
    """The exported model of the workspace.

    Raises:
        UserError: if something is missing, or does not belong together: code, data, parameters or an output is not
            what dvc.lock says.
    """
    workspace = project.workspace
    _require_as_locked(workspace)
    model = project.exported / MODEL
    if not model.is_file():
        raise UserError(f"{model} does not exist", "add onnx to export.formats, then: dvc repro export")
    report = read_json(project.exported / "export.json")
    metrics = _metrics(workspace)
    info = read_json(project.prepared / "dataset.json")
    if report.get("data_digest") != info.get("digest"):
        raise UserError(
            f"{project.exported} was exported on data {str(report.get('data_digest'))[:12]}, "
            f"{project.prepared} holds {str(info.get('digest'))[:12]}",
            "dvc repro",
        )
    facts = Facts(
        values={name: float(value) for name, value in metrics["test"].items() if _is_number(value)},
        intervals={name: (float(i["low"]), float(i["high"])) for name, i in metrics.get("interval", {}).items() if i},
        confidence=float(metrics.get("confidence", 0.95)),
        data=str(info["digest"]),
        test=test_digest(project.prepared),
        size=model.stat().st_size,
        sha256=sha256_file(model),
        better={str(name): str(end) for name, end in metrics.get("better", {}).items()},
    )
    return Candidate(model, facts, dvc_md5(project.exported))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_as_locked(workspace: Path) -> None:
    """Hold stages and their outputs against dvc.lock, and its entries against what ran."""
    locked = read_lock(workspace)
    known = {stage.name for stage in locked}
    problems = [f"{name}: never ran here" for name in read_pipeline(workspace) if name not in known]
    for stage in locked:
        if names := drift(workspace, stage):
            problems.append(f"{stage.name}: its code, data or parameters changed since it ran ({listed(names, 4)})")
        for path, digest in stage.outs.items():
            if not (found := existing_md5(workspace / path)):
                problems.append(f"{path} is missing")
            elif found != digest:
                problems.append(f"{path} is not what {stage.name} wrote")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise UserError(f"the workspace is not what dvc.lock says\n{lines}", "dvc repro, or dvc checkout")
    require_ran(workspace, locked)


def _metrics(workspace: Path) -> dict[str, Any]:
    """The metrics file of `evaluate`, wherever dvc.yaml has it."""
    stage = read_pipeline(workspace).get(EVALUATE_STAGE)
    written = (stage.paths("metrics") or stage.paths()) if stage else []
    for path in map(workspace.joinpath, written):
        if path.suffix == ".json" and path.is_file():
            value = read_json(path)
            if isinstance(value, dict) and isinstance(value.get("test"), dict):
                return value
    raise UserError(
        "dvc.yaml's stage evaluate has no metrics file with numbers of the test split", "dvc repro evaluate"
    )


def test_digest(prepared: Path) -> str:
    """SHA-256 over the test split: path and hash of each file of it, whatever its kind."""
    digest = hashlib.sha256()
    files = sorted(path for path in prepared.rglob("*") if path.is_file() and path.name.startswith("test"))
    files = files or sorted(path for path in prepared.rglob("*") if path.is_file())
    for path in files:
        digest.update(f"{path.relative_to(prepared).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def open_session(model: Path) -> Any:
    """An ONNX Runtime session on one thread.

    Raises:
        UserError: if the file is no ONNX model.
    """
    try:
        return onnx_session(model, threads=1)
    except Exception as error:  # onnxruntime's errors are of a module that it does not export
        raise UserError(f"{model} cannot be opened: {str(error).splitlines()[0]}", "dvc repro export") from None


_KINDS: dict[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}
_FREE_LENGTH = 16


def example_inputs(session: Any, batch: int = 1) -> Inputs:
    """Inputs that the model takes: a fixed pattern of bytes for pixels, zeros for all else (0 is a token, too).

    The first free dimension is the batch; others, as the length of a text, are 16.
    """
    inputs: Inputs = {}
    for entry in session.get_inputs():
        free = [index for index, size in enumerate(entry.shape) if not isinstance(size, int)]
        shape = [size if isinstance(size, int) else _FREE_LENGTH for size in entry.shape]
        if free:
            shape[free[0]] = batch
        kind = _KINDS.get(entry.type)
        if kind is None:
            # Texts, as columns of tables may be.
            inputs[entry.name] = np.full(shape, "", dtype=object)
        elif kind is np.uint8:
            inputs[entry.name] = (np.arange(int(np.prod(shape))) % 256).astype(np.uint8).reshape(shape)
        else:
            inputs[entry.name] = np.zeros(shape, dtype=kind)
    return inputs


def latencies(models: list[Path]) -> list[float]:
    """Median milliseconds per call with one input, of each model, measured in turn so that noise meets all alike."""
    sessions = [open_session(model) for model in models]
    return median_milliseconds(*(partial(session.run, None, example_inputs(session)) for session in sessions))


def model_name(project: Project) -> str:
    """The name to register under if none is given: data set and model, as `mnist-convnet`."""
    params = read_yaml(project.params_file)
    source, model = params.get("data", {}).get("source"), params.get("model", {})
    parts = [Path(str(source)).stem] if source else []
    return "-".join([*parts, *(shown_model(model).split() if model.get("name") else [])]) or "model"


def facts_json(facts: Facts) -> str:
    from dataclasses import asdict

    return json.dumps(asdict(facts), sort_keys=True)
