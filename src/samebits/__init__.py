"""samebits: a PyTorch training pipeline with one promise. Same code, same data, same bits."""

__version__ = "0.1.0"
