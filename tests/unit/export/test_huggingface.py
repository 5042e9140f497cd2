"""The Hugging Face layout: what `from_pretrained` makes of it answers as the model does, from raw texts on, or it is
refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from samebits.base.errors import UserError
from samebits.base.extras import missing_extra
from samebits.base.files import read_json
from samebits.checkpoints.serving import GeneratingModel, ServingModel, build_serving
from samebits.export import huggingface
from samebits.export.export import export
from samebits.export.huggingface_card import readme
from samebits.export.huggingface_tokenizer import AWKWARD
from samebits.models import bert, build_model, embedding_bag, encoder, gpt, settled_settings
from samebits.params.export import ExportParams
from samebits.params.section import Section
from samebits.signature.classes import ClassTarget
from samebits.signature.labels import LabelsTarget
from samebits.signature.next_token import NextTokenTarget
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.tags import TagsTarget
from samebits.signature.tokens import TOKENIZER
from samebits.signature.vector import VectorTarget
from samebits.tasks import build_task, classification, language_model, multilabel, regression, token_classification
from tests.helpers.backbones import CONFIGS
from tests.helpers.text_project import make_running_text_context, make_text_context, save_untrained
from tests.helpers.tokenizer import fit

torch.set_num_threads(1)

LENGTH = 20
TASKS: dict[str, tuple[Any, Section]] = {
    "class": (ClassTarget(classes=["a", "b", "c"]), classification.Settings(name="classification")),
    "labels": (LabelsTarget(classes=["a", "b", "c"]), multilabel.Settings(name="multilabel")),
    "number": (NumberTarget(name="year", mean=1900.0, std=60.0), regression.Settings(name="regression")),
    "vector": (VectorTarget(name="y", mean=[1.0, 9.0], std=[0.1, 5.0]), regression.Settings(name="regression")),
    "tags": (
        TagsTarget(classes=["O", "B-X", "I-X"], length=LENGTH),
        token_classification.Settings(name="token_classification"),
    ),
    "next": (NextTokenTarget(), language_model.Settings(name="language_model")),
}
BERT = bert.Settings(name="bert", layers=1, width=16, heads=2, hidden=32, positions=LENGTH, pooling="cls", head="dense")
GPT = gpt.Settings(name="gpt", layers=2, heads=2, width=16)


def family(name: Any, **changes: Any) -> encoder.Settings:
    values = {"pooling": "cls", "head": "dense", **changes}
    return encoder.Settings(name="encoder", family=name, config=CONFIGS[name], **values)


def served(
    settings: Section, task: str, folder: Path, temperature: float = 1.0, **tokens: Any
) -> tuple[ServingModel, dict[str, Any]]:
    """A random model with its tokenizer in the folder, and the metadata of its export."""
    fitted = fit(length=LENGTH)
    (folder / TOKENIZER).write_bytes(fitted.json)
    inputs = fitted.inputs(None).model_copy(update=tokens)
    target, task_settings = TASKS[task]
    signature = Signature(inputs=inputs, target=target)
    settings = settled_settings(settings, signature)
    torch.manual_seed(0)
    network = build_model(settings, signature)
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.3 * torch.randn(each.shape))
    serving = build_serving(network, build_task(task_settings, signature), signature, temperature)
    model = {**settings.model_dump(), "step": 1, "epoch": 1, "weights_sha256": "0" * 64}
    return serving, {"model": model, "task": task_settings.model_dump()["name"]}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("settings", "task", "architecture"),
    [
        pytest.param(BERT, "class", "BertForSequenceClassification", id="bert"),
        pytest.param(family("roberta"), "labels", "RobertaForSequenceClassification", id="roberta", marks=SLOW),
        pytest.param(family("xlm-roberta"), "class", "XLMRobertaForSequenceClassification", id="xlm", marks=SLOW),
        pytest.param(family("deberta-v2"), "number", "DebertaV2ForSequenceClassification", id="deberta"),
        pytest.param(family("distilbert"), "vector", "DistilBertForSequenceClassification", id="distil", marks=SLOW),
        pytest.param(
            family("modernbert", pooling="mean"), "class", "ModernBertForSequenceClassification", id="modernbert"
        ),
        pytest.param(family("modernbert"), "tags", "ModernBertForTokenClassification", id="modern-tags", marks=SLOW),
        pytest.param(family("roberta", head="linear"), "tags", "RobertaForTokenClassification", id="tags"),
    ],
)
def test_the_library_answers_raw_texts_as_the_model_does(
    settings: Section, task: str, architecture: str, tmp_path: Path
) -> None:
    import transformers

    if getattr(settings, "family", "") in {"roberta", "xlm-roberta"}:
        config = {**CONFIGS[settings.family], "max_position_embeddings": 2 * LENGTH}  # type: ignore[attr-defined]
        settings = settings.model_copy(update={"config": config})
    # Numbers have no temperature.
    serving, metadata = served(settings, task, tmp_path, temperature=1.0 if task in {"number", "vector"} else 1.7)
    path = tmp_path / huggingface.FILE
    assert huggingface.export(serving, torch.empty(0), path, metadata) == {"architecture": architecture}
    texts: list[Any] = [text.split() for text in AWKWARD] if task == "tags" else list(AWKWARD)
    rows = Tokenizer.from_file(str(tmp_path / TOKENIZER)).encode_batch(texts, is_pretokenized=task == "tags")
    with torch.inference_mode():
        wanted = serving(torch.tensor([row.ids for row in rows], dtype=torch.int32))
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path)
    model = getattr(transformers, architecture).from_pretrained(path)
    given = tokenizer(texts, truncation=True, padding=True, is_split_into_words=task == "tags", return_tensors="pt")
    with torch.inference_mode():
        logits = model(**given).logits
    answers = {"labels": logits.sigmoid(), "number": logits.squeeze(-1), "vector": logits}.get(task, logits.softmax(-1))
    used: Any = slice(None)
    if task == "tags":
        used, wanted = given["attention_mask"].bool(), wanted[:, : answers.shape[1]]
    torch.testing.assert_close(answers[used], wanted[used], atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(
        huggingface.load(path)(given["input_ids"].int().numpy())[used], answers[used], atol=2e-5, rtol=2e-5
    )
    names = {"number": ["year"], "vector": ["y[0]", "y[1]"]}.get(task, list(serving.target.labels))
    if task != "vector":
        assert model.config.id2label == dict(enumerate(names))
    assert len(model.config.label2id) == serving.signature.outputs
    assert tokenizer.model_max_length == LENGTH


@pytest.mark.parametrize(("mlp", "tied"), [("relu2", True), pytest.param("swiglu", False, marks=SLOW)])
def test_a_gpt_is_the_librarys_with_and_without_its_cache(mlp: Any, tied: bool, tmp_path: Path) -> None:
    serving, metadata = served(GPT.model_copy(update={"mlp": mlp, "tied": tied}), "next", tmp_path, pad=None)
    assert isinstance(serving, GeneratingModel)
    path = tmp_path / huggingface.FILE
    huggingface.export(serving, torch.empty(0), path, metadata)
    run = huggingface.load_all(path)
    tokens = torch.randint(0, serving.signature.outputs, (3, LENGTH), dtype=torch.int32)
    empty = serving.cache(3)
    with torch.inference_mode():
        whole, keys, values = serving(tokens[:, :7], empty, empty)
        more, _, _ = serving(tokens[:, 7:], keys, values)
    found = run(tokens[:, :7].numpy(), empty.numpy(), empty.numpy())
    for theirs, ours in zip(found, (whole, keys, values), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=2e-5)
    np.testing.assert_allclose(run(tokens[:, 7:].numpy(), *found[1:])[0], more, atol=5e-5)


def wide(**changes: Any) -> bert.Settings:
    return BERT.model_copy(update=changes)


@pytest.mark.parametrize(
    ("settings", "task", "told", "fix"),
    [
        (
            wide(pooling="mean"),
            "class",
            "bert for sequence classification computes otherwise",
            "set model.pooling: cls and",
        ),
        (wide(head="linear", words=True), "class", "otherwise", "set model.head: dense, model.words: false and train"),
        (wide(reads=5), "class", "otherwise", "set model.reads: null and train again, or remove huggingface from"),
        (wide(), "tags", "bert for token classification computes otherwise", "set model.head: linear and"),
        (family("modernbert", head="linear"), "tags", "otherwise", "set model.head: dense and"),
        (embedding_bag.Settings(name="embedding_bag"), "class", "no class of transformers", "bert, encoder or gpt"),
    ],
)
def test_what_no_class_of_the_library_computes_is_refused(
    settings: Section, task: str, told: str, fix: str, tmp_path: Path
) -> None:
    serving, metadata = served(settings, task, tmp_path)
    with pytest.raises(UserError, match=told) as caught:
        huggingface.require(serving, metadata)
    assert fix in caught.value.fix
    with pytest.raises(UserError, match=told):
        huggingface.export(serving, torch.empty(0), tmp_path / huggingface.FILE, metadata)
    assert [path.name for path in tmp_path.iterdir()] == [TOKENIZER]


def test_the_card_tells_the_temperature(tmp_path: Path) -> None:
    serving, metadata = served(BERT, "class", tmp_path)
    dataset = {"title": "Pets", "licence": "CC0", "digest": "d"}
    for temperature, told in ((1.0, False), (1.7, True)):
        fitted = {"temperature": temperature, "samples": 1200}
        card = readme(
            "BertForSequenceClassification",
            serving.signature,
            {**metadata, "dataset": dataset, "calibration": fitted},
            {"accuracy": 0.5},
        )
        assert ("is divided by the temperature 1.7, fitted on 1,200 validation samples" in card) == told
        assert "50.00% of the test split" in card


def test_without_the_library_it_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving, metadata = served(GPT, "next", tmp_path, pad=None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError) as caught:
        huggingface.require(serving, metadata)
    told = missing_extra(caught.value)
    assert told is not None
    assert "export.formats: huggingface needs the package transformers" in told.problem


def test_a_task_of_ones_own_is_refused(tmp_path: Path) -> None:
    serving, metadata = served(BERT, "class", tmp_path)
    with pytest.raises(UserError, match="transformers knows no task own"):
        huggingface.require(serving, {**metadata, "task": "own"})


def test_padding_that_has_a_use_in_texts_is_refused(tmp_path: Path) -> None:
    """The model hides it wherever it stands, the library what was filled up alone."""
    serving, metadata = served(BERT, "class", tmp_path)
    raw = json.loads((tmp_path / TOKENIZER).read_text())
    [sep] = [each["id"] for each in raw["added_tokens"] if each["content"] == "[SEP]"]
    raw["padding"] |= {"pad_id": sep, "pad_token": "[SEP]"}
    (tmp_path / TOKENIZER).write_text(json.dumps(raw))
    inputs = serving.signature.tokens.model_copy(update={"pad": sep})
    serving.signature = serving.signature.model_copy(update={"inputs": inputs})
    with pytest.raises(UserError, match="does not read texts as the checkpoint does"):
        huggingface.export(serving, torch.empty(0), tmp_path / huggingface.FILE, metadata)


@pytest.fixture
def _short_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


@pytest.mark.usefixtures("_short_latencies")
def test_the_stage_writes_the_folder_beside_other_formats(tmp_path: Path) -> None:
    context = make_text_context(tmp_path)
    save_untrained(context, BERT.model_copy(update={"positions": 24}), {"name": "classification"})
    settings = ExportParams(formats=["huggingface"], batch_sizes=[7])
    export(settings, context=context)
    folder = context.project.exported
    files = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    files |= {"tokenizer_config.json", "special_tokens_map.json"}
    written = {path.name: path.read_bytes() for path in (folder / "huggingface").iterdir()}
    assert set(written) == files
    assert written["tokenizer.json"] == (folder / "tokenizer.json").read_bytes()
    entry = read_json(folder / "export.json")["formats"]["huggingface"]
    assert set(entry["files"]) == files
    assert entry["bytes"] == sum(map(len, written.values()))
    assert entry["within_tolerance"]
    card = written["README.md"].decode()
    assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: text-classification\n")
    score = read_json(folder / "export.json")["test"]["accuracy"]
    assert f"{score:.2%} of the test split" in card
    assert "is a folder for transformers" in (folder / "card.md").read_text()
    export(settings, context=context)
    assert {path.name: path.read_bytes() for path in (folder / "huggingface").iterdir()} == written


@pytest.mark.usefixtures("_short_latencies")
def test_a_weight_that_is_not_the_models_fails_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_running_text_context(tmp_path)
    save_untrained(context, GPT, {"name": "language_model"})
    found = gpt.in_transformers

    def wrong(*given: Any) -> Any:
        made = found(*given)
        made.config["rope_parameters"]["rope_theta"] = 100.0
        return made

    monkeypatch.setattr(gpt, "in_transformers", wrong)
    with pytest.raises(UserError, match="huggingface export is not the checkpoint's equal: a score differs"):
        export(ExportParams(formats=["huggingface"], batch_sizes=[7]), context=context)
    assert not context.project.exported.exists()
