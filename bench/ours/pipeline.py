"""Our input pipeline alone: images per second from a prepared folder to normalised float batches, as the loop asks for
them.

python bench/ours/pipeline.py PREPARED --shift 2 --flip --batches 400 --workers 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

import launched  # noqa: F401  first: it may replace the process
import torch
from clock_path import Clock, add_arguments

from samebits.compute import determinism
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split, read_info
from samebits.params.augment import AugmentParams
from samebits.preprocess import build_preprocess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, default=0, help="0 is what a training takes here: data in memory, a CPU")
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--flip", action="store_true")
    add_arguments(parser)
    arguments = parser.parse_args()
    determinism.set_determinism("strict", determinism.THREADS)
    split = open_split(arguments.prepared, "train", in_memory=True)
    prepare = build_preprocess(read_info(arguments.prepared).signature)
    augment = AugmentParams(shift=arguments.shift, flip=arguments.flip)
    batches = Batches(split, batch_size=arguments.batch, seed=0, augment=augment)
    clock = Clock(arguments, arguments.batch)
    with torch.inference_mode():
        for batch in batches.stream(0, 1 << 40, arguments.workers):
            prepare(batch.inputs)
            if clock.step():
                return


if __name__ == "__main__":
    main()
