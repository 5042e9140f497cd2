"""`samebits trace FILE`: which run, commit, data and parameters a model file comes from.

Three witnesses are asked: what stands in the file itself, MLflow's runs (by the hashes of what they wrote), and the
history of dvc.lock (by the same hashes). Each works without the others.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_file
from samebits.base.git import GitError, git
from samebits.base.nested import flatten
from samebits.base.paths import Project
from samebits.base.result import Result
from samebits.pipeline.dvc_cache import Objects, open_objects
from samebits.pipeline.dvc_hashes import dvc_md5
from samebits.pipeline.dvc_lock import LOCK
from samebits.provenance.restore.runs import Run, Runs

_METADATA_LIMIT = 1 << 20
_SHOWN = 5
_PARAMS = ("seed", "data.source", "task.name", "model.name", "train.epochs", "train.batch_size", "train.precision")


@dataclass(frozen=True)
class Trace(Result):
    """What is known of a model file.

    Attributes:
        own: what stands in it, flat.
        runs: of MLflow, that wrote it.
        commits: whose dvc.lock names it, a line each (`locked_in`).
    """

    path: Path
    sha256: str
    own: Mapping[str, str]
    runs: Sequence[Run]
    commits: Sequence[str]

    @property
    def origin(self) -> str:
        """What `samebits restore` brings back; empty for none."""
        return self.runs[0].run_id if self.runs else self.commits[0].split()[0] if self.commits else ""

    def lines(self) -> list[str]:
        runs = [line for run in self.runs[:_SHOWN] for line in _run_lines(run)]
        return [
            f"{self.path}: sha256 {self.sha256}",
            *_section("in the file", _own_lines(self.own)),
            *_section("runs", runs or ["none has its hash"]),
            *_section(f"commits whose {LOCK} names it", self.commits[:_SHOWN] or ["none"]),
            *([f"to have it all back: samebits restore {self.origin}"] if self.origin else []),
        ]

    def json(self) -> dict[str, Any]:
        runs = [
            {"run_id": run.run_id, "name": run.name, "status": run.status, "commit": run.commit or None,
             "data_digest": run.tags.get("data.digest"), "params": run.params}
            for run in self.runs
        ]  # fmt: skip
        commits = [{"commit": line.split()[0], "shown": line} for line in self.commits]
        return {
            "file": self.path,
            "sha256": self.sha256,
            "metadata": self.own,
            "runs": runs,
            "commits": commits,
            "restore": self.origin or None,
        }


def trace_file(project: Project, path: Path) -> Trace:
    """What is known of a model file.

    Raises:
        UserError: if it is no model file, or nobody knows it.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist" if not path.exists() else f"{path} is a folder", "name a model file")
    own = own_metadata(path)
    sha256 = sha256_file(path)
    digests = _digests(project, path)
    weights = {sha256, own.get("model.weights_sha256", "")} - {""}
    runs = [run for run in Runs(project).everything() if _made(run, digests, weights)]
    commits = locked_in(project.workspace, digests)
    if not (own or runs or commits):
        raise UserError(
            f"{path} is unknown here: it says nothing of itself, and no run or {LOCK} of this repository has its hash",
            "ask in the repository that it comes from; git fetch --all brings the history of others",
        )
    return Trace(path, sha256, own, runs, commits)


def own_metadata(path: Path) -> dict[str, str]:
    """What a model file says of itself, flat, as text; empty if it says nothing.

    Nothing is unpickled or executed: ONNX properties, a JSON member of the archive, a safetensors header.

    Raises:
        UserError: if the file is not what its suffix says.
    """
    readers = {".onnx": _onnx, ".pt2": _archive, ".safetensors": _safetensors}
    reader = readers.get(path.suffix)
    if reader is None:
        raise UserError(f"{path} is no model file", f"name one of these kinds: {', '.join(readers)}")
    try:
        found = flatten(reader(path))
    except UserError:
        raise
    except Exception as error:  # three parsers with errors of their own
        raise UserError(f"{path} cannot be read as {path.suffix}: {error}", "fetch it again: dvc pull") from None
    return {name: str(value) for name, value in found.items() if value is not None}


