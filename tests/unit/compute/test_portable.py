"""Turning portable arithmetic on: what is refused, and what its operators compute. In processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.base.launch import environment
from samebits.compute.arithmetic import ARITHMETIC, unsupported
from samebits.compute.portable import set_portable

CPU = torch.device("cpu")
needs_avx2 = pytest.mark.skipif(unsupported("portable") is not None, reason="no processor of class x86-64-v3")

OPERATORS = """
import hashlib, json, sys
import torch
from torch import nn
from torch.nn import functional as F
from samebits.base.errors import UserError
from samebits.compute.portable import set_portable

def tensors():
    torch.manual_seed(0)
    made = {}
    x, w, b = torch.randn(300, 700, requires_grad=True), torch.randn(200, 700, requires_grad=True), torch.randn(200)
    y = F.linear(x, w, b)
    y.square().sum().backward()
    made["linear"] = [y, x.grad, w.grad]
    made["products"] = [
        torch.mv(w, x[0]), torch.dot(b, b), torch.addmv(b, w, x[0], beta=0.5, alpha=2),
        torch.einsum("ij,kj->ki", x, w), torch.mm(x.detach(), w.detach().t(), out=torch.empty(0)),
        torch.baddbmm(torch.ones(2, 3, 5), torch.randn(2, 3, 4), torch.randn(2, 4, 5), beta=2, alpha=3),
        torch.randn(6, 3, 4).transpose(0, 1) @ torch.randn(3, 4, 5),
        torch.randn(3, 1).expand(3, 4) @ torch.randn(4, 2), torch.empty(0, 3) @ torch.empty(3, 2),
        torch.ones(5, 5).addmm_(torch.randn(5, 2), torch.randn(2, 5)),
        torch.randn(4, 3).double() @ torch.randn(3).double(),
    ]
    made["bf16"] = [x.bfloat16() @ w.bfloat16().t()]
    q, k, v = (torch.randn(2, 3, 9, 8, requires_grad=True) for _ in range(3))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    out.sum().backward()
    made["attention"] = [out, q.grad, k.grad, v.grad]
    image, kernel = torch.randn(1, 3, 9, 7, requires_grad=True), torch.randn(5, 3, 3, 2, requires_grad=True)
    out = F.conv2d(image, kernel, torch.randn(5), padding=(1, 0), stride=(2, 1))
    out.square().sum().backward()
    made["one small image"] = [out, image.grad, kernel.grad]
    images, kernel = torch.randn(9, 130, 2, 3, requires_grad=True), torch.randn(140, 130, 3, 3, requires_grad=True)
    out = F.conv2d(images, kernel, torch.randn(140), padding=1)
    out.square().sum().backward()
    made["small images"] = [out, images.grad, kernel.grad]
    s = torch.rand(1000, requires_grad=True)
    (s.sqrt() + s**0.5 + s**3 + s.log()).sum().backward()
    d = torch.rand(9, dtype=torch.float64)
    made["roots"] = [s.sqrt(), s.grad, d.sqrt(), d.log(), torch.rand(9).sqrt_(), torch.arange(5).sqrt(), d.pow_(0.5),
                     torch.log(d, out=torch.empty_like(d)), torch.rand(7).bfloat16().sqrt()]
    return {name: [each.detach() for each in group] for name, group in made.items()}

before = tensors()
why = set_portable(sys.argv[1], torch.device("cpu"), int(sys.argv[2]))
after = tensors()
result = {"why": why, "far": [], "refused": {}}
for name in before:
    for number, (old, new) in enumerate(zip(before[name], after[name], strict=True)):
        tolerance = 1e-2 if old.dtype == torch.bfloat16 else 1e-5
        same = old.dtype == new.dtype and old.shape == new.shape
        if not same or old.numel() and (old - new).abs().max() > tolerance * old.abs().max():
            result["far"].append(f"{name} {number}")
