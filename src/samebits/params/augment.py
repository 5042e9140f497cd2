"""`augment`: what `train` does to a training image, never to a validation or test image."""

from __future__ import annotations

from pydantic import Field

from samebits.params.own import OwnPart
from samebits.params.section import Section


class AugmentParams(Section):
    """Random changes of a training image, each off at its default.

    Attributes:
        shift: largest shift in pixels, each axis uniform over the integers in [-shift, shift], zero-padded.
        flip: mirror left and right with probability 1/2.
        rotate: largest rotation in degrees, uniform in [-rotate, rotate].
        scale: largest relative change of size, uniform in [1 - scale, 1 + scale].
        shear: largest shear in degrees, uniform in [-shear, shear].
        resized_crop: random resized crop (Szegedy et al., 2014): a part of the image of at least this share of its
            area, with sides 3:4 to 4:3 relative to the image's, enlarged to the whole size; 1 is off.
        brightness: largest relative change of brightness, uniform in [1 - brightness, 1 + brightness].
        contrast: likewise of the distance to the image's mean grey.
        saturation: likewise of the distance to each pixel's own grey; nothing for images of other than three channels.
        erase: side in pixels of a square set to the mean pixel at a random place; 0 is off.
        mixup: mix each image and its label with another's of the batch (Zhang et al., 2018), in a share drawn from
            Beta(mixup, mixup); 0 is off. For classes only.
        cutmix: likewise, but a rectangle of the other image replaces one's own (Yun et al., 2019). With both, each
            batch takes one of them by chance.
        own: a class of your own that changes one sample at a time, of any kind of data, after the changes above:
            `{file, class_name, arguments}` (docs/own_code.md); null is none.
    """

    shift: int = Field(default=0, ge=0, le=64)
    flip: bool = False
    rotate: float = Field(default=0.0, ge=0.0, le=180.0)
    scale: float = Field(default=0.0, ge=0.0, lt=1.0)
    shear: float = Field(default=0.0, ge=0.0, lt=90.0)
    resized_crop: float = Field(default=1.0, gt=0.0, le=1.0)
    brightness: float = Field(default=0.0, ge=0.0, le=1.0)
    contrast: float = Field(default=0.0, ge=0.0, le=1.0)
    saturation: float = Field(default=0.0, ge=0.0, le=1.0)
    erase: int = Field(default=0, ge=0, le=1024)
    mixup: float = Field(default=0.0, ge=0.0, le=100.0)
    cutmix: float = Field(default=0.0, ge=0.0, le=100.0)
    own: OwnPart | None = None
