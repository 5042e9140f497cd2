from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from samebits.base.errors import UserError
from samebits.base.paths import Project
from samebits.sweeps.plan import plan
from samebits.sweeps.slots import make_slots
from samebits.sweeps.spec import SweepFile, read_sweep

from .conftest import ROOT

Write = Callable[[str], Path]
SPACE = "space: {train.batch_size: [64, 128]}\n"


@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_committed_sweeps_are_valid(path: Path, project: Project) -> None:
    sweep = read_sweep(project, path)
    assert sweep.name == path.stem
    assert sweep.budget > 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("method: grid\n", "space: missing"),
        ("method: gird\n" + SPACE, "method = 'gird': input should be 'grid', 'random' or 'tpe'"),
        (SPACE + "method: grid\nmetrc: val/loss\n", "metrc = 'val/loss': unknown key"),
        (SPACE, "trials: missing; how many for method: tpe?"),
        (SPACE + "method: grid\ntrials: 3\n", "trials = 3: a grid has as many"),
        (SPACE + "method: grid\nmetric: test/accuracy\n", "the test split is for the last judgement"),
        (SPACE + "method: grid\nmetric: interval/accuracy/low\n", "the test split is for the last judgement"),
        (SPACE + "method: grid\ntarget: trian\n", "target = trian: no stage of dvc.yaml (known: prepare, train"),
        (SPACE + "method: grid\njobs: 0\n", "jobs = 0"),
        (SPACE + "method: grid\ngpus: [0, 0]\n", "gpus = [0, 0]: must be different numbers"),
        (SPACE + "method: grid\nname: 'a/b'\n", "name = a/b: letters, digits"),
        (
            SPACE + "method: grid\nstorage: postgresql://me:pw@host/db\n",
            "storage = postgresql://…@host/db: no password",
        ),
        (SPACE + "method: grid\nstorage: here.db\n", "storage = here.db: must be a URL"),
        (SPACE + "method: grid\nmetric: train/loss\nprune: {startup: 2}\n", "prune: needs a metric of the validation"),
        (SPACE + "method: grid\nset: {train.batch_size: 3}\n", "set.train.batch_size: is in `space`, too"),
        (SPACE + "method: grid\nset: {train.epochs: 0}\n", "set.train.epochs = 0"),
        ("method: grid\nspace: {train.batchsize: [1]}\n", "did you mean train.batch_size?"),
        ("method: grid\nspace: {runtime.workers: [1, 2]}\n", "space.runtime.workers: cannot change a result"),
        ("method: grid\nspace: {runtime: [{}]}\n", "space.runtime: cannot change a result"),
        ("method: grid\nspace: {train.optimizer: [sgd]}\n", "space.train.optimizer: a section; list what may stand"),
        ("method: grid\nspace: {model: [{name: mlp}, {name: mlp}]}\n", "space.model: the same section twice"),
        ("method: grid\nspace: {model: [{name: mlp, width: 8}]}\n", "space.model.width = 8: unknown key"),
        (
            "method: grid\nspace: {train.optimizer: [{name: sgd, lr: 1}], train.optimizer.lr: [1.0]}\n",
            "space.train.optimizer.lr: is in `space`, too (as part of train.optimizer)",
        ),
        ("method: grid\nspace: {seed: 3}\n", "space.seed = 3: must be a list of values, or a range"),
        ("method: grid\nspace: {seed: []}\n", "space.seed: an empty list"),
        ("method: grid\nspace: {seed: [1, 1]}\n", "the same value twice"),
        ("method: grid\nspace: {seed: {low: 3, high: 1, step: 1}}\n", "must be below high = 1"),
        ("method: grid\nspace: {seed: {low: 1, high: 3}}\n", "a grid needs `step`, `points` or a list"),
        ("method: grid\nspace: {seed: {low: 0.5, high: 3, step: 1}}\n", "must be whole numbers"),
        ("method: grid\nspace: {train.precision: {low: 1, high: 2}}\n", "params.yaml has 'auto', which is no number"),
        ("method: grid\nspace: {train.precision: [fp8]}\n", "space.train.precision = 'fp8'"),
        ("trials: 1\nspace: {train.optimizer.lr: {low: 0, high: 1, log: true}}\n", "must be above 0 with log"),
        ("trials: 1\nspace: {train.optimizer.lr: {low: 1, high: 2, log: true, step: 1}}\n", "does not go with log"),
        ("trials: 1\nspace: {train.optimizer.lr: {low: 1, high: 2, points: 3}}\n", "only for method: grid"),
        ("trials: 1\nspace: {train.optimizer.lr: {low: 1, top: 2}}\n", "space.train.optimizer.lr.high: missing"),
        (
            "method: grid\nspace: {train.batch_size: [64, 96], train.micro_batch_size: [64]}\n",
            "train.batch_size = 96, train.micro_batch_size = 64: train.micro_batch_size = 64: must divide",
        ),
        ("method: grid\nspace: {seed: {low: 0, high: 20000, step: 1}}\n", "20,001 combinations, more than 10,000"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, told: str, project: Project, written: Write) -> None:
    with pytest.raises(UserError) as caught:
        read_sweep(project, written(text))
    assert told in caught.value.problem
    assert "docs/sweeps.md" in caught.value.fix
    assert "pw" not in str(caught.value)


