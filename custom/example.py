"""A model of one's own: docs/models.md."""

from torch import nn


class Net(nn.Sequential):
    def __init__(self, signature, width=32):
        layers = [nn.Conv2d(signature.row_shape[0], width, 5, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, signature.outputs)]
        super().__init__(*layers)
