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
    "listed images, given": (image_csv, "own", "image_csv", {}),
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


def prepared(home: Path, case: tuple[Make, str, str, dict[str, Any]], said: list[str]) -> Project:
    make, source, format_name, changed = case
    make(raw_folder(home))
    settings = {"validation_fraction": 0.2, "test_fraction": 0.2, "image": {"resolution": 8, "smallest": 4}, **changed}
    settings["text"] = {"vocabulary": 300, "length": 12, **settings.get("text", {})}
    project = Project(home, home)
    context = SimpleNamespace(project=project, runtime=RuntimeParams(progress="off"), say=said.append)
    data = DataParams.model_validate({"source": f"data/raw/{source}", "format": format_name, **settings})
    prepare(data, context=context)  # type: ignore[arg-type]
    return project


@pytest.mark.parametrize("case", CASES)
def test_no_content_is_in_two_splits(case: str, tmp_path: Path) -> None:
    project = prepared(tmp_path, CASES[case], [])

    info = read_info(project.prepared)
    assert all(info.counts[name] for name in SPLITS)
    rows = pq.read_table(project.prepared / "manifest.parquet").to_pylist()
    assert len({each["id"] for each in rows}) == len(rows) == sum(info.counts.values())
    where: dict[Any, set[str]] = {}
    for each in rows:
        where.setdefault(each["sha256"], set()).add(each["split"])
    assert not [key for key, splits in where.items() if len(splits) > 1]
    if "books" not in case:
        assert len(rows) == N
        groups = {each["group"] for each in rows} if "group" in rows[0] else set()
        assert bool(groups) == ("group" in case)
        assert all(len({each["split"] for each in rows if each["group"] == group}) == 1 for group in groups)
    if "stratified" in case:
        test = info.class_counts["test"]
        assert max(test) - min(test) <= 2


def only_tests(k: int) -> str:
    """A column that says which samples are the test, and leaves the others open."""
    return "test" if share(k) == "test" else ""


def listed_tests(raw: Path) -> None:
    files(".png", image)(raw)
    rows = [f"{label(k)}/{k:03d}.png,{label(k)},{only_tests(k)}" for k in range(N)]
    (raw / "own/list.csv").write_text("\n".join(["path,label,split", *rows]))


def json_tests(raw: Path) -> None:
    rows = ({"text": text(k), "label": label(k), "part": only_tests(k) or (None, "")[k % 2]} for k in range(N))
    (raw / "own.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


UNASSIGNED: dict[str, tuple[Make, str, str, dict[str, Any]]] = {
    "listed images": (listed_tests, "own", "image_csv", {}),
    "texts": (
        lines("own.csv", "text,label,part", lambda k: f"{text(k)},{label(k)},{only_tests(k)}"),
        "own.csv",
        "text_csv",
        {"split_column": "part"},
    ),
    "JSON": (json_tests, "own.jsonl", "text_jsonl", {"split_column": "part"}),
    "rows": (
        lines("own.csv", "size,rooms,kind,part", lambda k: f"{k // 2},{k // 2 % 7},{label(k * 3)},{only_tests(k)}"),
        "own.csv",
        "table",
        {"table": {"target": "kind"}, "split_column": "part"},
    ),
}


@pytest.mark.parametrize("case", UNASSIGNED)
def test_samples_without_a_given_split_are_split_by_the_setting(case: str, tmp_path: Path) -> None:
    said: list[str] = []
    info = read_info(prepared(tmp_path, UNASSIGNED[case], said).prepared)
    assert info.counts["test"] == sum(only_tests(k) == "test" for k in range(N)) == 20
    assert info.counts["train"] + info.counts["validation"] == 100
    assert 5 <= info.counts["validation"] <= 40
    assert "100 samples have no split of the source's: data.split decides" in said
