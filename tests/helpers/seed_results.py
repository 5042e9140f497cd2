"""Finished runs in a git repository, as DVC leaves them: commits and experiments with dvc.lock and metrics, a cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ruamel.yaml import YAML

from samebits.base.files import csv_bytes
from samebits.pipeline.dvc_cache import Objects
from tests.helpers.git_repository import git, start_repository


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


class SeedResults:
    """A repository with runs of a classifier with two classes; `objects` is its cache."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = Objects(folder / "cache")
        folder.mkdir(parents=True, exist_ok=True)
        self.start = start_repository(folder)

    def commit(
        self,
        seed: int,
        correct: npt.NDArray[np.bool_],
        *,
        code: str = "1",
        data: str = "d",
        actual: str = "0",
        scores: Mapping[str, float] | None = None,
        weights: str = "",
        record: str = "",
        **train: Any,
    ) -> str:
        """A commit with the results of one seed; returns its id.

        Args:
            correct: which test samples it gets right, [N].
            data: of the prepared data, standing for their hash.
            actual: the class of every sample.
            scores: more numbers of the test split.
            weights: hash of the weights that the evaluation read; the training's, if empty.
            record: hash of the training's own record, as dvc.lock has it; no record, if empty.
        """
        probability = np.where(correct, 0.9, 0.2)
        rows = [
            (index, f"s{index:05d}", "", actual, actual if right else "other", "0.9", f"{p:.6f}", int(right))
            for index, (right, p) in enumerate(zip(correct, probability, strict=True))
        ]
        header = ("index", "id", "source", "actual", "predicted", "confidence", "probability_of_actual", "correct")
        report = self._cache_folder({"predictions.csv": csv_bytes(header, rows)})
        test = {
            "accuracy": round(float(correct.mean()), 6),
            "log_loss": round(float(-np.log(probability).mean()), 6),
            "top_3_accuracy": 1.0,
        }
        document = {"test": test | dict(scores or {}), "samples": len(correct)}
        metrics = json.dumps(document).encode()
        prepared = {"path": "data/prepared", "md5": f"{data}.dir"}
        stages: dict[str, Any] = {
            "prepare": {"cmd": "p", "deps": [{"path": "prepare.py", "md5": "1"}], "outs": [prepared]},
            "train": {
                "cmd": "t",
                "deps": [prepared, {"path": "train.py", "md5": code}],
                "params": {"params.yaml": {"seed": seed, "train": {"lr": 0.1} | train}},
                "outs": [{"path": "models/checkpoint", "md5": f"{seed}.dir"}],
            },
            "evaluate": {
                "cmd": "e",
                "deps": [prepared, {"path": "models/checkpoint", "md5": f"{seed}.dir"}],
                "outs": [
                    {"path": "reports/evaluation/metrics.json", "md5": md5(metrics)},
                    {"path": "reports/evaluation/report", "md5": report},
                ],
            },
        }
        if weights:
            stages["evaluate"]["deps"][1]["md5"] = weights
        if record:
            stages["train"]["outs"].append({"path": "reports/provenance/train.json", "md5": record})
        (self.folder / "reports/evaluation").mkdir(parents=True, exist_ok=True)
        (self.folder / "reports/evaluation/metrics.json").write_bytes(metrics)
        with (self.folder / "dvc.lock").open("w") as file:
            YAML().dump({"schema": "2.0", "stages": stages}, file)
        git(self.folder, "add", "dvc.lock", "reports")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", f"seed {seed}")
        return git(self.folder, "rev-parse", "HEAD")

    def experiment(self, name: str, seed: int, correct: npt.NDArray[np.bool_], **more: Any) -> str:
        """The same as a DVC experiment on the first commit."""
        commit = self.commit(seed, correct, **more)
        git(self.folder, "update-ref", f"refs/exps/{self.start[:2]}/{self.start[2:]}/{name}", commit)
        git(self.folder, "reset", "-q", "--hard", self.start)
        return commit

    def _cache_folder(self, files: Mapping[str, bytes]) -> str:
        listing = json.dumps([{"md5": self._cache(data), "relpath": name} for name, data in files.items()]).encode()
        return self._cache(listing, ".dir")

    def _cache(self, data: bytes, ending: str = "") -> str:
        digest = md5(data) + ending
        path = self.objects.path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest
