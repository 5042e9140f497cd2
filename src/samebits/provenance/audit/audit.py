"""`samebits audit`: random stretches of a training computed again, from states that it committed to.

The code is that of the commit, the data those of its dvc.lock; what they compute is compared here, by hashes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file, write_bytes
from samebits.base.git import head_commit
from samebits.base.paths import Project
from samebits.checkpoints.checkpoint import WEIGHTS
from samebits.data.loading.prepared import read_info
from samebits.pipeline.code import code_digest
from samebits.pipeline.dvc_cache import bring_outputs, files_below, open_objects, share_cache
from samebits.pipeline.dvc_lock import LOCK, LockedStage, inputs_of, pick_stages, read_lock
from samebits.provenance.audit.recompute import STAGE, Job, Result
from samebits.provenance.audit.report import Audit
from samebits.provenance.audit.states import STATES, CommittedStates
from samebits.provenance.verify.compare import describe, describe_output
from samebits.provenance.verify.copies import (
    change_params,
    clean_environment,
    copy_commit,
    record_nothing,
    run_module,
    scratch,
)
from samebits.provenance.verify.pipeline import own_data, require_clean, require_environment
from samebits.provenance.verify.report import changed_facts
from samebits.tracking.environment.facts import recorded_facts
from samebits.training.commitment.record import AUDIT, AuditRecord, AuditState, read_record
from samebits.training.resume.saved import COUNTERS, STATE, state_folder

_RECOMPUTE = "samebits.provenance.audit.recompute"
_FIRST, _LAST = "first state", "last state and model"

Segment = tuple[AuditState, AuditState]
Say = Callable[[str], None]


@dataclass(frozen=True)
class AuditedModel:
    """What is to be checked.

    Attributes:
        folder: of the checkpoint whose record is held against it.
        record: what its training committed to.
        files: name in the checkpoint to the file.
        shown: for people.
    """

    folder: Path
    record: AuditRecord
    files: dict[str, Path]
    shown: str


def find_model(project: Project, path: Path | None) -> AuditedModel:
    """A checkpoint's folder (by default the project's), or weights alone, which the project's record is to explain.

    Raises:
        UserError: if there is no such model, or no sound record.
    """
    found = path or project.checkpoint
    if not found.exists():
        raise UserError(
            f"{found} does not exist", "name a checkpoint's folder, or fetch it: dvc pull models/checkpoint"
        )
    if found.is_dir():
        if not (found / WEIGHTS).is_file():
            raise UserError(f"{found} holds no {WEIGHTS}", "name a checkpoint's folder, as models/checkpoint")
        files = {name: file for name, file in files_below(found).items() if name != AUDIT}
        return AuditedModel(found, read_record(found), files, str(found))
    if found.suffix != ".safetensors":
        raise UserError(
            f"{found} holds no weights as training writes them", f"name a checkpoint's folder, or its {WEIGHTS}"
        )
    return AuditedModel(project.checkpoint, read_record(project.checkpoint), {WEIGHTS: found}, str(found))


def audit(
    project: Project,
    model: AuditedModel,
    *,
    count: int = 5,
    starts: Sequence[int] = (),
    keep: bool = False,
    say: Say = print,
) -> Audit:
    """Compute the first state, some segments and the last state's model again, and compare.

    Args:
        count: segments, drawn by chance.
        starts: first steps of segments, in place of chance.
        keep: leave the copy where it is.

    Raises:
        UserError: if the working tree differs from its commit, the model is of another one, or a state is missing.
    """
    root, record = project.workspace, model.record
    commit = head_commit(root)
    everything = read_lock(root)
    (stage,) = pick_stages(everything, [STAGE])
    require_clean(root, everything)
    chosen = choose(record, count, starts)
    say(f"audit: {model.shown}: {len(record.states)} states, root {record.root}")
    with scratch(project, "audit", keep) as folder:
        copy = copy_commit(root, commit, folder / "copy")
        require_environment(copy, [stage])
        states = _open_states(root, copy, stage, everything, folder)
        # By the auditor's own code: what runs in the copy is the trainer's.
        _require_same_origin(copy, record)
        ends = [record.states[-1], *(start for start, _ in chosen if start.step)]
        forged = states.fetch(ends)
        say(f"audit: commit {commit[:12]} in a clean copy, {copy}; {len(chosen)} of {len(record.segments)} segments")
        segments = [pair for pair in chosen if pair[0].step not in forged]
        into = folder / "computed"
        result = _compute(copy, record, segments, states.into, into, folder)
        found = Audit(len(record.segments), [(start.step, end.step) for start, end in chosen], drawn=not starts)
        _compare(found, model, chosen, forged, result, states, into, copy)
        if recorded := recorded_facts(copy, STAGE, dict(stage.outs)):
            found.facts = changed_facts(recorded, result.facts)
    say("")
    return found


def choose(record: AuditRecord, count: int, starts: Sequence[int]) -> list[Segment]:
    """Segments in the order of the training: those that begin at `starts`, or `count` of them by chance.

    Raises:
        UserError: for a step at which none begins.
    """
    segments = record.segments
    if starts:
        known = {start.step: (start, end) for start, end in segments}
        for step in starts:
            if step not in known:
                raise UserError(
                    f"no segment begins at step {step}",
                    f"one begins at each multiple of {record.every} below {record.states[-1].step}",
                )
        return [known[step] for step in sorted(set(starts))]
    # Not a seeded generator: the trainer must not know beforehand.
    places = random.SystemRandom().sample(range(len(segments)), min(count, len(segments)))
    return [segments[place] for place in sorted(places)]


def _open_states(
    root: Path, copy: Path, stage: LockedStage, everything: list[LockedStage], folder: Path
) -> CommittedStates:
    """Make a copy ready to train in, with the project's cache and the prepared data; the committed states."""
    if STATES not in stage.outs:
        raise UserError(f"{LOCK} has no {STATES}: the training kept no states", "train with train.audit_steps")
    objects = open_objects(root)
    share_cache(root, copy, objects)
    bring_outputs(copy, inputs_of([stage], everything) | own_data(copy, [stage], everything), objects)
    record_nothing(copy)
    change_params(copy, {"runtime": {"processes": 1}})
    return CommittedStates(copy, objects, stage.outs[STATES], folder / "states")


