"""Every recipe is valid and trains a step: those for images on a cut of MNIST, the others on data of one's own."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from samebits.compute.arithmetic import ARITHMETIC
from samebits.data.fetching.catalog import card_of, load_card
from samebits.params.yaml_file import read_yaml
from samebits.pipeline.recipes import use
from samebits.provenance.golden.golden import PORTABLE, read_trace
from samebits.provenance.golden.loss_trace import params_digest, trace_steps
from samebits.provenance.golden.recipe_copy import recipe_params
from tests.helpers import in_process
from tests.helpers.books import book
from tests.helpers.mask_files import write_cutouts, write_masks
from tests.helpers.pictures import encoded, picture
from tests.helpers.refusals import raw_folder
from tests.helpers.tables import csv_text, rows
from tests.helpers.tagged_files import write_tagged
from tests.helpers.texts import SAMPLES
from tests.helpers.workspace import ROOT, make_workspace, run_stage, set_params

RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
STARTING = (
    "image_classification",
    "image_masks",
    "table_classification",
    "table_regression",
    "text_classification",
    "token_classification",
)
"""For data of one's own; the others name a card."""
IMAGES = {"cifar", "idx", "image_folder"}

pytestmark = pytest.mark.usefixtures("restored")

QUICK = {
    "train": {"threads": 1},
    "runtime": {"tracking": {"enabled": False}, "progress": "off"},
}


def of_images(recipe: str) -> bool:
    card = card_of(read_yaml(ROOT / "recipes" / f"{recipe}.yaml")["data"]["source"])
    return card is not None and load_card(ROOT / "data" / "catalog", card).format in IMAGES


def first_step(workspace: Path) -> float:
    """The loss of one step, from the train stage's own code."""
    (loss,) = trace_steps(workspace, 1)["losses"]
    return float.fromhex(loss)


