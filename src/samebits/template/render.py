"""The files of a new project: those of the release that a project has as well, and those in `files`, its own.

They depend on the release and on the project's name, on nothing else, so that the same call gives the base of a later
three-way merge.
"""

from __future__ import annotations

import re
from pathlib import Path

from samebits import __version__
from samebits.pipeline.packages import PACKAGES
from samebits.pipeline.release import SOURCE, release_files, release_root
from samebits.template.lock import needed_lock

LOCK = "requirements.lock"
PARAMS = "params.yaml"

_OWN = {
    "AGENTS.md": "AGENTS.md",
    "README.md": "README.md",
    "Makefile": "Makefile",
    "requirements.txt": "requirements.txt",
    ".github/workflows/ci.yml": "ci.github.yml",
    ".gitlab-ci.yml": "ci.gitlab.yml",
    "tests/test_project.py": "tests/test_project.py",
}
"""Path in a project to the file in `files`."""

_ELSEWHERE = {PARAMS, PACKAGES, LOCK}
"""Written by a recipe, and by what is installed; and the lock, which is not merged line by line."""

_PIPELINE_HEAD = """\
# prepare -> train -> evaluate -> export. `deps` are the data and the code that a stage's results depend on, `params`
# the sections of params.yaml that it reads. `packages.yaml` has the releases of the packages that write its outputs,
# and digests of the code of samebits that it runs: an upgrade runs exactly the stages that it changes.
# `reports/provenance` is what each stage really ran on. Own stages may stand beside these four.
"""


def render(name: str) -> dict[str, str]:
    """Path to text of each file of a project that is merged when it is brought to another release.

    Args:
        name: of the project.
    """
    root = release_root()
    texts = {
        file: (root / file).read_text(encoding="utf-8")
        for file in release_files()
        if file not in _ELSEWHERE and not file.startswith("recipes/")
    }
    texts["dvc.yaml"] = _pipeline(texts["dvc.yaml"])
    for file in (".gitignore", ".dvcignore", ".gitattributes"):
        texts[file] = _without_the_clones_own(texts[file])
    for file in [file for file in texts if file.startswith("stages/")]:
        texts[file] = _script(texts[file])
    here = Path(__file__).with_name("files")
    for path, file in _OWN.items():
        text = (here / file).read_text(encoding="utf-8")
        texts[path] = text.replace("PROJECT_NAME", name).replace("SAMEBITS_REQUIREMENT", requirement())
    return texts


def lock_text() -> str:
    """The lock of a project: of the release's, what samebits and the project's tests need."""
    return needed_lock((release_root() / LOCK).read_text(encoding="utf-8"))


def requirement() -> str:
    """How a project names the installed release of samebits."""
    return f"samebits=={__version__}"


def release_texts() -> tuple[str, str]:
    """params.yaml and packages.yaml as the release has them."""
    root = release_root()
    return (root / PARAMS).read_text(encoding="utf-8"), (root / PACKAGES).read_text(encoding="utf-8")


def _pipeline(text: str) -> str:
    """The pipeline with digests of the modules, in place of the modules as files."""
    lines: list[str] = []
    stage, coded = "", False
    for line in text[text.index("stages:\n") :].splitlines(keepends=True):
        if found := re.match(r"  (\w+):\n", line):
            stage, coded = found[1], False
        if line.strip().removeprefix("- ").startswith(SOURCE):
            coded |= "${model.name}" in line
            continue
        lines.append(line)
        if line.strip() == f"- {PACKAGES}:":
            keys = [f"samebits.{stage}", *(["samebits.models.${model.name}"] if coded else [])]
            lines += [f"          - {key}\n" for key in keys]
    return _PIPELINE_HEAD + "".join(lines)


def _script(text: str) -> str:
    """A stage's script without the clone's `src` on its path."""
    return re.sub(r"(?m)^(import sys|sys\.path\.insert.*)\n", "", text)


def _without_the_clones_own(text: str) -> str:
    """Lines of an ignore file without those about the tool's own benchmark, build and module names."""
    blocks = re.split(r"\n\n", text)
    kept = [block for block in blocks if "benchmark" not in block]
    lines = [
        line for line in "\n\n".join(kept).splitlines() if not re.search(r"egg-info|\.bench$|^/(build|dist)$", line)
    ]
    return "\n".join(lines).rstrip("\n") + "\n"
