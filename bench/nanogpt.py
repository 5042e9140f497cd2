"""Our recipe next to a nanoGPT-like one, on the same prepared data, for the same time: bits per byte of the test split.

python bench/nanogpt.py --prepared data/prepared --seconds 600 --seeds 0 1 2

The other one is nanoGPT's small configuration for a CPU (4 layers, 4 heads, 128 wide, block 64, batch 12, no dropout;
AdamW at 1e-3 with betas 0.9 and 0.99, 100 steps of warm-up, cosine to 1e-4, decay 0.1 on matrices, clipping 1, fp32),
written anew here: learned positions, LayerNorm without bias, GELU, tied embeddings. There it reads characters for 2,000
steps; here it reads the same BPE tokens as ours, and its schedule is stretched over `--seconds`, or over `--steps`.
Every row of the test split is judged in pieces of its block of 64, as that is all it sees.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from samebits.data.loading.prepared import Split, open_split, read_info

LAYERS, HEADS, WIDTH, BLOCK, BATCH = 4, 4, 128, 64, 12
RATE, LOWEST, WARMUP, DECAY, CLIP = 1e-3, 1e-4, 100, 0.1, 1.0


class Layer(nn.Module):
    """Attention and MLP with GELU, each on a normalised stream."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv, self.mixed = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        q, k, v = self.qkv(self.first(x)).view(n, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        heads = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mixed(heads.transpose(1, 2).reshape(n, length, WIDTH))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Model(nn.Module):
    """Tokens [N, L], L up to 64 -> scores [N, L, V]."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(BLOCK, WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                last = name.endswith(("mixed.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if last else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        return functional.linear(self.norm(self.layers(x)), self.tokens.weight)


def train(split: Split, vocabulary: int, seed: int, seconds: float, steps: int | None) -> tuple[Model, int]:
    """Train for a time or a number of steps; returns the model and the steps made."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    rows = split.rows(np.arange(len(split), dtype=np.int64))
    stream = torch.from_numpy(np.concatenate([rows[:, :-1].ravel(), rows[-1:, -1]]).astype(np.int64))
    model = Model(vocabulary)
    matrices = [each for each in model.parameters() if each.ndim > 1]
    vectors = [each for each in model.parameters() if each.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99), fused=True)
    began, step = time.monotonic(), 0
    while (share := step / steps if steps else (time.monotonic() - began) / seconds) < 1.0:
        rate = LOWEST + 0.5 * (RATE - LOWEST) * (1.0 + math.cos(math.pi * share))
        for group in optimizer.param_groups:
            group["lr"] = RATE * (step + 1) / WARMUP if step < WARMUP else rate
        starts = random.integers(len(stream) - BLOCK - 1, size=BATCH)
        batch = torch.stack([stream[at : at + BLOCK + 1] for at in starts.tolist()])
        loss = functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        step += 1
    return model.eval(), step


@torch.inference_mode()
def judge(model: Model, split: Split) -> float:
    """Mean loss of every token of a split, in nats."""
    total, count = 0.0, 0
    for start in range(0, len(split), 16):
        inputs, targets = split.samples(np.arange(start, min(start + 16, len(split)), dtype=np.int64))
        for at in range(0, inputs.shape[1], BLOCK):
            tokens = torch.from_numpy(inputs[:, at : at + BLOCK].astype(np.int64))
            wanted = torch.from_numpy(targets[:, at : at + BLOCK])
            loss = functional.cross_entropy(model(tokens).flatten(0, 1), wanted.flatten(), reduction="sum")
            total, count = total + loss.item(), count + wanted.numel()
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prepared", type=Path, default=Path("data/prepared"))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--steps", type=int, help="so many steps instead, as 2000 in the original")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    tokens = read_info(arguments.prepared).signature.tokens
    if tokens.bytes_per_token is None:
        raise SystemExit("the tokeniser of this data loses information: there are no bits per byte")
    splits = {name: open_split(arguments.prepared, name, in_memory=True) for name in ("train", "test")}
    found = []
    for seed in arguments.seeds:
        began = time.monotonic()
        model, steps = train(splits["train"], tokens.vocabulary, seed, arguments.seconds, arguments.steps)
        seconds = time.monotonic() - began
        bits = judge(model, splits["test"]) / math.log(2.0) / tokens.bytes_per_token
        found.append(bits)
        print(json.dumps({"seed": seed, "steps": steps, "seconds": round(seconds, 1), "bits_per_byte": round(bits, 4)}))
    spread = f" ± {statistics.stdev(found):.4f}" if len(found) > 1 else ""
    print(f"nanoGPT-like: {statistics.mean(found):.4f}{spread} bits per byte, {len(found)} seeds")


if __name__ == "__main__":
    main()
