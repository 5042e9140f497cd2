"""A metric of one's own: docs/own_code.md."""

import numpy as np


class Cost:
    """What an answer costs on average: 1 if it is wrong, more if it misses one class."""

    name = "cost"
    better = "lower"

    def __init__(self, missed=1, price=5.0):
        self.missed, self.price = missed, price

    def __call__(self, predictions, targets):
        wrong = predictions.argmax(axis=1) != targets
        return wrong * np.where(targets == self.missed, self.price, 1.0)
