"""samebits: a PyTorch training pipeline with one promise. Same code, same data, same bits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samebits.trained import Answer, TrainedModel, load

__all__ = ["Answer", "TrainedModel", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what is for users where it is asked for: the package itself knows nothing of its rooms."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'samebits' has no attribute {name!r}")
    return getattr(import_module("samebits.trained"), name)
