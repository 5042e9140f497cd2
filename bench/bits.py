"""The measurements of docs/reproducibility.md: which facts the bits of a training depend on, and by how much.

    python bench/bits.py                 what changes bits: one row a fact
    python bench/bits.py --strict 5      what `reproducibility: strict` costs: 5 rounds of strict and off in alternation

Each row trains the committed recipe (or `--recipe`) in a copy of the working tree: `--steps` steps, whose losses and
weights are held against those of another row; and `--epochs` epochs, for the difference in the validation
metrics. `repeats` says whether a second run of the same row gave the same losses and weights.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from samebits.hardware import available_cores, cpu_model
from samebits.recipes import use
from samebits.verify.compare import tensor_difference
from samebits.verify.copies import change_params, clean_environment, copy_tree, record_nothing, run_command
from samebits.verify.steps import trace_in_process

ROOT = Path(__file__).resolve().parents[1]

BF16, FP32 = "as it is (bf16 here)", "precision: fp32"

_FP32: dict[str, Any] = {"train": {"precision": "fp32"}}

ROWS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    BF16: (BF16, {}, {}),
    "threads: 1": (BF16, {"train": {"threads": 1}}, {}),
    "micro_batch_size: 64": (BF16, {"train": {"micro_batch_size": 64}}, {}),
    "channels_last: false": (BF16, {"train": {"channels_last": False}}, {}),
    "compile: true": (BF16, {"train": {"compile": True}}, {}),
    "reproducibility: off": (BF16, {"reproducibility": "off"}, {}),
    "OMP_NUM_THREADS=1": (BF16, {}, {"OMP_NUM_THREADS": "1"}),
    FP32: (BF16, _FP32, {}),
    "fp32, threads: 1": (FP32, {"train": {"precision": "fp32", "threads": 1}}, {}),
    "fp32, ONEDNN_MAX_CPU_ISA=AVX512_CORE": (FP32, _FP32, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
    "fp32, ONEDNN_MAX_CPU_ISA=AVX2": (FP32, _FP32, {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "fp32, ATEN_CPU_CAPABILITY=avx2": (FP32, _FP32, {"ATEN_CPU_CAPABILITY": "avx2"}),
    "fp32, ATEN_CPU_CAPABILITY=default": (FP32, _FP32, {"ATEN_CPU_CAPABILITY": "default"}),
    "fp32, MKL_CBWR=AVX2": (FP32, _FP32, {"MKL_CBWR": "AVX2"}),
}
"""A row: the row that it is held against, and what is changed. Without its instructions, bf16 is emulated and takes
minutes, so that instruction sets are compared in fp32, which such a CPU would compute in anyway."""

Steps = tuple[list[float], dict[str, torch.Tensor]]


def steps(copy: Path, count: int, environ: Mapping[str, str]) -> Steps:
    """Losses of the first steps, and the model's tensors after them."""
    resume = copy / ".samebits" / "resume"
    shutil.rmtree(resume, ignore_errors=True)
    trace = trace_in_process(copy, count, copy / "src", {**clean_environment(), **environ})
    state = max(resume.glob("*/*[0-9]/state.safetensors"), key=lambda path: path.parent.name)
    tensors = {name: value for name, value in load_file(state).items() if name.startswith("model.")}
    return [float.fromhex(loss) for loss in trace["losses"]], tensors


def epochs(copy: Path, count: int, environ: Mapping[str, str]) -> dict[str, float]:
    """Validation metrics after so many epochs."""
    change_params(copy, {"train": {"epochs": count}})
    os.environ.update(environ)
    try:
        run_command("python stages/train.py", "train", copy, quiet=True)
    finally:
        for name in environ:
            del os.environ[name]
    metrics: dict[str, float] = json.loads((copy / "reports/train/metrics.json").read_text())["val"]
    return metrics


def bits(copy: Path, count: int, passes: int) -> None:
    params = (copy / "params.yaml").read_text()
    known: dict[str, tuple[Steps, dict[str, float]]] = {}
    columns = ("what", "first loss that differs", "weights: largest", "relative to norm", "validation", "repeats")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, (base, override, environ) in ROWS.items():
        (copy / "params.yaml").write_text(params)
        change_params(copy, override)
        losses, weights = steps(copy, count, environ)
        again = steps(copy, count, environ)
        repeats = losses == again[0] and all(torch.equal(weights[key], again[1][key]) for key in weights)
        found = epochs(copy, passes, environ)
        known[name] = (losses, weights), found
        reference, metrics = known[base]
        parted = next((k for k, (a, b) in enumerate(zip(reference[0], losses, strict=True), 1) if a != b), None)
        largest = max(tensor_difference(reference[1][key], weights[key])[0] for key in weights)
        gap = sum((reference[1][key].double() - weights[key].double()).square().sum() for key in weights)
        norm = sum(reference[1][key].double().square().sum() for key in weights)
        shown = ", ".join(f"{key} {found[key]:.4f} ({found[key] - metrics[key]:+.4f})" for key in ("accuracy", "loss"))
        relative = float(torch.as_tensor(gap).sqrt() / torch.as_tensor(norm).sqrt())
        cells = (
            f"`{name}`",
            "none" if parted is None else f"step {parted}",
            f"{largest:.2g}",
            f"{relative:.2g}",
            shown,
            "yes" if repeats else "no",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def strict_cost(copy: Path, rounds: int, passes: int) -> None:
    params = (copy / "params.yaml").read_text()
    seconds: dict[str, list[float]] = {"strict": [], "off": []}
    change_params(copy, {"train": {"epochs": passes}})
    short = (copy / "params.yaml").read_text()
    for number in range(rounds):
        # Which goes first alternates, too: a load that grows would else count against one of them.
        for mode in ("strict", "off") if number % 2 == 0 else ("off", "strict"):
            (copy / "params.yaml").write_text(short)
            change_params(copy, {"reproducibility": mode})
            before = _children_seconds()
            started = time.perf_counter()
            run_command("python stages/train.py", "train", copy, quiet=True)
            seconds[mode].append(time.perf_counter() - started)
            used = _children_seconds() - before
            print(f"round {number + 1}: {mode} {seconds[mode][-1]:.1f} s, {used:.1f} s of CPU", flush=True)
    (copy / "params.yaml").write_text(params)
    ratios = [strict / off for strict, off in zip(seconds["strict"], seconds["off"], strict=True)]
    medians = [statistics.median(seconds[mode]) for mode in ("strict", "off")]
    print(
        f"strict / off: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}, n = {rounds}; "
        f"medians {medians[0]:.1f} and {medians[1]:.1f} s"
    )


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--recipe", default="mnist")
    arguments.add_argument("--steps", type=int, default=50)
    arguments.add_argument("--epochs", type=int, default=1)
    arguments.add_argument("--strict", type=int, metavar="ROUNDS", default=0)
    given = arguments.parse_args()
    cores, load = available_cores(), os.getloadavg()[0]
    print(f"{cpu_model()}, {cores} cores, torch {torch.__version__}, {given.recipe}, load {load:.1f}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_tree(ROOT, Path(folder) / "copy")
        use(copy, given.recipe, say=lambda _: None)
        record_nothing(copy)
        run_command("python stages/prepare.py", "prepare", copy, quiet=True)
        if given.strict:
            strict_cost(copy, given.strict, given.epochs)
        else:
            bits(copy, given.steps, given.epochs)


if __name__ == "__main__":
    main()