result["hash"] = hashlib.sha256(b"".join(t.contiguous().flatten().view(torch.uint8).numpy().tobytes()
                                         for group in after.values() for t in group)).hexdigest()
x = torch.rand(4, 4)
for name, call in {"atan": x.atan, "atan_": x.clone().atan_, "inv": lambda: torch.linalg.inv(x + torch.eye(4)),
                   "fft": lambda: torch.fft.fft(x), "log10": x.log10}.items():
    try:
        call()
    except UserError as error:
        result["refused"][name] = str(error)
wrong = {
    "two dtypes": lambda: torch.mm(x, x.double()), "inner": lambda: x @ torch.rand(5, 4),
    "batches": lambda: torch.bmm(torch.rand(4, 2, 2), torch.rand(1, 2, 2)), "axes": lambda: torch.mm(x[None], x),
    "out": lambda: torch.mm(x, x, out=torch.empty(4, 4, dtype=torch.int64)), "in place": torch.arange(4).sqrt_,
    "bias": lambda: torch.addmm(torch.rand(7, 7), x, x, beta=0),
}
result["accepted"] = []
for name, call in wrong.items():
    try:
        call()
        result["accepted"].append(name)
    except RuntimeError:
        pass
try:
    set_portable("strict", torch.device("cpu"), 1)
except UserError as error:
    result["again"] = str(error)
result["allowed"] = [x.norm().item(), x.exp().sum().item(), nn.LayerNorm(4)(x).sum().item()]
print(json.dumps(result))
"""


def operators(mode: str, threads: int) -> dict[str, Any]:
    clean = {key: value for key, value in os.environ.items() if key not in ARITHMETIC[mode].variables}
    done = subprocess.run(
        [sys.executable, "-c", OPERATORS, mode, str(threads)],
        env=clean | environment(ARITHMETIC[mode].variables),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr

    return dict(json.loads(done.stdout))


@needs_avx2
@pytest.mark.parametrize("mode", ARITHMETIC)
def test_operators_compute_what_they_did_and_no_thread_changes_a_bit(mode: str) -> None:
    if why := unsupported(mode):
        pytest.skip(why)
    one = operators(mode, 1)
    assert one["why"] is None
    assert one["far"] == []
    assert one["accepted"] == []
    assert "already" in one["again"]
    assert one["refused"].keys() == {"atan", "atan_", "inv", "fft", "log10"}
    assert "aten::linalg_inv_ex has no portable implementation" in one["refused"]["inv"]
    assert "reproducibility: strict" in one["refused"]["atan"]
    assert operators(mode, 3)["hash"] == one["hash"]


@needs_avx2
def test_a_process_that_started_with_other_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ARITHMETIC["portable"].variables:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=r"takes [A-Z_]+=.* before torch starts, and it is not set") as error:
        set_portable("portable", CPU, 1)
    assert "dvc repro" in error.value.fix
    for name, value in ARITHMETIC["portable"].variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    with pytest.raises(UserError, match="MKL_CBWR=COMPATIBLE before torch starts, and it is 'AVX2'") as error:
        set_portable("portable", CPU, 1)
    assert "unset MKL_CBWR" in error.value.fix
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    config = {"Build Dependencies": {"blas": {"name": "mkl"}}}
    with monkeypatch.context() as other:
        other.setattr(np, "show_config", lambda mode: config)
        with pytest.raises(UserError, match="numpy multiplies with mkl"):
            set_portable("portable", CPU, 1)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    with pytest.raises(UserError, match=r"train\.compile"):
        set_portable("portable", CPU, 1, compiles=True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    with pytest.raises(UserError, match="its kernels for DEFAULT"):
        set_portable("portable", CPU, 1)


def test_a_gpu_is_a_kind_of_its_own() -> None:
    assert set_portable("portable", torch.device("cuda", 0), 1) == "device cuda:0"
    assert set_portable("strict", CPU, 1) == "reproducibility: strict"
