"""What the processes of the stages really load: each package is one of packages.yaml, or it is said why it is not."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from samebits.pipeline.packages import stage_packages
from samebits.pipeline.recipes import use
from samebits.provenance.verify.copies import change_params
from tests.helpers.imports import OBSERVING_PACKAGES
from tests.helpers.workspace import make_code, stage_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CANNOT_CHANGE_RESULTS = {
    "samebits": "the project itself: its files are dependencies",
    "annotated-types pydantic-core typing-extensions typing-inspection voluptuous": "check values",
    "attrs colorama diskcache dpath dvc dvc-data dvc-http dvc-objects": "DVC: .dvcignore, and hashes",
    "fsspec funcy orjson pathspec pydot pygtrie sqltrie": "loaded by DVC",
    "nvidia-ml-py psutil tabulate tqdm wcwidth": "tell of the machine and of progress",
    "cuda-bindings cuda-pathfinder triton": "compute on GPUs alone, and are not there on every system",
    "mpmath": "sympy's numbers, which shapes do not have",
    "packaging setuptools": "look at versions",
    "pandas python-dateutil six": "loaded by pyarrow, to see whether it is given theirs",
    "cloudpickle": "loaded by pyarrow",
    "cycler fonttools pyparsing": "loaded by matplotlib, for other formats and styles",
}  # fmt: skip
"""Names to the reason."""

OPTIONAL_OF_TRANSFORMERS = {"charset-normalizer", "jinja2", "markupsafe", "pillow", "scipy", "torchvision"}
"""It loads them where they are there, for other models."""

OF_STAGES = {
    "prepare": {"torch"},  # it names the machine in reports/facts.json
    "evaluate": {"networkx", "sympy"},  # torch's compiler, which transformers loads and nobody uses
}

QUICK: dict[str, Any] = {
    "train": {"epochs": 1, "batch_size": 16, "threads": 1},
    "evaluate": {"bootstrap": 100},
    "runtime": {"tracking": {"enabled": False}},
}
BERT = {"name": "bert", "layers": 1, "width": 16, "heads": 2, "hidden": 32, "positions": 64, "reads": None}


def write_images(raw: Path) -> dict[str, Any]:
    drawn = np.random.default_rng(1)
    for name in ("cats", "dogs"):
        (raw / "pets" / name).mkdir(parents=True)
        for k in range(60):
            Image.fromarray(drawn.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(raw / "pets" / name / f"{k}.png")
    return {"data": {"source": "data/raw/pets", "format": "image_folder"}}


def write_texts(raw: Path) -> dict[str, Any]:
    for name in ("cat", "dog"):
        (raw / "texts" / name).mkdir(parents=True)
        for k in range(60):
            (raw / "texts" / name / f"{k}.txt").write_text(f"the {name} of house {k} " + "and more " * (k % 7))
    text = {"vocabulary": 320, "length": 24}
    return {"data": {"source": "data/raw/texts", "format": "text_folder", "text": text}, "model": BERT}


def required_by(package: str) -> set[str]:
    """Packages that are installed for it."""
    found, todo = set[str](), {package}
    while todo:
        name = todo.pop()
        found.add(name)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        todo |= {canonicalize_name(Requirement(line).name) for line in lines if "extra ==" not in line} - found
    return found - {package}


@pytest.mark.parametrize(("recipe", "write"), [("image_folder", write_images), ("text_classification", write_texts)])
def test_what_a_stage_loads_is_listed_or_explained(recipe: str, write: Any, tmp_path: Path) -> None:
    folder = make_code(tmp_path / "project")
    use(folder, recipe, say=lambda _: None)
    change_params(folder, QUICK)
    change_params(folder, write(folder / "data" / "raw"))
    known = metadata.packages_distributions()
    explained = {name for names in CANNOT_CHANGE_RESULTS for name in names.split()} | OBSERVING_PACKAGES.keys()
    if "transformers" in stage_packages(folder, "train"):
        explained |= required_by("transformers") | OPTIONAL_OF_TRANSFORMERS  # of it, BERT's modules alone compute
    for stage in ("prepare", "train", "evaluate", "export"):
        modules = loaded(folder, stage)
        names = {canonicalize_name(each) for module in modules if len(set(known.get(module, []))) == 1
                 for each in known[module]}  # fmt: skip
        listed = set(stage_packages(folder, stage))
        assert names - listed - explained - OF_STAGES.get(stage, set()) == set(), stage


def loaded(folder: Path, stage: str) -> set[str]:
    """Top-level names of what the process of a stage imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", f"stages/{stage}.py"],
        cwd=folder, env=stage_environment(), capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    assert done.returncode == 0, "\n".join(line for line in lines if not line.startswith("import time"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines if line.startswith("import time")}
