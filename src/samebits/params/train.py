"""`train`: everything about the optimisation that can change the resulting bits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from samebits.params.section import Section


class SGDParams(Section):
    """`torch.optim.SGD`.

    Attributes:
        lr: peak learning rate.
        momentum: share of the last update that goes into the next; 0 is off.
        nesterov: look ahead along the momentum (Sutskever et al., 2013).
        weight_decay: L2 penalty on matrices and convolutions, not on embeddings, biases and scales.
    """

    name: Literal["sgd"]
    lr: float = Field(gt=0.0)
    momentum: float = Field(default=0.9, ge=0.0, lt=1.0)
    nesterov: bool = True
    weight_decay: float = Field(default=0.0, ge=0.0)


class AdamParams(Section):
    """`torch.optim.Adam` (L2 in the gradient) or `torch.optim.AdamW` (decoupled decay).

    Attributes:
        lr: peak learning rate.
        beta1: decay of the mean of the gradient.
        beta2: decay of the mean of its square.
        eps: added to the root of that square.
        weight_decay: on matrices and convolutions, not on embeddings, biases and scales.
    """

    name: Literal["adam", "adamw"]
    lr: float = Field(gt=0.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.999, ge=0.0, lt=1.0)
    eps: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)


class MuonParams(Section):
    """`torch.optim.Muon` (Jordan et al., 2024) for the matrices of hidden layers, `torch.optim.AdamW` for embeddings,
    the head, convolutions, biases and scales.

    Attributes:
        lr: peak learning rate of the matrices; steps are scaled to the size of AdamW's.
        rest: AdamW's peak learning rate as a multiple of it.
        momentum: decay of the mean of the gradient that is orthogonalised.
        beta1: of AdamW: decay of the mean of the gradient.
        beta2: of AdamW: decay of the mean of its square.
        eps: of AdamW: added to the root of that square.
        weight_decay: on matrices, not on embeddings, biases and scales.
    """

    name: Literal["muon"]
    lr: float = Field(gt=0.0)
    rest: float = Field(default=0.5, gt=0.0)
    momentum: float = Field(default=0.95, ge=0.0, lt=1.0)
    beta1: float = Field(default=0.9, ge=0.0, lt=1.0)
    beta2: float = Field(default=0.95, ge=0.0, lt=1.0)
    eps: float = Field(default=1e-8, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)


OptimizerParams = Annotated[SGDParams | AdamParams | MuonParams, Field(discriminator="name")]


class ScheduleParams(Section):
    """The learning rate as a function of the step.

    Attributes:
        name: shape of the decay after the warm-up.
        warmup: share of all steps over which the rate rises linearly from 0.
        warmup_steps: steps over which it rises, in place of that share: as many for any number of epochs.
        decay: share of all steps over which it falls at the end, for `wsd` (warm-up, stable, decay) alone.
        final: rate at the last step, as a share of the peak. A fall to 0 of fewer than 10 steps gets there one step
            later, so that no update of a short training is lost.
    """

    name: Literal["linear", "cosine", "constant", "wsd"] = "cosine"
    warmup: float = Field(default=0.1, ge=0.0, lt=1.0)
    warmup_steps: int | None = Field(default=None, ge=0)
    decay: float = Field(default=0.2, gt=0.0, le=1.0)
    final: float = Field(default=0.0, ge=0.0, le=1.0)


class TrainParams(Section):
    """The training loop.

    Attributes:
        epochs: passes over the training split.
        batch_size: samples per update.
        micro_batch_size: samples per forward pass; gradients are accumulated up to `batch_size`. null: all at once.
        shuffle: `full` is a permutation of the split; `window` permutes shards, then rows within windows of
            `shuffle_window` shards, so that shards read from disk are read in order.
        shuffle_window: shards a window.
        bucket_by_length: sort texts by length within windows of so many batches, so that a batch holds texts of like
            length and little is computed for padding; the order of the batches stays random. null is off.
        precision: `auto` is bf16 where the device is faster in it, else fp32; fp32 in portable arithmetic.
        channels_last: keep images as [N, H, W, C] in memory, which convolutions of most hardware prefer.
        compile: `torch.compile` the model; pays on long runs.
        threads: CPU threads for one operation. Another number gives other bits; another number of cores does not.
        gradient_clip: largest global L2 norm of the gradient; null is off.
        ema_decay: decay of the exponential moving average of weights that is evaluated and saved; null is off.
        select: save the weights of the `last` epoch, or of the epoch with the `best` validation loss.
        patience: stop after so many epochs without a better validation loss; null is off.
        elastic: the same bits for any number of processes (`runtime.processes`): each micro-batch is computed alone
            and what they give is added in one fixed order. Needs `micro_batch_size`, with a power of two of them a
            batch.
        shard: each process keeps its part of the weights, gradients and optimiser's state alone, and borrows a block's
            weights while it computes with it: for models larger than a device. Needs `elastic`; same bits for any
            number of processes. Updates and clipping round otherwise than without it (docs/large-models.md).
        checkpoint_activations: keep of each block of the model its input alone, and compute the rest again in the
            backward pass: less memory, a third more time, the same bits.
        on_out_of_memory: `stop` with the size to try, or `halve` the micro-batch (same effective batch).
        audit_steps: keep the state of the first step, of the last, and of every so many in `models/states`, and a
            Merkle root over them in the checkpoint, for `samebits audit`; null keeps none. No bit of the weights
            depends on it.
        keep_state: keep the training state in `models/training_state`, a DVC output, so that the same training with
            more epochs goes on from it. Takes a schedule whose rates do not depend on the number of epochs (`constant`,
            or `wsd` up to its decay) and `warmup_steps` or `warmup: 0.0`.
    """

    epochs: int = Field(default=4, ge=1)
    batch_size: int = Field(default=256, ge=1)
    micro_batch_size: int | None = Field(default=None, ge=1)
    shuffle: Literal["full", "window"] = "full"
    shuffle_window: int = Field(default=8, ge=1)
    bucket_by_length: int | None = Field(default=None, ge=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    channels_last: bool = True
    compile: bool = False
    threads: int = Field(default=2, ge=1)
    optimizer: OptimizerParams
    schedule: ScheduleParams = ScheduleParams()
    gradient_clip: float | None = Field(default=None, gt=0.0)
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)
    select: Literal["last", "best"] = "last"
    patience: int | None = Field(default=None, ge=1)
    elastic: bool = False
    shard: bool = False
    checkpoint_activations: bool = False
    on_out_of_memory: Literal["stop", "halve"] = "stop"
    audit_steps: int | None = Field(default=None, ge=1)
    keep_state: bool = False
