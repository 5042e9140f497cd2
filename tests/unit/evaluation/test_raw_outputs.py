"""The outputs of a whole split: texts are computed by length, and answered in the order of the split."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from torch import Tensor

from samebits.data.loading.prepared import open_split
from samebits.evaluation.inputs import EvaluationInputs, raw_outputs
from tests.helpers.text_project import make_text_context


def test_texts_are_computed_by_length_and_answered_in_order(tmp_path: Path) -> None:
    split = open_split(make_text_context(tmp_path).project.prepared, "train", in_memory=True)
    lengths: list[int] = []

    def outputs(tokens: Tensor) -> np.ndarray:
        lengths.append(tokens.shape[1])
        return (tokens != split.info.signature.tokens.pad).sum(dim=1, keepdim=True).double().numpy()

    evaluated: Any = SimpleNamespace(split=split, outputs=outputs, check=lambda: None)
    found = raw_outputs(cast(EvaluationInputs, evaluated), 10)
    assert np.array_equal(found[:, 0], split.lengths())
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
