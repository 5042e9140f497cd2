"""The columns of the runs table that matter, as a shared view of MLflow's page.

MLflow keeps a shared view in a tag of the experiment, and shows it under `viewStateShareKey` in the address. A view of
one's own, made under **Columns**, is the browser's and is left alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

VIEW = "samebits"
TAG = f"mlflow.sharedViewState.{VIEW}"

_METRICS = ("test/accuracy", "val/accuracy", "val/loss", "time/train_s")
_PARAMS = ("train.optimizer.lr", "train.batch_size", "train.epochs")


def view_state() -> dict[str, Any]:
    """What MLflow 3.17's page keeps of a view; keys that it does not know, or misses, it passes over."""
    columns = ["attributes.`Source`", *(f"metrics.`{name}`" for name in _METRICS)]
    return {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*columns, *(f"params.`{name}`" for name in _PARAMS)],
        "runsExpanded": {},
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runListHidden": False,
        "viewMaximized": False,
        "runsHiddenMode": "FIRST_10_RUNS",
        "isAccordionReordered": False,
        "useGroupedValuesInCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "hideEmptyCharts": True,
    }


def share_view(client: MlflowClient, experiment_id: str) -> str:
    """Put the view into the experiment; returns what the page's address needs."""
    value = json.dumps(view_state(), sort_keys=True)
    if client.get_experiment(experiment_id).tags.get(TAG) != value:
        client.set_experiment_tag(experiment_id, TAG, value)
    return f"viewStateShareKey={VIEW}"
