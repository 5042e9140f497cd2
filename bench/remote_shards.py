"""Training from a DVC remote on loopback, through a bounded cache, beside training from the disk: samples/s, in turn.

    python bench/remote_shards.py [--rounds 5]

30 shards of 8 MiB (noise, 64x64 RGB), `train.shuffle: window` of 4 shards, batches of 128 through a small convnet in
bf16; a cache of 100 MiB, so that every shard is downloaded once per epoch. Steps 3 to 140 are timed, each run in a
process of its own. The store is Python's own HTTP server.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import torch

from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split
from samebits.data.loading.remote import ShardCache
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.models.convnet import Settings, build
from samebits.params.data import DataParams
from samebits.params.image import ImageParams

BATCH, STEPS, COUNT, CACHE_MIB = 128, 140, 24_000, 100


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def make_project(root: Path, port: int) -> None:
    """`whole` has all shards; `data/prepared` only dataset.json and what is no shard of samples."""
    data = np.random.default_rng(3).integers(0, 256, (COUNT, 3, 64, 64), dtype=np.uint8)
    names = [str(row) for row in range(COUNT)]
    images = RawImages(
        ids=names, origins=names, hashes=sample_hashes(data), targets=np.arange(COUNT) % 10,
        classes=tuple("abcdefghij"), parts=[data],
    )  # fmt: skip
    prepared = root / "data" / "prepared"
    prepared.parent.mkdir()
    about = {"name": "noise", "title": "noise", "licence": "", "homepage": "", "files": []}
    settings = DataParams(image=ImageParams(near_duplicates="ignore"))
    write_prepared(prepared, about, split_and_encode(images, settings), shard_mib=8)
    shutil.copytree(prepared, root / "whole")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        ["git", "init", "-q"], [*dvc, "init", "-q"], [*dvc, "add", "-q", "data/prepared"],
        [*dvc, "remote", "add", "-q", "local", str(root / "store")], [*dvc, "push", "-q", "-r", "local"],
        [*dvc, "remote", "add", "-q", "-d", "web", f"http://127.0.0.1:{port}"],
    ):  # fmt: skip
        subprocess.run(command, cwd=root, check=True)
    for file in prepared.rglob("*.npy"):
        file.unlink()


def train(root: Path, *, web: bool) -> float:
    """Samples per second."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    shards = ShardCache(root, root / "cache", "web", CACHE_MIB << 20, print) if web else None
    split = open_split(root / ("data/prepared" if web else "whole"), "train", in_memory=False, shards=shards)
    batches = Batches(split, batch_size=BATCH, seed=1, shuffle="window", window=4)
    model = build(Settings(name="convnet", stages=[[32, 32], [64, 128]]), split.info.signature)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step, batch in enumerate(batches.stream(0, STEPS, 1)):
        if step == 2:
            began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(batch.inputs.float() / 255), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rate = (STEPS - 2) * BATCH / (time.perf_counter() - began)
    if shards is not None:
        assert shards.most <= CACHE_MIB << 20
        shards.close()
    return rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", nargs=2, metavar=("ROOT", "disk|web"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        root, way = options.run
        print(train(Path(root), web=way == "web"))
        return
    with tempfile.TemporaryDirectory(prefix="samebits-remote-") as scratch:
        root = Path(scratch)
        serve = functools.partial(Quiet, directory=str(root / "store"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        make_project(root, server.server_port)
        found: dict[str, list[float]] = {"disk": [], "web": []}
        for number in range(options.rounds):
            for way in list(found)[:: -1 if number % 2 else 1]:
                shutil.rmtree(root / "cache", ignore_errors=True)
                command = [sys.executable, __file__, "--run", str(root), way]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found[way].append(float(done.stdout.split()[-1]))
        ratios = [web / disk for web, disk in zip(found["web"], found["disk"], strict=True)]
        for way, rates in found.items():
            print(f"{way}: {statistics.median(rates):,.0f} samples/s ({min(rates):,.0f} to {max(rates):,.0f})")
        print(
            f"web / disk: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), n = {len(ratios)}"
        )


if __name__ == "__main__":
    main()
