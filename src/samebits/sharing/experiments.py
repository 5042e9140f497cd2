"""`samebits share --experiment NAME` and `samebits receive --experiment NAME`.

Code and parameters go as the git ref that DVC keeps of the experiment, data and model to the DVC remote, and the
summary of its MLflow run in a git ref of its own beside it. The experiment's ref goes last: who sees it can have all
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.git import git
from samebits.base.paths import Project
from samebits.sharing.git import keep_json, pick_remote
from samebits.sharing.receive import fetch_checked
from samebits.sharing.remote.objects import open_repo, required_objects_at
from samebits.sharing.remote.remote import open_remote
from samebits.sharing.remote.verify import Verdict
from samebits.sharing.runs import parse_summary, record_summary, summary_of
from samebits.sharing.share import mib, send

_RUNS = "refs/samebits/runs"
_NOT_EXPERIMENTS = ("exec", "celery", "temp")
_FILE = "run.json"

Say = Callable[[str], None]


def share_experiment(
    project: Project, name: str, *, remote: str | None = None, git_remote: str | None = None, quick: bool = False,
    timeout: float = 30.0, say: Say = print,
) -> Verdict:  # fmt: skip
    """Send an experiment: objects (checked), the run's summary, the git ref.

    Raises:
        UserError: if there is no such experiment, or something does not get there.
    """
    home = project.home
    origin = pick_remote(home, git_remote)
    ref, commit = _one(_refs(git(home, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps")), name, "here")
    with open_repo(home) as repo:
        storage = open_remote(repo, remote, timeout=timeout)
        objects, unlisted = required_objects_at(repo, commit)
        if unlisted:
            raise UserError(
                f"the cache lacks {', '.join(map(str, unlisted))}", f"dvc exp apply {name}, then dvc repro"
            )  # fmt: skip
        verdict = send(
            repo, storage, [each for each in objects if each.pushed], quick=quick, say=say,
            push=lambda: repo.push(remote=storage.name, revs=[commit], workspace=False),
        )  # fmt: skip
    summary = summary_of(project, name)
    refs = [f"{ref}:{ref}"]
    if summary is None:
        say("note: MLflow has no run of it here, so none goes with it")
    else:
        # Its name bears the experiment's commit: two people never collide.
        keep_json(home, f"{_RUNS}/{commit}", _FILE, summary, f"MLflow run of experiment {commit}")
        refs.insert(0, f"+{_RUNS}/{commit}:{_RUNS}/{commit}")
    # Atomic: both refs or none.
    git(home, "push", "--quiet", "--atomic", origin, *refs)
    say(f"shared: experiment {name} on {origin}; a teammate runs: samebits receive --experiment {name}")
    return verdict


def receive_experiment(
    project: Project, name: str, *, remote: str | None = None, git_remote: str | None = None, timeout: float = 30.0,
    say: Say = print,
) -> int:  # fmt: skip
    """Bring an experiment here: its objects (checked), its git ref, its run. The workspace stays as it is.

    Returns:
        the number of objects that were fetched.

    Raises:
        UserError: if there is no such experiment, or something of it is missing or damaged.
    """
    home = project.home
    origin = pick_remote(home, git_remote)
    listed = git(home, "ls-remote", origin, "refs/exps/*").replace("\t", " ")
    ref, commit = _one(_refs(listed), name, f"on {origin}")
    # The commits first, without the name: it appears when everything is here.
    git(home, "fetch", "--quiet", "--no-write-fetch-head", origin, ref)
    with open_repo(home) as repo:
        storage = open_remote(repo, remote, timeout=timeout)
        storage.check_answers()
        objects, fetched = fetch_checked(
            repo, storage, say=say, at=commit,
            fetch=lambda: repo.fetch(remote=storage.name, revs=[commit], workspace=False),
        )  # fmt: skip
        size = sum(Path(repo.cache.local.oid_to_path(each.oid)).stat().st_size for each in objects)
    run = _fetch_summary(project, origin, commit)
    git(home, "update-ref", ref, commit)
    say(
        f"received: experiment {name}; {len(objects)} objects, {mib(size)}, every hash checked "
        f"({fetched} fetched now); {run}; put it in place: dvc exp apply {name}"
    )
    return fetched


def _refs(listed: str) -> dict[str, str]:
    """Ref of each experiment -> its commit, from lines of `COMMIT REF`."""
    pairs = [line.split(" ", 1) for line in listed.splitlines()]
    return {ref: commit for commit, ref in pairs if ref.split("/")[2] not in _NOT_EXPERIMENTS and ref.count("/") == 4}


def _one(refs: dict[str, str], name: str, where: str) -> tuple[str, str]:
    found = {ref: commit for ref, commit in refs.items() if ref.rsplit("/", 1)[-1] == name}
    if not found:
        known = sorted({ref.rsplit("/", 1)[-1] for ref in refs})
        raise UserError(
            f"there is no experiment {name!r} {where}", f"known: {', '.join(known[:12]) or 'none'} (dvc exp list --all)"
        )
    if len(found) > 1:
        raise UserError(
            f"there are {len(found)} experiments {name!r} {where}, of different commits",
            "give one another name: dvc exp rename",
        )
    return next(iter(found.items()))


def _fetch_summary(project: Project, origin: str, commit: str) -> str:
    """Record the run that came with the experiment; what happened, for people."""
    ref = f"{_RUNS}/{commit}"
    if not git(project.home, "ls-remote", origin, ref).strip():
        return "no MLflow run came with it"
    git(project.home, "fetch", "--quiet", origin, f"+{ref}:{ref}")
    summary = parse_summary(git(project.home, "show", f"{ref}:{_FILE}"))
    new = record_summary(project, summary)
    return f"its MLflow run {summary['name']} is {'recorded' if new else 'here already'}"
