"""Identical samples in different splits, where groups, times or the source decide: told with counts, or dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.base.files import read_json
from samebits.base.paths import Project
from samebits.data.loading.prepared import SPLITS
from samebits.data.preparation.prepare import prepare
from samebits.params.data import DataParams
from samebits.params.runtime import RuntimeParams
from tests.helpers.refusals import raw_folder
from tests.helpers.sources import Make, N, image, label, lines, mail, text

WARNING = "audit: scores on samples that are also in another split say little; data.duplicates: drop sets copies aside"


def part(k: int) -> str:
    """The split that the source gives a sample: of 60 pairs, 20 lie in train, 20 in train and test, 20 in train and
    validation."""
    return ("train", "train", "train", "test", "validation", "train")[k % 6]


GIVEN = {"train/validation": 20, "train/test": 20, "validation/test": 0}


def group(k: int) -> str:
    """Of a pair, each is in a group of its own."""
    return f"g{k % 40}"


def files(name: str, content: Callable[[int], bytes]) -> Make:
    def make(raw: Path) -> None:
        for k in range(N):
            path = raw / "own" / part(k) / label(k) / f"{k:03d}{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content(k))

    return make


def image_csv(raw: Path) -> None:
    for column, of in (("split", part), ("group", group), ("time", day)):
        folder = raw / column
        folder.mkdir()
        for k in range(N):
            (folder / f"{k}.png").write_bytes(image(k))
        rows = [f"{k}.png,{label(k)},{of(k)}" for k in range(N)]
        (folder / "list.csv").write_text("\n".join([f"path,label,{column}", *rows]))


def jsonl(raw: Path) -> None:
    rows = (
        {"text": text(k), "label": label(k), "who": group(k), "part": part(k), "at": day(k).toordinal()}
        for k in range(N)
    )
    (raw / "own.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))


def day(k: int) -> date:
    """Of each pair, one is of the first years and one of the last."""
    return date.fromordinal(737_000 + 1000 * (k % 2) + k)


def row(k: int) -> str:
    return f"{k // 2 * 3.5},{k // 2 * 7 % 11},{day(k)},{group(k)},{label(k)},{part(k)}"


ROWS = lines("own.csv", "size,rooms,sold,street,kind,part", row)
TEXTS = lines("own.csv", "text,label,who,part,at", lambda k: f"{text(k)},{label(k)},{group(k)},{part(k)},{day(k)}")

CASES: dict[str, tuple[Make, str, str, dict[str, Any]]] = {
    "images, given": (files(".png", image), "own", "image_folder", {}),
    "listed images, given": (image_csv, "split", "image_csv", {}),
    "listed images, group": (image_csv, "group", "image_csv", {"split": "group"}),
    "listed images, time": (image_csv, "time", "image_csv", {"split": "time"}),
    "texts, given": (TEXTS, "own.csv", "text_csv", {"split_column": "part"}),
    "texts, group": (TEXTS, "own.csv", "text_csv", {"split": "group", "group_column": "who"}),
    "texts, time": (TEXTS, "own.csv", "text_csv", {"split": "time", "time_column": "at"}),
    "JSON, given": (jsonl, "own.jsonl", "text_jsonl", {"split_column": "part"}),
    "JSON, group": (jsonl, "own.jsonl", "text_jsonl", {"split": "group", "group_column": "who"}),
    "JSON, time": (jsonl, "own.jsonl", "text_jsonl", {"split": "time", "time_column": "at"}),
    "files, given": (files(".txt", lambda k: text(k).encode()), "own", "text_folder", {}),
    "mails, given": (files(".eml", mail), "own", "mail", {}),
    "rows, given": (
        ROWS,
        "own.csv",
        "table",
        {"split_column": "part", "table": {"target": "kind", "drop": ["sold", "street"]}},
    ),
    "rows, group": (
        ROWS,
        "own.csv",
        "table",
        {"split": "group", "table": {"target": "kind", "drop": ["sold", "part"]}, "group_column": "street"},
    ),
    # A column that sorts may be no input at the same time.
    "rows, time": (
        ROWS,
        "own.csv",
        "table",
        {"split": "time", "table": {"target": "kind", "drop": ["sold", "street", "part"]}, "time_column": "sold"},
    ),
}


def run(home: Path, source: str, format_name: str, **changed: Any) -> tuple[Path, list[str]]:
    """The prepared folder, and the lines that the stage printed."""
    settings = {"validation_fraction": 0.2, "test_fraction": 0.2, "image": {"resolution": 8, "smallest": 4}, **changed}
    settings["text"] = {"vocabulary": 300, "length": 12, **settings.get("text", {})}
    project, said = Project(home, home), list[str]()
    context = SimpleNamespace(project=project, runtime=RuntimeParams(progress="off"), say=said.append)
    data = DataParams.model_validate({"source": f"data/raw/{source}", "format": format_name, **settings})
    prepare(data, context=context)  # type: ignore[arg-type]
    return project.prepared, said


def overlap(prepared: Path) -> dict[str, int]:
    """Of each pair of splits, samples of the second whose content is in the first."""
    rows = pq.read_table(prepared / "manifest.parquet").to_pylist()
    hashes = {name: [each["sha256"] for each in rows if each["split"] == name] for name in SPLITS}
    assert all(hashes.values())
    return {
        f"{first}/{second}": sum(each in set(hashes[first]) for each in hashes[second])
        for k, first in enumerate(SPLITS)
        for second in SPLITS[k + 1 :]
    }


@pytest.mark.parametrize("case", CASES)
def test_identical_samples_in_two_splits_are_told_and_dropped(case: str, tmp_path: Path) -> None:
    make, source, format_name, changed = CASES[case]
    make(raw_folder(tmp_path))
    prepared, said = run(tmp_path, source, format_name, **changed)
    found = overlap(prepared)
    assert found == read_json(prepared / "dataset.json")["audit"]["overlap"]
    assert any(found.values())
    if "given" in case:
        assert found == GIVEN
    if "time" in case:
        assert found == {"train/validation": 19, "train/test": 24, "validation/test": 0}
    for pair, n in found.items():
        first, second = pair.split("/")
        assert (f"{n} of {second} also in {first}" in "\n".join(said)) == (n > 0)
    assert WARNING in said

    prepared, said = run(tmp_path, source, format_name, duplicates="drop", **changed)
    assert not any(overlap(prepared).values())
    assert WARNING not in said
    counts = read_json(prepared / "dataset.json")["counts"]
    assert sum(counts.values()) == N // 2
    if "given" in case:
        assert counts == {"train": 20, "validation": 20, "test": 20}


def test_the_same_inputs_with_other_numbers_as_targets_are_no_copies(tmp_path: Path) -> None:
    make = lines(
        "own.csv", "a,b,price,part", lambda k: f"{k // 2 * 37 % 101},{k // 2 * 53 % 103},{k * 7 % 61}.5,{part(k)}"
    )
    make(raw_folder(tmp_path))
    table = {"target": "price"}
    prepared, said = run(tmp_path, "own.csv", "table", duplicates="drop", split_column="part", table=table)
    assert overlap(prepared) == GIVEN
    assert WARNING.partition(";")[0] in said


# What a source can be split by.


@pytest.mark.parametrize(
    ("case", "split", "fix"),
    [
        ("images, given", "group", "list the images in a CSV with a column `group`"),
        ("images, given", "time", "list the images in a CSV with a column `time`"),
        ("listed images, given", "group", "add a column `group` to the CSV"),
        ("listed images, given", "time", "add a column `time` to the CSV"),
        ("texts, given", "group", "name the column whose equal values stay together: data.group_column"),
        ("texts, given", "time", "name the column with the date of a text: data.time_column"),
        ("JSON, given", "group", "name the key whose equal values stay together: data.group_column"),
        ("JSON, given", "time", "name the key with the date of a text: data.time_column"),
        ("files, given", "group", "put the texts into a CSV or JSON Lines file that says its group"),
        ("mails, given", "time", "put the texts into a CSV or JSON Lines file that says its time"),
        ("rows, given", "group", "name the column whose equal values stay together: data.group_column"),
        ("rows, given", "time", "name the column to sort by: data.time_column"),
    ],
)
def test_a_split_by_what_a_source_does_not_say_names_the_fix(
    case: str, split: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing is given for the test, so that `data.split` has to decide.
    monkeypatch.setitem(globals(), "part", lambda k: "train")
    make, source, format_name, changed = CASES[case]
    make(raw_folder(tmp_path))
    with pytest.raises(UserError, match=f"data.split is {split}, but") as caught:
        run(tmp_path, source, format_name, **{**changed, "split": split})
    assert caught.value.fix.startswith(fix)


def test_images_of_one_group_stay_together(tmp_path: Path) -> None:
    image_csv(raw_folder(tmp_path))
    prepared, _ = run(tmp_path, "group", "image_csv", split="group")
    where: dict[str, set[str]] = {}
    for each in pq.read_table(prepared / "manifest.parquet").to_pylist():
        where.setdefault(group(int(each["id"].removesuffix(".png"))), set()).add(each["split"])
    assert len(where) == 40
    assert all(len(splits) == 1 for splits in where.values())


def test_an_image_without_a_group_is_set_aside(tmp_path: Path) -> None:
    image_csv(raw_folder(tmp_path))
    path = tmp_path / "data/raw/group/list.csv"
    path.write_text(path.read_text().replace("3.png,dog,g3\n", "3.png,dog,\n", 1))
    prepared, _ = run(tmp_path, "group", "image_csv", split="group")
    assert (prepared / "set_aside.csv").read_text() == (
        'id,reason\nlist.csv#5 3.png,"it has no group, data.split is group"\n'
    )
    # Where it is not asked for, it need not be there.
    prepared, _ = run(tmp_path, "group", "image_csv")
    assert read_json(prepared / "dataset.json")["audit"]["set_aside"] == 0


@pytest.mark.parametrize(
    ("case", "first"), [("listed images, time", 0), ("texts, time", 2), ("JSON, time", 1), ("rows, time", 1)]
)
def test_the_latest_samples_are_the_test(case: str, first: int, tmp_path: Path) -> None:
    # The number in a sample's id counts from `first`.
    make, source, format_name, changed = CASES[case]
    make(raw_folder(tmp_path))
    prepared, _ = run(tmp_path, source, format_name, **changed)
    found = pq.read_table(prepared / "manifest.parquet").to_pylist()
    days: dict[str, list[date]] = {name: [] for name in SPLITS}
    for each in found:
        days[each["split"]].append(day(int("".join(filter(str.isdigit, each["id"]))) - first))
    assert [len(days[name]) for name in SPLITS] == [77, 19, 24]
    assert max(days["train"]) < min(days["validation"])
    assert max(days["validation"]) < min(days["test"])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "it has no time"),
        ("soon", "its time is 'soon', neither a date such as 2025-12-31 nor a number"),
        ("2025-02-30", "its time is '2025-02-30', neither"),
        ("inf", "its time is 'inf', neither"),
    ],
)
def test_an_image_without_a_time_is_set_aside(cell: str, reason: str, tmp_path: Path) -> None:
    image_csv(raw_folder(tmp_path))
    path = tmp_path / "data/raw/time/list.csv"
    path.write_text(path.read_text().replace(f"3.png,dog,{day(3)}\n", f"3.png,dog,{cell}\n", 1))
    prepared, _ = run(tmp_path, "time", "image_csv", split="time")
    rejected = (prepared / "set_aside.csv").read_text().splitlines()[1:]
    assert len(rejected) == 1
    assert reason in rejected[0]
    # Where it is not asked for, it need not be there.
    prepared, _ = run(tmp_path, "time", "image_csv")
    assert read_json(prepared / "dataset.json")["audit"]["set_aside"] == 0


def test_dates_among_numbers_cannot_be_sorted(tmp_path: Path) -> None:
    image_csv(raw_folder(tmp_path))
    path = tmp_path / "data/raw/time/list.csv"
    path.write_text(path.read_text().replace(f"3.png,dog,{day(3)}\n", "3.png,dog,17\n", 1))
    with pytest.raises(UserError, match=f"times are dates, such as '{day(0)}', and numbers, such as '17'"):
        run(tmp_path, "time", "image_csv", split="time")


@pytest.mark.parametrize("key", ["split_column", "group_column", "time_column"])
@pytest.mark.parametrize("case", ["files, given", "mails, given", "images, given"])
def test_a_column_of_a_source_that_has_none_is_refused(case: str, key: str, tmp_path: Path) -> None:
    make, source, format_name, changed = CASES[case]
    make(raw_folder(tmp_path))
    with pytest.raises(UserError, match=f"data.{key} is 'who', but .*own.* has no columns"):
        run(tmp_path, source, format_name, **changed, **{key: "who"})


def test_a_class_of_images_that_are_not_there_is_named(tmp_path: Path) -> None:
    image_csv(raw_folder(tmp_path))
    path = tmp_path / "data/raw/split/list.csv"
    path.write_text(path.read_text() + "\nlost.png,bird,train\ngone.png,bird,train\n")
    with pytest.raises(UserError, match=r"sample of the class bird; list\.csv#122 lost\.png: it does not exist"):
        run(tmp_path, "split", "image_csv", max_rejected_fraction=1.0)
