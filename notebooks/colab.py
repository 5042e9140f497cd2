"""Set a notebook up in Google Colab: samebits beside Colab's own torch, and a folder for results.

A notebook calls `set_up` in a fresh clone, in its own process: Google Drive is mounted from there.
"""

import importlib
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

OF_COLAB = ("torch", "torchvision")
"""Packages that stay as Colab has them, where samebits takes them: they fit its driver, and are gigabytes."""

KEPT = ("mlruns", ".samebits")
"""Folders of a project with what is neither in git nor in DVC: MLflow's store, states of unfinished trainings."""

LOADED = {"numpy": "numpy", "pandas": "pandas", "pillow": "PIL", "torch": "torch"}
"""Packages that a notebook's process may have loaded before pip replaced them, and their modules."""

DRIVE = Path("/content/drive")


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def held(project: Path) -> list[str]:
    """Of `OF_COLAB`, the releases that pip must leave alone, as it reads constraints."""
    wanted = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lines = []
    for requirement in map(Requirement, wanted):
        if requirement.name not in OF_COLAB:
            continue
        try:
            here = version(requirement.name)
        except PackageNotFoundError:
            continue
        if requirement.specifier.contains(here, prereleases=True):
            lines.append(f"{requirement.name}=={here}")
        else:
            print(f"{requirement.name} {here} is here, and samebits needs {requirement.specifier}: pip replaces it")
    return lines


def keep(project: Path, folder: Path) -> None:
    """Put DVC's cache and `KEPT` into a folder, and links to the latter into the project."""
    if folder.is_relative_to(DRIVE):
        from google.colab import drive

        drive.mount(str(DRIVE))
    for name in KEPT:
        kept, here = folder / name.removeprefix("."), project / name
        kept.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            here.unlink()
        elif here.exists():
            sys.exit(f"{here} is there already: begin with a fresh clone")
        here.symlink_to(kept)
    run("dvc", "cache", "dir", "--local", str(folder / "dvc-cache"))


def outdated() -> list[str]:
    """Packages of which this process has loaded another release than the one that is installed now."""
    loaded = ((name, getattr(sys.modules.get(module), "__version__", None)) for name, module in LOADED.items())
    # torch says which build it is; pip may not.
    return [name for name, here in loaded if here and here.split("+")[0] != version(name).split("+")[0]]


def set_up(project: Path, folder: Path) -> None:
    """Install samebits, and keep what it writes in a folder.

    Args:
        folder: for results. Below /content/drive, as /content/drive/MyDrive/samebits, it is on Google Drive, which is
            mounted first.
    """
    constraints = Path("/tmp/held.txt")
    constraints.write_text("".join(f"{line}\n" for line in held(project)), encoding="utf-8")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), "--editable", ".[ui]")
    sys.path.insert(0, str(project / "src"))  # this process reads no file of paths that pip has only now written
    importlib.invalidate_caches()
    keep(project, folder)
    run("samebits", "packages", "--write")  # the stages take what is installed here, in place of requirements.lock
    print(f"samebits is installed; MLflow's store, unfinished trainings and DVC's cache are in {folder}")
    if names := outdated():
        print(f"now choose Runtime > Restart session, and run this cell again: {', '.join(names)} were replaced")
