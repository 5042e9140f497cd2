"""What `--help` says beside the arguments: the commands by what they are for, and examples of each."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

GROUPS: dict[str, tuple[str, ...]] = {
    "begin": ("new", "start", "use", "fetch", "prepare", "smoke", "estimate", "find", "update", "completion"),
    "train and compare": ("summary", "ui", "runs", "sweep", "seeds", "compare", "data", "labels", "worker", "submit"),
    "use the model": ("predict", "generate", "serve", "demo", "monitor", "register", "keep"),
    "prove and rebuild": ("verify", "audit", "sign", "restore", "trace", "golden", "packages", "wheels"),
    "share": ("share", "receive", "review", "gc", "doctor"),
}
"""Each command in one of them."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "labels accept": (
        "samebits labels accept ~/Downloads/decisions.csv",
        "samebits labels accept .samebits/labels/suspects.csv",
    ),
    "audit": ("samebits audit --segments 5 --key trainer.pub.pem",),
    "compare": (
        "samebits compare base wide          # two seeds studies",
        "samebits compare main my-branch     # with all seeds that ran of each",
    ),
    "completion": (
        "samebits completion bash > ~/.local/share/bash-completion/completions/samebits",
        "samebits completion fish > ~/.config/fish/completions/samebits.fish",
    ),
    "data diff": ("samebits data diff v1.0          # against the workspace", "samebits data diff main my-branch"),
    "demo": ("samebits demo", "samebits demo --model model.onnx --port 9000 --no-open"),
    "doctor": ("samebits doctor", "samebits doctor --json"),
    "fetch": ("samebits fetch mnist",),
    "find lr": ("samebits find lr", "samebits find lr --dry-run"),
    "find batch-size": ("samebits find batch-size",),
    "gc": ("samebits gc", "samebits gc --cloud --remote store"),
    "generate": ('samebits generate "The whale" --tokens 100 --temperature 0.7',),
    "golden": ("samebits golden mnist", "samebits golden --all --reproducibility portable"),
    "keep": ("samebits keep data/raw/mnist_resnet18.safetensors",),
    "monitor": (
        "samebits monitor photos",
        "samebits monitor rows.csv --ignore when.year --html drift.html",
        "samebits monitor --answers answers.parquet --limit 0.2",
        "samebits monitor photos --model models:/digits@champion",
    ),
    "new": ("samebits new pets --data ~/pictures/pets", "samebits new bikes --recipe bikeshare"),
    "packages": ("samebits packages --write",),
    "prepare": (
        "samebits prepare --part 3/8",
        "samebits prepare --dask desk-a:8786 --parts 8",
    ),
    "predict": (
        "samebits predict cat.jpg dog.jpg",
        'samebits predict --text "Win a free prize now"',
        "samebits predict photos --top 5 --format jsonl",
        "samebits predict rows.csv --id customer --output answers.parquet",
        "samebits predict - --output answers.csv  # of the paths on stdin",
    ),
    "receive": ("samebits receive", "samebits receive --experiment warm-start"),
    "register": ("samebits register --dry-run", "samebits register --metric macro_f1 --latency-ms 5"),
    "review": ("samebits review main", "samebits review v1.0 --curves curves.png > review.md"),
    "restore": ("samebits restore RUN_ID --into ../then", "samebits restore COMMIT --environment ../then/.venv"),
    "seeds": ("samebits seeds 5", "samebits seeds 8 --name wide --jobs 2"),
    "serve": (
        "samebits serve",
        "samebits serve --model models:/digits@champion",
        "samebits serve --host 0.0.0.0 --token-file token.txt",
    ),
    "share": ("samebits share", "samebits share --experiment warm-start"),
    "smoke": ("samebits smoke",),
    "estimate": ("samebits estimate",),
    "runs status": ("samebits runs status --json",),
    "summary": ("samebits summary", "samebits summary --json"),
    "sign": ("samebits sign --key trainer.pem",),
    "start": (
        "samebits start data/raw/pets",
        "samebits start data/raw/houses.csv --target price",
        "samebits start data/raw/reviews.csv --dry-run",
    ),
    "labels suspects": ("samebits labels suspects", "samebits labels suspects --folds 8 --top 300"),
    "sweep": ("samebits sweep sweeps/lr.yaml --dry-run", "samebits sweep sweeps/lr.yaml"),
    "submit": (
        "samebits submit --time 4:00:00 --cpus 8 --memory 16G --dry-run   # the script, and nothing else",
        "samebits submit --time 4:00:00 --gpus 1 --sbatch account=vision",
        "samebits submit --seeds 10 --at-once 4 --partition preempt",
        "samebits submit --sweep sweeps/lr.yaml --time 30",
    ),
    "trace": ("samebits trace models/export/model.onnx",),
    "ui": ("samebits ui --port 5001",),
    "use": ("samebits use fashion_mnist && dvc repro",),
    "worker": ("samebits worker --join desk-a",),
    "wheels keep": ("samebits wheels keep --dry-run", "samebits wheels keep --without 'nvidia-*'"),
    "verify": ("samebits verify", "samebits verify --steps 20", "samebits verify --stage evaluate"),
}
"""Of the commands that take arguments, with the name of their group, if they have one."""


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
                texts[name], width, initial_indent=f"  {name:<12}", subsequent_indent=" " * 14, break_long_words=False
            )
    lines += ["", "dvc repro runs the pipeline. samebits COMMAND --help has the options of one, and examples."]
    return "\n".join(lines).lstrip("\n")


def epilog(name: str, more: str) -> str | None:
    """What follows the options of a command; `name` is as in EXAMPLES."""
    examples = "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[name])]) if name in EXAMPLES else ""
    return "\n\n".join(part for part in (more, examples) if part) or None
