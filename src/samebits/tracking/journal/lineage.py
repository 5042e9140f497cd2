"""Where a result comes from: git's commit and what differs from it, DVC's names, hashes of inputs and outputs."""

from __future__ import annotations

import getpass
import os
import shlex
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from samebits.base.errors import UserError
from samebits.base.files import sha256_file
from samebits.base.git import GitError, git, git_bytes, names
from samebits.base.paths import Project
from samebits.base.redaction import first_secret
from samebits.pipeline.context import FACTS
from samebits.pipeline.dvc_hashes import dvc_md5, listing_md5
from samebits.pipeline.dvc_yaml import read_pipeline
from samebits.tracking.tracking_uri import without_password

if TYPE_CHECKING:
    from samebits.tracking.journal.record import Execution

_PATCH_LIMIT = 1 << 20
_GIT_TIMEOUT_S = 20.0


# Changed by `-S`: no sign of edited code.
_PARAMS = "params.yaml"
_RAW, _NOTES = "data/raw/", (".dvc", ".gitignore")
"""Data of one's own are no code, until they are added to DVC: what it writes about them is."""


def source_facts(
    project: Project, execution: Execution, warn: Callable[[str], None] = print
) -> tuple[dict[str, str], bytes]:
    """Tags about the code of this execution, and the patch of what is not committed (empty if there is none).

    The patch holds changed and new files that git does not ignore, but nothing that DVC writes, and no new data in
    data/raw. It is left out over 1 MiB, and when a line looks like a key or a password; `git.patch` says so.

    Args:
        warn: gets a line where there is a repository that git does not read, or no git.
    """
    facts = {"mlflow.source.type": "LOCAL", "mlflow.source.name": _public(execution.command), "mlflow.user": _user()}
    if execution.experiment:
        facts["dvc.exp_name"] = execution.experiment
    baseline = os.environ.get("DVC_EXP_BASELINE_REV", "")
    if baseline:
        facts["dvc.baseline_rev"] = baseline
    commit = baseline or _head(project.workspace, warn)
    if not commit:
        facts["git.commit"] = "none"
        return facts, b""
    facts |= {"git.commit": commit, "mlflow.source.git.commit": commit}
    try:
        facts["git.branch"] = _branch(project.home, commit) or "(detached)"
        changed, patch = _differences(project.workspace, commit)
    except UserError as error:
        warn(f"warning: what differs from commit {commit[:10]} is not recorded: {error}")
        return facts, b""
    facts["git.dirty"] = _yes(any(name != _PARAMS for name in changed))
    facts["params.changed"] = _yes(_PARAMS in changed)
    if not patch:
        return facts, b""
    if len(patch) > _PATCH_LIMIT:
        facts["git.patch"] = f"left out: {len(patch) >> 20} MiB, over the limit of 1 MiB"
        return facts, b""
    if (where := first_secret(patch.decode(errors="replace"))) is not None:
        facts["git.patch"] = f"left out: line {where} of the patch looks like a key or a password"
        return facts, b""
    facts["git.patch"] = "uncommitted.patch"
    return facts, patch


def _head(workspace: Path, warn: Callable[[str], None]) -> str:
    """The commit; empty outside a repository and before its first commit."""
    try:
        return git(workspace, "rev-parse", "--verify", "HEAD", timeout_s=_GIT_TIMEOUT_S)
    except GitError as error:
        if error.distrusted:
            warn(f"warning: the run has no commit: {error}")
    except UserError as error:
        warn(f"warning: the run has no commit: {error}")
    return ""


def _branch(home: Path, commit: str) -> str:
    """The branch of the main working tree: a temporary workspace has a detached HEAD.

    `dvc exp run` detaches that one, too, while it runs: then it is the branches that point at the commit.
    """
    branch = git(home, "symbolic-ref", "--short", "--quiet", "HEAD", check=False)
    if branch:
        return branch
    found = git(home, "for-each-ref", "--points-at", commit, "--format=%(refname:short)", "refs/heads", check=False)
    return ", ".join(found.split())


def _public(command: str) -> str:
    """A command line with passwords blotted out."""
    return without_password(command) if first_secret(command) is None else command.split(" ", 1)[0]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _yes(value: bool) -> str:
    return "true" if value else "false"


