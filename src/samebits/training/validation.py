"""The validation split during training: its metrics, computed by all processes together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from samebits.compute.distributed import ProcessGroup
from samebits.data.loading.sequential import sequential
from samebits.tasks import DerivesMetrics
from samebits.training.split_answers import SplitAnswers

if TYPE_CHECKING:
    from samebits.training.loop import Training

_BATCH = 500
_COUNT = "count"  # beside the sums of the metrics


@torch.no_grad()
def validate(training: Training) -> dict[str, float]:
    """Metrics of the validation split, means over what the task counts, in the precision of training.

    The batches are divided among the processes; the sums of the batches are added in their order.
    """
    task, device, split = training.task, training.device, training.validation
    model, group = training.state.eval_model.eval(), training.group
    size = min(_BATCH, training.micro_batch_size)
    count = math.ceil(len(split) / size)
    if count < group.size:
        group = ProcessGroup()  # too few batches to divide
    rows: dict[int, dict[str, torch.Tensor]] = {}
    answers = SplitAnswers(split) if training.own_metrics else None
    for number, batch in enumerate(sequential(split, size)):
        others = number % group.size != group.rank
        # Of a model that is cut, all compute as often: in the last round, too, each lends its rows.
        lends = bool(training.state.shards) and number == count - 1 and number % group.size < group.rank
        if others and not lends:
            continue
        with training.autocast():
            outputs = model(training.inputs(batch.inputs.to(device)))
        if lends:
            continue
        targets = batch.targets.to(device)
        counted = torch.tensor(task.count(targets), device=device)
        rows[number] = {_COUNT: counted, **task.metric_sums(outputs, targets)}
        if answers is not None:
            answers.add(task.postprocess(outputs), batch.indices)
        training.turns.step()
    names = sorted(next(iter(rows.values()), {}))
    sums = torch.zeros(count, len(names), dtype=torch.float64, device=device)
    for number, row in rows.items():
        sums[number] = torch.stack([row[name].double() for name in names])
    total = torch.zeros(len(names), dtype=torch.float64, device=device)
    for row_sums in group.all_reduce(sums):
        total += row_sums
    values = dict(zip(names, total.tolist(), strict=True))
    whole = max(1.0, values.pop(_COUNT))
    means = {name: value / whole for name, value in values.items()}
    derived = task.derived_metrics(means) if isinstance(task, DerivesMetrics) else {}
    own = answers.judged_by(training.own_metrics, group, device) if answers is not None else {}
    return {name: value for name, value in means.items() if not name.startswith("_")} | derived | own
