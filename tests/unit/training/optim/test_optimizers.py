"""Optimisers from their section: the class, each setting, and what is decayed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn, optim

from samebits.models import tabular
from samebits.params.train import AdamParams, MuonParams, SGDParams
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.table import CategoryColumn, NumberColumn, TableInputs
from samebits.training.optim.optimizers import MuonWithAdamW, build_optimizer, set_learning_rate
from samebits.training.resume.state import TrainingState


def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_only_matrices_and_convolutions_decay(name: str) -> None:
    kind = SGDParams if name == "sgd" else AdamParams
    net = model()
    optimizer = build_optimizer(net, kind.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.3}))
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert decay == {id(each): 0.3 if each.ndim > 1 else 0.0 for each in net.parameters()}


def test_frozen_parameters_and_empty_groups_are_left_out() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    (group,) = build_optimizer(net, SGDParams(name="sgd", lr=0.1)).param_groups
    assert [id(each) for each in group["params"]] == [id(net.weight)]


SGD: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"lr": 0.5}, {"lr": 0.5, "momentum": 0.9, "nesterov": True}),
    ({"lr": 0.1, "momentum": 0.5, "nesterov": False}, {"momentum": 0.5, "nesterov": False}),
    ({"lr": 0.1, "momentum": 0.0, "nesterov": True}, {"momentum": 0.0, "nesterov": False}),  # torch refuses both
]


@pytest.mark.parametrize(("settings", "expected"), SGD)
def test_sgd(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    optimizer = build_optimizer(model(), SGDParams(name="sgd", **settings))
    assert type(optimizer) is optim.SGD
    for group in optimizer.param_groups:
        assert expected.items() <= group.items()
        assert group["fused"]


@pytest.mark.parametrize(("name", "kind"), [("adam", optim.Adam), ("adamw", optim.AdamW)])
def test_adam(name: Any, kind: type) -> None:
    settings = AdamParams(name=name, lr=0.2, beta1=0.8, beta2=0.95, eps=1e-5)
    optimizer = build_optimizer(model(), settings)
    assert type(optimizer) is kind
    for group in optimizer.param_groups:
        assert {"lr": 0.2, "betas": (0.8, 0.95), "eps": 1e-5, "fused": True}.items() <= group.items()


@pytest.mark.parametrize(("name", "moved"), [("adam", 7.9), ("adamw", 7.6)])
def test_decay_is_in_the_gradient_or_apart(name: str, moved: float) -> None:
    """From a gradient of 0, Adam's decay is scaled to one lr; AdamW takes lr * decay off the weight itself."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 8.0)
    optimizer = build_optimizer(net, AdamParams.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.5}))
    net.weight.grad = torch.zeros_like(net.weight)
    optimizer.step()
    assert net.weight.item() == pytest.approx(moved)


def test_the_learning_rate_is_that_of_every_group() -> None:
    optimizer = build_optimizer(model(), SGDParams(name="sgd", lr=0.1))
    set_learning_rate(optimizer, 0.025)
    assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.025]


