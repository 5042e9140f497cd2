"""How a run knows that it is a trial of a sweep: two variables in the stages' environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

TRIAL_VARIABLE, PARENT_VARIABLE = "SAMEBITS_TRIAL", "SAMEBITS_PARENT_RUN"
TRIAL_TAG, PARENT_TAG = "samebits.trial", "mlflow.parentRunId"


def trial_env(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Tags of a run that belongs to a sweep: the trial (`name/key/number`), and the parent that MLflow shows it under.

    Without a parent (MLflow did not answer when the trial began), the sweep adds it later.
    """
    facts = {TRIAL_TAG: environ.get(TRIAL_VARIABLE, ""), PARENT_TAG: environ.get(PARENT_VARIABLE, "")}
    if gpu := environ.get("CUDA_VISIBLE_DEVICES", ""):
        facts["env.cuda_visible_devices"] = gpu
    return {name: value for name, value in facts.items() if value} if facts[TRIAL_TAG] else {}
