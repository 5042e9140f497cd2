"""What a result is a function of, as hashes. They decide whether an interrupted training is resumed and whether an
interrupted MLflow run is continued.

Of the code only what can change a stage's outputs counts: the files that dvc.yaml lists for it. So an edit of the
command line, of the recording or of another stage keeps both the training and the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.code import code_digest

_RUNTIME = ("device", "hosts", "processes")
"""Keys of `runtime` that can change the bits of a training."""


def digest(values: Mapping[str, Any]) -> str:
    """SHA-256 of plain values as JSON, hex."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """Of one execution of the pipeline.

    Attributes:
        inputs: hash of the parameters, the catalogue card and torch's version.
        code: digest of the code of each stage.
    """

    inputs: str
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> str:
        """One hash of all of it, hex."""
        return digest({"inputs": self.inputs, "code": dict(self.code)})

    def same_for(self, stage: str, other: Fingerprint) -> bool:
        """Whether a stage computes the same with both."""
        return self.inputs == other.inputs and self.code.get(stage) == other.code.get(stage)


def fingerprint_of(project: Project, params: Mapping[str, Any], stages: Iterable[str] | None = None) -> Fingerprint:
    """The fingerprint of what lies in the workspace.

    Args:
        params: every section of params.yaml as plain values.
        stages: their names; without them, those of dvc.yaml.
    """
    runtime = params.get("runtime", {})
    source = params["data"].get("source") if isinstance(params.get("data"), Mapping) else None
    card = project.catalog / f"{source}.yaml"
    inputs = {
        "params": {key: section for key, section in params.items() if key != "runtime"},
        "runtime": {key: runtime.get(key) for key in _RUNTIME if key in runtime},
        "card": sha256_file(card) if card.is_file() else None,
        "torch": _version("torch"),
    }
    names = _stages(project) if stages is None else stages
    return Fingerprint(digest(inputs), {stage: _code(project, stage) for stage in names})


def _stages(project: Project) -> list[str]:
    try:
        return list(read_yaml(project.workspace / "dvc.yaml").get("stages", {}))
    except UserError:
        return []


def _code(project: Project, stage: str) -> str:
    try:
        return code_digest(project.workspace, stage)
    except UserError:  # a listed file is missing: the stage itself says so when it starts
        return ""


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
