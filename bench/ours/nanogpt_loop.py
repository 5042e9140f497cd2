"""nanoGPT's loop (bench/nanogpt.py) for a time, at a given batch and length: tokens per second.

`--model ours` trains our gpt with it, `--model theirs` nanoGPT's own model of the same layers, heads and width.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nanogpt

from samebits.data.loading.prepared import open_split, read_info
from samebits.models.gpt import Gpt, Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--model", choices=["ours", "theirs"], required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--warmup", type=float, default=8.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    nanogpt.BLOCK, nanogpt.BATCH = arguments.length, arguments.batch
    if arguments.model == "ours":
        nanogpt.Model = lambda vocabulary: Gpt(vocabulary, arguments.length, Settings(name="gpt", preset="nano"))
    vocabulary = read_info(arguments.prepared).signature.tokens.vocabulary
    split = open_split(arguments.prepared, "train", in_memory=True)
    nanogpt.train(split, vocabulary, 0, arguments.warmup, None)
    began = time.perf_counter()
    _, steps = nanogpt.train(split, vocabulary, 0, arguments.seconds, None)
    seconds = time.perf_counter() - began
    tokens = steps * arguments.batch * arguments.length
    print(json.dumps({"steps": steps, "seconds": seconds, "rate": tokens / seconds}))


if __name__ == "__main__":
    main()
