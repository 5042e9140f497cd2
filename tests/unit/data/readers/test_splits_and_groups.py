"""Every kind of source under every split that makes sense for it, through the stage: no content is in two splits."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from samebits.base.paths import Project
from samebits.data.loading.prepared import SPLITS, read_info
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from tests.helpers.refusals import raw_folder
from tests.helpers.sources import Make, N, books, files, image, image_csv, label, lines, mail, share, text, unlike


def row(k: int) -> str:
    """A house: of each two, the inputs but for day and street are the same."""
    return (
        f"{k // 2 * 3.5},{k // 2 * 7 % 11},2020-{k % 12 + 1:02d}-{k % 28 + 1:02d},s{k // 10},{label(k * 3)},{share(k)}"
    )


HOUSES = lines("own.csv", "size,rooms,sold,street,kind,part", row)
BESIDE = {"drop": ["sold", "street", "part"], "target": "kind"}
TEXTS = lines("own.csv", "text,label,who,part", lambda k: f"{text(k)},{label(k)},w{k // 10},{share(k)}")


def jsonl(raw: Path) -> None:
    rows = ({"text": text(k), "label": label(k), "who": f"w{k // 10}"} for k in range(N))
    (raw / "own.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


CASES: dict[str, tuple[Make, str, str, dict[str, Any]]] = {
    "images, hash": (files(".png", image), "own", "image_folder", {}),
    "images, stratified": (files(".png", image), "own", "image_folder", {"split": "stratified"}),
    "images, given": (files(".png", unlike, given=True), "own", "image_folder", {}),
    "listed images, given": (image_csv, "own/list.csv", "image_csv", {}),
    "texts, hash": (TEXTS, "own.csv", "text_csv", {}),
    "texts, stratified": (TEXTS, "own.csv", "text_csv", {"split": "stratified"}),
    "texts, group": (TEXTS, "own.csv", "text_csv", {"split": "group", "group_column": "who"}),
    "texts, given": (TEXTS, "own.csv", "text_csv", {"split_column": "part"}),
    "JSON, hash": (jsonl, "own.jsonl", "text_jsonl", {}),
    "JSON, group": (jsonl, "own.jsonl", "text_jsonl", {"split": "group", "group_column": "who"}),
    "files, hash": (files(".txt", lambda k: text(k).encode()), "own", "text_folder", {}),
    "files, stratified": (files(".txt", lambda k: text(k).encode()), "own", "text_folder", {"split": "stratified"}),
    "files, given": (files(".txt", lambda k: f"{k} word".encode(), given=True), "own", "text_folder", {}),
    "mails, hash": (files(".eml", mail), "own", "mail", {}),
    "mails, stratified": (files(".eml", mail), "own", "mail", {"split": "stratified"}),
    "rows, hash": (HOUSES, "own.csv", "table", {"table": BESIDE}),
    "rows, stratified": (HOUSES, "own.csv", "table", {"table": BESIDE, "split": "stratified"}),
    "rows, group": (
        HOUSES,
        "own.csv",
        "table",
        {"table": {**BESIDE, "drop": ["sold", "part"]}, "group_column": "street", "split": "group"},
    ),
    "rows, time": (
        HOUSES,
        "own.csv",
        "table",
        {"table": {**BESIDE, "drop": ["street", "part"]}, "time_column": "sold", "split": "time"},
    ),
    "rows, given": (HOUSES, "own.csv", "table", {"table": {**BESIDE, "drop": ["street"]}, "split_column": "part"}),
    "books, hash": (books, "own", "running_text", {"text": {"length": 16}}),
    "books, group": (books, "own", "running_text", {"split": "group", "text": {"length": 16}}),
}


@pytest.mark.parametrize("case", CASES)
def test_no_content_is_in_two_splits(case: str, tmp_path: Path) -> None:
    make, source, format_name, changed = CASES[case]
    make(raw_folder(tmp_path))
    settings = {"validation_fraction": 0.2, "test_fraction": 0.2, "image": {"resolution": 8, "smallest": 4}, **changed}
    settings["text"] = {"vocabulary": 300, "length": 12, **settings.get("text", {})}
    project = Project(tmp_path, tmp_path)
    context = SimpleNamespace(project=project, runtime=RuntimeParams(progress="off"), say=lambda line: None)
    data = DataParams.model_validate({"source": f"data/raw/{source}", "format": format_name, **settings})
    prepare(data, context=context)  # type: ignore[arg-type]

    info = read_info(project.prepared)
    assert all(info.counts[name] for name in SPLITS)
    rows = pq.read_table(project.prepared / "manifest.parquet").to_pylist()
    assert len({each["id"] for each in rows}) == len(rows) == sum(info.counts.values())
    where: dict[Any, set[str]] = {}
    for each in rows:
        where.setdefault(each["sha256"], set()).add(each["split"])
    assert not [key for key, splits in where.items() if len(splits) > 1]
    if format_name != "running_text":
        assert len(rows) == N
    if "stratified" in case:
        test = info.class_counts["test"]
        assert max(test) - min(test) <= 2
