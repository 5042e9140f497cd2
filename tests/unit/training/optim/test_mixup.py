"""Mixup and cutmix: what is mixed, in which share, and that the loss of shares is the share of losses."""

from __future__ import annotations

import pytest
import torch

from samebits.base.errors import UserError
from samebits.params.augment import AugmentParams
from samebits.signature.number import NumberTarget
from samebits.signature.signature import Signature
from samebits.tasks import build_task
from samebits.tasks.classification import Settings
from samebits.training.optim.mixup import mix, require_mixable
from tests.helpers.logits import IMAGES, LOGITS, SIGNATURE, TARGETS

LABELS = torch.arange(6) % 3


def numbered() -> torch.Tensor:
    """Images each of its own value: a share of two is told from the result."""
    return torch.arange(6, dtype=torch.float32).mul(10).reshape(6, 1, 1, 1).expand(6, 2, 8, 8).contiguous()


def test_off_changes_nothing() -> None:
    images = numbered()
    state = torch.get_rng_state()
    mixed, labels = mix(images, LABELS, 3, AugmentParams())
    assert mixed is images
    assert labels is LABELS
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("params", [AugmentParams(mixup=0.4), AugmentParams(cutmix=1.0)], ids=["mixup", "cutmix"])
@pytest.mark.parametrize("seed", range(5))
def test_images_and_labels_in_the_same_share(params: AugmentParams, seed: int) -> None:
    images = numbered()
    torch.manual_seed(seed)
    mixed, shares = mix(images, LABELS, 3, params)
    torch.manual_seed(seed)
    again, _ = mix(images, LABELS, 3, params)
    assert torch.equal(mixed, again)
    assert torch.equal(images, numbered())
    assert shares.sum(dim=1) == pytest.approx(torch.ones(6))
    means = mixed.mean(dim=(1, 2, 3))
    moved = means != images.mean(dim=(1, 2, 3))
    for row in torch.nonzero(moved).flatten().tolist():
        # Of 10 * i and 10 * j in shares s and 1 - s the mean is known: some j explains both image and label.
        fits = []
        for other in range(6):
            share = (means[row].item() - 10 * other) / (10 * row - 10 * other) if other != row else -1.0
            wanted = torch.zeros(3)
            wanted[LABELS[row]] += share
            wanted[LABELS[other]] += 1 - share
            fits.append(0 <= share <= 1 and torch.allclose(shares[row], wanted, atol=1e-5))
        assert any(fits)


def test_a_cut_is_a_rectangle_of_the_other_image() -> None:
    torch.manual_seed(1)
    mixed, _ = mix(numbered(), LABELS, 3, AugmentParams(cutmix=1.0))
    assert set(mixed.unique().tolist()) <= set(range(0, 60, 10))


def test_the_loss_of_shares() -> None:
    task = build_task(Settings(name="classification", label_smoothing=0.1), SIGNATURE)
    hard = task.loss(LOGITS, TARGETS)
    assert task.loss(LOGITS, torch.nn.functional.one_hot(TARGETS, 3).float()).item() == pytest.approx(hard.item())
    other = TARGETS.flip(0)
    both = 0.3 * torch.nn.functional.one_hot(TARGETS, 3) + 0.7 * torch.nn.functional.one_hot(other, 3)
    assert task.loss(LOGITS, both).item() == pytest.approx(0.3 * hard.item() + 0.7 * task.loss(LOGITS, other).item())


def test_only_images_of_classes() -> None:
    numbers = Signature(inputs=IMAGES, target=NumberTarget(name="y", mean=0.0, std=1.0))
    require_mixable(AugmentParams(), numbers)
    require_mixable(AugmentParams(mixup=0.2), SIGNATURE)
    with pytest.raises(UserError, match="are for images of classes"):
        require_mixable(AugmentParams(mixup=0.2), numbers)