def test_a_file_that_is_not_there_names_those_that_are(project: Project) -> None:
    shutil.copytree(ROOT / "sweeps", project.workspace / "sweeps")
    with pytest.raises(UserError, match=r"nothing\.yaml is no file") as caught:
        read_sweep(project, Path("nothing.yaml"))
    assert "sweeps/lr.yaml" in caught.value.fix


def test_all_problems_come_at_once(project: Project, written: Write) -> None:
    text = "method: gird\ntarget: trian\ngpus: [0, 0]\nset: {train.epochs: 0}\nspace: {train.batchsize: [1], seed: 3}\n"
    with pytest.raises(UserError, match="7 problems") as caught:
        read_sweep(project, written(text))
    assert len(caught.value.problem.splitlines()) == 8


def test_what_may_change_is_not_part_of_a_sweeps_identity(project: Project, written: Write) -> None:
    first = read_sweep(project, written("method: random\ntrials: 3\n" + SPACE))
    same = read_sweep(project, written("method: random\ntrials: 9\njobs: 4\ngpus: none\n" + SPACE))
    other = read_sweep(project, written("method: random\ntrials: 3\nseed: 1\n" + SPACE))
    assert first.identity() == same.identity()
    assert first.identity() != other.identity()


def test_a_plan_shows_the_points(project: Project, written: Write) -> None:
    shown = plan(read_sweep(project, written("method: grid\njobs: 2\nset: {train.epochs: 1}\n" + SPACE)))
    assert "2 trials by grid, 2 at a time" in shown
    assert "train.epochs=1   in all trials" in shown
    assert "001  train.batch_size=128" in shown


@pytest.mark.parametrize(
    ("gpus", "jobs", "count", "environ", "handed"),
    [
        ("auto", 3, 2, {}, ["0", "1", "0"]),
        ("auto", 2, 0, {}, [None, None]),
        ("none", 2, 2, {}, [None, None]),
        ([1], 2, 2, {}, ["1", "1"]),
        ("auto", 3, 2, {"CUDA_VISIBLE_DEVICES": "5,GPU-ab"}, ["5", "GPU-ab", "5"]),
        ([1], 1, 2, {"CUDA_VISIBLE_DEVICES": "5,7"}, ["7"]),
    ],
)
def test_gpus_are_handed_out(
    gpus: object, jobs: int, count: int, environ: dict[str, str], handed: list[str | None]
) -> None:
    file = SweepFile(space={"seed": [0]}, gpus=gpus)  # type: ignore[arg-type]
    slots = make_slots(file, jobs, count, environ)
    assert [slot.gpu for slot in slots] == handed
    assert slots[0].environment().get("CUDA_VISIBLE_DEVICES") == handed[0]


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="no GPU 2"):
        make_slots(SweepFile(space={"seed": [0]}, gpus=[0, 2]), 1, 2, {})


def test_optimizers_and_models_are_compared_by_name_or_as_whole_sections(project: Project, written: Write) -> None:
    by_name = written("method: grid\nspace: {train.optimizer.name: [sgd, adam], model.name: [convnet, resnet9]}\n")
    assert read_sweep(project, by_name).budget == 4
    whole = written(
        "method: grid\nspace:\n  train.optimizer: [{name: sgd, lr: 0.1}, {name: adamw, lr: 1e-3}]\n"
        "  model: [{name: convnet}, {name: resnet9, dropout: 0.1}]\n"
    )
    sweep = read_sweep(project, whole)
    assert sweep.budget == 4
    assert "train.optimizer={name:adamw,lr:0.001}" in plan(sweep)