@pytest.mark.parametrize("recipe", [name for name in RECIPES if of_images(name)])
def test_a_recipe_for_images_trains_a_step(recipe: str, tmp_path: Path, small_mnist: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace", small_mnist, quick=False)
    use(workspace, recipe)
    # Weights that another recipe makes are not there.
    # And a step over fewer images takes less long.
    set_params(workspace, {**QUICK, "transfer": {"weights": None}, "train": {"threads": 1, "batch_size": 32}})
    assert 1.5 < first_step(workspace) < 4.0  # log 10 is 2.3


@pytest.mark.parametrize(
    "file", sorted((ROOT / "golden").glob("*/*.json")), ids=lambda file: f"{file.parent.name}-{file.stem[:24]}"
)
def test_a_golden_trace_is_of_the_recipe_as_it_is(file: Path) -> None:
    """Else whoever finds other losses would be told that the parameters differ. samebits golden RECIPE --replace."""
    trace, recipe, mode = read_trace(file), file.parent.name, "strict"
    if recipe == PORTABLE:
        recipe = file.name.partition(".")[0]
        mode = next(mode for mode, each in ARITHMETIC.items() if each.level == trace["kind"]["arithmetic"])
    assert trace["params"] == params_digest(recipe_params(ROOT, recipe, mode))


def art(raw: Path) -> None:
    write_cutouts(raw / "own", 40)


def speeches(raw: Path) -> None:
    (raw / "own").mkdir()
    for year in range(1900, 1930):
        text = " ".join(f"In the year {year} there was much to say of part {k} of it." for k in range(99))
        (raw / "own" / f"{year}_somebody.txt").write_text(text)


def tagged(raw: Path) -> None:
    lines = ["path,label"]
    (raw / "own").mkdir()
    for k in range(90):
        (raw / "own" / f"{k}.png").write_bytes(encoded(picture(k)))
        lines.append(f"{k}.png,{'a;b' if k % 3 == 0 else 'ab'[k % 2]}")
    (raw / "own" / "list.csv").write_text("\n".join(lines))


def hours(raw: Path) -> None:
    lines = ["day,hr,bikers,temp,hum,windspeed,workingday"]
    lines += [f"{1 + k // 24},{k % 24},{k * k % 97},0.{k % 9},0.5,{k % 5},{k % 2}" for k in range(400) if k != 9]
    (raw / "own").write_text("\n".join(lines))


def drawn(raw: Path) -> None:
    side, count = 66, 100
    sheet = Image.new("RGBA", (10 * side, 10 * side))
    every = []
    for k in range(count):
        x, y = k % 10, k // 10
        sheet.paste((k, 255 - k, 2 * k, 255), (x * side + 9, y * side + 9, x * side + 30 + k % 30, y * side + 50))
        entry = {"unified": f"1F{k:03X}", "sheet_x": x, "sheet_y": y, "sort_order": 1 + k}
        every.append({**entry, "category": "Objects", "has_img_twitter": True})
    image = io.BytesIO()
    sheet.save(image, "PNG")
    files = {"emoji.json": json.dumps(every).encode(), "img/twitter/sheets/64.png": image.getvalue()}
    with tarfile.open(raw / "own", "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


LIKE: dict[str, tuple[Callable[[Path], None], str]] = {
    # recipe: made data of the kind of its card, and their format
    "bikeshare_hours": (hours, "own"),
    "clipart_keywords": (tagged, "image_csv"),
    "clipart_segmentation": (art, "image_cutouts"),
    "emoji_order": (drawn, "own"),
    "speech_year": (speeches, "passages"),
}


@pytest.mark.parametrize("recipe", LIKE)
def test_a_recipe_for_other_data_trains_a_step_on_made_data(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, kind = LIKE[recipe]
    project = in_process.make_workspace(tmp_path, {}, {})
    for name in ("recipes", "custom"):
        shutil.copytree(ROOT / name, tmp_path / name)
    use(tmp_path, recipe)
    make(tmp_path / "data/raw")
    data = {"source": "data/raw/own", "format": kind}
    set_params(tmp_path, {**QUICK, "data": data, "transfer": {"weights": None, "sha256": None, "freeze": []}})
    in_process.run_stages(project, "prepare")
    assert 0.0 < first_step(tmp_path) < 6.0


@pytest.mark.parametrize(
    "recipe", [name for name in RECIPES if not of_images(name) and name not in STARTING and name not in LIKE]
)
def test_a_recipe_for_other_data_has_a_golden_trace(recipe: str) -> None:
    """tests/exact/test_golden.py prepares its data and trains its first steps, which takes longer."""
    assert list((ROOT / "golden" / recipe).glob("*.json"))


def pets(raw: Path) -> None:
    for k in range(120):
        path = raw / "own" / ("cat", "dog")[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(k)))


def reviews(raw: Path) -> None:
    lines = [f"{text} of {k},{label}" for k in range(5) for text, label in SAMPLES]
    (raw / "own.csv").write_text("\n".join(["text,label", *lines]))


def novels(raw: Path) -> None:
    (raw / "own").mkdir()
    for k in range(4):
        (raw / "own" / f"{k}.txt").write_text(book(k, 400))


def houses(raw: Path) -> None:
    (raw / "own.csv").write_text(csv_text(rows(100)))


def towns(raw: Path) -> None:
    lines = [line.rsplit(",", 1) for line in csv_text(rows(100)).splitlines()]
    kinds = ["kind", *(("cheap", "dear")[float(price) > 350] for _, price in lines[1:])]
    (raw / "own.csv").write_text("\n".join(f"{line},{kind}" for (line, _), kind in zip(lines, kinds, strict=True)))


def write_own_masks(raw: Path) -> None:
    write_masks(raw / "own", 100)


def write_own_tags(raw: Path) -> None:
    write_tagged(raw / "own.conll", 100)


OWN: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    # recipe: data of one's own, all below 256 samples, and what docs/data.md and its neighbours say to set
    "image_classification": (pets, {"source": "data/raw/own"}),
    "image_masks": (write_own_masks, {"source": "data/raw/own"}),
    "text_classification": (reviews, {"source": "data/raw/own.csv"}),
    "token_classification": (write_own_tags, {"source": "data/raw/own.conll"}),
    "table_regression": (houses, {"source": "data/raw/own.csv"}),
    "table_classification": (towns, {"source": "data/raw/own.csv"}),
    "gutenberg_gpt": (novels, {"source": "data/raw/own", "format": "running_text"}),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("recipe", OWN)
def test_data_of_ones_own_take_two_lines(recipe: str, tmp_path: Path, small_mnist: Path) -> None:
    make, settings = OWN[recipe]
    workspace = make_workspace(tmp_path / "workspace", small_mnist, quick=False)
    use(workspace, recipe)
    make(raw_folder(workspace))
    # Weights are another test's; this one needs no network.
    set_params(workspace, {**QUICK, "data": settings, "transfer": {"weights": None, "sha256": None}})
    prepared = run_stage(workspace, "prepare", timeout=600)
    assert prepared.returncode == 0, prepared.stderr
    assert 0.0 < first_step(workspace) < 12.0


@pytest.mark.parametrize("recipe", STARTING)
def test_a_starting_recipe_keeps_the_best_epoch(recipe: str) -> None:
    train = read_yaml(ROOT / "recipes" / f"{recipe}.yaml")["train"]
    assert train["batch_size"] <= 32
    assert train["select"] == "best"
    assert train["patience"] < train["epochs"]
