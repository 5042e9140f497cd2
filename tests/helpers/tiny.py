"""A project whose training takes seconds: real DVC, real MLflow, the real schema and stage runner; a made-up loss.

The loss of an epoch is a function of the learning rate and the epoch, so a test knows which trial must win.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.helpers.repository import Repository
from tests.helpers.workspace import MODEL, ROOT, set_params

STAGE = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path.cwd()))
from samebits.stage import run_stage
raise SystemExit(run_stage(name := Path(sys.argv[0]).stem, f"tiny:{name}", Path.cwd()))
"""

TRAIN = '''
import math, os, time
from samebits.base.errors import UserError
from samebits.base.files import read_json, write_json

def loss(lr, epoch):
    return round((math.log10(lr) + 1) ** 2 + 1 / (epoch + 1), 6)

def train(train, *, context):
    """Each epoch: one point, a saved step; goes on where it was stopped."""
    home = context.project.state / "tiny"
    home.mkdir(parents=True, exist_ok=True)
    state = home / f"{train.optimizer.lr}-{train.epochs}"
    first = int(state.read_text()) if state.exists() else 0
    context.say(f"begins at epoch {first}, GPU {os.environ.get('CUDA_VISIBLE_DEVICES', 'any')}")
    context.tracker.computes()
    for epoch in range(first, train.epochs):
        if train.optimizer.lr > 10:
            raise UserError("the loss is nan", "lower train.optimizer.lr")
        time.sleep(float(os.environ.get("TINY_PAUSE", "0.05")))
        context.tracker.metrics({"val/loss": loss(train.optimizer.lr, epoch)}, epoch)
        context.tracker.flush()
        state.write_text(str(epoch + 1))
    write_json(context.project.reports / "train" / "metrics.json",
               {"val": {"loss": loss(train.optimizer.lr, train.epochs - 1)}})
    context.tracker.report(context.project.reports / "train" / "metrics.json")

def evaluate(evaluate, *, context):
    context.tracker.computes()
    trained = read_json(context.project.reports / "train" / "metrics.json")
    context.tracker.flush()
    write_json(context.project.reports / "evaluation" / "metrics.json", {"test": trained["val"]})
    context.tracker.report(context.project.reports / "evaluation" / "metrics.json")
'''

PIPELINE: dict[str, Any] = {
    "stages": {
        "train": {
            "cmd": "python stages/train.py",
            "deps": ["stages/train.py", "tiny.py"],
            "params": ["train"],
            "metrics": [
                {"reports/train/metrics.json": {"cache": False}},
                {"reports/provenance/train.json": {"cache": False}},
            ],
        }
    }
}

EVALUATE: dict[str, Any] = {
    "cmd": "python stages/evaluate.py",
    "deps": ["stages/evaluate.py", "tiny.py", "reports/train/metrics.json"],
    "params": ["evaluate"],
    "metrics": [{"reports/evaluation/metrics.json": {"cache": False}}],
}
"""A second stage, for `make_tiny(…, evaluate=True)`."""


class TinyRepository(Repository):
    """Uses the code under test itself; there is no copy of it in the folder."""

    def environment(self, **extra: str) -> dict[str, str]:
        return super().environment(**extra) | {"PYTHONPATH": str(ROOT / "src")}


def make_tiny(folder: Path, *, evaluate: bool = False, tracking: bool = True) -> TinyRepository:
    """A git repository with one stage or two, committed. Without `tracking` none starts MLflow, which takes seconds."""
    (folder / "stages").mkdir(parents=True)
    (folder / "sweeps").mkdir()
    stages = dict(PIPELINE["stages"]) | ({"evaluate": EVALUATE} if evaluate else {})
    for name in stages:
        (folder / "stages" / f"{name}.py").write_text(STAGE)
    (folder / "tiny.py").write_text(TRAIN)
    for name in ("params.yaml", ".gitattributes", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    with (folder / "dvc.yaml").open("w") as file:
        YAML().dump({"stages": stages}, file)
    quick = {"train": {"epochs": 3}, "runtime": {"tracking": {"enabled": tracking}}}
    set_params(folder, quick, replace={"model": MODEL})
    repository = TinyRepository(folder)
    repository.git("init", "-q", "-b", "main")
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "start")
    return repository


def clone(repository: TinyRepository, folder: Path) -> TinyRepository:
    """Another machine's clone."""
    subprocess.run(["git", "clone", "-q", str(repository.folder), str(folder)], check=True)
    return TinyRepository(folder)


def write_sweep(repository: TinyRepository, name: str, **keys: Any) -> Path:
    """A sweep's file, committed."""
    path = repository.folder / "sweeps" / f"{name}.yaml"
    with path.open("w") as file:
        YAML().dump({"target": "train", "metric": "val/loss", **keys}, file)
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", f"sweep {name}")
    return path
