"""Oblong images of many channels and of 16 bits through both exporters."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from samebits.checkpoints.serving import build_serving
from samebits.data.loading.tensors import as_tensor
from samebits.export import onnx, torch_export
from samebits.models import build_model, convnet
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.signature import Signature
from samebits.tasks import build_task
from samebits.tasks.classification import Settings as Classification


@pytest.mark.parametrize("exporter", [onnx, torch_export], ids=["onnx", "torch_export"])
def test_both_formats_serve_them(exporter: ModuleType, tmp_path: Path) -> None:
    inputs = ImageInputs(shape=[5, 12, 40], bits=16, mean=[0.5] * 5, std=[0.3] * 5)
    signature = Signature(inputs=inputs, target=ClassTarget(classes=["a", "b"]))
    torch.manual_seed(0)
    model = build_model(convnet.Settings(name="convnet", stages=[[2, 2]]), signature)
    serving = build_serving(model, build_task(Classification(name="classification"), signature), signature)
    stored = np.random.default_rng(0).integers(0, 65536, (3, *inputs.shape)).astype(signature.row_dtype)
    samples = as_tensor(stored)
    exporter.export(serving, samples[:2], tmp_path / exporter.FILE, {})
    with torch.inference_mode():
        expected = serving(samples).numpy()
    assert np.abs(exporter.load(tmp_path / exporter.FILE)(samples.numpy()) - expected).max() < 1e-5
