"""`samebits predict` beside ONNX Runtime alone: samples per second on a table, images and a larger model of images, and
the time from the start of the process to its first answer.

    python bench/predict.py            minutes
    python bench/predict.py --quick    seconds, to see that it works; writes nothing

Three rates of each: ONNX Runtime on arrays that are ready; a plain script that reads the same files with csv or Pillow,
asks ONNX Runtime in batches of the same size and writes a CSV; and the job. Raw results: bench/results/predict.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "bench")]

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from parts.base import RESULTS, facts
from PIL import Image

from samebits.base.files import write_json
from samebits.inference.predictor import Request
from samebits.inference.request import kind_for, predict
from samebits.inference.session import onnx_session

COLUMNS, CLASSES, SIDE = 20, 10, 64


def table_model(path: Path) -> None:
    """Three dense layers of 512."""
    nodes, weights, wide, last = [], [], COLUMNS, "rows"
    for layer, out in enumerate((512, 512, 512, CLASSES)):
        weights.append(_weight(f"w{layer}", (wide, out)))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Relu", [f"m{layer}"], [f"r{layer}"]))
        wide, last = out, f"r{layer}"
    nodes.append(helper.make_node("Softmax", [last], ["probabilities"]))
    columns = [
        {"kind": "number", "name": f"c{k}", "mean": 0.0, "std": 1.0, "fill": 0.0, "missing": False}
        for k in range(COLUMNS)
    ]
    inputs = {"kind": "table", "columns": columns, "missing": [""], "decimal": "."}
    _save(path, nodes, weights, ("rows", TensorProto.FLOAT, [COLUMNS]), inputs)


def image_model(path: Path, wide: int) -> None:
    """Three convolutions, each of half the resolution."""
    nodes = [helper.make_node("Cast", ["images"], ["x0"], to=TensorProto.FLOAT)]
    weights, channels = [], 3
    for layer in range(3):
        out = wide << layer
        weights.append(_weight(f"k{layer}", (out, channels, 3, 3)))
        nodes.append(
            helper.make_node("Conv", [f"x{layer}", f"k{layer}"], [f"c{layer}"], strides=[2, 2], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"x{layer + 1}"]))
        channels = out
    weights.append(_weight("head", (channels, CLASSES)))
    nodes += [
        helper.make_node("GlobalAveragePool", ["x3"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    inputs = {"kind": "image", "shape": [3, SIDE, SIDE], "mean": [0.5] * 3, "std": [0.25] * 3}
    _save(path, nodes, weights, ("images", TensorProto.UINT8, [3, SIDE, SIDE]), inputs)


def _weight(name: str, shape: tuple[int, ...]) -> Any:
    values = np.random.default_rng(len(name)).normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(values.astype(np.float32), name)


def _save(path: Path, nodes: list[Any], weights: list[Any], given: tuple[str, int, list[int]], inputs: Any) -> None:
    name, kind, shape = given
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info(name, kind, ["batch", *shape])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    for key, value in (("labels", [str(k) for k in range(CLASSES)]), ("preprocessing", inputs)):
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, str(path))


def make_rows(path: Path, count: int) -> None:
    values = np.random.default_rng(0).normal(size=(count, COLUMNS)).round(4)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"c{k}" for k in range(COLUMNS)])
        writer.writerows(values.tolist())


def make_images(folder: Path, count: int) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(folder / f"{number:06}.png")


def plain_rows(model: Path, rows: Path, out: Path, batch: int) -> None:
    """What a user would write: csv, float, ONNX Runtime, csv."""
    session = onnx_session(model)
    with rows.open(newline="") as file, out.open("w", newline="") as to:
        reader, writer = csv.reader(file), csv.writer(to)
        next(reader)
        waiting: list[list[float]] = []

        def answer() -> None:
            (found,) = session.run(None, {"rows": np.array(waiting, dtype=np.float32)})
            writer.writerows((int(row.argmax()), f"{row.max():.4f}") for row in found)
            waiting.clear()

        for row in reader:
            waiting.append([float(cell) for cell in row])
            if len(waiting) == batch:
                answer()
        if waiting:
            answer()


def plain_images(model: Path, folder: Path, out: Path, batch: int) -> None:
    """Likewise, with Pillow."""
    session = onnx_session(model)
    paths = sorted(folder.iterdir())
    with out.open("w", newline="") as to:
        writer = csv.writer(to)
        for start in range(0, len(paths), batch):
            images = []
            for path in paths[start : start + batch]:
                with Image.open(path) as image:
                    images.append(np.asarray(image.convert("RGB")).transpose(2, 0, 1))
            (found,) = session.run(None, {"images": np.stack(images)})
            for path, row in zip(paths[start : start + batch], found, strict=True):
                writer.writerow((path, int(row.argmax()), f"{row.max():.4f}"))


def ready(model: Path, given: Path, samples: int) -> Callable[[], None]:
    """ONNX Runtime alone, on one batch that is ready, as often as there are batches of samples."""
    kind = kind_for(Request(model, files=(given,)))
    items = [item for item, _ in zip(kind.items(), range(kind.batch), strict=False)]
    arrays = kind.ready(items).samples
    session, name = onnx_session(model), kind.session.get_inputs()[0].name

    def run() -> None:
        for _ in range(max(1, samples // len(arrays))):
            session.run(None, {name: arrays})

    return run


def rate(samples: int, rounds: int, run: Callable[[], object]) -> float:
    """Samples per second of the fastest of some rounds."""
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return round(samples / min(seconds), 1)


def first_answer(model: Path, given: Path, rounds: int) -> float:
    """Seconds from the start of the process to the first line of its output."""
    command = [sys.executable, "-m", "samebits.cli.main", "predict", str(given), "--model", str(model)]
    seconds = []
    for _ in range(rounds + 1):  # the first one tries the model in a process of its own
        begin = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            seconds.append(time.perf_counter() - begin)
            process.stdout.read()
    return round(min(seconds[1:]), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    rows, images, rounds = (4_000, 200, 1) if arguments.quick else (200_000, 10_000, arguments.rounds)
    found: dict[str, Any] = {"machine": facts(), "goals": {"plain": 0.9, "first_answer_s": 0.5}}
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        make_rows(here / "rows.csv", rows)
        make_images(here / "images", images)
        table_model(here / "table.onnx")
        image_model(here / "small.onnx", 8)
        image_model(here / "large.onnx", 64)
        parts: list[tuple[str, int, Path, Callable[..., None]]] = [
            ("table", rows, here / "rows.csv", plain_rows),
            ("small", images, here / "images", plain_images),
            ("large", images, here / "images", plain_images),
        ]
        for part, samples, given, plain in parts:
            model = here / f"{part}.onnx"
            batch = kind_for(Request(model, files=(given,))).batch
            rates = {
                "onnxruntime": rate(samples, rounds, ready(model, given, samples)),
                "plain": rate(samples, rounds, lambda: plain(model, given, here / "plain.csv", batch)),  # noqa: B023
                "predict": rate(
                    samples,
                    rounds,
                    lambda: predict(Request(model, files=(given,), output=here / "answers.csv")),  # noqa: B023
                ),
            }
            found[part] = rates | {"share_of_plain": round(rates["predict"] / rates["plain"], 3)}
            print(part, json.dumps(found[part]), flush=True)
        only = here / "one"
        only.mkdir()
        make_rows(only / "rows.csv", 1)
        make_images(only / "images", 1)
        found["first_answer_s"] = {
            "table": first_answer(here / "table.onnx", only / "rows.csv", rounds),
            "image": first_answer(here / "small.onnx", only / "images", rounds),
        }
        print(json.dumps(found["first_answer_s"]))
    if not arguments.quick:
        write_json(RESULTS / "predict.json", found)


if __name__ == "__main__":
    main()
