"""Transfer learning on a net of two blocks: what is taken over, what is frozen, which rate each parameter has."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from samebits.base.errors import UserError
from samebits.params.train import SGDParams
from samebits.params.transfer import TransferParams
from samebits.training.optim.optimizers import build_optimizer, set_learning_rate
from samebits.training.pretrained.load import load_pretrained, read_weights

PLAIN = types.ModuleType("plain")


def net(classes: int = 3) -> nn.Sequential:
    """Two blocks with normalisation and a head."""
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)),
        nn.Linear(8, classes),
    )


def layered() -> types.ModuleType:
    module = types.ModuleType("layered")
    module.depth = lambda name: int(name.split(".")[0])  # type: ignore[attr-defined]
    module.adapt = lambda weights: {k.removeprefix("net."): v for k, v in weights.items()}  # type: ignore[attr-defined]
    return module


def test_what_fits_is_taken_and_the_rest_is_reported() -> None:
    source, target = net(5), net(3)
    before = target.state_dict()["2.weight"].clone()
    weights = source.state_dict() | {"extra": torch.zeros(2)}
    del weights["1.1.bias"]
    made = load_pretrained(target, TransferParams(weights="x", head_lr=3.0), PLAIN, weights)
    after = target.state_dict()
    assert torch.equal(after["0.0.weight"], source.state_dict()["0.0.weight"])
    assert torch.equal(after["0.1.running_mean"], source.state_dict()["0.1.running_mean"])
    assert torch.equal(after["2.weight"], before)
    text = "\n".join(made.report)
    assert "13 of 16 tensors" in text
    assert "2.weight 5x8 -> 3x8" in text
    assert "not in the file: 1.1.bias" in text
    assert "not used: extra" in text
    assert {name for name, rate in made.rates.items() if rate == 3.0} == {"1.1.bias", "2.weight", "2.bias"}


def test_foreign_names_are_adapted() -> None:
    source, target = net(), net()
    load_pretrained(
        target, TransferParams(weights="x"), layered(), {f"net.{k}": v for k, v in source.state_dict().items()}
    )
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


def test_nothing_that_fits_is_an_error() -> None:
    with pytest.raises(UserError, match=r"no tensor of x fits the model: it has 0.0.weight.*the file has a.b"):
        load_pretrained(net(), TransferParams(weights="x"), PLAIN, {"a.b": torch.zeros(1)})
    # Statistics alone are no knowledge.
    with pytest.raises(UserError, match="no tensor of x fits"):
        load_pretrained(net(), TransferParams(weights="x"), PLAIN, {"0.1.running_mean": torch.zeros(4)})


def test_frozen_layers_do_not_move_nor_do_their_statistics() -> None:
    model = net()
    made = load_pretrained(model, TransferParams(freeze=["0.*"]), PLAIN, None)
    assert made.frozen == (model[0][1],)
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == {
        "0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"
    }  # fmt: skip
    assert set(made.rates) == {name for name, each in model.named_parameters() if each.requires_grad}
    # A layer of which a part is trained keeps its moving statistics.
    assert load_pretrained(net(), TransferParams(freeze=["0.1.weight"]), PLAIN, None).frozen == ()


@pytest.mark.parametrize(
    ("freeze", "message"), [(["9.*"], "no parameter is called 9"), (["*"], "leaves nothing to train")]
)
def test_wrong_patterns(freeze: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_pretrained(net(), TransferParams(freeze=freeze), PLAIN, None)


def test_rates_by_layer() -> None:
    made = load_pretrained(net(), TransferParams(layer_decay=0.5), layered(), None)
    assert {name: made.rates[name] for name in ("0.0.weight", "1.1.bias", "2.bias")} == {
        "0.0.weight": 0.25,
        "1.1.bias": 0.5,
        "2.bias": 1.0,
    }
    with pytest.raises(UserError, match="does not number its layers"):
        load_pretrained(net(), TransferParams(layer_decay=0.5), PLAIN, None)


def test_rates_by_name_go_before_those_of_layers_and_the_last_pattern_holds() -> None:
    settings = TransferParams(layer_decay=0.5, freeze=["0.1.*"], rates={"0.*": 3.0, "*.bias": 7.0})
    rates = load_pretrained(net(), settings, layered(), None).rates
    assert (rates["0.0.weight"], rates["2.bias"], rates["1.0.weight"]) == (3.0, 7.0, 0.5)
    assert "0.1.weight" not in rates
    with pytest.raises(UserError, match=r"transfer\.rates: no parameter is called 9\.\*"):
        load_pretrained(net(), TransferParams(rates={"9.*": 2.0}), PLAIN, None)


def test_the_optimiser_keeps_the_rates() -> None:
    model = net()
    made = load_pretrained(model, TransferParams(layer_decay=0.5, freeze=["0.0.*"]), layered(), None)
    optimizer = build_optimizer(model, SGDParams(name="sgd", lr=0.1, weight_decay=0.01), made.rates)
    set_learning_rate(optimizer, 0.4)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {
        names[id(each)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for each in group["params"]
    }
    assert found == {
        "0.1.weight": (0.1, 0.0),
        "0.1.bias": (0.1, 0.0),
        "1.0.weight": (0.2, 0.01),
        "1.0.bias": (0.2, 0.0),
        "1.1.weight": (0.2, 0.0),
        "1.1.bias": (0.2, 0.0),
        "2.weight": (0.4, 0.01),
        "2.bias": (0.4, 0.0),
    }


class _Runs:
    """Its pickle runs a function when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.marker,))


def test_no_code_runs_from_weights(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"a": _Runs(marker)}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="is no weights file"):
        read_weights(tmp_path / "bad.pth", torchs_own=True)
    assert not marker.exists()


@pytest.mark.parametrize("torchs_own", [False, True])
def test_damaged_weights(torchs_own: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad"
    for content in (b"", b"\x00" * 100, b"PK\x03\x04" + b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(UserError, match="is no weights file"):
            read_weights(path, torchs_own=torchs_own)


def test_a_state_dict_of_torch(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "net.pth")
    assert set(read_weights(tmp_path / "net.pth", torchs_own=True)) == set(net().state_dict())
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="something else than named tensors"):
        read_weights(tmp_path / "list.pth", torchs_own=True)
