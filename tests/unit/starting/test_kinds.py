"""Which kind of data is seen in what lies there, what is chosen for it, and what is asked for."""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from samebits.base.errors import UserError
from samebits.params.schema import parse_params
from samebits.params.yaml_file import read_yaml
from samebits.starting import rows
from samebits.starting.found import Proposal
from tests.helpers.pictures import encoded, picture, saved, values
from tests.helpers.tagged_files import columns, json_lines
from tests.helpers.tagged_files import sentence as tagged_sentence
from tests.helpers.workspace import ROOT

Choose = Callable[..., Proposal]
WORDS = ("film", "story", "music", "people", "that", "liked", "others", "home", "early", "a", "the", "went")


def sentence(k: int, words: int = 12) -> str:
    return " ".join(random.Random(k).choices(WORDS, k=words))


def write_csv(path: Path, header: str, rows: Sequence[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def houses(n: int = 80) -> list[str]:
    """id, size, town, price."""
    return [f"{k},{50 + k * 7 % 90},{'ABC'[k % 3]},{1000 + k * 37 % 501}.5" for k in range(n)]


def pictures(folder: Path, classes: dict[str, int], size: tuple[int, int] = (100, 80)) -> None:
    for name, n in classes.items():
        (folder / name).mkdir(parents=True)
        for k in range(n):
            (folder / name / f"{k}.png").write_bytes(encoded(picture(k, size)))


def test_images_in_class_folders_get_a_resolution_by_their_sizes(raw: Path, chosen: Choose) -> None:
    pictures(raw / "pets", {"cat": 3, "dog": 3, "owl": 40}, (140, 90))
    (raw / "pets" / "notes.csv").write_text("a,b\n1,2\n")
    found = chosen("pets")
    assert found.recipe == "image_classification"
    assert found.values["data.format"] == "image_folder"
    assert found.values["data.image.resolution"] == [96, 152]
    assert "46 images in 3 class folders: cat, dog, owl" in found.why["data.format"]
    assert "fewer than 20 images of cat 3, dog 3" in found.warnings[0]
    assert "40 images of owl, 3 of cat" in found.warnings[1]


def test_oblong_images_of_one_shape_keep_it(raw: Path, chosen: Choose) -> None:
    pictures(raw / "scans", {"a": 4, "b": 4}, size=(200, 80))
    assert chosen("scans").values["data.image.resolution"] == [96, 240]
    pictures(raw / "tall", {"a": 4, "b": 4}, size=(40, 100))
    assert chosen("tall").values["data.image.resolution"] == [160, 64]
    pictures(raw / "long", {"a": 4, "b": 4}, size=(3000, 30))
    assert chosen("long").values["data.image.resolution"] == 64
    pictures(raw / "mixed", {"a": 4}, size=(200, 90))
    pictures(raw / "mixed", {"b": 4}, size=(90, 200))
    found = chosen("mixed")
    assert found.values["data.image.resolution"] == 96
    assert "8 of 8 images are oblong" in found.warnings[0]


@pytest.mark.parametrize("top", [255, 65535])
def test_arrays_get_their_channels_and_bits(raw: Path, chosen: Choose, top: int) -> None:
    for k in range(12):
        path = raw / "bands" / "ab"[k % 2] / f"{k}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = values(k, 5, (40, 70), top)
        path.write_bytes(saved(array if k % 3 else array.transpose(2, 0, 1)))
    (raw / "bands" / "a" / "broken.npy").write_bytes(b"\x93NUMPY")
    found = chosen("bands")
    assert found.values["data.format"] == "image_folder"
    assert found.values["data.image.resolution"] == [64, 112]
    assert found.values["data.image.channels"] == 5
    assert found.values.get("data.image.bits") == (16 if top > 255 else None)


def test_images_in_an_archive_and_with_splits_of_their_own(raw: Path, chosen: Choose) -> None:
    with tarfile.open(raw / "pets.tar", "w") as tar:
        for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
            info = tarfile.TarInfo(f"{name}/1.png")
            data = encoded(picture(1, (32, 32)))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    found = chosen("pets.tar")
    assert "2 class folders: cat, dog" in found.why["data.format"]
    assert found.values["data.image.resolution"] == 64


@pytest.mark.parametrize("nested", ["{kind}", "train/{kind}", "{kind}/train"])
def test_images_with_masks_are_no_two_classes(nested: str, raw: Path, chosen: Choose) -> None:
    pictures(raw / "own", {nested.format(kind=kind): 4 for kind in ("images", "masks")})
    (raw / "own" / "classes.csv").write_text("name\na\nb\n")
    found = chosen("own")
    assert found.recipe == "image_masks"
    assert found.values["data.format"] == "image_masks"
    assert found.why["data.format"] == "4 files in a folder images, and 4 in a folder masks"
    assert found.values["data.image.resolution"] == 96
    assert found.warnings == ["4 images are few for a net that learns from scratch"]


def test_images_that_a_csv_lists(raw: Path, chosen: Choose) -> None:
    pictures(raw / "pets", {"a": 2, "b": 2})
    write_csv(raw / "pets" / "list.csv", "path,label", [f"{k}/{n}.png,{k}" for k in "ab" for n in range(2)])
    found = chosen("pets")
    assert found.values["data.format"] == "image_csv"
    write_csv(raw / "pets" / "list.csv", "path,species", ["a/0.png,cat"])
    with pytest.raises(UserError, match="has no column label; it has path, species"):
        chosen("pets", kind="image_csv")


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"target": "x"}, "--target x is for tables"), ({"kind": "images"}, "there is no kind of data 'images'")],
)
def test_what_images_do_not_have_is_refused(raw: Path, chosen: Choose, options: dict[str, str], problem: str) -> None:
    pictures(raw / "pets", {"a": 2, "b": 2})
    with pytest.raises(UserError, match=problem):
        chosen("pets", **options)


