"""The model card (Mitchell et al., 2019): what the exported model is, from which data, and how it was checked."""

from __future__ import annotations

import re
from typing import Any

from samebits.export.usage import usage

_LABELS = 100
_LETTERS = 60
"""Shown of labels and of names from the data; the exported files hold them whole."""
_MARKUP = re.compile(r"([\\`*\[\]<>|$~]|&(?=[#\w]+;))")


def model_card(report: dict[str, Any], metadata: dict[str, Any], counts: dict[str, int]) -> str:
    """Markdown; a function of its arguments alone.

    Args:
        report: the contents of `export.json`.
        metadata: what the exported files carry.
        counts: samples of each split.
    """
    dataset, model, inputs = metadata["dataset"], metadata["model"], metadata["preprocessing"]
    settings = ", ".join(
        f"{key} {_plain(model[key])}" for key in sorted(model) if key not in {"name", "step", "epoch", "weights_sha256"}
    )
    labels, output, title = metadata["labels"], metadata["output"], _text(dataset["title"])
    what = f"the probability of each of {len(labels)} classes" if labels else output["meaning"]
    noun = "classifier" if labels else "model"
    lines = [
        f"# {title} {noun} ({model['name']})",
        "",
        f"Takes {_samples(inputs)} and gives {what}. Everything between a raw file and the answer lies in this folder.",
        "",
        "| | |",
        "|---|---|",
        *(
            f"| {_SCORES[name](value)} of {report['test_samples']:,} test samples |"
            for name, value in report["test"].items()
        ),
        f"| model | {model['name']}"
        + (f" ({settings})" if settings else "")
        + f"; {report['parameters']:,} parameters |",
        f"| trained | {model['epoch']} epochs, {model['step']:,} steps, task {metadata['task']} |",
        f"| data | {title}, licence {_text(dataset['licence'])}: {counts['train']:,} training, "
        f"{counts['validation']:,} validation, {counts['test']:,} test samples |",
        f"| data digest | `{dataset['digest']}` |",
        f"| weights | sha256 `{model['weights_sha256']}` |",
    ]
    if labels:
        more = f" and {len(labels) - _LABELS:,} more" if len(labels) > _LABELS else ""
        lines.append(f"| labels | {', '.join(map(_text, labels[:_LABELS]))}{more} |")
    lines += [
        "",
        "## Files",
        "",
        "| file | bytes | sha256 |",
        "|---|---:|---|",
        *(
            f"| `{entry['file']}` | {entry['bytes']:,} | `{entry['sha256'][:16]}…` |"
            for entry in report["formats"].values()
        ),
        "",
        f"Checked: each file's answers to all test samples, at batch sizes {_plain(report['batch_sizes'])}, are within "
        f"{report['tolerance']:g} of those of the checkpoint in PyTorch fp32"
        + (
            ". The predicted classes are the same (two probabilities within 1e-5 of each other count as a tie)."
            if labels
            else ", each read in one of these batches; 200 greedy tokens are the same with the cache and without."
            if metadata["task"] == "language_model"
            else ", as a share of the target's standard deviation."
        )
        + " How far they were, and how long a call took, is of the machine that exported them: its MLflow run has it "
        "(`measured.json`).",
        "",
        *_quantized(report),
        "## Use",
        "",
        f"`{inputs['input']}` is {inputs['dtype']} {_layout(inputs)}, any N; `{output['name']}` is {output['dtype']} "
        + (
            f"[N, {len(labels)}], in the order of the labels."
            if labels
            else f"{'[N, L, V]' if metadata['task'] == 'language_model' else '[N]'}: {output['meaning']}."
        ),
        "",
        *usage(metadata, report["formats"]),
        *(_columns(inputs) if inputs["kind"] == "table" else []),
        "## Limits",
        "",
        f"- It knows samples like those of {title}. Anything else also gets an answer"
        + (f", one of the {len(labels)} labels, often with high confidence." if labels else "."),
        "- The score above is that of the whole test split; the evaluation report has it in detail, with intervals.",
        "",
    ]
    return "\n".join(lines)


def _quantized(report: dict[str, Any]) -> list[str]:
    """The paragraph on the int8 copy, if there is one."""
    if "int8" not in report:
        return []
    entry = report["int8"]
    return [
        f"`{entry['file']}` ({entry['bytes']:,} bytes, sha256 `{entry['sha256'][:16]}…`) is a quantised copy of "
        f"`model.onnx` with 8-bit integers. Its score on the test samples is at most {entry['loses_at_most']:g} below "
        "the checkpoint's.",
        "",
    ]


_SCORES = {
    "accuracy": lambda value: f"accuracy | {value:.2%}",
    "bits_per_byte": lambda value: f"bits per byte | {value:.4f}",
    "perplexity": lambda value: f"perplexity | {value:.2f}",
    "r2": lambda value: f"R² | {value:.4f}",
}


def _columns(inputs: dict[str, Any]) -> list[str]:
    """What stands where in a row; `samebits predict ROWS.csv` makes rows of a CSV by it."""
    lines = ["## Columns", "", "| place | column | kind | |", "|---:|---|---|---|"]
    for place, column in enumerate(inputs["columns"]):
        if column["kind"] == "category":
            values = ", ".join(map(_text, column["values"][:12])) + (", …" if len(column["values"]) > 12 else "")
            what = f"0 unknown or missing; then 1 to {len(column['values'])}: {values}"
        else:
            gap = "; NaN where missing" if column["missing"] else ""
            what = f"mean {column['mean']:.6g}, standard deviation {column['std']:.6g}{gap}"
        lines.append(f"| {place} | {_text(column['name'])} | {column['kind']} | {what} |")
    return [*lines, ""]


def _samples(inputs: dict[str, Any]) -> str:
    if inputs["kind"] == "image":
        channels, height, width = inputs["shape"]
        kind = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
        depth = f" of {bits} bits" if (bits := inputs.get("bits", 8)) != 8 else ""
        return f"{kind} images of {width}×{height} pixels as raw pixels{depth}"
    if inputs["kind"] == "tokens":
        return f"texts as up to {inputs['length']:,} tokens of `tokenizer.json`"
    return f"rows of {len(inputs['columns'])} columns (numbers as they are, categories as codes)"


def _layout(inputs: dict[str, Any]) -> str:
    if inputs["kind"] == "image":
        return f"[N, {', '.join(map(str, inputs['shape']))}]"
    return f"[N, L ≤ {inputs['length']}]" if inputs["kind"] == "tokens" else f"[N, {len(inputs['columns'])}]"


def _text(name: str) -> str:
    """A name from the data as Markdown that shows it, on one line."""
    line = " ".join(name.split())
    return _MARKUP.sub(r"\\\1", line if len(line) <= _LETTERS else line[: _LETTERS - 1] + "…")


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
