"""Language modelling: the next token at every position, softmax cross entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from samebits.metrics.scores import token_metrics
from samebits.signature.signature import Signature
from samebits.tasks import Task
from samebits.tasks.own_section import TakesOwnLoss

TARGET = "next_token"


class Settings(TakesOwnLoss):
    """The `task` section for `name: language_model`."""

    name: Literal["language_model"]


@dataclass(frozen=True)
class LanguageModel(Task):
    """Scores [N, L, V] against the tokens that follow, int64 [N, L]. All rows are full, so all weigh the same.

    Attributes:
        bytes_per_token: of the text; None where bits per byte have no meaning.
    """

    bytes_per_token: float | None

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(*self.loss_inputs(outputs, targets))

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return outputs.float().flatten(0, 1), targets.flatten()

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        logits = outputs.float().flatten(0, 1)
        losses = functional.cross_entropy(logits, targets.flatten(), reduction="none").view(targets.shape)
        hits = (logits.argmax(dim=1) == targets.flatten()).view(targets.shape)
        return {"loss": losses.mean(dim=1).sum(), "accuracy": hits.float().mean(dim=1).sum()}

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """Perplexity and bits per byte, which are functions of the mean loss and no means themselves."""
        return token_metrics(means["loss"], self.bytes_per_token)

    def postprocess(self, outputs: Tensor) -> Tensor:
        return outputs.float()


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> LanguageModel:
    return LanguageModel(signature.tokens.bytes_per_token)
