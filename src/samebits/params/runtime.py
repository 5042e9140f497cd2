"""`runtime`: what cannot change the result. No stage of dvc.yaml depends on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from samebits.params.read import Problems, validate
from samebits.params.section import Section, matching
from samebits.params.yaml_file import read_yaml


class TrackingParams(Section):
    """MLflow.

    Attributes:
        enabled: record the execution at all.
        required: fail at once when the tracking server cannot be reached, instead of journalling.
        experiment: name of the MLflow experiment.
    """

    enabled: bool = True
    required: bool = False
    experiment: str = Field(default="samebits", min_length=1)


class RuntimeParams(Section):
    """How a stage runs here.

    Attributes:
        device: `auto` is the accelerator that torch finds, else the CPU.
        processes: processes that train together on a machine, one per GPU. With `train.elastic` their number
            cannot change a bit; without it, it does, and `reproducibility: strict` refuses more than one.
        hosts: machines that train together. This one waits for the others, which join with `samebits worker --join
            HOST`; each runs `processes`.
        workers: threads that prepare batches ahead of the training loop; 0 prepares them in the loop. null is 1, but 0
            for data in memory on a CPU, whose cores the training itself keeps busy.
        memory_mib: a prepared split larger than this is read through memory-mapped files.
        shards_from: name of a DVC remote from which a training reads the files of data/prepared that are not here, all
            but dataset.json. null: they have to be here.
        shard_cache_mib: what such files may take of the disk, for each process of a training.
        checkpoint_seconds: seconds between two saves of the training state.
        resume: `auto` goes on from the state an interrupted run left; `never` starts afresh.
        profile: write where the time of a training goes, and a trace of ten steps, to `.samebits/profile` and the run.
        progress: a bar (`auto`: if the output is a terminal, else plain lines).
    """

    device: Annotated[
        str, matching(r"auto|cpu|mps|(cuda|xpu)(:\d+)?", "auto, cpu, mps, cuda or xpu; cuda:1 is the second")
    ] = "auto"
    processes: int = Field(default=1, ge=1, le=64)
    hosts: int = Field(default=1, ge=1, le=64)
    workers: int | None = Field(default=None, ge=0, le=64)
    memory_mib: int = Field(default=4096, ge=1)
    shards_from: str | None = Field(default=None, min_length=1)
    shard_cache_mib: int = Field(default=4096, ge=1)
    checkpoint_seconds: float = Field(default=30.0, gt=0.0)
    resume: Literal["auto", "never"] = "auto"
    profile: bool = False
    progress: Literal["auto", "bar", "lines", "off"] = "auto"
    tracking: TrackingParams = TrackingParams()


def read_runtime(path: Path) -> RuntimeParams:
    """This section of params.yaml alone: checking the whole file takes the models' own code, and with it torch.

    Raises:
        UserError: with every problem of the section in one message.
    """
    problems = Problems()
    section = validate(RuntimeParams, read_yaml(path).get("runtime"), "runtime", problems)
    problems.raise_if_any(path.name)
    assert section is not None
    return section