def _require_same_origin(copy: Path, record: AuditRecord) -> None:
    """Hold the copy's code and prepared data, every shard of them, against the record."""
    folder = Project(copy, copy).prepared
    info = read_info(folder)
    here = (code_digest(copy, STAGE), info.digest, sha256_file(folder / "dataset.json"))
    if here != (record.origin.code, record.origin.data, record.dataset):
        raise UserError(
            "the model is of another training than this commit's: its code or its data differ",
            "check out the commit that has its dvc.lock, then audit it there",
        )
    for shard in (each for split in info.shards.values() for each in split):
        for name, expected in ((shard.inputs, shard.inputs_sha256), (shard.targets, shard.targets_sha256)):
            if name is not None and sha256_file(folder / name) != expected:
                raise UserError(
                    f"data/prepared/{name} is not the file that its dataset.json names",
                    f"fetch it again: dvc fetch data/prepared; if it stays so, {LOCK} has other data than the record",
                )


def _compute(
    copy: Path, record: AuditRecord, segments: Sequence[Segment], states: Path, into: Path, folder: Path
) -> Result:
    job = Job(
        origin=record.origin,
        segments=[(start.step, end.step) for start, end in segments],
        last=record.states[-1].step,
        states=states,
        into=into,
    )
    asked, answer = folder / "job.json", folder / "result.json"
    write_bytes(asked, job.model_dump_json().encode())
    run_module(
        _RECOMPUTE, str(asked), str(answer),
        copy=copy, environ=clean_environment(), source=copy / "src", what="computing the segments again", quiet=False,
    )  # fmt: skip
    return Result.model_validate(read_json(answer))


def _compare(
    found: Audit,
    model: AuditedModel,
    chosen: Sequence[Segment],
    forged: dict[int, str],
    result: Result,
    states: CommittedStates,
    into: Path,
    copy: Path,
) -> None:
    """Fill in what differs."""
    first, last = model.record.states[0], model.record.states[-1]
    if not _is_state(state_folder(into, 0), first):
        seed = model.record.origin.parameters["seed"]
        found.different[_FIRST] = [f"not the one that seed {seed} gives", *_details(first, states, into)]
    for start, end in chosen:
        name = f"steps {start.step:,} to {end.step:,}"
        if start.step in forged:
            found.different[name] = [forged[start.step]]
        elif end.step in result.failed:
            found.different[name] = [result.failed[end.step]]
        elif not _is_state(state_folder(into, end.step), end):
            found.different[name] = _details(end, states, into)
    lines = []
    if last.step in forged:
        lines.append(forged[last.step])
    elif result.unusable:
        lines.append(result.unusable)
    else:
        if not result.finished:
            lines.append(f"the training does not end with step {last.step}")
        made = files_below(Project(copy, copy).checkpoint)
        for name, file in model.files.items():
            new = describe(name, made[name], file) if name in made else ["the training writes no such file"]
            lines += [f"{name}: {line}" for line in new]
    if lines:
        found.different[_LAST] = lines


def _is_state(folder: Path, entry: AuditState) -> bool:
    return sha256_file(folder / STATE) == entry.tensors and sha256_file(folder / COUNTERS) == entry.counters


def _details(entry: AuditState, states: CommittedStates, into: Path) -> list[str]:
    """How a computed state differs from the committed one, if that can be had."""
    try:
        forged = states.fetch([entry])
    except UserError as error:
        return [f"the state of step {entry.step} differs; the committed one cannot be had: {error.problem}"]
    if entry.step in forged:
        return [forged[entry.step]]
    old, new = (files_below(state_folder(each, entry.step)) for each in (states.into, into))
    return describe_output(f"step {entry.step}", old, {name: new[name] for name in old})
