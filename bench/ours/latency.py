"""Milliseconds of one answer from an exported ONNX file or from the checkpoint in eager PyTorch, on stored test images.

python bench/ours/latency.py WORKSPACE --backend onnx --batch 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import launched  # noqa: F401  first: it may replace the process
import numpy as np
import torch

from samebits.checkpoints.checkpoint import load_checkpoint
from samebits.checkpoints.serving import build_serving
from samebits.data.loading.prepared import open_split
from samebits.inference.session import open_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--backend", choices=["onnx", "int8", "eager"], required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, help="of torch; ONNX Runtime keeps its default")
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    split = open_split(arguments.workspace / "data" / "prepared", "test", in_memory=True)
    samples = split.rows(np.arange(arguments.batch, dtype=np.int64) % len(split))
    if arguments.backend != "eager":
        name = "model.onnx" if arguments.backend == "onnx" else "model.int8.onnx"
        session, _ = open_model(arguments.workspace / "models" / "export" / name)
        name = session.get_inputs()[0].name

        def answer() -> object:
            return session.run(None, {name: samples})
    else:
        checkpoint = load_checkpoint(arguments.workspace / "models" / "checkpoint")
        model = build_serving(checkpoint.model, checkpoint.task, checkpoint.config.signature)

        def answer() -> object:
            with torch.inference_mode():
                return model(torch.from_numpy(samples)).numpy()

    times: list[float] = []
    for _ in range(20):
        answer()
    end = time.perf_counter() + arguments.seconds
    while time.perf_counter() < end or len(times) < 5:
        began = time.perf_counter()
        answer()
        times.append(time.perf_counter() - began)
    took = statistics.median(times)
    print(json.dumps({"milliseconds": took * 1e3, "rate": arguments.batch / took, "calls": len(times)}))


if __name__ == "__main__":
    main()
