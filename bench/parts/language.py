"""Tokens per second of a language model: our stage against nanoGPT's loop, same model, batch, length and optimiser."""

from __future__ import annotations

import sys
from typing import Any

from parts import workspaces
from parts.base import (
    BENCH,
    STATE,
    Contender,
    Options,
    Row,
    alternate,
    clock,
    others,
    ratio_range,
    spread,
    summary,
    table,
)

OURS, LOOP, THEIRS = "samebits", "nanoGPT's loop, our model", "nanoGPT's loop and model"
SHAPES = {"length 256, batch 16 (our recipe)": (256, 16), "length 64, batch 12 (nanoGPT's for a CPU)": (64, 12)}


def measure(options: Options) -> dict[str, Any]:
    rows: list[Row] = []
    for subject, (length, batch) in SHAPES.items():
        override = {
            "data": {"text": {"length": length}},
            "model": {"heads": None},  # the preset's, as the loop's models have
            "train": {
                "batch_size": batch,
                "epochs": 4,
                "optimizer": {"name": "adamw", "lr": 1e-3, "beta2": 0.99, "weight_decay": 0.1},
            },
        }
        folder = workspaces.workspace(f"books-{length}", "gutenberg_gpt", override)
        prepared = STATE / "data" / f"books-{length}" / "prepared"
        workspaces.keep_prepared(folder, prepared)
        counted = (
            clock(2, 0.0, 5, (0, 0)) if options.quick else clock(10, 8.0, 60 * 256 * 16 // (length * batch), (0, 0))
        )
        times = ["--warmup", "1", "--seconds", "2"] if options.quick else ["--seconds", "30"]
        loop = [
            sys.executable,
            BENCH / "ours" / "nanogpt_loop.py",
            prepared,
            "--length",
            length,
            "--batch",
            batch,
            *times,
        ]
        contenders = [
            workspaces.ours(OURS, folder, "--batch", str(batch * length), *counted),
            Contender(LOOP, [*loop, "--model", "ours"]),
            Contender(THEIRS, [*loop, "--model", "theirs"]),
        ]
        rows += alternate(contenders, options.rounds, subject)
    return {"rows": rows}


def render(found: dict[str, Any]) -> list[str]:
    rows: list[Row] = found["rows"]
    text = (
        "4 layers, 4 heads, 128 wide, 4,096 BPE tokens of the Gutenberg selection, AdamW at 1e-3, clipping at 1. "
        "nanoGPT's loop is reimplemented in `bench/nanogpt.py`, in fp32 as its `--dtype=bfloat16` does nothing on a "
        "CPU; once with our model, once with its own of the same shape. The recipe `gutenberg_gpt` itself has 2 heads "
        "and Muon. Ours is `stages/train.py`, bf16 where the processor computes in it."
    )
    lines = ["## Language model", "", text, ""]
    for subject in SHAPES:
        body = [[OURS, spread(rows, OURS, "rate", subject), "", ""]]
        for name in (LOOP, THEIRS):
            times = ratio_range(rows, OURS, name, "rate", subject)
            body.append([name, spread(rows, name, "rate", subject), times, "2×" if name == LOOP else "—"])
        head = [f"{subject}, n = {summary(rows, OURS, 'rate', subject)[3]}", "tokens/s", "ours is × as fast", "goal"]
        lines += [*table(head, body), ""]
    return [*lines, f"Other processes: {others(rows)} cores."]
