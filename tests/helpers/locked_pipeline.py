"""A git repository with a pipeline of three stages that ran and were locked, made by hand: no process of DVC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from samebits.base.files import write_json
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import existing_md5
from samebits.pipeline.dvc_yaml import param_at, read_pipeline
from samebits.pipeline.ran import inputs_now, write_record
from tests.helpers.git_repository import git, start_repository

DVC = """
stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py, data/raw]
    params: [data]
    outs: [data/prepared]
    plots: [reports/provenance/prepare.json: {cache: false}]
  train:
    cmd: python train.py
    deps: [train.py, data/prepared]
    params: [train]
    outs: [models/checkpoint, reports/train/curves.csv: {cache: false}]
    plots: [reports/provenance/train.json: {cache: false}]
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, models/checkpoint]
    params: [evaluate]
    metrics: [reports/evaluation/metrics.json: {cache: false}]
    plots: [reports/provenance/evaluate.json: {cache: false}]
"""
PARAMS = "data: {size: 3}\ntrain: {lr: 1e-3, epochs: 2}\nevaluate: {tta: false}\n"
FILES = {
    "dvc.yaml": DVC, "params.yaml": PARAMS, "prepare.py": "1\n", "train.py": "2\n", "evaluate.py": "3\n",
    "data/raw/a.csv": "4\n", ".gitignore": "/data/prepared\n/models\n/.samebits\n", ".dvcignore": "",
}  # fmt: skip


def make_repository(folder: Path) -> Path:
    """The committed project, with results."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    start_repository(folder)
    run_pipeline(folder, accuracy=0.9)
    commit(folder)
    return folder


def run_pipeline(folder: Path, *, accuracy: float, loss: float = 0.5, data: str = "samples") -> None:
    """Outputs as such a run would write them, records and dvc.lock."""
    outputs = {
        "data/prepared/a": data,
        "models/checkpoint/w": f"{accuracy} {loss}",
        "reports/train/curves.csv": f"step,train/loss,val/loss\n1,2.0,\n2,,1.5\n4,,{loss}\n",
    }
    for name, text in outputs.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    interval = {"accuracy": {"low": accuracy - 0.01, "high": accuracy + 0.01}}
    test = {"accuracy": accuracy, "log_loss": loss}
    metrics = {"test": test, "interval": interval, "baseline": {"accuracy": 0.5}}
    write_json(folder / "reports/evaluation/metrics.json", metrics)
    lock: dict[str, Any] = {}
    for name, stage in read_pipeline(folder).items():
        write_record(folder, name, inputs_now(folder, name))
        params = {
            file: {key: param_at(read_yaml(folder / file), key) for key in keys} for file, keys in stage.params.items()
        }
        lock[name] = {
            "cmd": stage.commands[0],
            "deps": [{"path": path, "md5": existing_md5(folder / path)} for path in stage.deps],
            "params": params,
            "outs": [{"path": path, "md5": existing_md5(folder / path)} for path in stage.paths()],
        }
    with (folder / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": lock}, file)


def commit(folder: Path) -> str:
    """All of it; the commit's id."""
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "a run")
    return git(folder, "rev-parse", "HEAD")
