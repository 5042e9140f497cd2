"""Mixup and cutmix: two images and their labels made into one.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; Yun et al., "CutMix", 2019. Random numbers come from
torch's generator of the CPU, which the loop seeds with (seed, step) before each forward pass.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from samebits.base.errors import UserError
from samebits.params.augment import AugmentParams
from samebits.signature.signature import Signature


def require_mixable(params: AugmentParams, signature: Signature) -> None:
    """Refuse to mix what cannot be mixed.

    Raises:
        UserError: if something is to be mixed that is no image of a class.
    """
    mixes = params.mixup or params.cutmix
    if mixes and not (signature.inputs.augments and signature.target.mixes):
        raise UserError(
            "augment.mixup and augment.cutmix are for images of classes", "set both to 0.0, or data.source to such data"
        )


def mix(images: Tensor, labels: Tensor, classes: int, params: AugmentParams) -> tuple[Tensor, Tensor]:
    """A batch mixed with itself in another order.

    Args:
        images: float [N, C, H, W], normalised.
        labels: int64 [N].

    Returns:
        images, and the share of each class, float32 [N, classes]; both as they are where nothing is switched on.
    """
    if not (params.mixup or params.cutmix):
        return images, labels
    cuts = params.cutmix > 0 and (params.mixup == 0 or torch.rand(()).item() < 0.5)
    alpha = params.cutmix if cuts else params.mixup
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    order = torch.randperm(len(images)).to(images.device)
    if cuts:
        images, share = _cut(images, images[order], share)
    else:
        images = share * images + (1.0 - share) * images[order]
    shares = functional.one_hot(labels, classes).float()
    return images, share * shares + (1.0 - share) * shares[order]


def _cut(images: Tensor, others: Tensor, share: float) -> tuple[Tensor, float]:
    """A rectangle of `others` in `images`, of 1 - share of the area where no edge cuts it; and the share that stays."""
    height, width = images.shape[2:]
    side = math.sqrt(1.0 - share)
    y, x = int(torch.randint(height, ()).item()), int(torch.randint(width, ()).item())
    half_height, half_width = round(height * side / 2), round(width * side / 2)
    top, bottom = max(0, y - half_height), min(height, y + half_height)
    left, right = max(0, x - half_width), min(width, x + half_width)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1.0 - (bottom - top) * (right - left) / (height * width)
