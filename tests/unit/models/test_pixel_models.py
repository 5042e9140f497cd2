"""The MLP, the ResNets and a model of one's own: shapes, stems, layers, and what can be wrong with a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from samebits.base.errors import UserError
from samebits.models import build_model, efficientnet_lite0, mlp, own, resnet9
from samebits.models.layers import resnet
from samebits.params.transfer import TransferParams
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.table import NumberColumn, TableInputs
from samebits.training.pretrained.load import load_pretrained
from tests.helpers.signatures import images
from tests.helpers.workspace import ROOT

TABLE = Signature(
    inputs=TableInputs(columns=[NumberColumn(name="a", mean=0.0, std=1.0, fill=0.0)]),
    target=NumberTarget(name="y", mean=0.0, std=1.0),
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    "settings",
    [
        mlp.Settings(name="mlp", hidden=[]),
        mlp.Settings(name="mlp", hidden=[16, 8], dropout=0.5),
        resnet.Settings(name="resnet18"),
        resnet.Settings(name="resnet34", stem="small"),
        resnet.Settings(name="resnet50"),
        resnet9.Settings(name="resnet9", widths=[4, 8, 8, 16], dropout=0.1),
        efficientnet_lite0.Settings(name="efficientnet_lite0"),
        efficientnet_lite0.Settings(name="efficientnet_lite0", stem="small"),
    ],
    ids=lambda each: each.name,
)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 24), (5, 16, 64), (16, 40, 12)])
def test_logits(settings: Any, shape: tuple[int, int, int]) -> None:
    model = build_model(settings, images(shape, 5)).eval()
    assert model(torch.randn(2, *shape)).shape == (2, 5)
    with pytest.raises(UserError, match="the model takes images"):
        build_model(settings, TABLE)


def test_the_small_stem_keeps_the_pixels() -> None:
    seen: list[torch.Size] = []
    for stem in ("imagenet", "small"):
        model: Any = build_model(resnet.Settings(name="resnet18", stem=stem), images((3, 32, 32), 2)).eval()
        model.layer1.register_forward_hook(lambda _, inputs, output: seen.append(output.shape[2:]))
        model(torch.randn(1, 3, 32, 32))
    assert seen == [(8, 8), (32, 32)]


def test_resnet9_has_the_published_size_and_says_what_is_too_small() -> None:
    model = build_model(resnet9.Settings(name="resnet9", widths=[64, 128, 256, 512]), images((3, 32, 32), 10))
    assert sum(each.numel() for each in model.parameters()) == 6_573_130
    with pytest.raises(UserError, match="7x20 pixels are too small"):
        build_model(resnet9.Settings(name="resnet9"), images((1, 7, 20), 2))


def test_weights_of_another_head_and_grey_images() -> None:
    source = build_model(resnet.Settings(name="resnet18"), images((3, 32, 32), 7))
    target = build_model(resnet.Settings(name="resnet18"), images((1, 28, 28), 3))
    settings = TransferParams(weights="x", freeze=["layer1.*", "bn1.*"], layer_decay=0.5, head_lr=4.0)
    made = load_pretrained(target, settings, resnet, source.state_dict())
    assert {made.rates[name] for name in ("conv1.weight", "fc.weight", "fc.bias")} == {4.0}
    assert made.rates["layer4.0.conv1.weight"] == 0.5
    assert made.rates["layer2.0.conv1.weight"] == 0.125
    assert "layer1.0.conv1.weight" not in made.rates
    assert len(made.frozen) == 5  # bn1 and four of layer1
    assert torch.equal(target.state_dict()["layer4.1.bn2.running_var"], source.state_dict()["layer4.1.bn2.running_var"])


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_published_weights_are_named_by_their_hash(name: Any) -> None:
    url, digits, limit = resnet.published(resnet.Settings(name=name))
    assert url.endswith(f"-{digits}.pth")
    assert limit > 100 << 20


def test_depths_of_the_mlp() -> None:
    model = build_model(mlp.Settings(name="mlp", hidden=[8, 8]), images((1, 4, 4), 2))
    depths = {name: mlp.depth(name) for name, _ in model.named_parameters()}
    assert depths["hidden.0.weight"] < depths["hidden.3.bias"] < depths["head.weight"]


# A model of one's own.


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "custom", tmp_path / "custom", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example(project: Path) -> None:
    settings = own.Settings(name="own", arguments={"width": 8})
    model = build_model(settings, images((3, 20, 30), 4)).eval()
    assert model(torch.randn(2, 3, 20, 30)).shape == (2, 4)
    assert sum(each.numel() for each in model.parameters()) < sum(
        each.numel() for each in build_model(own.Settings(name="own"), images((3, 20, 30), 4)).parameters()
    )


MODULE = "from torch import nn\n"
BAD: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "no file": (None, {"file": "custom/gone.py"}, "does not exist"),
    "no class": (MODULE + "class Nett(nn.Module): pass", {}, "has no class Net"),
    "no module": ("class Net: pass", {}, "is no torch.nn.Module"),
    "a function": ("def Net(signature): pass", {}, "is no torch.nn.Module"),
    "syntax": ("class Net(:\n", {}, "cannot be loaded: SyntaxError"),
    "import": ("import not_there_at_all", {}, "cannot be loaded: ModuleNotFoundError.*line 1"),
    "unknown argument": (None, {"arguments": {"side": 3}}, "cannot be built: TypeError.*side"),
    "fails": (
        MODULE + "class Net(nn.Module):\n    def __init__(self, signature):\n        1 / 0",
        {},
        "ZeroDivisionError.*line 4",
    ),
    "no layers": (
        MODULE + "class Net(nn.Module):\n    def __init__(self, signature):\n        super().__init__()",
        {},
        "has no parameters",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_can_be_wrong_with_it(case: str, project: Path) -> None:
    text, settings, message = BAD[case]
    if text is not None:
        (project / "custom/example.py").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        build_model(own.Settings(name="own", **settings), images((1, 12, 12), 2))
    assert caught.value.fix


@pytest.mark.parametrize("file", ["/etc/x.py", "custom/../x.py", "x.py", "custom/x.txt", "custom/"])
def test_a_file_elsewhere_is_refused(file: str) -> None:
    with pytest.raises(ValidationError):
        own.Settings(name="own", file=file)


def test_it_is_a_plain_module(project: Path) -> None:
    assert isinstance(build_model(own.Settings(name="own"), images((1, 12, 12), 2)), nn.Module)
