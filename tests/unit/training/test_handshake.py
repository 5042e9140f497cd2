"""Who may join a training: the table of strangers."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from samebits.compute import hardware
from samebits.compute.distributed import ProcessGroup
from samebits.compute.hardware import Precision
from samebits.compute.heartbeat import GroupError, Heartbeat
from samebits.compute.rendezvous import listen
from samebits.models.convnet import Settings
from samebits.params.augment import AugmentParams
from samebits.params.train import SGDParams, TrainParams
from samebits.tasks.classification import Settings as TaskSettings
from samebits.training import handshake
from samebits.training.handshake import fingerprint, misfit, require_same_everywhere
from samebits.training.plan import Plan

CODE = '"""A loss."""\n\n\ndef loss(a, b):\n    return (a - b) ** 2\n'
DVC = """
stages:
  train:
    cmd: python stages/train.py
    deps: [src/loss.py]
    params: [seed, packages.yaml: [torch]]
    outs: [out]
"""


def project(folder: Path) -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "loss.py").write_text(CODE)
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "params.yaml").write_text("seed: 1\n")
    (folder / "packages.yaml").write_text('torch: "2.14.1"\n')
    return folder


def settings(lr: float = 0.1, **other: Any) -> TrainParams:
    return TrainParams(optimizer=SGDParams(name="sgd", lr=lr), **other)


def plan(**other: Any) -> Plan:
    same: dict[str, Any] = {
        "seed": 1,
        "reproducibility": "strict",
        "task": TaskSettings(name="classification"),
        "model": Settings(name="convnet"),
        "augment": AugmentParams(),
        "train": settings(),
        "info": SimpleNamespace(digest="d" * 64),
        "device": torch.device("cpu"),
        "precision": Precision("fp32", None, scaled=False),
    }
    return Plan(**same | other)


def seen(workspace: Path, of: Plan) -> dict[str, str]:
    context: Any = SimpleNamespace(project=SimpleNamespace(workspace=workspace), name="train")
    return fingerprint(of, context)


def edit(old: str, new: str, file: str = "src/loss.py") -> Callable[[Path, pytest.MonkeyPatch], Plan]:
    def change(folder: Path, _: pytest.MonkeyPatch) -> Plan:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
        return plan()

    return change


def setting(**other: Any) -> Callable[[Path, pytest.MonkeyPatch], Plan]:
    return lambda *_: plan(**other)


def variable(name: str, value: str) -> Callable[[Path, pytest.MonkeyPatch], Plan]:
    def change(_: Path, patch: pytest.MonkeyPatch) -> Plan:
        patch.setenv(name, value)
        return plan()

    return change


def another_cpu(_: Path, patch: pytest.MonkeyPatch) -> Plan:
    patch.setattr(hardware, "cpu_design", lambda: "GenuineIntel 6 207")
    return plan()


def more_threads(_: Path, patch: pytest.MonkeyPatch) -> Plan:
    patch.setattr(torch, "get_num_threads", lambda: 64)
    return plan(train=settings(threads=64))


STRANGERS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], Plan], str, str]] = {
    "loss": (edit("** 2", "** 4"), "code of src/loss.py is ", "git pull"),
    "seed": (setting(seed=2), "seed is 2, there 1", "params.yaml"),
    "rate": (setting(train=settings(0.2)), "train.optimizer.lr is 0.2, there ", "params.yaml"),
    "width": (setting(model=Settings(name="convnet", stages=[[8, 8]])), "model.stages is ", "params.yaml"),
    "threads": (more_threads, "hardware.threads is 64, there ", "params.yaml"),
    "precision": (setting(precision=Precision("bf16", torch.bfloat16, scaled=False)), "precision is bf16, there fp32",
                  "train.precision"),
    "data": (setting(info=SimpleNamespace(digest="e" * 64)), "data is eeee", "dvc pull data/prepared"),
    "package": (edit("2.14.1", "2.13.0", "packages.yaml"), "package torch is 2.13.0, there 2.14.1", "make setup"),
    "CPU": (another_cpu, "hardware.cpu_design is GenuineIntel 6 207, there ", "reproducibility: portable"),
    "kernels": (variable("ATEN_CPU_CAPABILITY", "avx2"), "hardware.ATEN_CPU_CAPABILITY is avx2, there missing",
                "portable"),
    "BLAS": (variable("OPENBLAS_CORETYPE", "Prescott"), "variable OPENBLAS_CORETYPE is Prescott", "that variable"),
    "mode": (setting(reproducibility="warn"), "reproducibility is warn, there strict", "params.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_named_by_what_differs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change, problem, fix = STRANGERS[name]
    first = seen(project(tmp_path / "first"), plan())
    other = project(tmp_path / "other")
    said = misfit(first, seen(other, change(other, monkeypatch)))
    assert problem in said[0]
    assert fix in said[1]


@pytest.mark.parametrize(
    "change", [edit("\n\n\ndef", "  # a comment\n\n\n# another one\ndef"), setting(processes=4, train=settings())]
)
def test_what_no_bit_depends_on_may_differ(
    change: Callable[[Path, pytest.MonkeyPatch], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = project(tmp_path / "first"), project(tmp_path / "other")
    theirs = seen(first, plan(processes=4))
    mine = seen(other, replace(change(other, monkeypatch), processes=4))
    assert misfit(theirs, mine) == ("", "")


@pytest.mark.parametrize("strangers", [(), (2,), (1, 2)])
def test_every_process_hears_of_every_stranger(strangers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "fingerprint", lambda own, _: own)
    store = listen(1)
    beats = [Heartbeat(store, rank, 3) for rank in range(3)]
    heard: dict[int, str] = {}

    def join(rank: int) -> None:
        group = ProcessGroup(rank, 3, store.clone(), beats[rank])
        own: Any = {"seed": str(rank) if rank in strangers else "0"}
        try:
            require_same_everywhere(own, group, None)  # type: ignore[arg-type]
        except GroupError as error:
            heard[rank] = str(error)
            if rank == 0:
                beats[0].tell(error.problem, error.fix)  # as the group does

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(join, range(3)))
    for beat in beats:
        beat.stop()
    assert sorted(heard) == ([0, 1, 2] if strangers else [])
    assert len(set(heard.values())) <= 1
    for rank in strangers:
        named = f"process {rank} of 3 on host {socket.gethostname()} would compute other bits than process 0"
        assert f"{named}: seed is {rank}, there 0" in heard[0]
