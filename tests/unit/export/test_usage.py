"""The lines of a model card, as they stand, on raw files, where nothing of samebits or torch can be imported."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from samebits.base.decimals import printed, printed_share
from samebits.cli.main import main
from samebits.export.card import model_card
from samebits.export.export import export
from samebits.export.usage import reader_files
from samebits.inference.generate import open_writer
from samebits.inference.sampling import GREEDY
from samebits.models.embedding_bag import Settings as Bag
from samebits.models.gpt import Settings as Gpt
from samebits.params.export import ExportParams
from samebits.signature.classes import ClassTarget
from samebits.signature.image import ImageInputs
from samebits.signature.kind import InputKind
from samebits.signature.signature import Signature
from samebits.signature.table import TableInputs
from tests.helpers.asked import classify, predict_texts
from tests.helpers.image_project import make_context
from tests.helpers.table_project import make_table_context
from tests.helpers.text_project import make_running_text_context, make_text_context, save_untrained

ALLOWED = ("numpy", "numpy.libs", "onnxruntime", "PIL", "pillow.libs", "tokenizers", "flatbuffers", "google")
"""What the four libraries consist of."""


@pytest.fixture(autouse=True)
def _short_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samebits.inference.latency._SECONDS", 0.0)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with numpy, onnxruntime, Pillow and tokenizers alone."""
    folder = tmp_path_factory.mktemp("bare")
    installed = Path(sysconfig.get_paths()["purelib"])
    for name in ALLOWED:
        if (installed / name).exists():
            (folder / name).symlink_to(installed / name)
    return folder


