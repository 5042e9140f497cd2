"""The proof of exported language models takes the checkpoint's equal, and nothing that scores or writes otherwise."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.checkpoints.serving import GeneratingModel, build_serving
from samebits.data.loading.prepared import Array, Split
from samebits.export import language_model
from samebits.export.language_model import Floats, LanguageModelParity
from samebits.models import build_model
from samebits.models.gpt import Settings
from samebits.params.export import ExportParams
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs
from samebits.tasks import build_task
from samebits.tasks.language_model import Settings as Task

CONTEXT, VOCABULARY, ROWS = 12, 40, 7
Run = Callable[..., list[Floats]]


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> LanguageModelParity:
    """Of a small gpt whose next token depends on all that it has read, on seven rows."""
    monkeypatch.setattr(language_model, "GREEDY_TOKENS", 30)
    torch.set_num_threads(1)
    inputs = TokenInputs(length=CONTEXT, vocabulary=VOCABULARY, tokenizer_sha256="0")
    signature = Signature(inputs=inputs, target=NextTokenTarget())
    torch.manual_seed(1)
    model = build_model(Settings(name="gpt", layers=2, heads=2, width=16, tied=False), signature)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.5)
    serving = build_serving(model, build_task(Task(name="language_model"), signature), signature)
    assert isinstance(serving, GeneratingModel)
    rows = np.random.Generator(np.random.Philox(2)).integers(0, VOCABULARY, (ROWS, CONTEXT + 1), dtype=np.uint16)
    info = cast(Any, SimpleNamespace(signature=signature))
    settings = ExportParams(batch_sizes=[2, 3], tolerance=1e-4)
    return LanguageModelParity(serving, Split(info, "test", None, [rows], (ROWS,)), settings, lambda: None)


def changed(proof: LanguageModelParity, change: Callable[[Floats], None]) -> Run:
    """The checkpoint, but for a change of its scores [N, L, V]."""

    def run(*inputs: Array) -> list[Floats]:
        scores, keys, values = proof.eager(*inputs)
        scores = scores.copy()
        change(scores)
        return [scores, keys, values]

    return run


def test_the_checkpoint_with_its_cache_passes(proof: LanguageModelParity) -> None:
    parity = proof.compare("made", proof.eager)
    assert set(parity.difference) == {2, 3}
    assert parity.worst < 1e-5
    assert proof.greedy("made", proof.eager) == 3 * 30


def shift(scores: Floats) -> None:
    scores[-1, -1, -1] += 1e-3


def spoil(scores: Floats) -> None:
    scores[-1, 0, 0] = np.nan


@pytest.mark.parametrize(("change", "shown"), [(shift, "0.001"), (spoil, "nan")])
def test_one_score_that_differs_is_refused(
    change: Callable[[Floats], None], shown: str, proof: LanguageModelParity
) -> None:
    with pytest.raises(UserError, match=rf"made export .* a score differs by {shown}.* in test rows 0 to 1") as error:
        proof.compare("made", changed(proof, change))
    assert "remove made from export.formats; nothing was written" in error.value.fix


def test_a_score_that_differs_in_the_last_batch_alone_is_refused(proof: LanguageModelParity) -> None:
    looked: list[int] = []

    def late(scores: Floats) -> None:
        looked.append(len(scores))
        if sum(looked) == ROWS:
            shift(scores)

    with pytest.raises(UserError, match=r"in test rows 5 to 6"):
        proof.compare("made", changed(proof, late))
    assert looked == [2, 3, 2]


def test_a_cache_that_is_not_read_is_found_by_what_is_written(proof: LanguageModelParity) -> None:
    """Scores of whole rows need no cache: they are equal."""

    def forgetful(*inputs: Array) -> list[Floats]:
        _, keys, values = proof.eager(*inputs)
        empty = proof.serving.cache(len(inputs[0])).numpy()
        return [proof.eager(inputs[0], empty, empty)[0], keys, values]

    proof.compare("made", forgetful)
    with pytest.raises(UserError, match=r"the made export .* greedy token [0-9]+ is [0-9]+, not [0-9]+") as error:
        proof.greedy("made", forgetful)
    assert error.value.fix == "remove made from export.formats; nothing was written"


def second_best(scores: Floats) -> None:
    best = scores[0, -1].argmax()
    scores[0, -1, best] = scores[0, -1].min() - 1.0


def test_a_greedy_token_that_differs_is_named(proof: LanguageModelParity) -> None:
    prompt = proof.split.rows(np.array([0]))[:, :CONTEXT].astype(np.int32)
    best, other = proof.scores(prompt)[0, -1].argsort()[::-1][:2]
    with pytest.raises(UserError, match=rf"greedy token 1 is {other}, not {best}"):
        proof.greedy("made", changed(proof, second_best))


def test_a_tie_within_the_tolerance_may_be_broken_either_way(proof: LanguageModelParity) -> None:
    proof.settings = proof.settings.model_copy(update={"tolerance": 1e3})
    assert proof.greedy("made", changed(proof, second_best)) == 3
