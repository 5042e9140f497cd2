"""What a Dataset may give: arrays of each type, tensors, PIL images; targets of each kind; splits, groups and times."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json, sha256_bytes
from samebits.base.paths import Project
from samebits.cli.main import main
from tests.helpers.in_process import run_stages
from tests.helpers.own_datasets import own_project
from tests.helpers.workspace import set_params


def of(item: str, count: int = 60, **attributes: str) -> str:
    """A Dataset whose item `index` is this expression; `r` is a random generator of the item's own."""
    more = "".join(f"        self.{name} = {value}\n" for name, value in attributes.items())
    return (
        "class Samples:\n"
        f"    def __init__(self, path):\n        self.path = path\n{more}"
        f"    def __len__(self):\n        return {count}\n"
        "    def __getitem__(self, index):\n"
        "        if index >= len(self):\n            raise IndexError\n"
        f"        r = np.random.default_rng(index)\n        return {item}\n"
    )


def prepared(project: Project) -> dict[str, Any]:
    run_stages(project, "prepare")
    found: dict[str, Any] = read_json(project.prepared / "dataset.json")
    return found


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float16", "float32"])
def test_each_type_is_stored_as_it_is(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of(f"(r.normal(90, 20, (4, 5)).astype(np.{kind}), index % 2)")
    info = prepared(own_project(tmp_path, monkeypatch, code))
    assert info["signature"]["inputs"]["stored_dtype"] == kind
    first = np.load(tmp_path / "data/prepared" / info["shards"]["train"][0]["inputs"])
    assert (first.dtype, first.shape[1:]) == (np.dtype(kind), (4, 5))
    number = int(pq.read_table(tmp_path / "data/prepared/manifest.parquet")["id"][0].as_py())
    np.testing.assert_array_equal(first[0], np.random.default_rng(number).normal(90, 20, (4, 5)).astype(kind))


@pytest.mark.parametrize("item", ["torch.from_numpy(x)", "Image.fromarray(x[0])", "x", "x.astype('>u1')"])
def test_bytes_of_one_or_three_channels_are_images(item: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of(f"({item.replace('x', 'r.integers(0, 255, (1, 8, 9), dtype=np.uint8)')}, index % 2)")
    code = "import torch\nfrom PIL import Image\n" + code
    info = prepared(own_project(tmp_path, monkeypatch, code))
    assert info["signature"]["inputs"]["kind"] == "image"
    assert info["signature"]["inputs"]["shape"] == [1, 8, 9]
    assert "near_duplicates" in info["audit"]


@pytest.mark.parametrize(
    ("target", "kind", "known"),
    [
        ("index % 12", "class", [str(k) for k in range(12)]),
        ("np.int64(index % 2)", "class", ["0", "1"]),
        ("torch.tensor(index % 2)", "class", ["0", "1"]),
        ("['no', ' yes '][index % 2]", "class", ["no", "yes"]),
        ("bool(index % 2)", "class", ["False", "True"]),
        ("['ab', 'a', ''][index % 3]", "labels", ["a", "b"]),
        ("float(index)", "number", None),
        ("np.float32(index)", "number", None),
        ("[float(index), 2.0 * index]", "vector", None),
        ("torch.tensor([float(index), 2.0 * index])", "vector", None),
    ],
)
def test_targets(
    target: str, kind: str, known: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = f"list({target})" if kind == "labels" else target
    code = "import torch\n" + of(f"(r.normal(size=4).astype(np.float32), {value})")
    found = prepared(own_project(tmp_path, monkeypatch, code))["signature"]["target"]
    assert (found["kind"], found.get("classes")) == (kind, known)


def test_the_datasets_own_names_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of("(r.normal(size=4).astype(np.float32), index % 2)", classes="['cat', 'dog', 'none']")
    assert prepared(own_project(tmp_path, monkeypatch, code))["signature"]["target"]["classes"] == ["cat", "dog"]


@pytest.mark.parametrize("as_attribute", [False, True])
def test_groups_stay_together(as_attribute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    third, more = ("", {"groups": "[i // 4 for i in range(60)]"}) if as_attribute else (", index // 4", {})
    code = of(f"(r.normal(size=4).astype(np.float32), index % 2{third})", **more)
    prepared(own_project(tmp_path, monkeypatch, code, split="group", validation_fraction=0.3, test_fraction=0.3))
    table = pq.read_table(tmp_path / "data/prepared/manifest.parquet")
    splits: dict[int, set[str]] = {}
    for number, split in zip(table["id"].to_pylist(), table["split"].to_pylist(), strict=True):
        splits.setdefault(int(number) // 4, set()).add(split)
    assert all(len(each) == 1 for each in splits.values())


def test_the_latest_are_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import datetime\n" + of(
        "(r.normal(size=4).astype(np.float32), index % 2, datetime.date(2025, 3, 1) - datetime.timedelta(index))"
    )
    prepared(own_project(tmp_path, monkeypatch, code, split="time"))
    table = pq.read_table(tmp_path / "data/prepared/manifest.parquet", filters=[("split", "=", "test")])
    assert sorted(map(int, table["id"].to_pylist())) == list(range(12))


def test_splits_of_the_datasets_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of("(r.normal(size=4).astype(np.float32), index % 2)", splits="['train', 'val', 'test', 'train'] * 15")
    assert prepared(own_project(tmp_path, monkeypatch, code))["counts"] == {"train": 30, "validation": 15, "test": 15}


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 300), (7,), (1, 1, 1, 2)])
def test_unusual_shapes(shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of(f"(r.integers(0, 255, {shape}, dtype=np.uint8), index % 2)")
    assert prepared(own_project(tmp_path, monkeypatch, code))["signature"]["inputs"]["shape"] == list(shape)


def test_what_a_class_has_is_no_value_for_each_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of("(r.normal(size=4).astype(np.float32), index % 2)") + "Samples.splits = ('letters', 'digits')\n"
    assert sum(prepared(own_project(tmp_path, monkeypatch, code))["counts"].values()) == 60


@pytest.mark.slow
def test_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright pixels are of class 1; the first row does not count."""
    code = """
        from PIL import Image

        class Samples:
            def __init__(self, path):
                self.classes = ["dark", "bright", "none"]

            def __len__(self):
                return 60

            def __getitem__(self, index):
                image = np.random.default_rng(index).integers(0, 255, (3, 8, 8), dtype=np.uint8)
                mask = (image[0] > 127).astype(np.int64)
                mask[0] = 255
                return image, Image.fromarray(mask.astype(np.uint8)) if index % 2 else mask
    """
    project = own_project(tmp_path, monkeypatch, code, "segmentation", {"name": "unet", "widths": [4, 8]})
    run_stages(project)
    assert read_json(project.prepared / "dataset.json")["signature"]["target"]["classes"] == ["dark", "bright"]
    metrics = read_json(project.reports / "evaluation" / "metrics.json")
    assert "mean_iou" in metrics["test"]


def test_a_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        def Samples(path, count):
            for index in range(count):
                yield np.full((2, 3), index, dtype=np.int16), index % 2
    """
    info = prepared(
        own_project(tmp_path, monkeypatch, code, own={"file": "custom/mine.py", "arguments": {"count": 70}})
    )
    assert sum(info["counts"].values()) == 70


@pytest.mark.slow
def test_a_dataset_of_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        from torchvision.datasets import FakeData

        def Samples(path):
            return FakeData(size=90, image_size=(3, 12, 10), num_classes=2)
    """
    project = own_project(tmp_path, monkeypatch, code)
    run_stages(project)
    assert read_json(project.prepared / "dataset.json")["signature"]["inputs"]["shape"] == [3, 12, 10]
    assert "load_pixels" in (project.exported / "card.md").read_text()


@pytest.mark.slow
def test_images_of_16_bits_and_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = of("(r.normal(9000 + 100 * index, 900, (1, 9, 7)).astype(np.uint16), 0.5 * index)", 90)
    project = own_project(tmp_path, monkeypatch, code, "regression")
    run_stages(project)
    metrics = read_json(project.reports / "evaluation" / "metrics.json")
    assert metrics["test"]["r2"] > 0.5
    assert "`arrays` is int32 [N, 1, 9, 7]" in (project.exported / "card.md").read_text()


@pytest.mark.slow
def test_sounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """WAV files of 16 bits, each word a tone of its own."""
    folder = tmp_path / "data" / "raw" / "mine"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(90):
        word = ("one", "two", "three")[number % 3]
        tone = np.sin(np.arange(400) * (0.1 + 0.2 * (number % 3)) + random.uniform(0, 6))
        with wave.open(str(folder / f"{word}-{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 400, "NONE", ""))
            file.writeframes((8000 * tone + random.normal(0, 300, 400)).astype("<i2").tobytes())
    code = """
        import wave

        class Samples:
            def __init__(self, path):
                self.files = sorted(path.glob("*.wav"))

            def __len__(self):
                return len(self.files)

            def __getitem__(self, index):
                with wave.open(str(self.files[index]), "rb") as file:
                    sound = np.frombuffer(file.readframes(400), dtype="<i2")
                return sound[None], self.files[index].name.split("-")[0]
    """
    model = {"name": "conv1d", "stages": [8, 8], "stride": 4}
    project = own_project(tmp_path, monkeypatch, code, model=model, split="stratified")
    set_params(tmp_path, {"train": {"epochs": 8}})
    run_stages(project)
    assert read_json(project.reports / "evaluation" / "metrics.json")["test"]["accuracy"] > 0.8
    assert (project.reports / "evaluation" / "figures" / "mistakes.png").is_file()
    np.save(tmp_path / "loud.npy", np.full((1, 400), 40000))
    assert main(["predict", "--model", str(project.exported / "model.onnx"), str(tmp_path / "loud.npy")]) == 3
    assert "it holds 40000, which is no int16" in capsys.readouterr().out


def test_a_model_of_ones_own_for_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`nn.Linear(…, 1)` is taken as it is: [N, 1] instead of [N]."""
    code = "from torch import nn\n" + of("(r.normal(0.1 * index, 1, (3, 4)).astype(np.float32), 0.5 * index)")
    code += (
        "class Net(nn.Sequential):\n"
        "    def __init__(self, signature):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(12, signature.outputs))\n"
    )
    model = {"name": "own", "file": "custom/mine.py", "class_name": "Net"}
    project = own_project(tmp_path, monkeypatch, code, "regression", model)
    set_params(tmp_path, {"train": {"epochs": 8}})
    run_stages(project, "prepare", "train", "evaluate")
    assert read_json(project.reports / "evaluation" / "metrics.json")["test"]["r2"] > 0.5


def test_a_dataset_reads_the_file_of_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
        def Samples(path):
            for line in path.read_text().split():
                yield np.full(4, float(line), dtype=np.float32), float(line) ** 2
    """
    files = tmp_path / "files"
    files.mkdir()
    (files / "numbers.csv").write_text("\n".join(map(str, range(60))))
    project = own_project(tmp_path, monkeypatch, code, task="regression", source="data/catalog/numbers.yaml")
    content = (files / "numbers.csv").read_bytes()
    card: dict[str, Any] = {
        "name": "numbers", "title": "Numbers", "licence": "none", "homepage": "https://example.org", "format": "table",
        "files": [{"name": "numbers.csv", "role": "table", "sha256": sha256_bytes(content), "bytes": len(content)}],
        "places": [{"kind": "folder", "path": str(files)}],
    }  # fmt: skip
    (tmp_path / "data/catalog/numbers.yaml").write_text(json.dumps(card))
    info = prepared(project)
    assert (info["name"], info["signature"]["target"]["kind"]) == ("numbers", "number")
    assert info["files"][0]["name"] == "numbers.csv"
    other = [*card["files"], {**card["files"][0], "name": "more.csv", "role": "more"}]
    (files / "more.csv").write_bytes(content)
    (tmp_path / "data/catalog/numbers.yaml").write_text(json.dumps(card | {"files": other}))
    with pytest.raises(UserError, match="the card numbers has 2 files, own reads one"):
        prepared(project)