def run_card(exported: Path, libraries: Path, answer: str) -> Any:
    """Run the first Python lines of the card beside the files they name; the value of `answer`."""
    lines = re.findall(r"```python\n(.*?)```", (exported / "card.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    program = f"import sys\nsys.path.append({str(libraries)!r})\n{lines}\nimport json\n"
    program += f"print(json.dumps({answer} if isinstance({answer}, str) else {answer}.astype(float).tolist()))\n"
    (exported / "lines.py").write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-S", "-E", "lines.py"], cwd=exported, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{lines}\n{done.stderr}"
    return json.loads(done.stdout)


def exported(context: Any) -> Path:
    export(ExportParams(formats=["onnx"], batch_sizes=[33]), context=context)
    folder: Path = context.project.exported
    return folder


def test_images(tmp_path: Path, libraries: Path) -> None:
    folder = exported(make_context(tmp_path / "project"))
    wide = np.random.Generator(np.random.Philox(1)).integers(0, 256, (20, 50, 4), dtype=np.uint8)
    Image.fromarray(wide).save(folder / "first.png")  # transparent, of another shape
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(wide[..., :3]).save(folder / "second.png", exif=exif)
    found = run_card(folder, libraries, "probabilities")
    wanted = classify([folder / "first.png", folder / "second.png"], model=folder / "model.onnx", top=10)
    for row, each in zip(found, wanted, strict=True):
        named = dict(each.classes)
        np.testing.assert_allclose(row, [named[str(k)] for k in range(10)], rtol=1e-5)
    assert "transparency is laid on white" in (folder / "card.md").read_text()


def test_texts(tmp_path: Path, libraries: Path) -> None:
    context = make_text_context(tmp_path)
    save_untrained(context, Bag(name="embedding_bag", width=4, ngrams=2, buckets=64), {"name": "classification"})
    folder = exported(context)
    (folder / "first.txt").write_bytes(b"\xef\xbb\xbf  The cat  of\r\nhouse\xc2\xa0 3\x01 and more \t")
    (folder / "second.txt").write_text("dog")
    found = run_card(folder, libraries, "probabilities")
    wanted = predict_texts(folder / "model.onnx", files=[folder / "first.txt", folder / "second.txt"], top=2)
    for row, each in zip(found, wanted, strict=True):
        named = dict(each.classes)
        np.testing.assert_allclose(row, [named[name] for name in ("cat", "dog")], rtol=1e-5)


@pytest.mark.parametrize("target", ["price", "town"])
def test_tables(target: str, tmp_path: Path, libraries: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = exported(make_table_context(tmp_path / "project", target=target, steps=5))
    rows = "size,town,sold,garden,price\n 80 ,Ulm,2020-02-29,yes,1\n,Atlantis,2021-03-01,no,2\n1e3,,31.12.1999,,30\n"
    (folder / "rows.csv").write_text(rows, encoding="utf-8-sig")
    found = run_card(folder, libraries, "values" if target == "price" else "probabilities")
    assert main(["predict", str(folder / "rows.csv"), "--model", str(folder / "model.onnx")]) == 0
    wanted = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    if target == "price":
        assert [row["prediction"] for row in wanted] == [printed(value) for value in found]
    else:
        assert [row["probability"] for row in wanted] == [f"{printed_share(max(row)):.4f}" for row in found]


@pytest.mark.slow
def test_language_models(tmp_path: Path, libraries: Path) -> None:
    context = make_running_text_context(tmp_path)
    save_untrained(context, Gpt(name="gpt", layers=1, heads=2, width=8), {"name": "language_model"})
    folder = exported(context)
    found = run_card(folder, libraries, "text")
    writer = open_writer(folder / "model.onnx")
    made = writer.context + 1 - len(writer.known("a prompt"))
    assert found == "".join(writer.pieces("a prompt", made, GREEDY))
    assert found


@pytest.mark.parametrize("inputs", [ImageInputs, TableInputs])
def test_what_lies_beside_a_model_stands_alone(inputs: type[InputKind]) -> None:
    ((name, data),) = reader_files(inputs).items()
    assert name.endswith(".py")
    assert b"samebits import" not in data
    assert b"import samebits" not in data


HOSTILE = ["a|b", "<script>alert(1)</script>", "`x`", "[a](javascript:x)", "$1$", "&lt;", "two\nlines", "x" * 500]


def test_names_of_the_data_are_shown_as_they_are() -> None:
    signature = Signature(
        inputs=ImageInputs(shape=[1, 4, 4], mean=[0.5], std=[0.2]),
        target=ClassTarget(classes=HOSTILE + [f"class {k}" for k in range(3000)]),
    )
    metadata = {
        "task": "classification",
        "model": {"name": "mlp", "epoch": 1, "step": 1, "weights_sha256": "0"},
        "dataset": {"title": "A <b>title</b>", "licence": "none", "digest": "0"},
    }
    entry = {"file": "model.onnx", "bytes": 1, "sha256": "0" * 64}
    report = {
        "test": {"accuracy": 0.5},
        "test_samples": 1,
        "parameters": 1,
        "batch_sizes": [1],
        "tolerance": 1e-5,
        "formats": {"onnx": entry},
    }
    card = model_card(report, metadata, signature, {"train": 1, "validation": 1, "test": 1})
    assert "corrected by hand" not in card
    corrected = model_card(
        report, metadata, signature, {"train": 1, "validation": 1, "test": 1}, corrected="train: 2 labels"
    )
    assert "| corrected by hand | train: 2 labels |" in corrected
    line = next(line for line in card.splitlines() if line.startswith("| labels"))
    shown = re.sub(r"\\(.)", r"\1", line.removeprefix("| labels | ").removesuffix(" |"))
    assert shown.startswith(", ".join(HOSTILE[:6]) + ", two lines, " + "x" * 59 + "…, class 0")
    assert "and 2,908 more" in line
    for pattern in (r"(?<!\\)<", r"(?<!\\)`x", r"(?<!\\)\[a", r"a(?<!\\)\|b", r"(?<!\\)\$", r"(?<!\\)&lt;"):
        assert not re.search(pattern, line), pattern
    assert "A \\<b\\>title" in card.splitlines()[0]
