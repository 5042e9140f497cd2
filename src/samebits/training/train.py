"""The `train` stage: prepared data to `models/checkpoint`, resumable at any step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

from samebits.base.errors import UserError
from samebits.base.registry import load_module
from samebits.compute import determinism
from samebits.compute.distributed import ProcessGroup, init_process_group, local_device
from samebits.compute.hardware import hardware_kind, pick_device, resolve_precision
from samebits.compute.heartbeat import Lost
from samebits.compute.portable import set_portable
from samebits.compute.turns import Turns
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import Split, SplitName, open_split, read_info
from samebits.data.loading.remote import open_shards
from samebits.metrics.own import own_metrics
from samebits.models import build_model, pretraining_notes, tokens_read
from samebits.params.augment import AugmentParams
from samebits.params.choices import MODELS
from samebits.params.section import Section
from samebits.params.train import TrainParams
from samebits.params.transfer import TransferParams
from samebits.pipeline.code import code_digest
from samebits.pipeline.context import StageContext
from samebits.pipeline.fingerprint import digest
from samebits.preprocess import build_preprocess
from samebits.signature.corrections import corrections_text
from samebits.tasks import build_training_task
from samebits.tasks.own_section import TakesOwnMetrics
from samebits.training.batch_norm import require_enough_for_batch_norm
from samebits.training.commitment.states import AuditStates, publish, require_repeatable
from samebits.training.delivery import bring_data
from samebits.training.handshake import require_same_everywhere
from samebits.training.kind import kind_lines
from samebits.training.loop import Observer, OutOfMemory, Training
from samebits.training.optim.ema import ModelEma
from samebits.training.optim.finite import not_finite, require_finite_state
from samebits.training.optim.mixup import require_mixable
from samebits.training.optim.optimizers import build_optimizer
from samebits.training.outputs import write_outputs
from samebits.training.own_fit import require_own_fit
from samebits.training.plan import FROM_SCRATCH, Plan
from samebits.training.pretrained.find import find_weights, is_torchs_own
from samebits.training.pretrained.load import load_pretrained, read_weights
from samebits.training.resume.go_on import keep_at, take_over
from samebits.training.resume.handover import hand_over
from samebits.training.resume.kept import write_kept
from samebits.training.resume.state import TrainingState
from samebits.training.resume.store import StateStore, remove_stale_states
from samebits.training.runner import replay_curve, restore, run_training
from samebits.training.shards import Gathered, Shards, require_shardable


def train(
    seed: int,
    reproducibility: str,
    task: Section,
    model: Section,
    augment: AugmentParams,
    train: TrainParams,
    transfer: TransferParams = FROM_SCRATCH,
    *,
    context: StageContext,
) -> None:
    """Train, or go on where an interrupted training with the same fingerprint stopped."""
    sections = (seed, reproducibility, task, model, augment, train, transfer)
    with open_plan(*sections, context=context) as (plan, micro, group):
        code = code_digest(context.project.workspace, context.name)
        info = plan.info
        context.tracker.dataset(name=info.name, digest=info.digest, source=info.title, counts=info.counts)
        if corrected := corrections_text(info.corrections):
            context.tracker.tags({"samebits.corrections": corrected})
        context.say(plan.headline())
        fixed = train.precision != "auto" or plan.own_kind is None
        for line in kind_lines(context.project.workspace, hardware_kind(plan.device), plan.own_kind, fixed=fixed):
            context.say(line)
        inputs = plan.inputs(code)
        store = StateStore(context.project.state / "resume", digest(inputs)[:32], context.say)
        if group.is_rank_zero:
            _run_rank_zero(plan, code, inputs, micro, store, group, context)
        else:
            _run_worker(plan, micro, group, context)


@contextlib.contextmanager
def open_plan(
    seed: int,
    reproducibility: str,
    task: Section,
    model: Section,
    augment: AugmentParams,
    train: TrainParams,
    transfer: TransferParams = FROM_SCRATCH,
    *,
    context: StageContext,
) -> Iterator[tuple[Plan, int, ProcessGroup]]:
    """Set this process up as the parameters want it: the plan, samples per forward pass, and the process group.

    Raises:
        UserError: for data, parameters or a machine that do not go together.
    """
    with init_process_group(context.runtime.processes, context.runtime.hosts, context.say) as group:
        bring_data(transfer, group, context)
        determinism.set_determinism(reproducibility, train.threads, compiles=train.compile)
        device = local_device(pick_device(context.runtime.device))
        own_kind = set_portable(reproducibility, device, train.threads, compiles=train.compile)
        precision = resolve_precision(train.precision, device)
        info = read_info(context.project.prepared)
        require_mixable(augment, info.signature)
        weights = find_weights(transfer, model, model_module(model), info.signature, context)
        plan = Plan(
            seed, reproducibility, task, model, augment, train, info, device, precision, transfer, weights, group.size,
            own_kind,
        )  # fmt: skip
        require_repeatable(reproducibility, train)
        require_same_everywhere(plan, group, context)
        micro = _micro_batch_size(plan, context)
        group.connect(device)
        yield plan, micro, group


def _report_truncated_texts(plan: Plan, context: StageContext) -> None:
    """Report the share of texts longer than the encoder's limit; `prepare` knows only `data.text.length`."""
    limit = tokens_read(plan.model, plan.info.signature)
    if limit is None or limit >= plan.info.signature.tokens.length:
        return
    lengths = _split(context, "train", in_memory=False).lengths()
    share = float((lengths > limit).mean())
    context.say(f"the encoder reads {limit:,} tokens: {share:.1%} of the training texts are longer")
    context.tracker.summary({"train/texts_cut": share})


