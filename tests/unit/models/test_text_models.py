"""bert and embedding_bag: padding changes nothing, foreign weights find their places, layers are numbered."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.errors import UserError
from samebits.models import bert, build_model, embedding_bag
from samebits.params.section import Section
from samebits.params.transfer import TransferParams
from samebits.signature import ClassTarget, Signature, TokenInputs
from samebits.training.transfer import set_up

torch.set_num_threads(1)

BERT = bert.Settings(name="bert", layers=2, width=16, heads=2, hidden=32, positions=24)
BAG = embedding_bag.Settings(name="embedding_bag", width=8, ngrams=3, buckets=64, dropout=0.5)


def signature(length: int = 12, pad: int | None = 0) -> Signature:
    inputs = TokenInputs(length=length, vocabulary=50, pad=pad, tokenizer_sha256="0" * 64)
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))


def model(settings: Section) -> nn.Module:
    torch.manual_seed(0)
    return build_model(settings, signature()).eval()


@pytest.mark.parametrize("settings", [BERT, BERT.model_copy(update={"pooling": "cls"}), BAG])
def test_padding_changes_nothing(settings: Section) -> None:
    network = model(settings)
    short = torch.tensor([[7, 8, 9], [7, 0, 0]])
    padded = nn.functional.pad(short, (0, 9))
    torch.testing.assert_close(network(short), network(padded))
    torch.testing.assert_close(network(short[1:, :1]), network(padded)[1:])
    assert network(padded).shape == (2, 3)


@pytest.mark.parametrize("settings", [BERT, BAG])
def test_a_text_without_tokens_has_an_answer(settings: Section) -> None:
    network = model(settings).train()
    assert torch.isfinite(network(torch.zeros(2, 5, dtype=torch.int64))).all()


def test_runs_of_tokens_know_their_order() -> None:
    one, two = torch.tensor([[5, 6, 7]]), torch.tensor([[7, 6, 5]])
    assert not torch.allclose(model(BAG)(one), model(BAG)(two))
    alone = model(BAG.model_copy(update={"ngrams": 1}))
    torch.testing.assert_close(alone(one), alone(two))


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_weights_of_a_bert_model_find_their_places(prefix: str) -> None:
    source, target = model(BERT), model(BERT)
    with torch.no_grad():
        for each in source.parameters():
            each.add_(1.0)
    encoder = {
        name.removeprefix("encoder."): value for name, value in source.state_dict().items() if name[:4] != "head"
    }
    foreign = {f"{prefix}{name}": value for name, value in encoder.items()} | {
        f"{prefix}pooler.dense.weight": torch.zeros(16, 16),
        "cls.predictions.bias": torch.zeros(50),
    }
    foreign = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): value for name, value in foreign.items()}
    settings = TransferParams(weights="minilm", layer_decay=0.5, head_lr=4.0)
    found = set_up(target, settings, bert, foreign)
    for name, value in target.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, source.state_dict()[name]), name
    assert found.rates["head.weight"] == 4.0
    assert found.rates["encoder.encoder.layer.1.output.dense.weight"] == 0.5
    assert found.rates["encoder.encoder.layer.0.output.dense.weight"] == 0.25
    assert found.rates["encoder.embeddings.word_embeddings.weight"] == 0.125


def test_our_own_checkpoint_finds_its_places_with_its_head() -> None:
    source, target = model(BERT), model(BERT)
    with torch.no_grad():
        for each in source.parameters():
            each.add_(1.0)
    found = set_up(target, TransferParams(weights="own", layer_decay=0.5), bert, source.state_dict())
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())
    assert found.rates["head.weight"] == 1.0


def test_texts_that_are_too_long_and_widths_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.positions is 24"):
        build_model(BERT, signature(length=25))
    with pytest.raises(UserError, match="cannot be shared by 3 heads"):
        build_model(BERT.model_copy(update={"heads": 3}), signature())
