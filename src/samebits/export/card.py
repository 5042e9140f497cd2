"""The model card (Mitchell et al., 2019): what the exported model is, from which data, and how it was checked."""

from __future__ import annotations

from typing import Any

from samebits.serving import INPUT, OUTPUT


def model_card(report: dict[str, Any], metadata: dict[str, Any], counts: dict[str, int]) -> str:
    """Markdown; a function of its arguments alone.

    Args:
        report: the contents of `export.json`.
        metadata: what the exported files carry.
        counts: samples of each split.
    """
    dataset, model, shape = metadata["dataset"], metadata["model"], metadata["preprocessing"]["shape"]
    settings = ", ".join(
        f"{key} {_plain(model[key])}" for key in sorted(model) if key not in {"name", "step", "epoch", "weights_sha256"}
    )
    labels = metadata["labels"]
    return "\n".join(
        [
            f"# {dataset['title']} classifier ({model['name']})",
            "",
            f"Takes {_image(shape)} as raw pixels and gives the probability of each of {len(labels)} classes. "
            "Normalisation and softmax are inside the files.",
            "",
            "| | |",
            "|---|---|",
            f"| accuracy | {report['test_accuracy']:.2%} of {report['test_samples']:,} test images, "
            "and the files below predict the same classes |",
            f"| model | {model['name']}" + (f" ({settings})" if settings else "") + f"; {report['parameters']:,} "
            "parameters |",
            f"| trained | {model['epoch']} epochs, {model['step']:,} steps, task {metadata['task']} |",
            f"| data | {dataset['title']}, licence {dataset['licence']}: {counts['train']:,} training, "
            f"{counts['validation']:,} validation, {counts['test']:,} test images |",
            f"| data digest | `{dataset['digest']}` |",
            f"| weights | sha256 `{model['weights_sha256']}` |",
            f"| labels | {', '.join(labels)} |",
            "",
            "## Files",
            "",
            "| file | bytes | sha256 | furthest from the checkpoint |",
            "|---|---:|---|---:|",
            *(
                f"| `{entry['file']}` | {entry['bytes']:,} | `{entry['sha256'][:16]}…` | "
                f"{max(entry['largest_difference'].values()):.1e} |"
                for entry in report["formats"].values()
            ),
            "",
            f"The last column is the largest difference of any probability from the checkpoint in PyTorch fp32, over "
            f"all test images at batch sizes {_plain(report['batch_sizes'])}; {report['tolerance']:g} is allowed. The "
            "predicted classes are the same (two probabilities within 1e-5 of each other count as a tie).",
            "",
            "## Use",
            "",
            f"`{INPUT}` is uint8 [N, {', '.join(map(str, shape))}], any N; `{OUTPUT}` is float32 [N, {len(labels)}], "
            "in the order of the labels.",
            "",
            *_snippets(report["formats"]),
            "## Limits",
            "",
            f"- It knows images like those of {dataset['title']}. Anything else also gets one of the {len(labels)} "
            "labels, often with high confidence.",
            "- The accuracy is that of the whole test split; the evaluation report has it by class, with intervals, "
            "and says how far confidence can be taken for probability.",
            "",
        ]
    )


def _snippets(formats: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "onnx" in formats:
        file = formats["onnx"]["file"]
        lines += [
            "```python",
            "import onnxruntime",
            f'session = onnxruntime.InferenceSession("{file}")',
            f'probabilities = session.run(["{OUTPUT}"], {{"{INPUT}": images}})[0]',
            "```",
            "",
        ]
    if "torch_export" in formats:
        file = formats["torch_export"]["file"]
        lines += [
            "```python",
            "from pathlib import Path",
            "import torch",
            "from samebits.export.torch_export import load_exported  # refuses archives that could run code",
            f'program, metadata = load_exported(Path("{file}"))',
            "probabilities = program.module()(torch.from_numpy(images))",
            "```",
            "",
        ]
    return lines


def _image(shape: list[int]) -> str:
    channels, height, width = shape
    kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
    return f"{kind} images of {width}×{height} pixels"


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
