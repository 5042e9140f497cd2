"""Finding weights: one's own file, a card, a folder of save_pretrained, a model of a hub; what config.json must say."""

from __future__ import annotations

import json
import shutil
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.paths import Project
from samebits.base.signals import StopRequest
from samebits.data.fetching import http
from samebits.data.loading.prepared import read_info
from samebits.data.preparation.prepare import prepare
from samebits.models import bert, build_model, convnet, encoder, timm
from samebits.params.augment import AugmentParams
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from samebits.params.train import TrainParams
from samebits.params.transfer import TransferParams
from samebits.signature.classes import ClassTarget
from samebits.signature.signature import Signature
from samebits.signature.tokens import TokenInputs
from samebits.tasks.classification import Settings as TaskSettings
from samebits.tracking.journal.tracker import NullTracker
from samebits.training.pretrained.find import find_weights
from samebits.training.pretrained.load import load_pretrained, read_weights
from samebits.training.train import train
from tests.helpers.backbones import NEEDS_TIMM, VIT, encoder_settings, vit
from tests.helpers.http_site import Site, serve
from tests.helpers.image_project import FakeContext
from tests.helpers.signatures import images
from tests.helpers.texts import SAMPLES

CATALOG = Path(__file__).parents[4] / "data" / "catalog"
PLAIN = types.ModuleType("plain")
BERT = bert.Settings(name="bert", layers=2, width=16, heads=2, hidden=32, positions=24)
TINY = "data/raw/tiny"
HUB, COMMIT = "acme/tiny", "0a" * 20


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEBITS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(http, "_PAUSE_SECONDS", 0.0)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "SAMEBITS_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def context(tmp_path: Path) -> Any:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog").symlink_to(CATALOG)
    (tmp_path / "data" / "raw").mkdir()
    save_file({"a": torch.zeros(2)}, tmp_path / "data/raw/net.safetensors")
    said: list[str] = []
    return FakeContext(
        name="stage",
        project=Project(tmp_path, tmp_path),
        runtime=RuntimeParams(device="cpu", workers=0, progress="off"),
        tracker=NullTracker(),
        stop=StopRequest(),
        say=said.append,
        said=said,
    )


def signature(vocabulary: int = 50) -> Signature:
    inputs = TokenInputs(length=12, vocabulary=vocabulary, pad=0, tokenizer_sha256="0" * 64)
    return Signature(inputs=inputs, target=ClassTarget(classes=["a", "b", "c"]))


def find(context: Any, module: Any = PLAIN, model: Any = None, **settings: Any) -> Path | None:
    model = model or convnet.Settings(name="convnet")
    return find_weights(TransferParams(**settings), model, module, signature(), context)


def find_bert(context: Any, **settings: Any) -> Path | None:
    return find(context, bert, BERT, **settings)


# A file of one's own, a card.


def test_no_weights(context: Any) -> None:
    assert find(context) is None
    # To compare with random ones, what else stands in the section need not go.
    assert find(context, revision=COMMIT, sha256="0" * 64) is None


def test_a_file_of_ones_own_is_pinned(context: Any, tmp_path: Path) -> None:
    name = "data/raw/net.safetensors"
    digest = sha256_file(tmp_path / name)
    with pytest.raises(UserError, match="does not pin it") as caught:
        find(context, weights=name)
    assert f"transfer.sha256: {digest}" in caught.value.fix
    path = find(context, weights=name, sha256=digest)
    assert path == tmp_path / name
    assert set(read_weights(path)) == {"a"}


def _folder(tmp_path: Path) -> None:
    (tmp_path / "data/raw/other.safetensors").mkdir()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another file": ({"weights": "data/raw/net.safetensors", "sha256": "0" * 64}, "has sha256 .* names 0{64}"),
    "missing file": ({"weights": "data/raw/gone.safetensors"}, "does not exist"),
    "a folder": ({"weights": "data/raw/other.safetensors"}, "does not exist"),
    "unknown card": ({"weights": "minilmm"}, "is no card"),
    "card of data": ({"weights": "mnist"}, "card of data, not of weights"),
    "card without a hash": ({"weights": "minilm"}, "does not pin it"),
    "card, another hash": ({"weights": "minilm", "sha256": "0" * 64}, "names 0{64}"),
    "no published weights": ({"weights": "imagenet"}, "no published weights for the model convnet"),
    "a folder, no bert": ({"weights": TINY}, "which the model convnet cannot be held against"),
    "a hub's, no bert": ({"weights": HUB, "revision": COMMIT}, "which the model convnet cannot be held against"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_weights_that_cannot_be_had(case: str, context: Any, tmp_path: Path) -> None:
    _folder(tmp_path)
    settings, message = BAD[case]
    with pytest.raises(UserError, match=message):
        find(context, **settings)


def test_imagenet_without_a_network(context: Any) -> None:
    module = types.ModuleType("published")
    module.published = lambda _: ("http://127.0.0.1:9/net-00000000.pth", "0" * 8, 10)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"could not be had: 127\.0\.0\.1 cannot be reached"):
        find(context, module, weights="imagenet")
    with pytest.raises(UserError, match="does not begin with 00000000"):
        find(context, module, weights="imagenet", sha256="1" * 64)