class Words(nn.Module):
    """An embedding, a hidden layer, a normalisation, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.norm(self.hidden(self.embedding(tokens))))
        return scores


def words() -> Words:
    torch.manual_seed(0)
    return Words()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_embeddings_do_not_decay(name: str) -> None:
    net = words()
    kind = MuonParams if name == "muon" else AdamParams
    optimizer = build_optimizer(net, kind.model_validate({"name": name, "lr": 0.1, "weight_decay": 0.3}))
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    wanted = {name: 0.3 if name in ("hidden.weight", "head.weight") else 0.0 for name, _ in net.named_parameters()}
    assert {name: decay[id(each)] for name, each in net.named_parameters()} == wanted


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    net = words()
    settings = MuonParams(name="muon", lr=0.1, rest=0.5, momentum=0.8, beta1=0.7, beta2=0.9, eps=1e-5)
    optimizer = build_optimizer(net, settings)
    assert isinstance(optimizer, MuonWithAdamW)
    muon, adamw = optimizer.parts
    assert isinstance(muon, optim.Muon)
    assert [each is net.hidden.weight for group in muon.param_groups for each in group["params"]] == [True]
    assert all(group["momentum"] == 0.8 for group in muon.param_groups)
    assert {"betas": (0.7, 0.9), "eps": 1e-5}.items() <= adamw.param_groups[0].items()
    set_learning_rate(optimizer, 0.01)
    assert [group["lr"] for group in muon.param_groups] == pytest.approx([0.01])
    assert [group["lr"] for group in adamw.param_groups] == pytest.approx([0.005] * len(adamw.param_groups))


def step(net: Words, optimizer: optim.Optimizer) -> None:
    optimizer.zero_grad()
    tokens = torch.tensor([[1, 2, 3, 1]])
    nn.functional.cross_entropy(net(tokens).flatten(0, 1), torch.tensor([2, 3, 1, 2])).backward()
    optimizer.step()


def test_muon_goes_on_from_a_saved_state_as_if_nothing_had_been() -> None:
    settings = MuonParams(name="muon", lr=0.05)

    def state() -> TrainingState:
        net = words()
        return TrainingState(net, build_optimizer(net, settings), None, None)

    straight = state()
    for _ in range(6):
        step(straight.model, straight.optimizer)  # type: ignore[arg-type]
    first, second = state(), state()
    for _ in range(3):
        step(first.model, first.optimizer)  # type: ignore[arg-type]
    tensors = {name: value.clone() for name, value in first.tensors().items()}
    second.restore(tensors, first.counters())
    for _ in range(3):
        step(second.model, second.optimizer)  # type: ignore[arg-type]
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
        assert not torch.equal(value, words().state_dict()[name]), name


@pytest.mark.parametrize("keep", ["hidden", "rest"])
def test_muon_works_where_only_one_kind_of_parameter_is_trained(keep: str) -> None:
    net = words()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_((name == "hidden.weight") == (keep == "hidden"))
    optimizer = build_optimizer(net, MuonParams(name="muon", lr=0.05))
    assert isinstance(optimizer, MuonWithAdamW)
    assert len(optimizer.parts) == 1
    step(net, optimizer)


def split_by_decay(net: nn.Module) -> tuple[set[str], set[str]]:
    """Names of what decays and of what does not."""
    names = {id(each): name for name, each in net.named_parameters()}
    found: tuple[set[str], set[str]] = (set(), set())
    for group in build_optimizer(net, AdamParams(name="adamw", lr=0.1, weight_decay=0.3)).param_groups:
        found[group["weight_decay"] == 0.0].update(names[id(each)] for each in group["params"])
    return found


@pytest.mark.parametrize("numbers", ["piecewise", "periodic"])
def test_biases_and_scales_of_an_ensemble_do_not_decay_and_are_not_for_muon(numbers: str) -> None:
    columns = [NumberColumn(name="a", mean=0, std=1, fill=0, edges=[-1, 0, 1]), CategoryColumn(name="k", values=["x"])]
    signature = Signature(inputs=TableInputs(columns=columns), target=NumberTarget(name="y", mean=0, std=1))
    settings = tabular.Settings.model_validate({"name": "tabular", "width": 8, "members": 4, "numbers": numbers})
    net = tabular.build(settings, signature)
    assert split_by_decay(net)[0] == {"embed.linear.weight", "layers.0.weight", "layers.1.weight", "head.weight"}
    optimizer = build_optimizer(net, MuonParams(name="muon", lr=0.1))
    assert isinstance(optimizer, MuonWithAdamW)
    names = {id(each): name for name, each in net.named_parameters()}
    hidden = [names[id(each)] for group in optimizer.parts[0].param_groups for each in group["params"]]
    assert hidden == ["layers.0.weight", "layers.1.weight"]


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
def test_normalisations_of_several_axes_and_magnitudes_do_not_decay() -> None:
    weight_norm = nn.utils.parametrizations.weight_norm
    net = nn.ModuleDict(
        {
            "norm": nn.LayerNorm([3, 4]),
            "attend": nn.MultiheadAttention(4, 2, add_bias_kv=True),
            "conv": weight_norm(nn.Conv2d(1, 2, 3)),
            "linear": nn.utils.weight_norm(nn.Linear(4, 1)),
            "words": nn.Embedding(5, 4),
            "head": nn.Linear(4, 5, bias=False),
        }
    )
    net["head"].weight = net["words"].weight
    decayed, left = split_by_decay(net)
    weights = {"attend.in_proj_weight", "attend.out_proj.weight", "linear.weight_v"}
    assert decayed == weights | {"conv.parametrizations.weight.original1"}
    assert {"norm.weight", "attend.bias_k", "linear.weight_g", "words.weight"} <= left
