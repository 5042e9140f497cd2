"""What an experiment in a temporary folder would miss: files that git does not track.

DVC copies to it what git tracks, and the outputs of stages; nothing else. `samebits runs check` asks before
`dvc exp run --queue` or `--temp` does.
"""

from __future__ import annotations

from pathlib import Path

from samebits.base.errors import UserError
from samebits.base.git import head_commit, names
from samebits.base.paths import Project
from samebits.pipeline.dvc_files import added_data
from samebits.pipeline.dvc_yaml import read_pipeline


def untracked_inputs(project: Project) -> list[tuple[str, str]]:
    """Inputs of dvc.yaml's stages that git does not track, each with what to do; paths relative to the project."""
    stages = read_pipeline(project.workspace).values()
    made = {path for stage in stages for path in stage.paths()}
    wanted = sorted({dep for stage in stages for dep in stage.deps if dep not in made})
    # DVC also brings what `dvc add` keeps, which git ignores.
    made |= added_data(project.workspace, wanted).keys()
    wanted = [path for path in wanted if not any(Path(path).is_relative_to(out) for out in made)]
    present = [path for path in [*wanted, "params.yaml", "dvc.yaml"] if (project.workspace / path).exists()]
    problems = {path: "is missing: restore it, or take it out of dvc.yaml" for path in wanted if path not in present}
    for path in names(project.workspace, "ls-files", "--others", "--exclude-standard", "-z", "--", *present):
        problems[path] = f"is not tracked by git: git add -N {path}"
    folders = [path for path in present if (project.workspace / path).is_dir()]
    hidden = names(project.workspace, "ls-files", "--others", "--ignored", "--exclude-standard", "-z", "--", *present)
    for path in hidden:
        # In a folder, only what a stage could read: not what Python or an editor leaves there.
        if path in present or (folders and Path(path).suffix in _READ and "__pycache__" not in path):
            problems[path] = f"is ignored by git: git add -f {path}"
    return sorted(problems.items())


_READ = {".yaml", ".yml", ".json", ".csv", ".py", ".txt"}


def require_tracked(project: Project) -> None:
    """Raises UserError with every input that an experiment would miss."""
    if not str(project.home).isascii():
        raise UserError(
            f"DVC makes no experiment in a temporary folder below {project.home}: it writes paths in ASCII",
            "move the project to a folder without such letters; dvc repro, and dvc exp run without --temp, work here",
        )
    head_commit(project.workspace)
    problems = untracked_inputs(project)
    if problems:
        listed = "\n".join(f"  {path} {what}" for path, what in problems)
        raise UserError(
            f"an experiment in a temporary folder would miss {len(problems)} of its inputs\n{listed}",
            "do that, then start again",
        )