def _differences(workspace: Path, commit: str) -> tuple[list[str], bytes]:
    """Paths that differ from the commit, new ones that git does not ignore among them, and a patch.

    What DVC writes while it runs is in neither, nor are new data: of thousands of pictures, the patch would take
    seconds and then be too large, and the code's changes would be lost with it.

    An index of our own is compared. The real one is left alone, and is not believed: in a queued experiment it called
    a `params.yaml` unchanged that `-S` had just changed to other bytes of the same number.
    """
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        git(workspace, "read-tree", commit, index=index)
        found = names(workspace, "ls-files", "--others", "--exclude-standard", "-z", "--", ".", index=index)
        new = [n for n in found if not n.startswith(_RAW) or n.endswith(_NOTES)]
        small = [n for n in new if (workspace / n).is_file() and (workspace / n).stat().st_size <= _PATCH_LIMIT]
        if small:
            git(workspace, "add", "--intent-to-add", "--", *small, index=index)
        tracked = names(workspace, "diff", "--name-only", "--relative", "-z", commit, "--", ".", index=index)
        outputs = stage_outputs(workspace)
        changed = sorted(name for name in {*tracked, *new} if not _is_dvcs(name, outputs))
        asked = [name for name in changed if name in tracked or name in small]
        if not asked:
            return changed, b""
        options = ("--binary", "--no-color", "--no-ext-diff")
        return changed, git_bytes(workspace, "diff", *options, commit, "--", *asked, index=index)


def _is_dvcs(name: str, outputs: set[str]) -> bool:
    """Whether a run writes the file: dvc.lock, the facts, the .gitignore beside an output, an output that git keeps."""
    path = PurePosixPath(name)
    if path.name == ".gitignore":
        return any(PurePosixPath(output).parent == path.parent for output in outputs)
    return name in ("dvc.lock", FACTS) or not outputs.isdisjoint(map(str, (path, *path.parents)))


def stage_outputs(workspace: Path) -> set[str]:
    """The outputs and metrics of dvc.yaml's stages; none without a dvc.yaml that can be read."""
    try:
        return {PurePosixPath(path).as_posix() for each in read_pipeline(workspace).values() for path in each.paths()}
    except (OSError, UserError):
        return set()


def artefact_facts(
    project: Project, reads: Iterable[Path], writes: Iterable[Path], stage: str = "stage"
) -> dict[str, str]:
    """`dvc.in.PATH` and `dvc.out.PATH`: MD5 as DVC counts it, of what lies there now; `model.sha256` for weights.

    The code that a stage depends on is one tag, `dvc.in.code.STAGE`: a page of hashes, one for each module, hid all
    other tags. Which module differs, dvc.lock and git tell.
    """
    code, reads = _split_code(project, reads)
    listing = [(PurePosixPath(path.relative_to(project.workspace)), dvc_md5(path)) for path in code]
    facts = {f"dvc.in.code.{stage}": f"{listing_md5(listing)} ({len(code)} parts)"} if code else {}
    for side, paths in (("in", reads), ("out", writes)):
        for path in paths:
            name = (
                path.relative_to(project.workspace).as_posix() if path.is_relative_to(project.workspace) else path.name
            )
            if path.exists():
                facts[f"dvc.{side}.{name}"] = dvc_md5(path)
            weights = path if path.suffix == ".safetensors" else path / "model.safetensors"
            if weights.is_file():
                facts["model.sha256"] = sha256_file(weights)
    return facts


def is_code(path: str) -> bool:
    """Whether a dependency, relative to the project, is code of ours."""
    return path.startswith(("src/", "stages/"))


def _split_code(project: Project, paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files and folders below src/ and stages/, and the other paths."""
    code: list[Path] = []
    others: list[Path] = []
    for path in paths:
        ours = path.is_relative_to(project.workspace) and is_code(path.relative_to(project.workspace).as_posix())
        (code if ours and path.exists() else others).append(path)
    return code, others


def restore_command(facts: Mapping[str, str]) -> str:
    """Shell lines that bring back code, parameters, data and results of a run."""
    commit = facts.get("git.commit", "none")
    if commit == "none":
        return "# this run was made outside a git repository, or before its first commit"
    lines = [f"git checkout {commit}"]
    patch = facts.get("git.patch", "")
    if patch.startswith("left out"):
        lines.append(f"# uncommitted changes are lost ({patch})")
    elif patch:
        lines.append("git apply uncommitted.patch    # from this run's artifacts")
    if name := facts.get("dvc.exp_name"):
        lines.append(f"# or, where the experiment is known: dvc exp apply {shlex.quote(name)}")
    lines.append("dvc pull --run-cache --allow-missing && dvc repro")
    return "\n".join(lines)