def test_one_folder_of_images_is_no_kind(raw: Path, chosen: Choose) -> None:
    pictures(raw / "pets", {"cat": 3})
    with pytest.raises(UserError, match=r"holds 3 \.png: no kind of data"):
        chosen("pets")


def test_a_table_with_a_number_to_predict(raw: Path, chosen: Choose) -> None:
    write_csv(raw / "houses.csv", "id,size,town,price", houses())
    found = chosen("houses.csv")
    assert found.recipe == "table_regression"
    assert found.values["data.table.target"] == "price"
    assert found.values["data.target_kind"] == "number"
    assert found.values["data.table.drop"] == ["id"]


def test_a_table_is_read_once(raw: Path, chosen: Choose, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(raw / "houses.csv", "id,size,town,price", houses())
    calls: list[object] = []
    read = rows.read_columns
    monkeypatch.setattr(rows, "read_columns", lambda *given: calls.append(given) or read(*given))
    chosen("houses.csv")
    assert len(calls) == 1


def test_a_table_with_a_class_by_its_name_and_a_column_of_splits(raw: Path, chosen: Choose) -> None:
    lines = [f"{k % 3},{k * 37 % 101}.5,{k * 53 % 89}.1,{'test' if k % 5 == 0 else 'train'}" for k in range(90)]
    write_csv(raw / "iris.csv", "class,length,width,part", lines)
    found = chosen("iris.csv")
    assert found.recipe == "table_classification"
    assert found.values["data.table.target"] == "class"
    assert found.why["data.table.target"] == "its name says so"
    assert found.values["data.split_column"] == "part"


def test_whole_numbers_that_may_be_classes_are_asked_for(raw: Path, chosen: Choose) -> None:
    write_csv(raw / "wine.csv", "acid,sugar,quality", [f"{k * 37 % 101},{k * 53 % 89},{k * 7 % 6}" for k in range(90)])
    with pytest.raises(UserError, match="6 whole numbers, 0 to 5: classes, or amounts") as refused:
        chosen("wine.csv")
    assert "--predict class" in refused.value.fix
    assert chosen("wine.csv", predict="number").recipe == "table_regression"
    assert chosen("wine.csv", predict="class").recipe == "table_classification"


def test_a_target_is_asked_for_where_two_may_be_it(raw: Path, chosen: Choose) -> None:
    write_csv(raw / "two.csv", "label,size,class", [f"{'ab'[k % 2]},{k * 37 % 101},{'xy'[k % 2]}" for k in range(90)])
    with pytest.raises(UserError, match="label, class may be it") as refused:
        chosen("two.csv")
    assert "--target label or class" in refused.value.fix
    with pytest.raises(UserError, match="has no column 'clas'") as refused:
        chosen("two.csv", target="clas")
    assert "did you mean 'class'" in refused.value.fix


def test_columns_that_give_the_target_away_are_left_out(raw: Path, chosen: Choose) -> None:
    pairs = [(k * 37 % 101, k * 53 % 89, k * 17 % 47) for k in range(90)]
    write_csv(raw / "bikes.csv", "casual,regular,temp,riders", [f"{a},{b},{c}.5,{a + b}" for a, b, c in pairs])
    found = chosen("bikes.csv")
    assert found.values["data.table.drop"] == ["casual", "regular"]
    assert "casual + regular is the target" in found.warnings[0]
    write_csv(raw / "copy.csv", "riders_again,riders", [f"{a}.5,{a}.5" for a, _, _ in pairs])
    with pytest.raises(UserError, match="no column is left to predict riders from"):
        chosen("copy.csv")


def test_dates_make_a_warning_and_lists_are_left_out(raw: Path, chosen: Choose) -> None:
    columns = {
        "day": pa.array([f"2025-01-{1 + k % 28:02d}" for k in range(90)]),
        "tags": pa.array([[k] for k in range(90)]),
        "size": pa.array([k * 37 % 101 + 0.5 for k in range(90)]),
        "price": pa.array([k * 53 % 89 + 0.5 for k in range(90)]),
    }
    pq.write_table(pa.table(columns), raw / "sales.parquet")
    found = chosen("sales.parquet")
    assert found.values["data.table.drop"] == ["tags"]
    assert "data.time_column: day" in found.warnings[0]


def test_texts_in_a_csv(raw: Path, chosen: Choose) -> None:
    lines = [f"{k},{sentence(k, 60)},{'pos' if k % 2 else 'neg'}" for k in range(60)]
    write_csv(raw / "reviews.csv", "id,review,mood", lines)
    found = chosen("reviews.csv")
    assert found.recipe == "text_classification"
    assert found.values["data.format"] == "text_csv"
    assert found.values["data.text.text"] == "review"
    assert found.values["data.text.label"] == "mood"
    assert found.values["data.text.length"] == 128
    assert "at most 60 words" in found.why["data.text.length"]


def test_texts_in_json_lines_ask_which_key_is_the_class(raw: Path, chosen: Choose) -> None:
    lines = [json.dumps({"body": sentence(k), "stars": 1 + k % 2, "user": f"u{k % 7}"}) for k in range(60)]
    (raw / "reviews.jsonl").write_text("\n".join(["broken", *lines]))
    with pytest.raises(UserError, match="stars, user may be it"):
        chosen("reviews.jsonl")
    found = chosen("reviews.jsonl", target="stars")
    assert found.values["data.text.label"] == "stars"
    assert found.values["data.text.text"] == "body"


def test_a_table_with_one_column_of_prose_stays_a_table(raw: Path, chosen: Choose) -> None:
    lines = [f"{row},{sentence(k)}" for k, row in enumerate(houses())]
    write_csv(raw / "houses.csv", "id,size,town,price,advert", lines)
    with pytest.raises(UserError, match="can be read in 2 ways"):
        chosen("houses.csv")
    found = chosen("houses.csv", kind="table")
    assert found.values["data.table.target"] == "price"
    assert found.values["data.table.drop"] == ["id", "advert"]


def test_text_files_in_folders_are_classes_and_long_ones_may_be_books(raw: Path, chosen: Choose) -> None:
    for name in ("pos", "neg"):
        (raw / "reviews" / name).mkdir(parents=True)
        (raw / "books" / name).mkdir(parents=True)
        for k in range(3):
            (raw / "reviews" / name / f"{k}.txt").write_text(sentence(k))
            (raw / "books" / name / f"{k}.txt").write_text(sentence(k, 6000))
    assert chosen("reviews").values["data.format"] == "text_folder"
    with pytest.raises(UserError, match="can be read in 2 ways") as refused:
        chosen("books")
    assert "--kind text_folder" in refused.value.problem
    assert "--kind running_text" in refused.value.problem
    assert chosen("books", kind="running_text").recipe == "gutenberg_gpt"


def test_running_text_sizes_its_vocabulary(raw: Path, chosen: Choose) -> None:
    (raw / "notes.txt").write_text(sentence(1, 30_000))
    found = chosen("notes.txt")
    assert found.values["data.text.vocabulary"] == 512
    assert found.values["train.select"] == "best"
    assert "little" in found.warnings[0]
    (raw / "short.txt").write_text(sentence(1, 300))
    with pytest.raises(UserError, match="learns nothing from so little"):
        chosen("short.txt")


def test_files_of_no_kind_name_what_is_there(raw: Path, chosen: Choose) -> None:
    (raw / "waves.wav").write_bytes(b"RIFF")
    with pytest.raises(UserError, match=r"holds 1 \.wav: no kind of data"):
        chosen("waves.wav")
    (raw / "sheet.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match="not read") as refused:
        chosen("sheet.xlsx")
    assert "save the sheet as CSV" in refused.value.fix


def test_a_target_that_never_changes_is_refused(raw: Path, chosen: Choose) -> None:
    write_csv(raw / "same.csv", "a,b,last", [f"{k * 37 % 101},{k * 53 % 89},1" for k in range(90)])
    with pytest.raises(UserError, match="the same in every row"):
        chosen("same.csv")


def test_y_is_the_target_unless_another_says_so(raw: Path, chosen: Choose) -> None:
    lines = [f"{k * 37 % 101}.5,{k * 53 % 89}.5,{'ab'[k % 2]}" for k in range(90)]
    write_csv(raw / "points.csv", "x,y,label", lines)
    assert chosen("points.csv").values["data.table.target"] == "label"
    write_csv(raw / "points.csv", "x,y,town", lines)
    assert chosen("points.csv").values["data.table.target"] == "y"


@pytest.mark.parametrize("name", ["names.conll", "names.txt", "names.tsv", "names.jsonl"])
def test_words_with_tags(name: str, raw: Path, chosen: Choose) -> None:
    sentences = [tagged_sentence(seed) for seed in range(80)]
    text = json_lines(sentences) if name.endswith("jsonl") else columns(sentences)
    (raw / name).write_text(text.replace(" ", "\t") if name.endswith("tsv") else text)
    found = chosen(name)
    assert found.recipe == "token_classification"
    assert found.values["data.format"] == "tagged_text"
    assert found.values["data.text.length"] == 64
    known = parse_params(read_yaml(ROOT / "recipes/token_classification.yaml")).dump()
    assert all(key.split(".")[1] in known[key.split(".")[0]] for key in found.values)
    assert found.why["task.name"] == "entities: LOC, PER"
    assert "80 texts are few" in found.warnings[0]


def test_a_folder_of_words_with_tags(raw: Path, chosen: Choose) -> None:
    (raw / "names").mkdir()
    for part in ("train", "dev", "test"):
        (raw / "names" / f"{part}.txt").write_text(columns([tagged_sentence(seed) for seed in range(80)]))
    assert chosen("names").recipe == "token_classification"
    with pytest.raises(UserError, match="each word has a tag"):
        chosen("names", target="x")


def test_other_tables_and_texts_are_no_words_with_tags(raw: Path, chosen: Choose) -> None:
    (raw / "houses.tsv").write_text("\n".join(["id,size,town,price", *houses()]).replace(",", "\t"))
    assert chosen("houses.tsv").values["data.format"] == "table"
    (raw / "book.txt").write_text("\n\n".join(sentence(k, 30) for k in range(2000)))
    assert chosen("book.txt").values["data.format"] == "running_text"
