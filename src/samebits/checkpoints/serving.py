"""The served model: stored samples in, predictions out, with the preprocessing inside."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from samebits.preprocess import build_preprocess
from samebits.signature.signature import Signature
from samebits.tasks import Task

_LARGEST_BATCH = 1 << 20


class ServingModel(nn.Module):
    """Stored samples, such as images uint8 [N, C, H, W] -> answers, float32.

    Args:
        model: preprocessed samples -> raw outputs.
        task: turns outputs into answers: probabilities [N, K], or numbers [N].
        signature: of the data that the model was trained on.
        temperature: that raw outputs are divided by (`samebits.calibration`).
    """

    def __init__(self, model: nn.Module, task: Task, signature: Signature, temperature: float = 1.0) -> None:
        super().__init__()
        self.signature = signature
        self.target = signature.target
        self.temperature = temperature
        self.preprocess = build_preprocess(signature)
        self.model = model
        self.task = task
        self.input_names: tuple[str, ...] = (signature.inputs.input_name,)
        self.output_names: tuple[str, ...] = (signature.target.output_name,)
        self.dynamic: tuple[dict[int, str], ...] = (signature.inputs.axes,)
        """Dynamic axes of each input, with their names."""
        self.largest = {"batch": _LARGEST_BATCH} | signature.inputs.largest
        """Largest length of each dynamic axis."""

    def example(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Every input, for stored samples, as the exporters trace the model with."""
        return (samples,)

    def outputs(self, samples: Tensor) -> Tensor:
        """The model's raw outputs, float32: logits [N, K] over the temperature, or standardised numbers [N]."""
        outputs: Tensor = self.model(self.preprocess(samples)).float()
        # No operation where there is none: exported graphs stay as they are.
        return outputs if self.temperature == 1.0 else outputs / self.temperature

    def forward(self, samples: Tensor) -> Tensor:
        return self.task.postprocess(self.outputs(samples))


@runtime_checkable
class SupportsKVCache(Protocol):
    """A model of the next token with a cache of keys and values (see `samebits.models.gpt`).

    Attributes:
        kv_cache_shape: layers, heads, size of a head.
    """

    kv_cache_shape: tuple[int, int, int]

    def decode_step(self, tokens: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of more tokens after the cached ones, and the cache with them."""
        ...


class GeneratingModel(ServingModel):
    """Tokens int32 [N, L] and the cache of P tokens before them -> logits [N, L, V] and the cache of P + L tokens.

    The cache is two float32 arrays [layers, N, heads, P, size of a head]; P is 0 for the beginning of a text, so one
    graph reads a prompt, and then makes one token at a time.
    """

    def __init__(self, model: nn.Module, task: Task, signature: Signature, temperature: float = 1.0) -> None:
        super().__init__(model, task, signature, temperature)
        self.input_names = (*self.input_names, "keys", "values")
        self.output_names = (*self.output_names, "all_keys", "all_values")
        cache = {1: "batch", 3: "past"}
        self.dynamic = (*self.dynamic, cache, cache)
        self.largest["past"] = signature.tokens.length - 1

    @property
    def kv_cache_shape(self) -> tuple[int, int, int]:
        """Layers, heads, size of a head."""
        return cast(SupportsKVCache, self.model).kv_cache_shape

    def cache(self, batch: int, past: int = 0) -> Tensor:
        """A cache of zeros."""
        layers, heads, size = self.kv_cache_shape
        return torch.zeros(layers, batch, heads, past, size)

    def example(self, samples: Tensor) -> tuple[Tensor, ...]:
        # Lengths must differ from each other and from 0 and 1, or the exporter takes them for one, or for constants.
        half = max(2, samples.shape[1] // 2)
        cache = self.cache(len(samples), 3)
        return samples[:, :half].contiguous(), cache, cache.clone()

    def forward(  # type: ignore[override]
        self, tokens: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        logits, keys, values = cast(Any, self.model).decode_step(self.preprocess(tokens), keys, values)
        return self.task.postprocess(logits), keys, values


def build_serving(model: nn.Module, task: Task, signature: Signature, temperature: float = 1.0) -> ServingModel:
    """The model as it is exported: with its cache, if it has one."""
    kind = GeneratingModel if isinstance(model, SupportsKVCache) else ServingModel
    return kind(model, task, signature, temperature).eval()
