"""Training samples per second: our stage against plain PyTorch, Lightning and Keras, the same model, data and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parts import workspaces
from parts.base import (
    BENCH,
    PEER_PYTHON,
    Contender,
    Options,
    Row,
    alternate,
    clock,
    others,
    ratio_range,
    spread,
    summary,
    table,
)

from samebits.data.loading.prepared import read_info

OURS, BATCH = "samebits", 128
PEERS = {
    "PyTorch, DataLoader, fp32": ("plain.py", "fp32", ()),
    "Lightning fp32": ("lightning_images.py", "fp32", ()),
    "Lightning bf16-mixed": ("lightning_images.py", "bf16", ()),
    "Keras/TensorFlow fp32": ("keras_images.py", "fp32", ()),
    "Keras/TensorFlow mixed_bfloat16": ("keras_images.py", "bf16", ()),
    "Keras/torch fp32": ("keras_images.py", "fp32", ("--backend=torch",)),
}
Subjects = Mapping[str, tuple[str, bool]]
"""Title of a table: the model, whether the images are augmented."""
SUBJECTS: Subjects = {
    "convnet": ("convnet", False),
    "convnet, augmented": ("convnet", True),
    "ResNet-18, augmented": ("resnet18", True),
}
GOALS = {
    "PyTorch, DataLoader, fp32": 2.5,
    "Lightning fp32": 2.5,
    "Lightning bf16-mixed": 1.7,
    "Keras/TensorFlow mixed_bfloat16": 1.3,
}
_MODELS: dict[str, dict[str, Any]] = {
    "convnet": {"name": "convnet", "stages": [[32, 32], [64, 128]], "crop": 2, "dropout": 0.0},
    "resnet9": {"name": "resnet9", "widths": [24, 48, 96, 192]},
    "resnet18": {"name": "resnet18", "stem": "small"},
}
_CLOCKS = {
    "convnet": (100, 8.0, 800, (101, 200)),
    "resnet9": (10, 8.0, 120, (61, 120)),
    "resnet18": (2, 8.0, 20, (1, 20)),
}
_QUICK = {"convnet": (2, 0.0, 20, (1, 20)), "resnet9": (2, 0.0, 18, (1, 20)), "resnet18": (2, 0.0, 2, (1, 4))}
"""By model: steps and seconds before the clock starts, the steps that it counts, those whose mean loss is compared."""

_TEXT = """
Fashion-MNIST (all 70,000 images: speed needs no test split), 28×28, batch 128, SGD with Nesterov momentum at a
constant 0.05; augmented is a shift by up to 2 pixels and flipping. `convnet` is the model of the recipe `mnist`
(107,818 parameters), ResNet-18 has the stem for small images. Ours is `stages/train.py` as it is: strict determinism,
MLflow, progress, a saved state every 5 s (the default is 30); it computes in bf16, in channels_last, with the fused
optimiser. The peers run with their defaults, PyTorch's DataLoader with two workers. The clock starts after 8 s and
100 steps (ResNet: 2), so start-up is out of it, and counts 800 steps (ResNet: 20), as this machine's speed changes
every 5 to 20 s: the tables were measured one after the other, so compare within a table. The loss is the mean of the
same steps for all, 101 to 200: the same work is done to the same effect. ResNet's is of steps 1 to 20, in which the
first weights and the order of the images still count.
"""


def measure(options: Options, subjects: Subjects = SUBJECTS) -> dict[str, Any]:
    rows: list[Row] = []
    for subject, (model, augment) in subjects.items():
        contenders = [ours(model, augment, options), *peers(model, augment, options)]
        rows += alternate(contenders, options.rounds, subject)
    return {"rows": rows}


def _clock(model: str, options: Options) -> list[str]:
    """The clock's arguments for a model."""
    return clock(*(_QUICK if options.quick else _CLOCKS)[model])


def batch(options: Options) -> int:
    """Samples per step."""
    return options.steps(BATCH, 16)


def ours(
    model: str, augment: bool, options: Options, counted: Sequence[str] = (), name: str = "train", **runtime: Any
) -> Contender:
    """Our stage with everything on: tracking, saved states (every 5 s instead of 30), strict determinism, progress.

    Args:
        counted: arguments of the clock; none are the model's.
        name: of the workspace's folder, before the model's.
    """
    prepared = workspaces.fashion()
    train = read_info(prepared).counts["train"] // batch(options)
    override = {
        "seed": 0,
        "reproducibility": "strict",
        "task": {"label_smoothing": 0.0},
        "model": _MODELS[model],
        "augment": {"shift": 2 if augment else 0, "flip": augment},
        "train": {
            "epochs": -(-400 * workspaces.CURVE_STEPS // train),
            "batch_size": batch(options),
            "ema_decay": None,
            "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
            "schedule": {"name": "constant", "warmup": 0.0},
        },
        "runtime": {"checkpoint_seconds": 5.0, **runtime},
    }
    name = f"{name}-{model}-{'augmented' if augment else 'plain'}"
    folder = workspaces.workspace(name, "mnist", override, prepared)
    return workspaces.ours(OURS, folder, "--batch", str(batch(options)), *(counted or _clock(model, options)))


def peers(model: str, augment: bool, options: Options, counted: Sequence[str] = ()) -> list[Contender]:
    data: Path = workspaces.arrays(workspaces.fashion())
    counted = counted or _clock(model, options)
    fixed = ["--data", data, "--model", model, "--batch", str(batch(options)), *counted]
    fixed += ["--augment"] if augment else []
    return [
        Contender(name, [PEER_PYTHON, BENCH / "peers" / script, *fixed, "--precision", precision, *more])
        for name, (script, precision, more) in PEERS.items()
    ]


def render(
    found: dict[str, Any], title: str = "Training", text: str = _TEXT, subjects: Subjects = SUBJECTS
) -> list[str]:
    rows: list[Row] = found["rows"]
    lines = [f"## {title}", "", *(line.strip() for line in text.strip().splitlines()), ""]
    for subject in subjects:
        n = summary(rows, OURS, "rate", subject)[3]
        body = [[OURS, spread(rows, OURS, "rate", subject), "", "", _loss(rows, OURS, subject)]]
        for name in PEERS:
            goal = f"{GOALS[name]}×" if name in GOALS else "—"
            times = ratio_range(rows, OURS, name, "rate", subject)
            body.append([name, spread(rows, name, "rate", subject), times, goal, _loss(rows, name, subject)])
        head = [f"{subject}, n = {n}", "samples/s: median (range)", "ours is × as fast (per round)", "goal", "loss"]
        lines += [*table(head, body), ""]
    return [*lines, f"Cores used by other processes meanwhile: {others(rows)}; for ours that counts MLflow's sender."]


def _loss(rows: list[Row], name: str, subject: str) -> str:
    return f"{summary(rows, name, 'loss', subject)[0]:.3f}"
