"""Whether what is the user's own (loss, task, metrics, augmentation) fits the data and the training: told before the
first step, with the shapes that it was given and gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from samebits.base.errors import UserError, listed
from samebits.base.own_code import asked
from samebits.data.loading.prepared import Array, Split
from samebits.data.loading.tensors import as_tensor
from samebits.metrics.own import OwnMetric
from samebits.signature.signature import Signature
from samebits.tasks.own import OwnTask
from samebits.tasks.own_loss import WithOwnLoss

if TYPE_CHECKING:
    from samebits.training.loop import Training

_CLOSE = 1e-4
"""Share of a number within which float32 adds up the parts of a batch in any order."""
_SAMPLES = 64
_NUMBERS = 1 << 22
"""Outputs that are made up, at most."""


def require_own_fit(training: Training) -> None:
    """Try all that is the user's own on samples from all over the split.

    Raises:
        UserError: naming what does not fit.
    """
    split, task = training.batches.split, training.task
    if training.batches.own is not None:
        training.batches.own.require_repeatable(split)
    if isinstance(task, WithOwnLoss | OwnTask):
        if isinstance(task, WithOwnLoss) and task.batchwise:
            _require_whole_batches(training)
        outputs, targets, _ = _made_up(split, training.device)
        if training.mixing is not None:
            targets = functional.one_hot(targets, len(split.info.classes)).float()
        with training.autocast():
            _require_a_loss(task, outputs, targets)
        if not (isinstance(task, WithOwnLoss) and task.batchwise):
            _require_mean(task, outputs, targets)
        if isinstance(task, OwnTask):
            _require_sums(task, outputs, targets)
            _require_answers(task, outputs, split.info.signature)
    if training.own_metrics:
        outputs, targets, stored = _made_up(training.validation, training.device)
        names = task.metric_sums(outputs, targets)
        answers = split.info.signature.target.judged(task.postprocess(outputs).cpu().numpy())
        for metric in training.own_metrics:
            if metric.name in names:
                raise UserError(f"{metric.place} has the name {metric.name}, which the task has", "call it otherwise")
            assert stored is not None  # a language model takes no metrics
            _require_metric(metric, answers, stored)


def _require_whole_batches(training: Training) -> None:
    settings = training.settings
    if training.micro_batch_size != settings.batch_size or training.group.size > 1 or settings.elastic:
        raise UserError(
            "task.own_loss.batchwise is true: the loss of a batch is none of its parts",
            "leave train.micro_batch_size at null, train.elastic at false and runtime.processes at 1",
        )
    if settings.on_out_of_memory != "stop":
        raise UserError(
            "task.own_loss.batchwise is true, and a batch must not be cut", "set train.on_out_of_memory: stop"
        )


def _made_up(split: Split, device: torch.device) -> tuple[Tensor, Tensor, Array | None]:
    """Outputs as a model gives them, and targets from all over the split, as a batch has them and as they are stored;
    [N, ...] each."""
    shape = split.info.signature.output_shape
    most = max(2, min(_SAMPLES, _NUMBERS // max(1, int(np.prod(shape)))))
    rows = np.linspace(0, len(split) - 1, min(most, len(split))).astype(np.int64)
    targets = as_tensor(split.samples(rows)[1])
    # By the target: the parts of it then differ, as those of some batch will.
    order = targets.double().reshape(len(rows), -1).mean(dim=1).argsort(stable=True)
    targets = targets[order]
    outputs = torch.randn(len(rows), *shape, generator=torch.Generator().manual_seed(0))
    if split.info.signature.target.per_position:
        outputs = outputs[:, : targets.shape[1]]  # both are cut to the longest of a batch
    stored = None if split.targets is None else split.targets[rows][order.numpy()]
    return outputs.to(device), targets.to(device), stored


def _loss_of(task: WithOwnLoss | OwnTask, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss, with torch's generator as at the beginning of a step.

    Raises:
        UserError: if it fails, with what it was given.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return asked(
            lambda: task.loss(outputs.clone(), targets),  # it may change them in place, as it may a model's
            f"{task.name}: the loss fails on {_given(task, outputs, targets)}",
            "it has to take these shapes and types",
        )


def _given(task: WithOwnLoss | OwnTask, outputs: Tensor, targets: Tensor) -> str:
    """What the user's code gets, for messages."""
    given = task.task.loss_inputs(outputs, targets) if isinstance(task, WithOwnLoss) else (outputs, targets)
    return "outputs {} and targets {}".format(*map(_shown, given))


def _require_a_loss(task: WithOwnLoss | OwnTask, outputs: Tensor, targets: Tensor) -> None:
    """It has to be computed, have a gradient, and be the same again."""
    leaf, shown = outputs.clone().requires_grad_(), _given(task, outputs, targets)
    loss = _loss_of(task, leaf, targets)
    if not loss.requires_grad:
        raise UserError(
            f"{task.name}: the loss of {shown} has no gradient", "compute it of the outputs in torch, without detach()"
        )
    asked(
        lambda: torch.autograd.grad(loss, leaf),
        f"{task.name}: the gradient of the loss of {shown} fails",
        "compute it of the outputs, in operations of torch that have a gradient",
    )
    again = _loss_of(task, outputs, targets)
    if torch.isfinite(loss) and not torch.equal(loss.detach(), again):
        raise UserError(
            f"{task.name}: the loss of {shown} is {loss.item():.6g}, and {again.item():.6g} when computed again",
            "keep nothing between two calls, and draw random numbers from torch's generator alone",
        )