# A folder as save_pretrained writes it.


def save_bert(folder: Path, vocabulary: int = 50) -> nn.Module:
    """A small random BertModel, saved by its own library."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=24,
    )
    model: nn.Module = BertModel(config).eval()
    model.save_pretrained(folder)  # type: ignore[operator]
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    folder = tmp_path_factory.mktemp("saved")
    return folder, save_bert(folder)


@pytest.fixture
def tiny(saved: tuple[Path, nn.Module], context: Any) -> Path:
    """It, as a folder of this test's own."""
    return Path(shutil.copytree(saved[0], context.project.workspace / TINY))


def edit(folder: Path, **changes: Any) -> None:
    """Set keys of its config.json; None removes one."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def test_a_folder_gives_the_encoder_that_its_library_computes(
    context: Any, tiny: Path, saved: tuple[Path, nn.Module]
) -> None:
    with pytest.raises(UserError, match="does not pin it") as caught:
        find_bert(context, weights=TINY)
    digest = sha256_file(tiny / "model.safetensors")
    assert f"transfer.sha256: {digest}" in caught.value.fix
    path = find_bert(context, weights=TINY, sha256=digest)
    assert path == tiny / "model.safetensors"
    torch.manual_seed(0)
    network: Any = build_model(BERT, signature()).eval()
    made = load_pretrained(network, TransferParams(weights=TINY, sha256=digest), bert, read_weights(path))
    assert "new, not in the file: head.weight, head.bias" in "\n".join(made.report)
    tokens = torch.randint(1, 50, (3, 12))
    with torch.inference_mode():
        wanted = saved[1](input_ids=tokens).last_hidden_state.mean(1)
        torch.testing.assert_close(network(tokens), network.head(wanted))


@pytest.mark.usefixtures("restored")
def test_the_stage_trains_from_a_folder(context: Any) -> None:
    root = context.project.workspace
    lines = ["text,label", *(f"{text},{label}" for text, label in SAMPLES)]
    (root / "data/raw/own.csv").write_text("\n".join(lines) + "\n")
    text = {"vocabulary": 400, "length": 16}
    data = {"source": "data/raw/own.csv", "format": "text_csv", "validation_fraction": 0.25, "test_fraction": 0.25}
    prepare(DataParams.model_validate({**data, "text": text}), context=context)
    save_bert(root / TINY, read_info(context.project.prepared).signature.tokens.vocabulary)
    settings = {"epochs": 1, "batch_size": 8, "threads": 1, "precision": "fp32"}
    optimizer = {"name": "adamw", "lr": 1e-3}
    transfer = TransferParams(weights=TINY, sha256=sha256_file(root / TINY / "model.safetensors"))

    def run(model: bert.Settings) -> None:
        train(
            0,
            "strict",
            TaskSettings(name="classification"),
            model,
            AugmentParams(),
            TrainParams.model_validate({**settings, "optimizer": optimizer}),
            transfer,
            context=context,
        )

    with pytest.raises(UserError, match=r"num_attention_heads is 2, model\.heads is 4"):
        run(BERT.model_copy(update={"heads": 4}))
    run(BERT)
    assert any(f"are from {TINY}" in line for line in context.said)
    assert (context.project.checkpoint / "model.safetensors").is_file()


SHAPE = {
    "num_hidden_layers": ("layers", 2),
    "hidden_size": ("width", 16),
    "num_attention_heads": ("heads", 2),
    "intermediate_size": ("hidden", 32),
    "max_position_embeddings": ("positions", 24),
    "type_vocab_size": ("token_types", 2),
}


@pytest.mark.parametrize("key", SHAPE)
def test_a_shape_that_is_not_the_models(key: str, context: Any, tiny: Path) -> None:
    name, ours = SHAPE[key]
    edit(tiny, **{key: 8})
    with pytest.raises(UserError, match=f"{key} is 8, model.{name} is {ours}") as caught:
        find_bert(context, weights=TINY)
    assert caught.value.fix == f"set model.{name}: 8"


def test_keys_that_a_config_leaves_out_have_the_librarys_defaults(context: Any, tiny: Path) -> None:
    edit(tiny, num_attention_heads=None, type_vocab_size=None, hidden_act=None)
    with pytest.raises(UserError, match=r"num_attention_heads is 12, model\.heads is 2") as caught:
        find_bert(context, weights=TINY)
    assert len(caught.value.problem.splitlines()) == 2


FIXED = {"hidden_act": "relu", "layer_norm_eps": 1e-5, "is_decoder": True, "position_embedding_type": "relative_key"}


@pytest.mark.parametrize("key", FIXED)
def test_what_is_no_setting_must_be_the_librarys_default(key: str, context: Any, tiny: Path) -> None:
    edit(tiny, **{key: FIXED[key]})
    with pytest.raises(UserError, match=f"{key} is {FIXED[key]!r}, bert computes with"):
        find_bert(context, weights=TINY)


def test_everything_that_differs_is_told_at_once(context: Any, tiny: Path) -> None:
    edit(tiny, num_hidden_layers=3, num_attention_heads=4, vocab_size=60, hidden_act="relu")
    with pytest.raises(UserError) as caught:
        find_bert(context, weights=TINY)
    assert caught.value.problem.splitlines() == [
        f"transfer.weights {TINY} and params.yaml differ; in its config.json",
        "  num_hidden_layers is 3, model.layers is 2",
        "  num_attention_heads is 4, model.heads is 2",
        "  vocab_size is 60, the data have 50 tokens",
        "  hidden_act is 'relu', bert computes with 'gelu'",
    ]
    assert caught.value.fix.startswith("set model.layers: 3, model.heads: 4; set data.text.tokenizer to")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "roberta"}, "'roberta'"),
        # Such as the config.json of a checkpoint of this project.
        ({"model_type": None, "hidden_size": None}, "None"),
    ],
)
def test_another_architecture(changes: dict[str, Any], named: str, context: Any, tiny: Path) -> None:
    edit(tiny, **changes)
    with pytest.raises(UserError, match=f"model_type of its config.json is {named}, and bert loads 'bert' alone"):
        find_bert(context, weights=TINY)


def test_a_config_of_before_model_types_is_berts(context: Any, tiny: Path) -> None:
    edit(tiny, model_type=None)
    assert find_bert(context, weights=TINY, sha256=sha256_file(tiny / "model.safetensors"))


@pytest.mark.parametrize(("content", "message"), [("{", "is not valid JSON"), ("[1]", "holds no keys")])
def test_a_damaged_config(content: str, message: str, context: Any, tiny: Path) -> None:
    (tiny / "config.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        find_bert(context, weights=TINY)
    assert caught.value.fix == "put the weights' own there"


def _rename(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json", "put it beside"),
    "pickled": (_rename("pytorch_model.bin"), "holds pickled weights, which may run code", "save_pretrained("),
    "in parts": (_rename("model-00001-of-00001.safetensors"), "weights in other files", "max_shard_size"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "holds no model.safetensors", "put what"),
    "nothing": (shutil.rmtree, "no .safetensors file and no folder below data/raw", "save_pretrained"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_lacks_something(case: str, context: Any, tiny: Path) -> None:
    damage, message, fix = BROKEN[case]
    damage(tiny)
    with pytest.raises(UserError, match=message) as caught:
        find_bert(context, weights=TINY)
    assert fix in caught.value.fix


@pytest.mark.parametrize("name", ["data/raw", "data/raw/../tiny", "data/raw/net.pth", "own/data/raw/tiny", "net.bin"])
def test_what_is_no_folder_below_data_raw(name: str, context: Any, tiny: Path) -> None:
    shutil.copytree(tiny, tiny.parents[1] / "tiny")
    (tiny.parent / "net.pth").touch()
    with pytest.raises(UserError, match=r"is no \.safetensors file and no folder below data/raw"):
        find_bert(context, weights=name)


def test_a_temporary_experiment_takes_the_folder_of_the_main_working_tree(
    context: Any, tiny: Path, tmp_path: Path
) -> None:
    context.project = Project(tmp_path / "temporary", tmp_path)
    digest = sha256_file(tiny / "model.safetensors")
    assert find_bert(context, weights=TINY, sha256=digest) == tiny / "model.safetensors"


def test_a_cards_config_is_held_against_the_model_too(context: Any, tiny: Path) -> None:
    catalog = context.project.catalog
    catalog.unlink()
    catalog.mkdir()
    edit(tiny, num_attention_heads=4)
    files = [
        {"name": name, "role": role, "sha256": sha256_file(tiny / name), "bytes": (tiny / name).stat().st_size}
        for name, role in (("model.safetensors", "model"), ("config.json", "config"))
    ]
    card = {"name": "tiny", "title": "Tiny", "licence": "CC0-1.0", "homepage": "https://example.org/"}
    card |= {"format": "weights", "files": files, "places": [{"kind": "folder", "path": str(tiny)}]}
    (catalog / "tiny.yaml").write_text(json.dumps(card))
    digest = sha256_file(tiny / "model.safetensors")
    with pytest.raises(UserError, match=r"transfer\.weights tiny and params.yaml differ"):
        find_bert(context, weights="tiny", sha256=digest)
    assert find(context, bert, BERT.model_copy(update={"heads": 4}), weights="tiny", sha256=digest)
    # A model that reads no config.json takes the tensors alone.
    assert find(context, weights="tiny", sha256=digest)


# Those of other models than BERT.


@NEEDS_TIMM
def test_a_folder_of_timms_weights(context: Any, tmp_path: Path) -> None:
    import timm as library

    folder, data = tmp_path / TINY, images((3, 32, 32), 3)
    folder.mkdir()
    net = library.create_model("vit_tiny_patch16_224", num_classes=7, **VIT)
    save_file(net.state_dict(), folder / "model.safetensors")
    weights = {"tag": "augreg_in21k_ft_in1k", "mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 32, 32]}
    (folder / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": weights}))
    settings = TransferParams(weights=TINY, sha256=sha256_file(folder / "model.safetensors"))
    path = find_weights(settings, vit(), timm, data, context)
    assert path == folder / "model.safetensors"
    network: Any = build_model(vit(), data)
    load_pretrained(network, settings, timm, read_weights(path))
    assert torch.equal(network.net.blocks[0].attn.qkv.weight, net.blocks[0].attn.qkv.weight)
    edit(folder, architecture="vit_small_patch16_224")
    with pytest.raises(UserError, match=r"is 'vit_small_patch16_224', model\.architecture is vit_tiny"):
        find_weights(settings, vit(), timm, data, context)


def test_a_bert_is_no_encoder_of_another_family(context: Any, tiny: Path) -> None:
    with pytest.raises(UserError, match=r"is 'bert', model\.family is roberta") as caught:
        find(context, encoder, encoder_settings("roberta"), weights=TINY)
    assert caught.value.fix == "set model.name: bert"


# A hub's model.


@pytest.fixture
def site(tiny: Path) -> Site:
    return Site({f"{HUB}/resolve/{COMMIT}/{path.name}": path.read_bytes() for path in tiny.iterdir()})


def test_a_hubs_model_is_fetched_once_and_pinned(
    context: Any, tiny: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256_file(tiny / "model.safetensors")
    hub = {"weights": HUB, "revision": COMMIT}
    with serve(site):
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}")
        with pytest.raises(UserError, match=f"{HUB}, and transfer.sha256 does not pin it") as caught:
            find_bert(context, **hub)
        assert caught.value.fix == f"set transfer.sha256: {digest}"
    assert [path.rpartition("/")[2] for path, _ in site.requests] == ["config.json", "model.safetensors"]
    # The server is gone.
    path = find_bert(context, **hub, sha256=digest)
    assert path is not None
    assert path.read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert sum("fetching" in line for line in context.said) == 2
    with pytest.raises(UserError, match="could not be had") as caught:
        find_bert(context, weights=HUB, revision="1b" * 20, sha256=digest)
    assert "into a folder below data/raw" in caught.value.fix


def test_weights_of_another_shape_are_not_fetched(context: Any, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(site):
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{site.port}")
        with pytest.raises(UserError, match=f"transfer.weights {HUB} and params.yaml differ"):
            find(context, bert, BERT.model_copy(update={"heads": 4}), weights=HUB, revision=COMMIT)
    assert len(site.requests) == 1
