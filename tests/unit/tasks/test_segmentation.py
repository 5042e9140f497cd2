"""Semantic segmentation from files to predicted masks: prepare, train, evaluate, export, predict."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from ruamel.yaml import YAML
from torch.nn import functional

from samebits.base.decimals import rounded
from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.cli.main import main
from samebits.data.loading.augment import apply_to_masks, draw
from samebits.data.loading.batches import Batches
from samebits.data.loading.prepared import open_split
from samebits.data.loading.torch_dataset import make_loader
from samebits.export import onnx, parity
from samebits.params.schema import read_params
from samebits.tasks.segmentation import Segmentation, Settings
from tests.helpers.in_process import run_stages
from tests.helpers.mask_files import CLASSES, mask_project, shapes, write_masks
from tests.helpers.shared import shared
from tests.helpers.workspace import ROOT

BOTH = Settings(name="segmentation")
DICE = Settings(name="segmentation", cross_entropy=0.0)
CROSS_ENTROPY = Settings(name="segmentation", dice=0.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(workspace: Path) -> None:
        write_masks(workspace / "data/raw/shapes")
        augment = {"flip": True, "shift": 2, "rotate": 10.0}
        task = {"name": "segmentation", "class_weights": "balanced"}
        run_stages(mask_project(workspace, task=task, train={"epochs": 6}, augment=augment))

    workspace = shared(tmp_path_factory, "masks", make)
    return Project(workspace, workspace)


def test_metrics_with_intervals_beside_a_baseline(trained: Project) -> None:
    found = read_json(trained.reports / "evaluation" / "metrics.json")
    assert list(found["test"]) == ["mean_dice", "mean_iou", "pixel_accuracy", "pixel_log_loss"]
    assert found["test"]["mean_iou"] > found["baseline"]["mean_iou"]
    assert found["interval"]["mean_iou"]["low"] <= found["test"]["mean_iou"] <= found["interval"]["mean_iou"]["high"]
    validated = read_json(trained.reports / "train" / "metrics.json")["val"]
    assert set(validated) == {"loss", "pixel_accuracy", "mean_iou"}


def test_page_with_overlays(trained: Project) -> None:
    folder = trained.reports / "evaluation" / "report"
    page = (folder / "report.html").read_text()
    assert page.count('alt="true mask"') == page.count('alt="predicted mask"') == 3
    header, *rows = (folder / "per_class.csv").read_text().splitlines()
    assert header == "class,pixels,predicted,iou,dice"
    assert [row.split(",")[0] for row in rows] == list(CLASSES)
    confusion = np.array([row.split(",")[1:] for row in (folder / "confusion.csv").read_text().splitlines()[1:]], int)
    assert confusion.sum() == sum(int(row.split(",")[1]) for row in rows)


def test_the_manifest_tells_masks_apart(trained: Project) -> None:
    targets = pq.read_table(trained.prepared / "manifest.parquet").column("target").to_pylist()
    assert len(set(targets)) == 60
    assert all(
        re.fullmatch(r"background; disc(; square)? \([0-9a-f]{12}\)|background; square .*", each) for each in targets
    )


def test_a_loader_gives_the_batches_of_the_training(trained: Project) -> None:
    params = read_params(trained.params_file).sections["augment"]
    split = open_split(trained.prepared, "train", in_memory=True)
    batch = Batches(split, batch_size=8, seed=3, augment=params).batch(0)
    loader = make_loader(trained.prepared, "train", batch_size=8, seed=3, epoch=0, augment=params)
    inputs, targets = next(iter(loader))
    assert torch.equal(batch.inputs, inputs)
    assert torch.equal(batch.targets, targets)
    chance = draw(batch.indices, params, seed=3, epoch=0)
    assert np.array_equal(targets.numpy(), apply_to_masks(split.targets[batch.indices], chance, params))


def test_answers_that_do_not_fit_into_memory_are_mapped(trained: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_split(trained.prepared, "test", in_memory=True)
    predict = onnx.load(trained.exported / "model.onnx")
    whole = parity.answers(predict, split)
    monkeypatch.setattr(parity, "_IN_MEMORY", 0)
    monkeypatch.setattr(parity, "_NUMBERS", 5 * 3 * 32 * 32)
    mapped = parity.answers(predict, split)
    assert isinstance(mapped, np.memmap)
    assert np.allclose(mapped, whole, atol=1e-6)
    found = parity.measure_parity("onnx", predict, mapped, split, batch_sizes=[5], tolerance=1e-4, check=lambda: None)
    assert found.worst < 1e-4


def test_card_says_what_is_answered(trained: Project) -> None:
    card = (trained.exported / "card.md").read_text()
    assert "the probability of each of 3 classes for every pixel" in card
    assert "float32 [N, 3, 32, 32], in the order of the labels: argmax over axis 1 is the mask." in card
    assert "| mean IoU | " in card


def test_predicted_masks_have_the_size_of_the_file(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels, _ = shapes(7, size=(48, 24))
    path, folder = tmp_path / "wide.png", tmp_path / "masks"
    Image.fromarray(pixels).save(path)
    command = ["predict", str(path), "--model", str(trained.exported / "model.onnx")]
    assert main([*command, "--output", str(folder)]) == 0
    (row,) = csv.DictReader((folder / "answers.csv").open())
    assert 0 < float(row["share of background"]) < 1
    assert (row["mask"], row["overlay"]) == (f"{folder}/wide.png", f"{folder}/wide.overlay.png")
    with Image.open(folder / "wide.png") as image:
        assert (image.mode, image.size) == ("P", (48, 24))
        assert np.asarray(image).max() < len(CLASSES)
    with Image.open(folder / "wide.overlay.png") as image:
        assert (image.mode, image.size) == ("RGB", (48, 24))
    assert main([*command, "--output", str(folder)]) == 2
    assert "wide.png is there already" in capsys.readouterr().err
    twice = ["predict", str(path), str(path), *command[2:], "--output", str(tmp_path / "other")]
    assert main(twice) == 3
    assert "its mask would be" in (tmp_path / "other" / "answers.csv").read_text()
    capsys.readouterr()
    assert main(command) == 0  # says how much of the image is of each class
    assert "% of the pixels" in capsys.readouterr().out


def test_predicted_masks_are_those_that_were_judged(
    trained: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = open_split(trained.prepared, "test", in_memory=True)
    inputs, targets = split.samples(np.arange(len(split)))
    (tmp_path / "in" / "below").mkdir(parents=True)
    for number, image in enumerate(inputs):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "in" / "below" / f"{number:03}.png")
    command = ["predict", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main([*command, "--model", str(trained.exported / "model.onnx")]) == 0
    said = []
    for number in range(len(split)):
        with Image.open(tmp_path / "out" / "below" / f"{number:03}.png") as mask:
            said.append(np.asarray(mask))
    right = (np.stack(said) == targets)[targets != 255].mean()
    judged = read_json(trained.reports / "evaluation" / "metrics.json")["test"]
    assert rounded(float(right)) == judged["pixel_accuracy"]


def batch(seed: int = 0, images: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    masks = torch.randint(0, 3, (images, 4, 6), generator=generator, dtype=torch.uint8)
    masks[0, :2] = 255
    masks[-1] = 255
    return torch.randn(images, 3, 4, 6, generator=generator), masks


@pytest.mark.parametrize("settings", [BOTH, DICE, CROSS_ENTROPY])
def test_parts_of_a_batch_add_up(settings: Settings) -> None:
    task, (logits, masks) = Segmentation(settings, (0.5, 1.0, 2.0)), batch()
    assert task.count(masks) == int((masks != 255).sum())
    parts = [task.loss(logits[at : at + 2], masks[at : at + 2]) * task.count(masks[at : at + 2]) for at in (0, 2, 4)]
    assert torch.allclose(sum(parts) / task.count(masks), task.loss(logits, masks))
    plain = Segmentation(settings)
    assert torch.allclose(plain.metric_sums(logits, masks)["loss"], plain.loss(logits, masks) * plain.count(masks))


def test_pixels_that_do_not_count_change_nothing() -> None:
    task, (logits, masks) = Segmentation(BOTH), batch()
    other = torch.where((masks == 255).unsqueeze(1), torch.randn_like(logits), logits)
    assert torch.equal(task.loss(other, masks), task.loss(logits, masks))
    whole = Segmentation(BOTH).loss(logits[-1:], masks[-1:])
    assert float(whole) == 0.0  # no pixel counts


def test_cross_entropy_is_torchs() -> None:
    logits, masks = batch()
    expected = functional.cross_entropy(logits, masks.long(), ignore_index=255)
    assert torch.allclose(Segmentation(CROSS_ENTROPY).loss(logits, masks), expected)


def test_dice_of_a_perfect_mask() -> None:
    _, masks = batch(images=3)
    logits = 100.0 * functional.one_hot(masks.long().clamp(max=2), 3).permute(0, 3, 1, 2).float()
    assert float(Segmentation(DICE).loss(logits, masks)) == pytest.approx(0.0, abs=1e-6)


def test_validation_counts_over_all_batches() -> None:
    task, (logits, masks) = Segmentation(BOTH), batch()
    sums = task.metric_sums(logits, masks)
    found, valid = logits.argmax(dim=1), masks != 255
    ious = [((found == k) & (masks == k)).sum() / (((found == k) & valid) | (masks == k)).sum() for k in range(3)]
    derived = task.derived_metrics({name: float(value) / task.count(masks) for name, value in sums.items()})
    assert derived["mean_iou"] == pytest.approx(float(sum(ious) / 3))


def test_settings_that_leave_no_loss() -> None:
    with pytest.raises(ValidationError, match="there is no loss"):
        Settings(name="segmentation", cross_entropy=0.0, dice=0.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": {"name": "mlp", "hidden": [8]}}, "mlp has no features at sizes that halve"),
        ({"task": {"name": "classification"}}, r"set task\.name to segmentation"),
        ({"augment": {"mixup": 0.5}}, "are for images of classes"),
    ],
)
def test_parameters_that_do_not_go_together(change: dict[str, dict[str, object]], problem: str, tmp_path: Path) -> None:
    write_masks(tmp_path / "data/raw/shapes")
    project = mask_project(tmp_path, **change)
    run_stages(project, "prepare")
    with pytest.raises(UserError, match=problem):
        run_stages(project, "train")


def test_a_unet_for_classes(tmp_path: Path) -> None:
    for label in ("a", "b"):
        folder = tmp_path / "data/raw/shapes" / label
        folder.mkdir(parents=True)
        for seed in range(20):
            Image.fromarray(shapes(seed + 100 * (label == "b"))[0]).save(folder / f"{seed}.png")
    project = mask_project(tmp_path, data={"format": "image_folder"}, task={"name": "classification"})
    run_stages(project, "prepare")
    with pytest.raises(UserError, match="answers for every pixel"):
        run_stages(project, "train")


def test_the_example_of_the_docs(tmp_path: Path) -> None:
    write_masks(tmp_path / "data/raw/shapes")
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/data-images.md").read_text(), re.DOTALL)
    (example,) = (YAML(typ="safe").load(each) for each in blocks if "image_masks" in each)
    project = mask_project(tmp_path, **example, train={"epochs": 1})
    run_stages(project, "prepare", "train")
    assert open_split(project.prepared, "train", in_memory=True).info.signature.output_shape == (3, 64, 64)


@pytest.mark.slow
def test_a_net_for_classes_is_the_encoder(tmp_path: Path) -> None:
    """At sides that are no multiples of its stride; the exported files answer as the checkpoint does."""
    write_masks(tmp_path / "data/raw/shapes")
    model = {"name": "resnet9", "widths": [4, 8, 8, 16]}
    project = mask_project(
        tmp_path, data={"image": {"resolution": [28, 34], "channels": 3}}, model=model, train={"epochs": 2}
    )
    said = run_stages(project)
    assert any("model.onnx" in line and "equal to the checkpoint" in line for line in said)
    assert open_split(project.prepared, "test", in_memory=True).info.signature.output_shape == (3, 28, 34)
