"""The model card (Mitchell et al., 2019): what the exported model is, from which data, and how it was checked."""

from __future__ import annotations

from typing import Any

from samebits.export.usage import usage
from samebits.inference.calibration import Calibration
from samebits.params.model_name import shown_model
from samebits.signature.markdown import one_line
from samebits.signature.signature import Signature

_LABELS = 100
"""Shown of labels; the exported files hold them all."""


def model_card(
    report: dict[str, Any],
    metadata: dict[str, Any],
    signature: Signature,
    counts: dict[str, int],
    calibration: Calibration | None = None,
    corrected: str = "",
) -> str:
    """Markdown; a function of its arguments alone.

    Args:
        report: the contents of `export.json`.
        metadata: what the exported files carry.
        signature: of the model.
        counts: samples of each split.
        calibration: what was fitted on the validation split.
        corrected: how many labels a person corrected; empty if none.
    """
    dataset, model, inputs, target = metadata["dataset"], metadata["model"], signature.inputs, signature.target
    settings = ", ".join(
        f"{key} {_plain(model[key])}" for key in sorted(model) if key not in {"name", "step", "epoch", "weights_sha256"}
    )
    labels, title = target.labels, one_line(dataset["title"])
    lines = [
        f"# {title} {target.noun} ({shown_model(model)})",
        "",
        f"Takes {inputs.served} and gives {target.answer}. Everything between a raw file and the answer lies in this "
        "folder.",
        "",
        "| | |",
        "|---|---|",
        *(
            f"| {target.scores[name].format(value)} of {report['test_samples']:,} test samples |"
            for name, value in report["test"].items()
        ),
        f"| model | {model['name']}"
        + (f" ({settings})" if settings else "")
        + f"; {report['parameters']:,} parameters |",
        f"| trained | {model['epoch']} epochs, {model['step']:,} steps, task {metadata['task']} |",
        f"| data | {title}, licence {one_line(dataset['licence'])}: {counts['train']:,} training, "
        f"{counts['validation']:,} validation, {counts['test']:,} test samples |",
        *_calibrated(calibration),
        *([f"| corrected by hand | {corrected} |"] if corrected else []),
        f"| data digest | `{dataset['digest']}` |",
        f"| weights | sha256 `{model['weights_sha256']}` |",
    ]
    if labels:
        more = f" and {len(labels) - _LABELS:,} more" if len(labels) > _LABELS else ""
        lines.append(f"| labels | {', '.join(map(one_line, labels[:_LABELS]))}{more} |")
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
        "Checked: each file's answers to all test samples, some of them at each of the batch sizes "
        f"{_plain(report['batch_sizes'])}, are within {report['tolerance']:g} of those of the checkpoint in PyTorch "
        f"fp32{target.checked} How far they were, and how long a call took, is of the machine that exported them: its "
        "MLflow run has it (`measured.json`).",
        "",
        *_quantized(report),
        *_code(report),
        "## Use",
        "",
        f"`{inputs.input_name}` is {inputs.served_dtype} {inputs.layout}, any N; `{target.output_name}` is float32 "
        f"{target.answer_layout}",
        "",
        *usage(signature, report["formats"]),
        *inputs.card_sections(),
        "## Limits",
        "",
        f"- It knows samples like those of {title}. Anything else also gets an answer{target.limits}.",
        "- The score above is that of the whole test split; the evaluation report has it in detail, with intervals.",
        "",
    ]
    return "\n".join(lines)


def _calibrated(calibration: Calibration | None) -> list[str]:
    """The row on the calibration, if there is one."""
    if calibration is None:
        return []
    return [f"| calibration | {'; '.join(f'{name} {value}' for name, value in calibration.facts)} |"]


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


def _code(report: dict[str, Any]) -> list[str]:
    """The paragraph on code of the user's own, if there is some."""
    if not report.get("code"):
        return []
    files = ", ".join(f"`{file}` (sha256 `{sha256[:16]}…`)" for file, sha256 in report["code"].items())
    return [f"The project's own code that it was trained with, as a record; nothing here runs it: {files}.", ""]


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
