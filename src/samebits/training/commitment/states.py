"""The states that `train.audit_steps` keeps: beside the resume states while a training runs, an output at its end."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import sha256_file, write_json
from samebits.params.train import TrainParams
from samebits.pipeline.context import StageContext
from samebits.training.commitment.record import AUDIT, AuditRecord, AuditState, Origin, root_of
from samebits.training.optim.finite import require_finite_state
from samebits.training.resume.saved import COUNTERS, STATE, files_in, state_folder, whole_hashes, write_state
from samebits.training.resume.state import TrainingState


class AuditStates:
    """The states of one training at step 0, at every so many steps, and at the end.

    Args:
        folder: of this training's resume states. DVC removes a stage's outputs before it runs the stage, so an
            interrupted training has to keep them elsewhere.
        every: `train.audit_steps`; None keeps none.
    """

    def __init__(self, folder: Path, every: int | None) -> None:
        self.folder = folder / "kept"
        self.every = every

    def step_done(self, state: TrainingState) -> None:
        """Keep the state if its step is one of those to be kept."""
        if self.every is not None and state.step % self.every == 0:
            self._keep(state)

    def finish(self, state: TrainingState) -> None:
        """Keep the last state: of a training that ends inside a stretch, it is the end of a shorter one."""
        if self.every is not None and state.step % self.every:
            self._keep(state)

    def _keep(self, state: TrainingState) -> None:
        tensors = state.tensors()
        require_finite_state(state.damaged(tensors), state.step)
        write_state(state_folder(self.folder, state.step), tensors, state.counters())

    def covers(self, step: int) -> bool:
        """Whether every state that a training has to have kept before this step is here and whole."""
        if self.every is None:
            return True
        try:
            for each in range(0, step + 1, self.every):
                whole_hashes(files_in(state_folder(self.folder, each)))
        except UserError:
            return False
        return True

    def copy_to(self, target: Path, last: int) -> tuple[AuditState, ...]:
        """Make `target` the folder of the states up to the last step, and of nothing else; empty if none are kept.

        The files are linked where the file system can: they are large, and those beside the resume states go when the
        training is finished.
        """
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        steps = [] if self.every is None else [*range(0, last, self.every), last]
        for step in steps:
            state_folder(target, step).mkdir()
            for name in (STATE, COUNTERS):
                link_or_copy(state_folder(self.folder, step) / name, state_folder(target, step) / name)
        return tuple(entry_of(self.folder, step) for step in steps)


def entry_of(folder: Path, step: int) -> AuditState:
    """The tree's entry of a state below a folder of states.

    Raises:
        UserError: if it is damaged.
    """
    hashes = whole_hashes(files_in(state_folder(folder, step)))
    return AuditState(step=step, tensors=hashes[STATE], counters=hashes[COUNTERS])


def publish(kept: AuditStates, last: int, origin: Origin, context: StageContext) -> None:
    """Make the kept states an output, and write the record of them into the checkpoint."""
    states = kept.copy_to(context.project.states, last)
    file = context.project.checkpoint / AUDIT
    if kept.every is None:
        file.unlink(missing_ok=True)  # of a run without DVC, which removes outputs first
        return
    record = AuditRecord(
        every=kept.every,
        origin=origin,
        dataset=sha256_file(context.project.prepared / "dataset.json"),
        states=states,
        root=root_of(states),
    )
    write_json(file, record.model_dump(mode="json"))
    context.tracker.tags({"samebits.audit_root": record.root})
    context.say(f"kept {len(states)} states for samebits audit; their Merkle root is {record.root}")


def require_repeatable(reproducibility: str, train: TrainParams) -> None:
    """Refuse to keep states that nobody could compute again from the record of them.

    Raises:
        UserError: naming the key.
    """
    if train.audit_steps is None:
        return
    if reproducibility in ("warn", "off"):
        raise UserError(
            f"train.audit_steps keeps states that are to be computed again, and reproducibility: {reproducibility} "
            "does not promise the same bits",
            "set reproducibility: strict, or train.audit_steps: null",
        )
    if train.on_out_of_memory == "halve":
        raise UserError(
            "train.on_out_of_memory: halve lets a machine's memory decide bits, which train.audit_steps is to fix",
            "set train.micro_batch_size and train.on_out_of_memory: stop, or train.audit_steps: null",
        )


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name where the file system can, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
