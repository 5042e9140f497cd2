"""Models of other libraries, exported: the same answers for any number of images, and for texts of any length."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from samebits.checkpoints.serving import build_serving
from samebits.export import onnx, torch_export
from samebits.models import build_model
from samebits.params.section import Section
from samebits.signature.signature import Signature
from samebits.tasks import build_task
from samebits.tasks.classification import Settings
from tests.helpers.backbones import CONFIGS, NEEDS_TIMM, encoder_settings, image_settings, texts, vit
from tests.helpers.signatures import images

torch.set_num_threads(1)

pytestmark = pytest.mark.slow  # each export takes seconds

FAMILIES = sorted(CONFIGS.keys() - {"xlm-roberta"})
"""XLM-RoBERTa is RoBERTa with other tokens."""


def require_same(
    settings: Section, signature: Signature, exporter: ModuleType, path: Path, samples: list[torch.Tensor]
) -> None:
    """Export, tracing two of the first samples, and compare on all."""
    torch.manual_seed(0)
    network = build_model(settings, signature)
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.05 * torch.randn(each.shape))
    serving = build_serving(network, build_task(Settings(name="classification"), signature), signature)
    exporter.export(serving, samples[0][:2], path, {})
    predict = exporter.load(path)
    for rows in samples:
        with torch.inference_mode():
            wanted = serving(rows).numpy()
        np.testing.assert_allclose(predict(rows.numpy()), wanted, atol=1e-5)


@pytest.mark.parametrize("exporter", [onnx, torch_export])
@pytest.mark.parametrize("family", FAMILIES)
def test_texts_of_every_length(
    family: str, exporter: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = torch.randint(2, 50, (3, 12), dtype=torch.int32)
    tokens[0, 2:], tokens[1, 9:] = 1, 1
    samples = [tokens, tokens[:1, :1], tokens[:1, :4], tokens[:2, :5], tokens[2:]]
    require_same(encoder_settings(family), texts(), exporter, tmp_path / exporter.FILE, samples)
    assert capfd.readouterr() == ("", "")


IMAGES = {
    "attention": (vit(), (3, 32, 32)),
    "enlarged": (image_settings("torchvision", "squeezenet1_1", input_size=48), (1, 20, 28)),
}


@pytest.mark.parametrize("exporter", [onnx, torch_export])
@pytest.mark.parametrize("case", [pytest.param("attention", marks=NEEDS_TIMM), "enlarged"])
def test_any_number_of_images(
    case: str, exporter: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings, shape = IMAGES[case]
    pixels = torch.randint(0, 256, (5, *shape), dtype=torch.uint8)
    require_same(settings, images(shape, 3), exporter, tmp_path / exporter.FILE, [pixels, pixels[:1]])
    assert capfd.readouterr() == ("", "")