def _onnx(path: Path) -> dict[str, Any]:
    import onnx

    model = onnx.load(path, load_external_data=False)
    return {each.key: _decoded(each.value) for each in model.metadata_props}


def _archive(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith("extra/metadata.json") and member.file_size <= _METADATA_LIMIT:
                value = json.loads(archive.read(member))
                return value if isinstance(value, dict) else {}
    return {}


def _safetensors(path: Path) -> dict[str, Any]:
    """The header's own metadata, and config.json beside the file, where they lie together in a checkpoint."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        found: dict[str, Any] = {key: _decoded(value) for key, value in (file.metadata() or {}).items()}
    config = path.with_name("config.json")
    if config.is_file():
        value = read_json(config)
        found |= {"config.json": value} if isinstance(value, dict) else {}
    return found


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _digests(project: Project, path: Path) -> set[str]:
    """MD5 of the file, and of the folders that hold it: the one it lies in, and those of DVC's cache."""
    own, folder, root = dvc_md5(path), path.parent.resolve(), project.workspace.resolve()
    found = {own} | _folders_with(open_objects(project.workspace), own)
    # A folder of the project's may be an output; any other is of no size that we know.
    return found | {dvc_md5(folder)} if root in folder.parents else found


def _folders_with(objects: Objects, digest: str) -> set[str]:
    listings = (objects.folder / "files" / "md5").glob("??/*.dir")
    names = (listing.parent.name + listing.name for listing in listings)
    return {name for name in names if digest in (objects.files(name) or {}).values()}


def _made(run: Run, digests: set[str], weights: set[str]) -> bool:
    return run.tags.get("model.sha256") in weights or not digests.isdisjoint(run.hashes("out").values())


def locked_in(root: Path, digests: Iterable[str]) -> list[str]:
    """Commits whose dvc.lock has one of the hashes, the newest first; those on no branch any more, too.

    A line each: commit, date, the branches, tags or experiments that hold it, subject. None outside a repository.

    Raises:
        UserError: if git does not read the repository.
    """
    try:
        git(root, "rev-parse", "--git-dir")
    except GitError as error:
        if error.distrusted:
            raise
        return []
    found: dict[str, str] = {}
    for digest in sorted(digests):
        log = git(
            root,
            "log",
            "--all",
            "--reflog",
            "-S",
            digest,
            "--format=%H %cs %s",
            "--",
            f":(top,glob)**/{LOCK}",
            check=False,
        )
        for line in log.splitlines():
            commit, date, subject = (*line.split(" ", 2), "")[:3]
            # -S also finds the commit that took the hash out.
            if digest in git(root, "show", f"{commit}:./{LOCK}", check=False):
                found[commit] = f"{commit[:12]} {date} ({_holders(root, commit)}) {subject}"
    return sorted(found.values(), key=lambda line: line.split()[1], reverse=True)


def _holders(root: Path, commit: str) -> str:
    names = git(root, "for-each-ref", "--contains", commit, "--format=%(refname)", check=False).splitlines()
    shown = []
    for name in names:
        parts = name.split("/", 4)
        if name.startswith("refs/exps/"):
            if len(parts) == 5 and len(parts[2]) == 2:
                shown.append(f"experiment {parts[4]}")
        else:
            shown.append(name.removeprefix("refs/heads/").removeprefix("refs/"))
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "") or "on no branch any more"


def _own_lines(own: Mapping[str, str]) -> list[str]:
    labels = {"labels", "config.json.classes", "config.json.mean", "config.json.std"}
    return [f"{name}: {value}" for name, value in own.items() if name not in labels] or ["nothing"]


def _run_lines(run: Run) -> list[str]:
    code = run.commit[:12] or "no commit"
    if run.tags.get("git.dirty") == "true":
        code += ", with uncommitted changes"
    lines = [f"{run.name}  {run.run_id}  {run.status}", f"  code: {code}"]
    if digest := run.tags.get("data.digest"):
        lines.append(f"  data: {digest}")
    shown = ", ".join(f"{name} {run.params[name]}" for name in _PARAMS if name in run.params)
    return [*lines, f"  parameters: {shown} (and {max(0, len(run.params) - len(_PARAMS))} more)"] if shown else lines


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  {line}" for line in lines)]
