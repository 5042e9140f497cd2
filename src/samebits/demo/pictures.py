"""Pictures inside the page's data."""

from __future__ import annotations

from samebits.evaluation.report.page import data_url
from samebits.evaluation.sample_image import image_png
from samebits.signature.kind import Array


def png_url(image: Array) -> str:
    """An image, uint8 or uint16 [C, H, W], pixel for pixel."""
    return data_url(image_png(image))
