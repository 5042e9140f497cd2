"""Projects for our side, as a user has them: a git repository with the code, parameters and prepared data; and the same
samples as plain arrays for the peers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from parts.base import ROOT, STATE, Contender, run

from samebits.data.fetching.catalog import load_card
from samebits.data.fetching.fetch import fetch
from samebits.data.loading.prepared import Split, open_split, read_info
from samebits.data.preparation.prepare import split_and_encode
from samebits.data.preparation.shards import write_prepared
from samebits.data.readers.image.idx import read
from samebits.data.readers.image.images import RawImages
from samebits.data.readers.reader import Source
from samebits.data.readers.sample_hashes import sample_hashes
from samebits.params.data import DataParams
from samebits.params.image import ImageParams
from samebits.pipeline.recipes import use
from samebits.provenance.verify.copies import change_params

CURVE_STEPS = 20
"""Steps a point of our training curve, so that losses are means over the same steps as a peer's."""


def workspace(name: str, recipe: str, override: Mapping[str, Any], prepared: Path | None = None) -> Path:
    """A fresh project below .bench/work that follows a recipe, then `override`; `prepared` is linked into it."""
    folder = STATE / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for part in ("custom", "src", "stages", "recipes", "data/catalog", "data/raw"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for part in ("params.yaml", "dvc.yaml", "packages.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / part, folder / part)
    use(folder, recipe, say=lambda _: None)
    change_params(folder, override)
    if prepared is not None:
        (folder / "data" / "prepared").symlink_to(prepared, target_is_directory=True)
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "benchmark"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def clean(folder: Path) -> None:
    """Forget saved states, so that the next run starts at step 0. MLflow's store stays, as in a project in use."""
    shutil.rmtree(folder / ".samebits" / "resume", ignore_errors=True)


def ours(name: str, folder: Path, *arguments: str, stops: tuple[int, ...] = (0, 130)) -> Contender:
    """Our training stage in a workspace, from step 0."""
    command = [sys.executable, ROOT / "bench" / "ours" / "stage.py", folder, "train", *arguments]
    return Contender(name, command, before=lambda: clean(folder), stops=stops)


def stage(folder: Path, name: str) -> None:
    """Run a stage to its end; raises SystemExit if it fails."""
    done = run(Contender(name, [sys.executable, ROOT / "bench/ours/stage.py", folder, name, "--whole"]))
    if "failed" in done:
        raise SystemExit(f"the stage {name} failed in {folder}")


def keep_prepared(folder: Path, prepared: Path) -> None:
    """The prepared data of a workspace: made by our stage the first time, later the copy that was kept of it."""
    there = folder / "data" / "prepared"
    if not prepared.is_dir():
        stage(folder, "prepare")
        part = prepared.with_name("part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(there, part)
        part.rename(prepared)
    else:
        shutil.copytree(prepared, there)


def arrays(prepared: Path) -> Path:
    """The training split as `inputs.npy` and `targets.npy` beside the prepared folder, for the peers."""
    folder = prepared.parent / "arrays"
    info = read_info(prepared)
    mark = folder / "about.json"
    about = {"digest": info.digest, "classes": len(info.classes)}
    if "pad" in (inputs := info.signature.inputs.model_dump()):
        about |= {"pad": inputs["pad"], "vocabulary": inputs["vocabulary"], "length": inputs["length"]}
    if mark.is_file() and json.loads(mark.read_text()) == about:
        return folder
    folder.mkdir(exist_ok=True)
    split = open_split(prepared, "train", in_memory=True)
    np.save(folder / "inputs.npy", split.rows(everything(split)), allow_pickle=False)
    if split.targets is not None:
        np.save(folder / "targets.npy", split.targets, allow_pickle=False)
    mark.write_text(json.dumps(about))
    return folder


def everything(split: Split) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(len(split), dtype=np.int64)


def fashion() -> Path:
    """Fashion-MNIST prepared with nearly all images in the training split: validation is not what is timed."""
    folder = STATE / "data" / "fashion" / "prepared"
    if (folder / "dataset.json").is_file():
        return folder
    card = load_card(ROOT / "data" / "catalog", "fashion_mnist")
    raw = read(Source(card.name, DataParams(), card, dict(fetch(card, say=print)), None, STATE / "scratch", print))
    given = ["train"] * 66_000 + ["test"] * 4_000
    return _write(folder, card.name, replace(raw, given=given))


def random_images(count: int, shape: tuple[int, int, int]) -> Path:
    """Noise of a shape: moving and mirroring pixels takes as long whatever they show."""
    folder = STATE / "data" / f"random-{count}-{'x'.join(map(str, shape))}" / "prepared"
    if (folder / "dataset.json").is_file():
        return folder
    random = np.random.default_rng(1)
    data = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    images = RawImages(
        ids=[str(row) for row in range(count)],
        origins=["noise"] * count,
        hashes=sample_hashes(data),
        targets=random.integers(0, 10, count),
        classes=tuple(map(str, range(10))),
        given=["train"] * (count - 100) + ["test"] * 100,
        parts=[data],
    )
    return _write(folder, "noise", images)


def _write(folder: Path, name: str, images: RawImages) -> Path:
    # Lookalikes are not asked for: of noise there are none, and the search takes longer than all else.
    settings = DataParams(validation_fraction=0.002, image=ImageParams(near_duplicates="ignore"))
    about = {"name": name, "title": name, "licence": "", "homepage": "", "files": []}
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_prepared(folder, about, split_and_encode(images, settings), shard_mib=8.0)
    return folder
