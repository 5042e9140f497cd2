"""bert and embedding_bag: padding changes nothing, foreign weights find their places, layers are numbered."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.models import bert, build_model, embedding_bag, text_conv
from samebits.params.section import Section
from samebits.params.transfer import TransferParams
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TokenInputs
from samebits.training.pretrained.load import load_pretrained

torch.set_num_threads(1)

BERT = bert.Settings(name="bert", layers=2, width=16, heads=2, hidden=32, positions=24)
WIDE = BERT.model_copy(update={"reads": 4, "words": True})
BAG = embedding_bag.Settings(name="embedding_bag", width=8, ngrams=3, buckets=64, dropout=0.5)
CONV = text_conv.Settings(name="text_conv", width=8, layers=2, kernel=3)


def signature(length: int = 12, pad: int | None = 0) -> Signature:
    inputs = TokenInputs(length=length, vocabulary=50, pad=pad, tokenizer_sha256="0" * 64)
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))


def model(settings: Section) -> nn.Module:
    torch.manual_seed(0)
    return build_model(settings, signature()).eval()


@pytest.mark.parametrize("settings", [BERT, BERT.model_copy(update={"pooling": "cls"}), WIDE, BAG, CONV])
def test_padding_changes_nothing(settings: Section) -> None:
    network = model(settings)
    short = torch.tensor([[7, 8, 9], [7, 0, 0]])
    padded = nn.functional.pad(short, (0, 9))
    torch.testing.assert_close(network(short), network(padded))
    torch.testing.assert_close(network(short[1:, :1]), network(padded)[1:])
    assert network(padded).shape == (2, 3)


@pytest.mark.parametrize("settings", [BERT, CONV])
def test_each_token_has_outputs_that_no_padding_changes(settings: Section) -> None:
    tagged = signature().model_copy(update={"target": TagsTarget(classes=["O", "X"], length=12)})
    torch.manual_seed(0)
    network = build_model(settings, tagged).eval()
    short = torch.tensor([[7, 8, 9], [7, 0, 0]])
    padded = nn.functional.pad(short, (0, 9))
    assert network(padded).shape == (2, 12, 2)
    torch.testing.assert_close(network(short)[0], network(padded)[0, :3])
    torch.testing.assert_close(network(short[1:, :1])[0, 0], network(padded)[1, 0])
    # A neighbour matters.
    assert not torch.allclose(network(short)[0, 0], network(torch.tensor([[7, 5, 9]]))[0, 0])


@pytest.mark.parametrize("settings", [BERT, WIDE, BAG, CONV])
def test_a_text_without_tokens_has_an_answer(settings: Section) -> None:
    network = model(settings).train()
    assert torch.isfinite(network(torch.zeros(2, 5, dtype=torch.int64))).all()


def wide() -> nn.Module:
    """With words that weigh something."""
    network = model(WIDE)
    with torch.no_grad():
        nn.init.normal_(network.get_parameter("words.weights.weight"))
    return network


def test_words_count_once_each_and_make_a_vector_of_length_one() -> None:
    network = wide()
    tokens = torch.tensor([[7, 9, 7, 5, 9, 9, 0], [3, 0, 0, 0, 0, 0, 0], [0] * 7])
    weights = network.get_parameter("words.weights.weight")
    expected = torch.stack([weights[[5, 7, 9]].sum(0) / 3**0.5, weights[3], torch.zeros(3)])
    torch.testing.assert_close(network.get_submodule("words")(tokens), expected)
    full = build_model(WIDE, signature(pad=None)).get_submodule("words")
    with torch.no_grad():
        full.get_parameter("weights.weight").copy_(weights)
    # Where rows are full, token 0 is a word, too.
    torch.testing.assert_close(full(tokens[2:]), weights[:1])


def test_the_encoder_reads_the_beginning_and_the_words_the_whole() -> None:
    network = wide()
    tokens = torch.tensor([[7, 8, 9, 5, 6, 4]])
    other_end = torch.tensor([[7, 8, 9, 5, 1, 2]])
    other_order = torch.tensor([[7, 8, 9, 5, 4, 6]])
    assert not torch.allclose(network(tokens), network(other_end))
    torch.testing.assert_close(network(tokens), network(other_order))
    deep = model(WIDE.model_copy(update={"words": False}))
    torch.testing.assert_close(deep(tokens), deep(other_end))
    torch.testing.assert_close(deep(tokens), model(BERT)(tokens[:, :4]))


def test_words_say_nothing_before_they_learn_and_have_a_rate_of_their_own() -> None:
    network = model(WIDE)
    tokens = torch.tensor([[7, 8, 9, 5, 6, 4]])
    torch.testing.assert_close(network(tokens), model(WIDE.model_copy(update={"words": False}))(tokens))
    rates = load_pretrained(network, TransferParams(layer_decay=0.5, rates={"words.*": 1000.0}), bert, None).rates
    assert rates["words.weights.weight"] == 1000.0
    assert rates["head.weight"] == 1.0
    assert rates["encoder.encoder.layer.1.output.dense.weight"] == 0.5


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
    found = load_pretrained(target, settings, bert, foreign)
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
    found = load_pretrained(target, TransferParams(weights="own", layer_decay=0.5), bert, source.state_dict())
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in target.state_dict().items())
    assert found.rates["head.weight"] == 1.0


def test_texts_that_are_too_long_and_widths_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.positions is 24"):
        build_model(BERT, signature(length=25))
    with pytest.raises(UserError, match=r"have up to 25 tokens"):
        build_model(BERT.model_copy(update={"reads": 25}), signature(length=26))
    build_model(WIDE, signature(length=1000))
    with pytest.raises(UserError, match="cannot be shared by 3 heads"):
        build_model(BERT.model_copy(update={"heads": 3}), signature())


def test_words_are_weighed_in_fp32_under_autocast() -> None:
    words = wide().get_submodule("words")
    tokens = torch.randint(1, 50, (4, 40))
    with torch.autocast("cpu", torch.bfloat16):
        inside = words(tokens)
    assert torch.equal(inside, words(tokens))
