"""A training that compiles nothing never imports torch's compiler; the steps are those of torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.workspace import ROOT

SCRIPT = """
import sys
import torch
from samebits.params.train import AdamParams, MuonParams, SGDParams
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.optim import optimizers
from samebits.compute.determinism import set_determinism

spared = sys.argv[1] == "spared"
if not spared:
    optimizers.avoid_dynamo_import = optimizers.step_without_compiler = lambda *_: None
set_determinism("strict", 1)
for settings in (
    SGDParams(name="sgd", lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    AdamParams(name="adamw", lr=0.01, weight_decay=0.1),
    MuonParams(name="muon", lr=0.01, weight_decay=0.1),
):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    optimizer = build_optimizer(model, settings)
    for _ in range(3):
        model(torch.ones(2, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
    imported = "torch._dynamo" in sys.modules or "torch._inductor" in sys.modules
    assert imported != spared, settings
    print(settings.name, [value.hex() for value in model[0].weight.flatten().tolist()])
"""


def weights(how: str) -> list[str]:
    """Of each optimizer, in a process of their own, in which the compiler is imported unless it is spared."""
    command = [sys.executable, "-c", SCRIPT, how]
    done = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow  # it starts torch twice
def test_the_compiler_stays_out_and_the_weights_are_those_of_torchs_own_step() -> None:
    spared = weights("spared")
    assert [line.split()[0] for line in spared] == ["sgd", "adamw", "muon"]
    assert weights("not spared") == spared
