"""dvc.lock of a restored run, where its commit has another or none."""

from __future__ import annotations

from pathlib import Path

from samebits.pipeline.dvc_lock import LOCK, drift, read_lock
from samebits.provenance.restore.restore import _put_lock
from samebits.provenance.restore.runs import Run

DVC = """
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [seed, packages.yaml: [torch, "models.${model}"]]
    outs: [weights]
"""
FILES = {
    "dvc.yaml": DVC, "params.yaml": "seed: 3\nmodel: bert\n", "train.py": "1\n",
    "packages.yaml": 'torch: "2.14.1"\nmodels: {bert: {transformers: "5.1"}}\n',
}  # fmt: skip


def test_the_lock_has_the_parameters_of_every_file(tmp_path: Path) -> None:
    """`dvc status` and `drift` would call the stage changed otherwise."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    digest = "0123456789abcdef0123456789abcdef"
    _put_lock(Run("r" * 32, "run", "FINISHED", 0, {"dvc.out.weights": digest}), tmp_path)
    stage = read_lock(tmp_path)[0]
    assert stage.params == {
        "params.yaml": {"seed": 3},
        "packages.yaml": {"torch": "2.14.1", "models.bert": {"transformers": "5.1"}},
    }
    assert stage.outs == {"weights": digest}
    assert drift(tmp_path, stage) == []
    assert (tmp_path / LOCK).read_text().count("2.14.1") == 1
