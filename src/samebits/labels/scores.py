"""How doubtful the label of each training sample is, by models that were trained without it; the job of the command."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samebits.base.errors import Interrupted, UserError
from samebits.base.signals import StopRequest
from samebits.checkpoints.checkpoint import load_checkpoint
from samebits.checkpoints.outputs import bounded_batch, split_outputs
from samebits.checkpoints.serving import build_serving
from samebits.data.loading.prepared import SplitName, open_split, read_info
from samebits.labels.folds import Int64, assign_folds, read_samples, write_fold
from samebits.labels.page import suspects_page
from samebits.params.schema import Params, parse_params
from samebits.signature.kind import Array, Floats64
from samebits.signature.target_kind import TargetKind
from samebits.stage import sections_of
from samebits.starting.job import do_job
from samebits.starting.scratch_project import QuietContext, ScratchProject
from samebits.starting.trial import duration, prepare_all, timed_training
from samebits.tracking.journal.tracker import NullTracker
from samebits.training.train import train

_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class Doubts:
    """Of samples, how far a model's answers contradict their labels (`TargetKind.doubts`), and what it says."""

    scores: Floats64
    said: list[str]


def find_suspects(
    workspace: Path, scratch: Path, values: Mapping[str, Any], stop: StopRequest, *, folds: int, top: int
) -> dict[str, Any]:
    """The job: prepare, train once per fold without it, and rank the training samples.

    Args:
        top: suspects to give, the most doubtful ones first.
    """
    params = parse_params(values)
    whole = ScratchProject(workspace, scratch / "whole")
    said, seconds = prepare_all(params, whole, stop)
    info = read_info(whole.prepared)
    target = info.signature.target
    if not target.doubted:
        raise UserError(
            f"the data have no labels that could be wrong: the target is of kind {target.kind}",
            "this is for classes, labels, numbers, masks and tags",
        )
    split, samples = open_split(whole.prepared, "train", in_memory=False), read_samples(whole.prepared, "train")
    assert split.targets is not None
    fold_of = assign_folds(samples.units, split.targets if target.one_class else None, folds)
    each = timed_training(params, whole, said, seconds).train_s * (folds - 1) / folds
    _say(
        f"{info.title}: {len(split):,} training samples; {folds} trainings of about {duration(each)} each, "
        f"{duration(folds * each)} together; nothing of them is recorded"
    )
    doubts = _out_of_fold(params, whole, scratch, fold_of, stop)
    if target.one_class:
        doubts.scores[_of_no_training(split.targets, fold_of)] = 0.0
    order = np.argsort(-doubts.scores, kind="stable")[:top]
    given = [target.label_text(split.targets[row], target.labels) for row in order.tolist()]
    rows = [
        {
            "rank": rank,
            "score": float(doubts.scores[row]),
            "id": samples.ids[row],
            "source": samples.sources[row],
            "sha256": samples.hashes[row],
            "was": was,
            "proposed": doubts.said[row],
        }
        for rank, (row, was) in enumerate(zip(order.tolist(), given, strict=True), start=1)
    ]
    contradicted = int((doubts.scores > 0.5).sum()) if target.labels else None
    return {
        "samples": len(split),
        "contradicted": contradicted,
        "writable": target.in_label_column,
        "suspects": rows,
        "page": suspects_page(whole.prepared, order.astype(np.int64), rows, contradicted, folds),
    }


def _out_of_fold(params: Params, whole: ScratchProject, scratch: Path, fold_of: Int64, stop: StopRequest) -> Doubts:
    """Each training sample, by the model that was trained without its fold."""
    folds = int(fold_of.max()) + 1
    scores, said = np.zeros(len(fold_of)), [""] * len(fold_of)
    for fold in range(folds):
        began = time.monotonic()
        project = ScratchProject(whole.workspace, scratch / f"fold-{fold}")
        write_fold(whole.prepared, project.prepared, fold_of == fold, params.sections["data"].shard_mib)
        context = QuietContext("train", project, params.runtime, NullTracker(), stop)
        train(*(params.sections[name] for name in sections_of(train)), context=context)
        found = judge(project, "test", params.sections["evaluate"].batch_size, stop)
        rows = np.flatnonzero(fold_of == fold)
        scores[rows] = found.scores
        for row, text in zip(rows.tolist(), found.said, strict=True):
            said[row] = text
        shutil.rmtree(project.home)
        warnings = [line for line in context.log if line.startswith("warning: the training diverged")]
        _say(f"fold {fold + 1} of {folds}: {len(rows):,} samples judged, {time.monotonic() - began:.1f} s", *warnings)
    return Doubts(scores, said)


def _of_no_training(labels: Array, fold_of: Int64) -> npt.NDArray[np.bool_]:
    """Samples whose class the model that judged them has never seen, bool [n]: it cannot judge them."""
    everywhere = np.bincount(labels)
    unseen = np.zeros(len(labels), dtype=np.bool_)
    for fold in np.unique(fold_of):
        held_out = fold_of == fold
        alone = np.bincount(labels[held_out], minlength=len(everywhere)) == everywhere
        unseen |= held_out & alone[labels]
    if unseen.any():
        _say(f"{int(unseen.sum()):,} samples are not judged: all of their class lie in one fold")
    return unseen


def judge(project: ScratchProject, name: SplitName, batch_size: int, stop: StopRequest) -> Doubts:
    """The samples of a split, by the checkpoint beside it.

    Raises:
        UserError: if an answer is not finite.
        Interrupted: if it was stopped.
    """
    checkpoint, split = load_checkpoint(project.checkpoint), open_split(project.prepared, name, in_memory=False)
    signature = split.info.signature
    target: TargetKind = signature.target
    serving = build_serving(checkpoint.model, checkpoint.task, signature)
    scores, said = np.zeros(len(split)), [""] * len(split)

    def answers_of(samples: torch.Tensor) -> npt.NDArray[np.floating]:
        answers: npt.NDArray[np.floating] = serving(samples).numpy()
        return answers

    def check() -> None:
        if stop.requested:
            raise Interrupted("it was stopped")

    for answers, batch in split_outputs(answers_of, split, bounded_batch(batch_size, split), check):
        if not np.isfinite(answers).all():
            raise UserError("an answer of the model is not finite: the training diverged", "lower train.optimizer.lr")
        doubts, texts = target.doubts(answers, batch.targets.numpy())
        scores[batch.indices] = doubts.round(_SCORE_DECIMALS)
        for row, text in zip(batch.indices.tolist(), texts, strict=True):
            said[row] = text
    return Doubts(scores, said)


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(do_job(find_suspects))
