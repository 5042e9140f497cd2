"""The measurements of docs/reproducibility.md: which facts the bits of a training depend on, and by how much.

    python bench/bits.py                   what changes bits: one row a fact
    python bench/bits.py --strict 10       what `reproducibility: strict` costs, in 10 pairs of 25 steps

Each row trains the committed recipe (or `--recipe`) in a copy of the working tree: `--steps` steps, whose losses and
weights are held against those of another row; and `--epochs` epochs, for the difference in the validation metrics.
`repeats` says whether a second run of the same row gave the same losses and weights. `--only 'TEXT; TEXT'` picks the
rows that have one of the texts in their name, and those that they are held against.

The cost of strict mode is measured inside one process, which switches between strict and off in alternation, in CPU
time on one thread: so it means something on a machine that does other work, too. With `--threads 2` it is the time on
the wall, which asks for an idle machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from samebits.base.errors import Interrupted
from samebits.base.launch import environment
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.compute.cpu import available_cores, cpu_model
from samebits.compute.determinism import set_determinism
from samebits.params.schema import read_params
from samebits.pipeline.context import StageContext
from samebits.pipeline.recipes import use
from samebits.provenance.golden.loss_trace import TRAIN, trace_in_process
from samebits.provenance.verify.compare import tensor_difference
from samebits.provenance.verify.copies import change_params, clean_environment, copy_tree, record_nothing, run_command
from samebits.stage import load_body, sections_of
from samebits.tracking.journal.tracker import NullTracker
from samebits.training import curve

ROOT = Path(__file__).resolve().parents[1]

BF16, FP32 = "bf16, 1 thread", "fp32, 1 thread"
BF16_TWO, FP32_TWO = "bf16, threads: 2", "fp32, threads: 2"

_ONE: dict[str, Any] = {"train": {"threads": 1, "precision": "bf16"}}
_TWO: dict[str, Any] = {"train": {"threads": 2, "precision": "bf16"}}
_FP32: dict[str, Any] = {"train": {"threads": 1, "precision": "fp32"}}
_FP32_TWO: dict[str, Any] = {"train": {"threads": 2, "precision": "fp32"}}

ROWS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    BF16: (BF16, _ONE, {}),
    BF16_TWO: (BF16, _TWO, {}),
    "bf16, micro_batch_size: 64": (BF16, {"train": _ONE["train"] | {"micro_batch_size": 64}}, {}),
    "bf16, channels_last: false": (BF16, {"train": _ONE["train"] | {"channels_last": False}}, {}),
    "bf16, compile: true": (BF16, {"train": _ONE["train"] | {"compile": True}}, {}),
    "bf16, reproducibility: off": (BF16, _ONE | {"reproducibility": "off"}, {}),
    "bf16, OMP_NUM_THREADS=2": (BF16, _ONE, {"OMP_NUM_THREADS": "2"}),
    "bf16, threads: 2, OMP_NUM_THREADS=1": (BF16_TWO, _TWO, {"OMP_NUM_THREADS": "1"}),
    "bf16, processes: 2": (BF16, _ONE | {"reproducibility": "warn", "runtime": {"processes": 2}}, {}),
    FP32: (BF16, _FP32, {}),
    FP32_TWO: (FP32, _FP32_TWO, {}),
    "fp32, threads: 2, MKL_NUM_THREADS=1": (FP32_TWO, _FP32_TWO, {"MKL_NUM_THREADS": "1"}),
    "fp32, ONEDNN_MAX_CPU_ISA=AVX512_CORE": (FP32, _FP32, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}),
    "fp32, ONEDNN_MAX_CPU_ISA=AVX2": (FP32, _FP32, {"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    "fp32, DNNL_MAX_CPU_ISA=AVX2": (FP32, _FP32, {"DNNL_MAX_CPU_ISA": "AVX2"}),
    "fp32, ONEDNN_CPU_ISA_HINTS=PREFER_YMM": (FP32, _FP32, {"ONEDNN_CPU_ISA_HINTS": "PREFER_YMM"}),
    "fp32, ONEDNN_DEFAULT_FPMATH_MODE=BF16": (FP32, _FP32, {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}),
    "fp32, ATEN_CPU_CAPABILITY=avx2": (FP32, _FP32, {"ATEN_CPU_CAPABILITY": "avx2"}),
    "fp32, ATEN_CPU_CAPABILITY=default": (FP32, _FP32, {"ATEN_CPU_CAPABILITY": "default"}),
    "fp32, MKL_CBWR=AVX2": (FP32, _FP32, {"MKL_CBWR": "AVX2"}),
    "fp32, MKL_CBWR=COMPATIBLE": (FP32, _FP32, {"MKL_CBWR": "COMPATIBLE"}),
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
    found = load_file(state).items()
    # Counters of batch normalisation differ where a step is cut into micro-batches.
    tensors = {name: value for name, value in found if name.startswith("model.") and value.is_floating_point()}
    return [float.fromhex(loss) for loss in trace["losses"]], tensors


def epochs(copy: Path, count: int, environ: Mapping[str, str]) -> dict[str, float]:
    """Validation metrics after so many epochs; none for 0."""
    if not count:
        return {}
    change_params(copy, {"train": {"epochs": count}})
    os.environ.update(environ)
    try:
        run_command("python stages/train.py", "train", copy, quiet=True)
    finally:
        for name in environ:
            del os.environ[name]
    metrics: dict[str, float] = json.loads((copy / "reports/train/metrics.json").read_text())["val"]
    return metrics


def bits(copy: Path, count: int, passes: int, only: str) -> None:
    params = (copy / "params.yaml").read_text()
    known: dict[str, tuple[Steps, dict[str, float]]] = {}
    columns = ("what", "first loss that differs", "weights: largest", "relative to norm", "validation", "repeats")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    chosen = {name for name in ROWS if any(text in name for text in only.split("; "))}
    chosen |= {ROWS[name][0] for name in chosen}
    chosen |= {ROWS[name][0] for name in chosen}  # what a row's base is held against
    for name, (base, override, environ) in ROWS.items():
        if name not in chosen:
            continue
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
        shown = ", ".join(f"{key} {found[key]:.4f} ({found[key] - metrics[key]:+.4f})" for key in found)
        relative = float(torch.as_tensor(gap).sqrt() / torch.as_tensor(norm).sqrt())
        cells = (
            f"`{name}`",
            "none" if parted is None else f"step {parted}",
            f"{largest:.2g}",
            f"{relative:.2g}",
            shown or "-",
            "yes" if repeats else "no",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


class _Alternating(NullTracker):
    """Switches between strict and off after each block of steps, and notes the seconds of each."""

    def __init__(self, pairs: int, block: int, threads: int, limit_s: float, stop: StopRequest) -> None:
        # ABBA: what drifts counts against both.
        self._modes = ["strict", "off", "off", "strict"] * ((pairs + 1) // 2)
        self.seconds: dict[str, list[float]] = {"strict": [], "off": []}
        self._stop, self._size, self._threads = stop, block, threads
        # With several threads, CPU time also counts the waiting of one for another.
        self._clock = time.process_time if threads == 1 else time.perf_counter
        self._block, self._began, self._ends = -1, 0.0, time.monotonic() + limit_s

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        if "train/loss" not in values or step % self._size:
            return
        now = self._clock()
        if self._block >= 0:  # the first block warms up
            self.seconds[self._modes[self._block]].append(now - self._began)
        self._block += 1
        if self._block == len(self._modes) or (self._block and self._block % 2 == 0 and time.monotonic() > self._ends):
            self._stop.requested = True
            return
        set_determinism(self._modes[self._block], self._threads)
        self._began = self._clock()


def strict_cost(copy: Path, recipe: str, pairs: int, block: int, threads: int, limit_s: float) -> None:
    runtime = {"workers": 0, "checkpoint_seconds": 1e6}
    # Batches of equal size, so that blocks can be compared.
    train = {"threads": threads, "bucket_by_length": None}
    change_params(copy, {"train": train, "reproducibility": "strict", "runtime": runtime})
    if (read_params(copy / "params.yaml").sections["transfer"].weights or "").endswith(".safetensors"):
        change_params(copy, {"transfer": {"weights": None}})  # another recipe makes them; random ones cost the same
    params = read_params(copy / "params.yaml")
    stop = StopRequest()
    tracker = _Alternating(pairs, block, threads, limit_s, stop)
    context = StageContext("train", Project(copy, copy), params.runtime, tracker, stop)
    body = load_body(TRAIN)
    curve.CURVE_POINTS = sys.maxsize
    os.environ.update(environment())
    with contextlib.suppress(Interrupted):
        body(*(params.sections[section] for section in sections_of(body)), context=context)
    strict, off = tracker.seconds["strict"], tracker.seconds["off"]
    ratios = sorted(a / b for a, b in zip(strict, off, strict=True))
    quarter = len(ratios) // 4
    cells = (
        f"`{recipe}`",
        f"{statistics.median(ratios):.3f}",
        f"{ratios[quarter]:.3f} to {ratios[-1 - quarter]:.3f}",
        f"{sum(strict) / sum(off):.3f}",
        f"{len(ratios)} pairs of {block} steps",
        f"{threads}",
        f"{1000 * statistics.median(off) / block:.1f} ms",
    )
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--recipe", default="mnist")
    arguments.add_argument("--steps", type=int, default=50)
    arguments.add_argument("--epochs", type=int, default=0)
    arguments.add_argument("--only", default="", metavar="TEXT")
    arguments.add_argument("--strict", type=int, metavar="PAIRS", default=0)
    arguments.add_argument("--block", type=int, metavar="STEPS", default=25)
    arguments.add_argument("--threads", type=int, default=1, help="of --strict")
    arguments.add_argument("--limit", type=float, metavar="SECONDS", default=1e6, help="of --strict: fewer pairs then")
    given = arguments.parse_args()
    cores, load = available_cores(), os.getloadavg()[0]
    print(f"{cpu_model()}, {cores} cores, torch {torch.__version__}, {given.recipe}, load {load:.1f}\n", flush=True)
    # Threads that wait do not spin: other work on the machine then costs less, and no bit changes.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_tree(ROOT, Path(folder) / "copy")
        use(copy, given.recipe, say=lambda _: None)
        record_nothing(copy)
        run_command("python stages/prepare.py", "prepare", copy, quiet=True)
        if given.strict:
            strict_cost(copy, given.recipe, given.strict, given.block, given.threads, given.limit)
        else:
            bits(copy, given.steps, given.epochs, given.only)


if __name__ == "__main__":
    main()
