"""A Dataset of one's own: docs/data-own.md."""

from pathlib import Path

import numpy as np


class Samples:
    """Files PATH/CLASS/NAME.npy: the array is the input, the name of its folder the class."""

    def __init__(self, path):
        self.files = sorted(Path(path).glob("*/*.npy"))

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return np.load(self.files[index]), self.files[index].parent.name
