"""`samebits verify`: the pipeline once more in a clean copy of the commit, each output held against dvc.lock.

Stages run as dvc.lock has their commands, without DVC, so that no run cache can stand in for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from samebits.base.errors import UserError, listed
from samebits.base.git import head_commit, names
from samebits.base.paths import Project
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.dvc_cache import (
    Objects,
    bring_outputs,
    digests,
    files_below,
    open_objects,
    original_files,
    share_cache,
)
from samebits.pipeline.dvc_files import added_data
from samebits.pipeline.dvc_lock import LOCK, LockedStage, drift, inputs_of, never_ran, overlap, pick_stages, read_lock
from samebits.pipeline.dvc_yaml import param_at
from samebits.pipeline.packages import differences, differences_text
from samebits.pipeline.ran import record_path
from samebits.provenance.verify.compare import describe_output
from samebits.provenance.verify.copies import copy_commit, record_nothing, run_command, scratch
from samebits.provenance.verify.report import OutputResult, Verification, changed_facts
from samebits.tracking.environment.facts import recorded_facts


def verify(
    project: Project, stages: list[str], *, keep: bool = False, say: Callable[[str], None] = print
) -> Verification:
    """Run stages of the checked-out commit in a clean copy, and compare.

    Args:
        stages: names; none for all of dvc.lock. A stage alone reads the inputs that dvc.lock names, from DVC's cache.
        keep: leave the copy where it is.

    Raises:
        UserError: if the working tree differs from its commit, there is no dvc.lock, an input is missing or a stage
            fails.
    """
    root = project.workspace
    commit = head_commit(root)
    everything = read_lock(root)
    chosen = pick_stages(everything, stages)
    require_clean(root, everything)
    with scratch(project, "verify", keep) as folder:
        copy = copy_commit(root, commit, folder / "copy")
        say(f"verify: commit {commit[:12]} in a clean copy, {copy}")
        pairs = never_ran(copy, chosen)
        for stage, why in pairs.items():
            say(f"warning: {LOCK} pairs what never ran together: {stage}: {why}")
        found = rerun(root, commit, copy, chosen, everything, folder, say)
        found.never_ran = pairs
    say("")
    return found


def require_environment(copy: Path, stages: list[LockedStage]) -> None:
    """Refuse an environment other than the commit's: its stages would refuse it, one after the other.

    Raises:
        UserError: naming the packages.
    """
    if found := differences(copy, [stage.name for stage in stages]):
        raise UserError(
            differences_text(found)[0],
            "run it in the environment of the commit: make setup, or samebits restore COMMIT --environment DIR",
        )


def require_clean(root: Path, stages: list[LockedStage]) -> None:
    """Refuse a tree whose files are not those of the commit: the copy would be of something else.

    Raises:
        UserError: naming changed files, and new ones that a stage depends on.
    """
    entries = names(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".")
    deps = [dep for stage in stages for dep in stage.deps]
    bad = []
    for entry in entries:
        state, name = entry[:2], entry[3:]
        if state != "??" or any(overlap(name, dep) for dep in deps):
            bad.append(name)
    if LOCK in bad:
        raise UserError(f"{LOCK} is not committed as it is here", f"git add {LOCK} && git commit, then try again")
    if bad:
        raise UserError(
            f"the working tree differs from its commit: {listed(bad)}",
            "commit it, or put it aside (git stash -u): what is verified is a commit",
        )


def rerun(
    root: Path,
    commit: str,
    copy: Path,
    chosen: list[LockedStage],
    everything: list[LockedStage],
    folder: Path,
    say: Callable[[str], None],
    python: Path | None = None,
) -> Verification:
    """Run the chosen stages in a copy and compare their outputs with what the stages name.

    Args:
        root: the project that has the cache, and the repository that has `commit`.
        folder: for what is needed aside.
        python: the interpreter of another environment than this one.
    """
    if python is None:
        require_environment(copy, chosen)
    objects = open_objects(root)
    found = Verification()
    recorded = {stage.name: recorded_facts(copy, stage.name, dict(stage.outs)) for stage in chosen}
    inputs = inputs_of(chosen, everything)
    share_cache(root, copy, objects)
    bring_outputs(copy, inputs | own_data(copy, chosen, everything), objects)
    for stage in chosen:
        if names := drift(copy, stage, everything):
            found.drift[stage.name] = names
    record_nothing(copy)
    originals = folder / "originals"
    for stage in chosen:
        for path in stage.outs:
            _remove(copy / path)
        for command in stage.commands:
            say(f"verify: {stage.name}: {command}")
            run_command(command, stage.name, copy, python=python)
        now = digests(copy, stage.outs)
        # The record repeats what else is compared: outputs here, code and data by `drift`.
        compared = {path: digest for path, digest in stage.outs.items() if path != record_path(stage.name)}
        for path, expected in compared.items():
            details = []
            if now[path] and now[path] != expected:
                details = _details(root, commit, copy, path, expected, objects, originals)
            found.results.append(OutputResult(stage.name, path, expected, now[path], details))
        here = recorded_facts(copy, stage.name, {path: digest for path, digest in now.items() if digest})
        if recorded[stage.name]:
            found.facts[stage.name] = changed_facts(recorded[stage.name], here)
        elif any(now[path] != expected for path, expected in compared.items()):
            found.unknown.append(stage.name)
    return found


def own_data(copy: Path, chosen: list[LockedStage], everything: list[LockedStage]) -> dict[str, str]:
    """Inputs that no stage writes and a clone does not have: those that `dvc add` keeps, and those that are missing.

    Returns:
        path to MD5.
    """
    written = [out for stage in everything for out in stage.outs]
    wanted = {
        dep: digest
        for stage in chosen
        for dep, digest in stage.deps.items()
        if not any(overlap(dep, out) for out in written)
    }
    lost = {dep: digest for dep, digest in wanted.items() if digest and not (copy / dep).exists()}
    return lost | added_data(copy, [*wanted, *_pinned(copy)])


def _pinned(copy: Path) -> list[str]:
    """Files of the user's own that no stage depends on: params.yaml has their paths and hashes."""
    params = read_yaml(copy / "params.yaml") if (copy / "params.yaml").is_file() else {}
    named = [str(param_at(params, key) or "") for key in ("data.text.tokenizer", "transfer.weights")]
    return [name for name in named if name.startswith("data/raw/")]


def _remove(path: Path) -> None:
    """An output that git holds (metrics) must not be taken for one that the stage wrote."""
    if path.is_file():
        path.unlink()


def _details(root: Path, commit: str, copy: Path, path: str, expected: str, objects: Objects, aside: Path) -> list[str]:
    old: Mapping[str, Path] = original_files(root, commit, path, expected, objects, aside)
    if not old:
        return [f"{path}: the recorded output is not at hand, so only its hash was compared (fix: dvc pull)"]
    return describe_output(path, old, files_below(copy / path)) or [f"{path}: the same files under another hash"]
