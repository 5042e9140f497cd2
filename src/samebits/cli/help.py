"""What `--help` says beside the arguments: the commands by what they are for, and examples of each."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

GROUPS: dict[str, tuple[str, ...]] = {
    "begin": ("new", "start", "use", "fetch", "smoke", "estimate", "find", "update", "completion"),
    "train and compare": ("summary", "ui", "runs", "sweep", "data", "labels"),
    "use the model": ("predict", "generate", "register", "keep"),
    "prove and rebuild": ("verify", "audit", "sign", "restore", "trace", "golden", "packages", "wheels"),
    "share": ("share", "receive", "review", "gc", "doctor"),
}
"""Each command in one of them."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "accept": (
        "samebits labels accept ~/Downloads/decisions.csv",
        "samebits labels accept .samebits/labels/suspects.csv",
    ),
    "audit": ("samebits audit --segments 5 --key trainer.pub.pem",),
    "completion": (
        "samebits completion bash > ~/.local/share/bash-completion/completions/samebits",
        "samebits completion fish > ~/.config/fish/completions/samebits.fish",
    ),
    "diff": ("samebits data diff v1.0          # against the workspace", "samebits data diff main my-branch"),
    "doctor": ("samebits doctor", "samebits doctor --json"),
    "fetch": ("samebits fetch mnist",),
    "lr": ("samebits find lr", "samebits find lr --dry-run"),
    "batch-size": ("samebits find batch-size",),
    "gc": ("samebits gc", "samebits gc --cloud --remote store"),
    "generate": ('samebits generate "The whale" --tokens 100 --temperature 0.7',),
    "golden": ("samebits golden mnist", "samebits golden --all --reproducibility portable"),
    "keep": ("samebits keep data/raw/mnist_resnet18.safetensors",),
    "new": ("samebits new pets --data ~/pictures/pets", "samebits new bikes --recipe bikeshare"),
    "packages": ("samebits packages --write",),
    "predict": (
        "samebits predict cat.jpg dog.jpg",
        "samebits predict rows.csv --output answers.csv",
        'samebits predict --text "Win a free prize now"',
    ),
    "receive": ("samebits receive", "samebits receive --experiment warm-start"),
    "register": ("samebits register --dry-run", "samebits register --metric macro_f1 --latency-ms 5"),
    "review": ("samebits review main", "samebits review v1.0 --curves curves.png > review.md"),
    "restore": ("samebits restore RUN_ID --into ../then", "samebits restore COMMIT --environment ../then/.venv"),
    "share": ("samebits share", "samebits share --experiment warm-start"),
    "smoke": ("samebits smoke",),
    "estimate": ("samebits estimate",),
    "status": ("samebits runs status --json",),
    "summary": ("samebits summary", "samebits summary --json"),
    "sign": ("samebits sign --key trainer.pem",),
    "start": (
        "samebits start data/raw/pets",
        "samebits start data/raw/houses.csv --target price",
        "samebits start data/raw/reviews.csv --dry-run",
    ),
    "suspects": ("samebits labels suspects", "samebits labels suspects --folds 8 --top 300"),
    "sweep": ("samebits sweep sweeps/lr.yaml --dry-run", "samebits sweep sweeps/lr.yaml"),
    "trace": ("samebits trace models/export/model.onnx",),
    "ui": ("samebits ui --port 5001",),
    "use": ("samebits use fashion_mnist && dvc repro",),
    "verify": ("samebits verify", "samebits verify --steps 20", "samebits verify --stage evaluate"),
}
"""Of the commands that take arguments."""


def grouped(texts: Mapping[str, str]) -> str:
    """The list of commands for `samebits --help`.

    Args:
        texts: name of a command -> what it does.
    """
    width = shutil.get_terminal_size().columns - 2
    lines = []
    for title, names in GROUPS.items():
        lines += ["", f"{title}:"]
        for name in names:
            lines += textwrap.wrap(
                texts[name], width, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12, break_long_words=False
            )
    lines += ["", "dvc repro runs the pipeline. samebits COMMAND --help has the options of one, and examples."]
    return "\n".join(lines).lstrip("\n")


def epilog(name: str, more: str) -> str | None:
    """What follows the options of a command."""
    examples = "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[name])]) if name in EXAMPLES else ""
    return "\n\n".join(part for part in (more, examples) if part) or None
