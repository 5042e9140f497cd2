"""An augmentation of one's own: docs/own_code.md."""


class Speckle:
    """Some pixels become black."""

    def __init__(self, share=0.05):
        self.share = share

    def __call__(self, sample, random):
        sample[:, random.random(sample.shape[1:]) < self.share] = 0
        return sample
