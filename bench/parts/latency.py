"""Time to an answer: the exported ONNX file against eager PyTorch, one image at a time and 256 at a time."""

from __future__ import annotations

import sys
from typing import Any

from parts import workspaces
from parts.base import BENCH, Contender, Options, Row, alternate, others, ratio_range, spread, summary, table

ONNX, INT8, EAGER, EAGER1 = "ONNX Runtime", "ONNX Runtime, int8", "eager PyTorch", "eager PyTorch, 1 thread"
_MODELS: dict[str, dict[str, Any]] = {
    "convnet": {"name": "convnet", "stages": [[32, 32], [64, 128]], "crop": 2, "dropout": 0.0},
    "ResNet-18": {"name": "resnet18", "stem": "small"},
}


def measure(options: Options) -> dict[str, Any]:
    rows: list[Row] = []
    for model, section in list(_MODELS.items())[: options.steps(2, 1)]:
        # Few steps: how well it is trained does not change how long an answer takes.
        data = workspaces.random_images(2_100, (1, 28, 28))
        override = {
            "model": section,
            "train": {"epochs": 1, "batch_size": 512},
            "export": {"int8": True, "int8_loss": 1.0},
            "runtime": {"tracking": {"enabled": False}},
        }
        folder = workspaces.workspace(f"latency-{section['name']}", "mnist", override, data)
        for stage in ("train", "export"):
            workspaces.stage(folder, stage)
        for batch in (1, 256):
            command = [sys.executable, BENCH / "ours" / "latency.py", folder, "--batch", batch]
            command += ["--seconds", 0.1 if options.quick else 5]
            contenders = [
                Contender(ONNX, [*command, "--backend", "onnx"]),
                Contender(INT8, [*command, "--backend", "int8"]),
                Contender(EAGER, [*command, "--backend", "eager"]),
                Contender(EAGER1, [*command, "--backend", "eager", "--threads", "1"]),
            ]
            rows += alternate(contenders, options.rounds, f"{model}, batch {batch}")
    return {"rows": rows}


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    lines = [
        "## Answers",
        "",
        "28×28 images as stored (uint8) to probabilities, the median of the calls of 5 s in each round; the "
        "goal is 3× over eager PyTorch at batch 1, and 2× for int8 over fp32 at batch 256. What "
        "int8 costs in accuracy is limited by `export.int8_loss` and is in the run (`export/int8/loss`).",
        "",
    ]
    for subject in dict.fromkeys(row["subject"] for row in rows):
        one = subject.endswith(" 1")
        key, digits = ("milliseconds", 3) if one else ("rate", 0)
        n = summary(rows, ONNX, key, subject)[3]
        body = [[ONNX, spread(rows, ONNX, key, subject, digits), ""]]
        for name in (INT8, EAGER, EAGER1):
            first, second = (name, ONNX) if name == INT8 else (ONNX, name)
            pair = (second, first) if one else (first, second)
            body.append([name, spread(rows, name, key, subject, digits), ratio_range(rows, *pair, key, subject)])
        head = [f"{subject}, n = {n}", "ms" if one else "images/s", "ONNX is × as fast; int8 against fp32"]
        lines += [*table(head, body), ""]
    return [*lines, f"Other processes: {others(rows)} cores."]