def _run_rank_zero(
    plan: Plan,
    code: str,
    inputs: dict[str, Any],
    micro: int,
    store: StateStore,
    group: ProcessGroup,
    context: StageContext,
) -> None:
    """Train, save and write on rank 0."""
    _report_truncated_texts(plan, context)
    kept = AuditStates(store.folder, plan.train.audit_steps)
    with store:
        remove_stale_states(store.folder.parent, keep=store.folder.name)
        if context.runtime.resume == "never":
            store.clear()
        while True:
            training = build_training(plan, context, micro, group)
            kept_after = keep_at(training)
            store.describe(plan.train.epochs, training.total_steps, inputs)
            if kept_after is not None and store.kept() is None:
                store.drop_after(kept_after)
            restore(training.state, store, kept, context)
            if context.runtime.resume == "auto":
                take_over(training, inputs, store, context)
            if training.state.step > training.total_steps:
                raise UserError(
                    f"the saved state in {store.folder} is of step {training.state.step}, and this training has "
                    f"{training.total_steps}",
                    "remove that folder, then dvc repro",
                )
            replay_curve(training.state, context)
            hand_over(training.state, group, plan.device, store.load)
            try:
                run_training(training, store, kept, context, kept_after)
                break
            except OutOfMemory as error:
                micro = _smaller_micro_batch(micro, plan, error, context)
        write_outputs(training, plan.task, plan.model, plan.info, context)
        publish(kept, training.state.step, plan.origin(code), context)
        write_kept(context.project.kept_state, store.kept())
        store.clear()
        with contextlib.suppress(Lost):  # all is written: nobody is needed any more
            group.barrier()


def _run_worker(plan: Plan, micro: int, group: ProcessGroup, context: StageContext) -> None:
    """Compute on a rank other than 0, from the state that rank 0 has."""
    training = build_training(plan, context, micro, group)
    hand_over(training.state, group, plan.device)
    state = training.state

    def send() -> None:
        if isinstance(whole := state.whole(), Gathered):
            require_finite_state(state.damaged(state.tensors()), state.step)
            whole.send_all()

    observer = Observer(lambda *_: None, lambda *_: None, send, save_seconds=math.inf)
    with context.stop.deferred():
        training.run(observer, context.stop)
    if isinstance(kept := state.kept_weights(), Gathered):
        require_finite_state(not_finite(state.best or state.weights(), state.unbounded), state.step)
        kept.send_all()
    group.barrier()