def _require_mean(task: WithOwnLoss | OwnTask, outputs: Tensor, targets: Tensor) -> None:
    """The loss has to be a mean over what the task counts, or micro-batches and processes would change it."""
    whole = _loss_of(task, outputs, targets).double()
    added = torch.zeros_like(whole)
    for rows in _parts(len(outputs)):
        added += _loss_of(task, outputs[rows], targets[rows]).double() * task.count(targets[rows])
    added /= max(1, task.count(targets))
    if torch.isfinite(whole) and not _close(whole, added):
        counted = "samples" if task.count(targets) == len(targets) else "what the task counts"
        how = "count says what it is a mean over"
        if isinstance(task, WithOwnLoss):
            how = "if it is one of the whole batch, set task.own_loss.batchwise: true"
        raise UserError(
            f"{task.name}: the loss of {len(outputs)} samples is {whole.item():.6g}, the mean of its parts is "
            f"{added.item():.6g}: it is no mean over {counted}, so cutting a batch would change it",
            "give the mean (not reduction='sum'; torch's class weights are divided by their sum, task.class_weights "
            f"are not); {how}",
        )


def _require_sums(task: OwnTask, outputs: Tensor, targets: Tensor) -> None:
    """The metrics of parts have to add up to those of the whole."""

    def sums(rows: slice) -> dict[str, Tensor]:
        found = asked(
            lambda: task.metric_sums(outputs[rows], targets[rows]),
            f"{task.name}: metric_sums fails on {_given(task, outputs, targets)}",
            "it has to take these shapes and types",
        )
        if wrong := [name for name, value in found.items() if not isinstance(name, str) or value.ndim]:
            raise UserError(f"{task.name}: metric_sums gives no scalar as {listed(wrong)}", "give sums over the batch")
        return found

    whole = sums(slice(None))
    if "loss" not in whole:
        raise UserError(f"{task.name}: metric_sums gives {listed(list(whole))}, but no loss", "add the sum of the loss")
    parts = [sums(rows) for rows in _parts(len(outputs))]
    for name, value in whole.items():
        added = torch.stack([part[name].double() for part in parts]).sum()
        if torch.isfinite(value) and not _close(value.double(), added):
            raise UserError(
                f"{task.name}: {name} of metric_sums is {value.item():.6g} for {len(outputs)} samples, and "
                f"{added.item():.6g} when its parts are added",
                "give sums over what count counts, no means",
            )


def _require_answers(task: OwnTask, outputs: Tensor, signature: Signature) -> None:
    """What evaluation and export take from postprocess."""

    def answers(rows: slice) -> Tensor:
        given = outputs[rows]
        found = asked(
            lambda: task.postprocess(given),
            f"{task.name}: postprocess fails on {_shown(given)}",
            "it has to take this shape and type",
        )
        wanted = [*given.shape] if signature.target.per_position else [len(given), *signature.target.answer_shape]
        if not isinstance(found, Tensor) or list(found.shape) != wanted or found.dtype != torch.float32:
            said = _shown(found) if isinstance(found, Tensor) else type(found).__name__
            raise UserError(
                f"{task.name}: postprocess gives {said} for {_shown(given)}",
                f"give float32 {wanted}: {signature.target.meaning}",
            )
        return found

    whole = answers(slice(None))
    if problem := signature.target.answers_problem(whole.cpu().numpy()):
        raise UserError(f"{task.name}: postprocess fails: {problem}", f"give {signature.target.meaning}")
    if not torch.allclose(whole, torch.cat([answers(rows) for rows in _parts(len(outputs))]), rtol=_CLOSE, atol=_CLOSE):
        raise UserError(
            f"{task.name}: the answers of postprocess depend on the other samples of a batch",
            "compute each sample's answer of its own outputs",
        )


def _require_metric(metric: OwnMetric, predictions: np.ndarray, targets: np.ndarray) -> None:
    shown = (
        f"predictions {predictions.dtype} {list(predictions.shape)} and targets {targets.dtype} {list(targets.shape)}"
    )

    def of(rows: slice) -> np.ndarray:
        return asked(
            lambda: metric.of(predictions[rows], targets[rows]),
            f"{metric.place} fails on {shown}",
            "it has to take these shapes and types, as numpy arrays that it must not change",
        )

    whole = of(slice(None))
    if not np.array_equal(whole, of(slice(None)), equal_nan=True):
        raise UserError(f"{metric.place} gives another number for the same predictions", "make it depend on them alone")
    if whole.ndim and not np.allclose(
        whole, np.concatenate([of(rows) for rows in _parts(len(targets))]), equal_nan=True
    ):
        raise UserError(
            f"{metric.place} gives one number a sample that depends on the other samples",
            "give one number for all of them",
        )


def _parts(count: int) -> list[slice]:
    """A third and the rest: of unequal lengths, so that a mean of means is none."""
    cut = max(1, count // 3)
    return [slice(0, cut), slice(cut, count)] if count > 1 else [slice(0, count)]


def _close(one: Tensor, two: Tensor) -> bool:
    return torch.allclose(one, two, rtol=_CLOSE, atol=1e-6)


def _shown(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
