"""ResNet-50: see `layers/resnet.py`."""

from samebits.models.layers.resnet import Settings, build, depth, new_layers, published

__all__ = ["Settings", "build", "depth", "new_layers", "published"]
