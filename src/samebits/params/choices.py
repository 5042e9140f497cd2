"""The names that `model.name` and `task.name` may have, each with its module. Importing this imports no model."""

from __future__ import annotations

MODELS = {
    name: f"samebits.models.{name}"
    for name in (
        "bert",
        "conv1d",
        "convnet",
        "efficientnet_lite0",
        "embedding_bag",
        "encoder",
        "gpt",
        "mlp",
        "own",
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet9",
        "tabular",
        "text_conv",
        "timm",
        "torchvision",
        "unet",
    )
}
"""A model's file has its name: dvc.yaml depends on `models/${model.name}.py`."""

TASKS = {
    name: f"samebits.tasks.{name}"
    for name in (
        "classification",
        "language_model",
        "multilabel",
        "own",
        "regression",
        "segmentation",
        "token_classification",
    )
}
