"""Encoders of transformers beside BERT: the library's own numbers, what config.json must say, layers and heads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from samebits.base.errors import UserError
from samebits.models import build_model, encoder, settled_settings, tokens_read
from samebits.params.transfer import TransferParams
from samebits.training.pretrained.load import load_pretrained, read_weights
from tests.helpers.backbones import CONFIGS, encoder_settings, texts

torch.set_num_threads(1)

FAMILIES = list(CONFIGS)


def saved(family: str, folder: Path, **config: Any) -> nn.Module:
    """A random masked language model of the family, as its library saves it; the encoder inside."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(1)
    values = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None}
    made = AutoConfig.for_model(family, vocab_size=50, pad_token_id=1, **values, **CONFIGS[family], **config)
    model: Any = AutoModelForMaskedLM.from_config(made, attn_implementation="eager")
    with torch.no_grad():
        for each in model.parameters():
            each.add_(0.05 * torch.randn(each.shape))
    model.eval().save_pretrained(folder)
    inside: nn.Module = model.base_model
    return inside


def loaded(family: str, folder: Path, **transfer: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    network: Any = build_model(encoder_settings(family), texts()).eval()
    weights = read_weights(folder / "model.safetensors")
    return network, load_pretrained(network, TransferParams(weights="x", **transfer), encoder, weights)


@pytest.mark.parametrize("family", FAMILIES)
def test_loaded_weights_give_the_librarys_own_numbers(family: str, tmp_path: Path) -> None:
    theirs = saved(family, tmp_path)
    network, made = loaded(family, tmp_path, layer_decay=0.5, head_lr=4.0, freeze=["encoder.embeddings.*"])
    text = "\n".join(made.report)
    assert "new, not in the file: head.weight, head.bias" in text
    assert "not used" not in text
    tokens = torch.randint(2, 50, (3, 12))
    tokens[0, 2:], tokens[1, 9:] = 1, 1
    used = (tokens != 1).long()
    with torch.inference_mode():
        states = theirs(input_ids=tokens, attention_mask=used).last_hidden_state
        wanted = (states * used[:, :, None]).sum(1) / used.sum(1, keepdim=True)
        torch.testing.assert_close(network(tokens), network.head(wanted))
        # Padding changes nothing.
        torch.testing.assert_close(network(tokens[:1, :2]), network(tokens[:1]))
    # The head is new; each block has half the rate of the one above; embeddings are frozen.
    assert made.rates["head.weight"] == 4.0
    layers = {int(found[1]): rate for name, rate in made.rates.items() if (found := re.search(r"layers?\.(\d+)", name))}
    assert [layers[k] for k in sorted(layers)] == [0.5 ** (len(layers) - k) for k in sorted(layers)]
    assert not any(name.startswith("encoder.embeddings.") for name in made.rates)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_config_says_is_told_as_lines_that_can_be_pasted(family: str, tmp_path: Path) -> None:
    saved(family, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    bare = encoder.Settings(name="encoder", family=family)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="differ; in its config") as caught:
        encoder.require_config(config, bare, texts(), "x")
    found = yaml.safe_load(caught.value.fix.removeprefix("set model.config: "))
    assert set(found) <= {*CONFIGS[family], "layer_types"}
    encoder.require_config(config, bare.model_copy(update={"config": found}), texts(), "x")
    encoder.require_config(config, encoder_settings(family), texts(), "x")


def test_a_number_of_attention_heads_is_compared(tmp_path: Path) -> None:
    saved("roberta", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | {"num_attention_heads": 4}
    with pytest.raises(UserError, match=r"num_attention_heads is 4, of model\.config it is 2"):
        encoder.require_config(config, encoder_settings("roberta"), texts(), "x")


@pytest.mark.parametrize(
    ("changes", "message", "fix"),
    [
        ({"model_type": "distilbert"}, "is 'distilbert', model.family is roberta", "set model.family: distilbert"),
        ({"model_type": "bert"}, "is 'bert'", "set model.name: bert"),
        ({"model_type": "t5"}, "is 't5'", "name weights of deberta-v2, distilbert"),
        ({"is_decoder": True}, "is_decoder is true", "set model.family"),
        ({"vocab_size": 40}, "vocab_size is 40, the data have 50 tokens", "data.text.tokenizer"),
        ({"vocab_size": 64}, "vocab_size is 64, of model.config it is 50", '"?vocab_size"?: 64'),
        ({"pad_token_id": 0}, "pad_token_id is 0, the data's padding token is 1", "data.text.tokenizer"),
        ({"hidden_size": "a"}, "does not describe a roberta", "replace it"),
    ],
)
def test_other_weights_are_refused(changes: dict[str, Any], message: str, fix: str, tmp_path: Path) -> None:
    saved("roberta", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text()) | changes
    with pytest.raises(UserError, match=message) as caught:
        encoder.require_config(config, encoder_settings("roberta"), texts(), "x")
    assert re.search(fix, caught.value.fix)


def test_rows_of_tokens_that_no_text_has_are_taken_over() -> None:
    """The weights of DeBERTa-v3 have more rows than their tokenizer has tokens."""
    settings = encoder_settings("deberta-v2")
    settings = settings.model_copy(update={"config": {**settings.config, "vocab_size": 64}})
    network: Any = build_model(settings, texts())
    assert network.encoder.embeddings.word_embeddings.weight.shape == (64, 16)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_keeps_the_whole_architecture(family: str) -> None:
    settings: Any = settled_settings(encoder_settings(family), texts())
    again = encoder.Settings.model_validate(json.loads(settings.model_dump_json()))
    assert again.config == settings.config
    assert settled_settings(again, texts()) == again
    assert {"vocab_size", "num_hidden_layers" if family != "distilbert" else "n_layers"} <= set(again.config)
    torch.manual_seed(0)
    first = build_model(encoder_settings(family), texts()).eval()
    torch.manual_seed(0)
    second = build_model(again, texts()).eval()
    tokens = torch.randint(2, 50, (2, 7))
    assert torch.equal(first(tokens), second(tokens))


@pytest.mark.parametrize(
    ("config", "message", "fix"),
    [
        ({"num_hiden_layers": 2}, "model.config.num_hiden_layers is no key", "did you mean num_hidden_layers"),
        ({"id2label": {}}, "model.config.id2label is no key", "it has"),
        ({"pad_token_id": 3}, "model.config.pad_token_id is no key", "it has"),
        ({"hidden_size": "wide"}, "takes no roberta of model.config", "mend model.config"),
        ({"hidden_size": 10, "num_attention_heads": 3}, "takes no roberta of model.config", "mend model.config"),
        ({"hidden_act": "none at all"}, "takes no roberta of model.config", "mend model.config"),
        ({"vocab_size": 20}, "vocab_size is 20, the data have 50 tokens", "data.text.tokenizer"),
        ({"max_position_embeddings": 13}, "up to 12 tokens, the roberta has positions for 11", "model.reads to 11"),
    ],
)
def test_a_config_that_does_not_fit(config: dict[str, Any], message: str, fix: str) -> None:
    settings = encoder_settings("roberta")
    with pytest.raises(UserError, match=message) as caught:
        build_model(settings.model_copy(update={"config": {**settings.config, **config}}), texts())
    assert fix in caught.value.fix


def test_roberta_needs_a_padding_token_and_reads_the_beginning() -> None:
    with pytest.raises(UserError, match="counts positions from the padding token on"):
        build_model(encoder_settings("roberta"), texts(pad=None))
    short = encoder_settings("roberta", reads=4)
    assert tokens_read(short, texts()) == 4
    network = build_model(short, texts()).eval()
    tokens = torch.randint(2, 50, (2, 12))
    assert torch.equal(network(tokens), network(tokens[:, :4]))


def test_skipped_weights_are_refused_with_their_names(tmp_path: Path) -> None:
    saved("roberta", tmp_path)
    weights = read_weights(tmp_path / "model.safetensors")
    del weights["roberta.encoder.layer.1.output.dense.weight"]
    weights["roberta.encoder.layer.2.output.dense.bias"] = torch.zeros(16)
    weights["roberta.embeddings.position_embeddings.weight"] = torch.zeros(5, 16)
    network = build_model(encoder_settings("roberta"), texts())
    before = network.state_dict()["encoder.embeddings.word_embeddings.weight"].clone()
    with pytest.raises(UserError) as caught:
        load_pretrained(network, TransferParams(weights="x"), encoder, weights)
    assert caught.value.problem.splitlines() == [
        "x is not of this model; apart from the layers that may differ (head, words)",
        "  of another shape: encoder.embeddings.position_embeddings.weight 5x16 -> 24x16",
        "  not in the file: encoder.encoder.layer.1.output.dense.weight",
        "  not in the model: encoder.encoder.layer.2.output.dense.bias",
    ]
    assert torch.equal(network.state_dict()["encoder.embeddings.word_embeddings.weight"], before)
