"""A workspace with one stage that ran and was locked, made by hand: no process of DVC."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.ran import inputs_now, record_path, write_record

DVC = """
stages:
  train:
    cmd: python train.py
    deps: [train.py, "${model}.py", data]
    params: [model, rate]
    outs: [weights]
    metrics: [reports/provenance/train.json: {cache: false}]
"""
FILES = {
    "dvc.yaml": DVC, "params.yaml": "model: mlp\nrate: 1e-3\nother: 1\n", "train.py": "1\n", "mlp.py": "2\n",
    "data/a b.csv": "3\n", "data/c.csv": "4\n", "weights": "5\n",
}  # fmt: skip
RECORD = record_path("train")


def make_locked(folder: Path) -> Path:
    """The stage's files, its record and dvc.lock."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    write_record(folder, "train", inputs_now(folder, "train"))
    write_lock(folder)
    return folder


def write_lock(workspace: Path) -> None:
    """dvc.lock as DVC would write it now."""
    values = read_yaml(workspace / "params.yaml")
    entry = {
        "cmd": "python train.py",
        "deps": [{"path": path, "md5": dvc_md5(workspace / path)} for path in ("data", "mlp.py", "train.py")],
        "params": {"params.yaml": {key: values[key] for key in ("model", "rate")}},
        "outs": [{"path": path, "md5": dvc_md5(workspace / path)} for path in (RECORD, "weights")],
    }
    with (workspace / "dvc.lock").open("w") as file:
        YAML().dump({"schema": "2.0", "stages": {"train": entry}}, file)
