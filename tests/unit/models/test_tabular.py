"""The network for tables: shapes, what the embeddings see, an ensemble whose members differ, learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from samebits.base.errors import UserError
from samebits.models import build_model
from samebits.models.tabular import Periodic, Piecewise, Settings
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.signature.table import CategoryColumn, NumberColumn, TableInputs

SMALL: dict[str, Any] = {"name": "tabular", "embedding": 4, "width": 16, "members": 3, "frequencies": 5}
NUMBER = NumberTarget(name="y", mean=5.0, std=2.0)
CLASS = ClassTarget(classes=["a", "b", "c"])


def inputs(numbers: int = 2, categories: int = 1, edges: int = 8) -> TableInputs:
    quantiles = np.linspace(-2, 2, edges + 1).tolist()
    return TableInputs(
        columns=[
            *(
                NumberColumn(name=f"n{k}", mean=0.0, std=1.0, fill=0.0, missing=k == 0, edges=quantiles)
                for k in range(numbers)
            ),
            *(CategoryColumn(name=f"c{k}", values=["x", "y"]) for k in range(categories)),
        ]
    )


def rows(table: TableInputs, n: int = 6) -> torch.Tensor:
    """Preprocessed rows: numbers, one flag, codes."""
    numbers = torch.randn(n, len(table.numbers))
    flags = torch.zeros(n, sum(column.missing for _, column in table.numbers))
    return torch.cat([numbers, flags, torch.randint(0, 3, (n, len(table.categories))).float()], dim=1)


@pytest.mark.parametrize("kind", ["piecewise", "periodic", "plain"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("shape", [(2, 1), (3, 0), (0, 2)])
def test_shapes(kind: str, members: int, shape: tuple[int, int]) -> None:
    table = inputs(*shape)
    for target, ends in ((NUMBER, ()), (CLASS, (3,))):
        model = build_model(
            Settings(**SMALL | {"numbers": kind, "members": members}), Signature(inputs=table, target=target)
        )
        given = rows(table)
        assert model.train()(given).shape == (6, members, *ends)
        assert model.eval()(given).shape == (6, *ends)


@pytest.mark.parametrize("target", [NUMBER, CLASS])
def test_the_answer_is_the_mean_of_the_members(target: Any) -> None:
    torch.manual_seed(1)
    table = inputs()
    model = build_model(Settings(**SMALL | {"dropout": 0.0}), Signature(inputs=table, target=target))
    given = rows(table)
    members, answer = model.train()(given), model.eval()(given)
    if target is NUMBER:
        torch.testing.assert_close(answer, members.mean(dim=1))
    else:
        torch.testing.assert_close(torch.softmax(answer, dim=1), torch.softmax(members, dim=2).mean(dim=1))
    assert members.std(dim=1).min() > 0


def test_piecewise_shares_of_the_intervals() -> None:
    """1 for the intervals passed, a share of the one it lies in, 0 ahead; saturated beyond the extremes."""
    column = NumberColumn(name="n", mean=10.0, std=2.0, fill=0.0, edges=[6.0, 8.0, 12.0])
    constant = NumberColumn(name="m", mean=0.0, std=0.0, fill=0.0)
    layer = Piecewise([column, constant], size=2)
    layer.linear.weight.data = torch.eye(2).repeat(2, 1, 1)
    layer.linear.bias.data.zero_()
    values = torch.tensor([5.0, 6.0, 7.0, 8.0, 9.0, 12.0, 99.0])
    given = torch.stack([(values - 10.0) / 2.0, torch.ones(7)], dim=1)
    found = layer(given)
    expected = [[0, 0], [0, 0], [0.5, 0], [1, 0], [1, 0.25], [1, 1], [1, 1]]
    torch.testing.assert_close(found[:, 0], torch.tensor(expected))
    assert not found[:, 1].any()


def test_periodic_frequencies_are_learnt_from_their_scale() -> None:
    torch.manual_seed(0)
    layer = Periodic(3, size=2, frequencies=1000, scale=0.5)
    assert layer.frequencies.std().item() == pytest.approx(0.5, rel=0.1)
    layer(torch.randn(4, 3)).sum().backward()
    assert layer.frequencies.grad is not None


def test_it_takes_tables_alone() -> None:
    images = Signature(inputs=ImageInputs(shape=[1, 8, 8], mean=[0.5], std=[0.5]), target=CLASS)
    with pytest.raises(UserError, match="takes rows of a table"):
        build_model(Settings(**SMALL), images)


@pytest.mark.parametrize(
    "setting", [{"width": 8}, {"layers": 3}, {"embedding": 8}, {"members": 2}, {"numbers": "plain"}]
)
def test_settings_change_the_model(setting: dict[str, Any]) -> None:
    signature = Signature(inputs=inputs(), target=NUMBER)

    def size(settings: dict[str, Any]) -> int:
        return sum(each.numel() for each in build_model(Settings(**settings), signature).parameters())

    assert size(SMALL | setting) != size(SMALL)


def test_dropout_is_off_when_it_answers() -> None:
    model = build_model(Settings(**SMALL | {"dropout": 0.9}), Signature(inputs=inputs(), target=NUMBER))
    given = rows(inputs())
    assert not torch.equal(model.train()(given), model(given))
    assert torch.equal(model.eval()(given), model(given))
