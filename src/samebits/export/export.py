"""The `export` stage: turn the checkpoint into files that others can serve, and prove them equal to it.

Run it by `dvc repro export`. Result: `models/export/` with one file a format, `card.md` and `export.json`. It is
whole or absent: a file that is not the checkpoint's equal fails the stage and leaves nothing behind.

The outputs hold results: the files, and that they are equal to the checkpoint within the tolerance. What was measured
on the way (how far they are from it, how long a call takes) is of this machine: it goes to MLflow and to
`.samebits/measured.json`, which no hash covers.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.errors import Interrupted, UserError
from samebits.base.files import sha256_bytes, sha256_file, write_bytes, write_json
from samebits.base.own_code import copy_own_code
from samebits.base.registry import load_module
from samebits.checkpoints.checkpoint import WEIGHTS, copy_files
from samebits.checkpoints.serving import GeneratingModel, ServingModel, build_serving
from samebits.checkpoints.trained_on import load_trained
from samebits.data.loading.prepared import Array, DatasetInfo, Split, open_split
from samebits.data.loading.tensors import as_tensor
from samebits.export import EXPORTERS, int8
from samebits.export import onnx as onnx_format
from samebits.export.card import model_card
from samebits.export.language_model import LanguageModelParity
from samebits.export.metadata import export_metadata
from samebits.export.parity import Predictor, answers, measure_parity, served_inputs
from samebits.export.usage import reader_files
from samebits.inference.calibration import load_calibration
from samebits.inference.latency import median_milliseconds
from samebits.params.export import ExportParams
from samebits.signature.corrections import corrections_text

if TYPE_CHECKING:
    from samebits.pipeline.context import StageContext


LATENCY_BATCH_SIZES = (1, 256)
LATENCY_BATCH_SIZES_OF_MASKS = (1, 16)
"""An answer has as many numbers as pixels, times the classes."""

MEASURED = "measured.json"
"""Below `.samebits`, of the last export in this working tree; and in MLflow, of each run."""


def export(export: ExportParams, *, context: StageContext) -> None:
    """Write `models/export/` from `models/checkpoint/`, checked on the test split.

    Raises:
        UserError: a format that the model cannot be written in, or a file that differs from the checkpoint.
        Interrupted: if asked to stop; nothing is left behind.
    """

    threads = torch.get_num_threads()
    # One thread: operations on one image are too small to share, and on a busy machine waiting for each other made
    # the parity check over 20 times slower. The cores are used by comparing several batch sizes at a time.
    torch.set_num_threads(1)
    try:
        _export(export, context, threads)
    finally:
        torch.set_num_threads(threads)


def _export(settings: ExportParams, context: StageContext, workers: int) -> None:
    def check() -> None:
        if context.stop.requested:
            raise Interrupted("export was stopped")

    project = context.project
    checkpoint, info = load_trained(project)
    config, weights_sha256 = checkpoint.config, sha256_file(project.checkpoint / WEIGHTS)
    calibration = load_calibration(project.calibration, weights_sha256)
    if calibration is None:
        context.say(f"{project.calibration} is not there: the answers are not calibrated")
    split = open_split(project.prepared, "test", in_memory=info.split_bytes("test") <= context.runtime.memory_mib << 20)
    serving = build_serving(
        checkpoint.model, checkpoint.task, info.signature, calibration.temperature if calibration else 1.0
    )
    metadata = export_metadata(config, _dataset_facts(info), weights_sha256, calibration)
    exporters = {name: load_module("export format", name, EXPORTERS) for name in settings.formats}
    for module in exporters.values():
        if hasattr(module, "require"):
            module.require(serving, metadata)
    # Scores of every token at every position of a split would fill the memory: they are compared as they are made.
    tokens = LanguageModelParity(serving, split, settings, check) if isinstance(serving, GeneratingModel) else None
    if info.signature.target.generates and not tokens:
        raise UserError(
            f"the model {config.model.get('name')} has no cache, and a language model is exported with one",
            "give its class kv_cache_shape and decode_step, as docs/models.md says; train and evaluate work without",
        )
    if tokens and settings.int8:
        raise UserError("export.int8 is not for language models", "set export.int8: false")
    context.tracker.computes()
    reference = None if tokens else answers(_eager(serving), split)
    report: dict[str, Any] = {
        "tolerance": settings.tolerance,
        "batch_sizes": settings.batch_sizes,
        "test_samples": len(split),
        "test": _score(reference, split) if reference is not None else tokens.score() if tokens else {},
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        "weights_sha256": weights_sha256,
        "data_digest": info.digest,
        "formats": {},
    }
    measured: dict[str, dict[str, Any]] = {}
    predictors: dict[str, Any] = {"eager": tokens.eager if tokens else _eager(serving)}
    project.exported.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=project.exported.parent, prefix=".export-"))
    try:
        folder.chmod(0o755)
        copy_files(project.checkpoint, folder, config.signature)
        example = as_tensor(_example(split))
        for name, module in exporters.items():
            check()
            path = folder / module.FILE
            facts: dict[str, Any] = module.export(serving, example, path, metadata)
            if hasattr(module, "write_card"):
                module.write_card(path, serving, metadata, report["test"])
            if tokens:
                predictors[name] = module.load_all(path)
                parity = tokens.compare(name, predictors[name])
                measured[name] = {"greedy_tokens": tokens.greedy(name, predictors[name])}
            else:
                assert reference is not None
                predictors[name] = module.load(path)
                parity = measure_parity(
                    name,
                    predictors[name],
                    reference,
                    split,
                    batch_sizes=settings.batch_sizes,
                    tolerance=settings.tolerance,
                    check=check,
                    workers=workers,
                )
                measured[name] = {"ties": parity.ties}
            measured[name]["largest_difference"] = {str(size): gap for size, gap in parity.difference.items()}
            report["formats"][name] = {
                **facts,
                **_identity(path),
                "within_tolerance": True,
            }
            size = report["formats"][name]["bytes"] / 1024
            context.say(
                f"{module.FILE}: {size:,.0f} KiB, equal to the checkpoint on {len(split):,} test "
                f"samples within {parity.worst:.1e} ({settings.tolerance:g} is allowed)"
            )
        if settings.int8:
            check()
            assert reference is not None
            report["int8"], measured["int8"], predictors["int8"] = _quantized(
                folder, reference, split, settings, context
            )
        if code := copy_own_code(project.checkpoint, folder):
            report["code"] = {file: sha256_file(folder / file) for file in code}
        for file, data in reader_files(config.signature.inputs).items():
            write_bytes(folder / file, data)
        if project.reference.is_file():
            write_bytes(folder / project.reference.name, project.reference.read_bytes())
        write_json(folder / "export.json", report)
        corrected = corrections_text(info.corrections)
        card = model_card(report, metadata, config.signature, info.counts, calibration, corrected)
        write_bytes(folder / "card.md", card.encode())
        if project.exported.exists():
            shutil.rmtree(project.exported)
        folder.rename(project.exported)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    times = tokens.latencies(predictors, context.say) if tokens else _latencies(predictors, split, context)
    _record(context, report, measured, times)


def _quantized(
    folder: Path,
    reference: npt.NDArray[np.float32],
    split: Split,
    settings: ExportParams,
    context: StageContext,
) -> tuple[dict[str, Any], dict[str, Any], Predictor]:
    """The int8 copy of the ONNX model: what the report says of it, what was measured, and the function that it is."""
    path = folder / int8.FILE
    training = open_split(context.project.prepared, "train", in_memory=False)
    int8.quantize(folder / onnx_format.FILE, path, training, settings.int8_samples)
    predict = onnx_format.load(path)
    judged = int8.measure_quantized(predict, reference, split, _score, settings.int8_loss)
    context.say(
        f"{int8.FILE}: {path.stat().st_size / 1024:,.0f} KiB, test score {judged.score:.4f}, {judged.loss:.4f} "
        f"below the checkpoint's ({settings.int8_loss:g} is allowed)"
    )
    return _identity(path) | {"loses_at_most": settings.int8_loss}, int8.measured(judged), predict


def _identity(path: Path) -> dict[str, Any]:
    """Name, bytes and SHA-256 of what was written; of a folder, of the lines that `sha256sum` prints for its files."""
    if path.is_file():
        return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}
    files = {each.relative_to(path).as_posix(): each for each in sorted(path.rglob("*")) if each.is_file()}
    hashes = {name: sha256_file(each) for name, each in files.items()}
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
    size = sum(each.stat().st_size for each in files.values())
    return {"file": path.name, "bytes": size, "sha256": sha256_bytes(lines.encode()), "files": hashes}


def _example(split: Split) -> Array:
    """Two samples: axes of length one would be taken for constant, so of texts one of the longest."""
    longest = int(split.lengths().argmax())
    return split.samples(np.array([longest, longest], dtype=np.int64))[0]


def _score(reference: npt.NDArray[np.float32], split: Split) -> dict[str, float]:
    """How good the eager model is, as one number of its kind; none where it is undefined."""
    if split.targets is None:
        return {}
    score = split.info.signature.target.score(reference, split.targets)
    return {name: value for name, value in score.items() if value is not None}


def _eager(serving: ServingModel) -> Predictor:
    def predict(samples: Array) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output: npt.NDArray[np.float32] = serving(torch.from_numpy(samples)).numpy()
        return output

    return predict


def _dataset_facts(info: DatasetInfo) -> dict[str, Any]:
    return {"name": info.name, "title": info.title, "licence": info.licence, "digest": info.digest}


def _latencies(predictors: dict[str, Predictor], split: Split, context: StageContext) -> dict[str, float]:
    """`name/batch size` -> median milliseconds, said in a short table."""
    times: dict[str, float] = {}
    sizes = LATENCY_BATCH_SIZES_OF_MASKS if len(split.info.signature.output_shape) > 1 else LATENCY_BATCH_SIZES
    for size in sizes:
        samples = served_inputs(split, np.arange(size, dtype=np.int64) % len(split))
        for name, predict in predictors.items():
            times[f"{name}/latency_ms_batch_{size}"] = round(median_milliseconds(partial(predict, samples))[0], 4)
    first, large = sizes
    for name in predictors:
        one, many = times[f"{name}/latency_ms_batch_{first}"], times[f"{name}/latency_ms_batch_{large}"]
        context.say(
            f"{name:<12} {one:7.3f} ms for one sample, {large / many * 1e3:9,.0f}/s in batches of {large} (one core)"
        )
    return times


def _record(
    context: StageContext, report: dict[str, Any], measured: dict[str, dict[str, Any]], times: dict[str, float]
) -> None:
    """Everything to MLflow, as numbers to compare runs by and as files to read."""
    values = {f"export/{name}": value for name, value in times.items()}
    for name, entry in (report["formats"] | ({"int8": report["int8"]} if "int8" in report else {})).items():
        values[f"export/{name}/bytes"] = float(entry["bytes"])
    for name, entry in measured.items():
        for key, value in entry.items():
            if isinstance(value, dict):  # of each batch size
                values |= {f"export/{name}/{key}_batch_{size}": each for size, each in value.items()}
            values[f"export/{name}/{key}"] = float(max(value.values()) if isinstance(value, dict) else value)
    context.tracker.summary(values)
    for file in ("card.md", "export.json"):
        context.tracker.artifact(context.project.exported / file, "export")
    noted = {"measured": measured, "latency_ms": times, "weights_sha256": report["weights_sha256"]}
    with tempfile.TemporaryDirectory() as folder:
        file_of_run = Path(folder) / MEASURED  # not the shared one: experiments run side by side
        write_json(file_of_run, noted)
        context.tracker.artifact(file_of_run, "export")
    write_json(context.project.state / MEASURED, noted)
