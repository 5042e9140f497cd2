"""A run's model on MLflow's page "Models": parameters, hashes, and the metrics with the data that they are of.

The weights stay in DVC, so MLflow calls it external. There is one for each run that made or judged a checkpoint. All
that is sent may be sent again: what is there already stays once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samebits.tracking.journal.run_state import RunState

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

_CHECKPOINT = "models/checkpoint"
_TAGS = ("model.sha256", "data.digest", "git.commit", "dvc.exp_name", "mlflow.user", "mlflow.source.name")
_PARAMS = ("model.", "train.", "augment.", "task.", "data.source", "seed")
_NOTE = "DVC has the weights. Bring them back, with their code and data: `samebits restore {}`"
_METRICS = ("test/", "val/", "train/loss")
_VALUE_LIMIT = 250
"""Characters of a logged model's parameter, in the tables of a server."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a run's model.

    Attributes:
        kind: the task.
        dataset: name and digest of the data; None if unknown.
    """

    name: str
    kind: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: tuple[str, str] | None


def model_facts(run_state: RunState) -> ModelFacts | None:
    """The model of a run, by its journal; None if no stage wrote or read a checkpoint."""
    tags, params = run_state.tags, run_state.params
    checkpoint = tags.get(f"dvc.out.{_CHECKPOINT}") or tags.get(f"dvc.in.{_CHECKPOINT}")
    if not checkpoint:
        return None
    known = {name: tags[name] for name in _TAGS if name in tags}
    known["dvc.path"], known["dvc.md5"] = _CHECKPOINT, checkpoint
    kept = {name: value for name, value in params.items() if name.startswith(_PARAMS) and len(value) <= _VALUE_LIMIT}
    dataset = run_state.dataset
    return ModelFacts(
        re.sub(r"[/:.%\"']", "-", run_state.name) or "model",
        params.get("task.name", ""),
        kept,
        known,
        (str(dataset["name"]), str(dataset["digest"])) if dataset else None,
    )


def find_model(client: MlflowClient, experiment_id: str, run_id: str) -> LoggedModel | None:
    """The model that was logged for a run."""
    found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'", max_results=1)
    return found[0] if found else None


def link_version(client: MlflowClient, run: Run, name: str, version: str) -> None:
    """Name a registered version on the page of a run's model.

    `create_model_version` takes a model, too, but a server refuses it for files that lie with the run.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    model = find_model(client, run.info.experiment_id, run.info.run_id)
    if model is not None:
        known = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        linked = [*(each for each in known if each.get("name") != name), {"name": name, "version": version}]
        client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps(linked)})


def log_model(client: MlflowClient, run: Run, facts: ModelFacts, digest_shown: int) -> None:
    """Make the run's model or bring it up to date, and link it with the run and its metrics.

    Args:
        digest_shown: characters of a data set's digest in MLflow.
    """
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_IS_EXTERNAL, MLFLOW_RUN_NOTE

    run_id = run.info.run_id
    model = find_model(client, run.info.experiment_id, run_id)
    if model is not None and model.status != LoggedModelStatus.READY:
        # Whoever made it was killed before it was whole.
        client.delete_logged_model(model.model_id)
        model = None
    if model is None:
        # `mlflow.create_external_model` does this on the tracking URI of the whole process.
        model = client.create_logged_model(
            run.info.experiment_id,
            facts.name,
            source_run_id=run_id,
            tags={**facts.tags, MLFLOW_MODEL_IS_EXTERNAL: "true", MLFLOW_RUN_NOTE: _NOTE.format(run_id)},
            params=dict(facts.params),
            model_type=facts.kind or None,
        )
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    elif changed := {name: value for name, value in facts.tags.items() if model.tags.get(name) != value}:
        client.set_logged_model_tags(model.model_id, changed)
    outputs = run.outputs.model_outputs if run.outputs else []
    if model.model_id not in {each.model_id for each in outputs}:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    name, digest = facts.dataset or (None, None)
    # The very points that the run has: to the run they are no news, a second time neither to the model.
    points = [
        Metric(each.key, each.value, each.timestamp, each.step, model.model_id, name, digest and digest[:digest_shown])
        for each in run.data._metric_objs
        if each.key.startswith(_METRICS)
    ]
    for begin in range(0, len(points), 1000):
        client.log_batch(run_id, metrics=points[begin : begin + 1000])
