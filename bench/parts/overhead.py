"""What tracking, saved states and progress cost a training: our stage with all of it against none of it."""

from __future__ import annotations

from typing import Any

from parts import workspaces
from parts.base import Options, Row, alternate, others, ratio_range, spread, summary, table

_SAVED_EVERY = 5.0
"""Seconds between two saved states of a profiled training: at the default of 30 none falls due in one."""
ON, OFF, PROFILED = "all on (the defaults)", "all off", "all on, profiled"
_SUBJECT = "convnet"


def measure(options: Options) -> dict[str, Any]:
    """Whole trainings of the recipe `mnist`'s model, seconds from the first to the last step; and some profiled."""
    off = {"checkpoint_seconds": 1e9, "progress": "off", "tracking": {"enabled": False}}
    contenders = []
    data = workspaces.random_images(2_100, (1, 28, 28)) if options.quick else workspaces.fashion()
    on = {"progress": "lines"}
    often = {**on, "profile": True, "checkpoint_seconds": _SAVED_EVERY}
    for name, slug, runtime in ((ON, "on", on), (OFF, "off", off), (PROFILED, "profile", often)):
        override = {"train": {"epochs": 1 if options.quick else 5}, "runtime": runtime}
        folder = workspaces.workspace(f"overhead-{slug}", "mnist", override, data)
        contenders.append(workspaces.ours(name, folder, "--whole", stops=(0,)))
    rows = alternate(contenders, options.steps(options.rounds + 2, 1), _SUBJECT)
    return {"rows": rows, "saved_every": _SAVED_EVERY}


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    n = summary(rows, ON, "loop_seconds")[3]
    keys = ("loop_seconds", "process_seconds")
    body = [[name, *(spread(rows, name, key, None, 2) for key in keys)] for name in (ON, OFF)]
    body.append(["on / off", *(ratio_range(rows, ON, OFF, key, _SUBJECT) for key in keys)])
    text = (
        "Five epochs of the recipe `mnist`'s model on the 65,868 training images of Fashion-MNIST with its test "
        "images among them, with MLflow, progress lines and saved states (one every 30 s, so none falls due), and "
        "without. The goal is below 1.02 for the training loop, from first step to last. The whole process also waits "
        "until MLflow has what was recorded; another process sends it, on the same cores."
    )
    head = [f"n = {n}", "training loop, s", "whole process, s"]
    logging, saving = (spread(rows, PROFILED, f"{phase}_percent", None, 2) for phase in ("logging", "checkpoint"))
    profiled = summary(rows, PROFILED, "logging_percent")[3]
    inside = (
        "A ratio of whole trainings holds the machine's own swings. From inside, by the clock of `runtime.profile`, "
        f"n = {profiled}, with a saved state every {found['saved_every']:g} s: handing over what is recorded takes "
        f"{logging} % of the loop's time, the saved states {saving} %. MLflow's sender, in its own process, is not in "
        "that."
    )
    busy = f"Other processes, MLflow's sender among them: {others(rows)} cores."
    return ["## Cost of recording", "", text, "", *table(head, body), "", inside, "", busy]
