"""Token classification: one of K tags for each word, softmax cross entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.metrics.entities import IGNORED, Scheme, f1, words_only
from samebits.signature.signature import Signature
from samebits.tasks.class_weights import ClassWeights

TARGET = "tags"


class Settings(ClassWeights):
    """The `task` section for `name: token_classification`.

    Attributes:
        label_smoothing: share of the target spread evenly over all tags (Szegedy et al., 2016), in training only.
    """

    of_the_loss: ClassVar[tuple[str, ...]] = ("class_weights", "label_smoothing")

    name: Literal["token_classification"]
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)


@dataclass(frozen=True)
class TokenClassification:
    """Logits [N, L, K] against tags [N, L], int16, -100 where a position does not count. What is counted are words.

    Attributes:
        scheme: what the tags mean.
        weights: of each tag, in training; None weighs all alike.
    """

    scheme: Scheme
    label_smoothing: float = 0.0
    weights: tuple[float, ...] | None = None

    def count(self, targets: Tensor) -> int:
        return int((targets != IGNORED).sum())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        # A batch without a word that counts has a loss of 0.
        total = _cross_entropy(outputs, targets, weights=self.weights, smoothing=self.label_smoothing)
        return total / max(1, self.count(targets))

    def loss_inputs(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [words, K] and tags [words], int64, of the words that count."""
        counts = targets != IGNORED
        return outputs.float()[counts], targets[counts].long()

    def metric_sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        said = outputs.argmax(dim=2)
        sums = {
            "loss": _cross_entropy(outputs, targets),
            "tag_accuracy": ((said == targets) & (targets != IGNORED)).sum(),
        }
        if self.scheme.types:
            true, tags = words_only(targets.cpu().numpy(), said.cpu().numpy())
            for name, counts in zip(("_right", "_there", "_said"), self.scheme.counts(tags, true), strict=True):
                sums[name] = torch.tensor(int(counts.sum()), device=outputs.device)
        return sums

    def derived_metrics(self, means: Mapping[str, float]) -> dict[str, float]:
        """F1 of the entities, if there are any."""
        found = f1(means["_right"], means["_there"], means["_said"]) if self.scheme.types else None
        return {} if found is None else {"entity_f1": found}

    def postprocess(self, outputs: Tensor) -> Tensor:
        return torch.softmax(outputs.float(), dim=2)


def _cross_entropy(
    outputs: Tensor, targets: Tensor, *, weights: tuple[float, ...] | None = None, smoothing: float = 0.0
) -> Tensor:
    """The sum over the words."""
    if outputs.shape[:-1] != targets.shape:
        raise UserError(
            f"the model gives {list(outputs.shape)} for tags {list(targets.shape)}",
            "set model.name to one that answers for every token: bert, encoder, or one of your own that gives "
            "[N, L, K]",
        )
    weight = None if weights is None else torch.tensor(weights, device=outputs.device)
    return functional.cross_entropy(
        outputs.float().flatten(0, 1),
        targets.flatten().long(),
        weight=weight,
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=smoothing,
    )


def build(settings: Settings, signature: Signature, class_counts: Sequence[int]) -> TokenClassification:
    """The task; `class_counts` are asked for by balanced weights alone, and not known outside of training.

    Raises:
        UserError: if a weight is for no tag.
    """
    weights = settings.of_classes(signature.classes, class_counts)
    return TokenClassification(Scheme.of(signature.classes), settings.label_smoothing, weights)