def _micro_batch_size(plan: Plan, context: StageContext) -> int:
    """Samples per forward pass, such that every process has its part of a batch.

    Raises:
        UserError: if the processes cannot share a batch evenly, or their number would change the bits unasked.
    """
    settings, processes = plan.train, plan.processes
    micro = settings.micro_batch_size or settings.batch_size
    if processes == 1:
        return micro
    if not settings.elastic:
        if plan.reproducibility not in ("warn", "off"):
            raise UserError(
                f"{processes} processes without train.elastic give other bits than one",
                "set train.elastic: true (with train.micro_batch_size), or reproducibility: warn",
            )
        if plan.reproducibility == "warn":
            context.say(f"the bits depend on the number of processes ({processes}): train.elastic is off")
        micro = min(micro, max(1, settings.batch_size // processes))
    parts = settings.batch_size // micro
    if settings.elastic and not settings.batch_size % micro and parts >= processes:
        return micro
    if settings.batch_size % micro or parts % processes:
        raise UserError(
            f"{processes} processes cannot share {parts} micro-batches of {micro} samples evenly",
            f"make the {settings.batch_size} samples of train.batch_size a multiple of {processes} micro-batches",
        )
    return micro


def build_training(
    plan: Plan, context: StageContext, micro_batch_size: int, group: ProcessGroup | None = None
) -> Training:
    """Everything of a training at step 0."""
    info, settings, runtime = plan.info, plan.train, context.runtime
    in_memory = info.split_bytes("train") <= runtime.memory_mib << 20
    samples = _split(context, "train", in_memory=in_memory)
    if not in_memory and settings.shuffle == "full":
        context.say(
            "the samples are more than runtime.memory_mib, so each is read from disk, from anywhere: "
            "train.shuffle: window reads shard by shard, many times faster where the system cannot keep them in memory"
        )
    determinism.seed_torch(plan.seed, determinism.INITIALISATION)
    network = build_model(plan.model, info.signature)
    torchs_own = plan.weights is not None and is_torchs_own(plan.transfer, context.project.catalog)
    weights = read_weights(plan.weights, torchs_own=torchs_own) if plan.weights else None
    transfer = load_pretrained(network, plan.transfer, model_module(plan.model), weights)
    for line in (*transfer.report, *(pretraining_notes(plan.model, info.signature) if weights else ())):
        context.say(line)
    if settings.shard:
        require_shardable(network, channels_last=settings.channels_last)
    network = network.to(plan.device)
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
    state = TrainingState(
        model=network,
        optimizer=build_optimizer(network, settings.optimizer, transfer.rates, fused=not settings.shard),
        average=ModelEma(network, settings.ema_decay) if settings.ema_decay else None,
        scaler=torch.amp.GradScaler(plan.device.type) if plan.precision.scaled else None,
    )
    training = Training(
        task=build_training_task(plan.task, info.signature, info.class_counts.get("train", ())),
        settings=settings,
        seed=plan.seed,
        device=plan.device,
        precision=plan.precision,
        preprocess=build_preprocess(info.signature).to(plan.device),
        batches=Batches(
            samples,
            batch_size=settings.batch_size,
            seed=plan.seed,
            augment=plan.augment,
            shuffle=settings.shuffle,
            window=settings.shuffle_window,
            bucket=settings.bucket_by_length,
        ),
        validation=_split(context, "validation", in_memory=in_memory),
        micro_batch_size=micro_batch_size,
        workers=int(plan.device.type != "cpu" or not in_memory) if runtime.workers is None else runtime.workers,
        state=state,
        group=group or ProcessGroup(),
        mixing=plan.augment if plan.augment.mixup or plan.augment.cutmix else None,
        frozen=transfer.frozen,
        own_metrics=own_metrics(plan.task.own_metrics) if isinstance(plan.task, TakesOwnMetrics) else (),
        # Processes of a group wait for each other: one without its turn would keep all of them.
        turns=Turns(plan.device.type == "cpu" and plan.processes == 1, lambda: context.stop.requested, context.say),
    )
    require_own_fit(training)
    require_enough_for_batch_norm(training)
    if settings.shard and training.group.size > 1:
        state.shards = Shards(network, state.optimizer, state.average, training.group)
    return training


def _split(context: StageContext, name: SplitName, *, in_memory: bool) -> Split:
    """A split, whose files may lie on the remote."""
    project, runtime, shards = context.project, context.runtime, None
    if runtime.shards_from is not None:
        home, limit = project.state / "shards", runtime.shard_cache_mib << 20
        stopped = lambda: context.stop.requested  # noqa: E731
        shards = open_shards(project.workspace, home, runtime.shards_from, limit, context.say, stopped)
    return open_split(project.prepared, name, in_memory=in_memory, shards=shards)


def model_module(model: Section) -> ModuleType:
    """The module that builds the model that a `model` section names."""
    return load_module("model", str(getattr(model, "name", "")), MODELS)


def _smaller_micro_batch(micro: int, plan: Plan, error: OutOfMemory, context: StageContext) -> int:
    """The next micro-batch size to try after `micro` did not fit.

    Raises:
        UserError: if `train.on_out_of_memory` says stop, several processes train, or a single sample does not fit.
    """
    train = plan.train
    half = micro // 2
    while half > 1 and train.batch_size % half:
        half -= 1
    if half < 1:
        raise UserError(f"out of memory with one sample at a time: {error}", "use a smaller model or smaller inputs")
    if train.on_out_of_memory == "stop" or plan.processes > 1 or train.elastic:
        raise UserError(
            f"out of memory at {micro} samples per forward pass: {error}",
            f"set train.micro_batch_size: {half} (the effective batch stays {train.batch_size}), "
            "or train.on_out_of_memory: halve",
        )
    context.say(
        f"out of memory at {micro} samples per forward pass; continuing with {half}, {train.batch_size} per update"
    )
    context.tracker.tags({"samebits.micro_batch_size": str(half)})
    return half
