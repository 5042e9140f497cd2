"""The answers for a whole split, for metrics that are no sums over samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from samebits.compute.distributed import ProcessGroup
from samebits.data.loading.prepared import Array, Split
from samebits.metrics.own import OwnMetric


class SplitAnswers:
    """Answers by row of the split; each process adds those of its batches."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._found: Array | None = None

    def add(self, answers: torch.Tensor, rows: npt.NDArray[np.int64]) -> None:
        """What `Task.postprocess` gives for some rows."""
        judged = self._split.info.signature.target.judged(answers.cpu().numpy())
        if self._found is None:
            self._found = np.zeros((len(self._split), *judged.shape[1:]), dtype=judged.dtype)
        self._found[rows] = judged

    def judged_by(self, metrics: Sequence[OwnMetric], group: ProcessGroup, device: torch.device) -> dict[str, float]:
        """Each metric of the whole split."""
        assert self._found is not None
        found = self._found
        if group.size > 1:  # every summand but one is 0, so the sums are exact
            found = group.all_reduce(torch.from_numpy(found).to(device)).cpu().numpy()
        targets = self._split.targets
        assert targets is not None
        return {each.name: each.mean(found, targets) for each in metrics}
