"""The one CSV reader: which rows are found, and that no quote hides one."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from samebits.base.errors import UserError
from samebits.data.readers import csv_file, decoding
from samebits.data.readers.csv_file import CsvFile, Row

STRAY = "a quote is opened here"


def read(folder: Path, text: str | bytes, **options: Any) -> tuple[CsvFile, list[Row]]:
    path = folder / "x.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    file = CsvFile(path, "x.csv", **options)
    return file, list(file.rows())


def rows(folder: Path, text: str | bytes, **options: Any) -> list[list[str]]:
    """Rows of a file of which each can be used."""
    found = read(folder, text, **options)[1]
    assert not any(isinstance(row, str) for _, row in found)
    return [row for _, row in found if not isinstance(row, str)]


def test_rows_come_with_their_first_line(tmp_path: Path) -> None:
    file, found = read(tmp_path, '\n\na, b\n1,"x\ny"\n\n2,z\n')
    assert file.header == ["a", "b"]
    assert found == [(4, ["1", "x\ny"]), (7, ["2", "z"])]


@pytest.mark.parametrize(
    ("text", "options", "header"),
    [
        ("sep=;\na,b;c\n1;2\n", {}, ["a,b", "c"]),
        ('"sep=|"\na|c\n1|2\n', {}, ["a", "c"]),
        ("a,b;c\n1;2\n3;4\n", {}, ["a,b", "c"]),
        ("length, cm;kind\n1;2\n", {"wanted": ["length, cm"]}, ["length, cm", "kind"]),
        ("a\u00a7c\n1\u00a72\n", {"separator": "\u00a7"}, ["a", "c"]),
        ("a,c,\n1,2,\n", {}, ["a", "c"]),
        ("a,c\n1,2,\n3,4,\n", {}, ["a", "c"]),
        ("a,c\r1,2\r", {}, ["a", "c"]),
        ("1,2\n", {"columns": ["a", "c"]}, ["a", "c"]),
    ],
)
def test_separators_and_headers(text: str, options: dict[str, Any], header: list[str], tmp_path: Path) -> None:
    file, found = read(tmp_path, text, **options)
    assert file.header == header
    assert found[0][1] == ["1", "2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    file, found = read(tmp_path, "Größe,b\nKöln,2\n".encode(encoding))
    assert (file.header, found[0][1]) == (["Größe", "b"], ["Köln", "2"])
    assert set(file.encodings) == {encoding}


def lines(count: int, changed: dict[int, str] | None = None) -> str:
    body = [f"text number {k},{k % 7},{'pos' if k % 2 else 'neg'}" for k in range(count)]
    for at, line in (changed or {}).items():
        body[at] = line
    return "\n".join(["text,n,label", *body]) + "\n"


@pytest.mark.parametrize(
    "second",
    ['what she said",1,pos', 'and it "ended" there,1,pos', "no quote,1,pos", '"again,1,pos', '"a b",1,pos', '"",1,pos'],
)
@pytest.mark.parametrize("first", [0, 20])
def test_a_stray_quote_costs_its_row_alone(first: int, second: str, tmp_path: Path) -> None:
    found = read(tmp_path, lines(300, {first: '"Unclosed quote,3,neg', first + 200: second}))[1]
    broken = [(line, row) for line, row in found if isinstance(row, str)]
    assert len(found) == 300
    assert [line for line, _ in broken] == [first + 2] + [first + 202] * second.startswith('"again')
    assert all(STRAY in str(row) for _, row in broken)


@pytest.mark.parametrize("seed", range(60))
def test_rows_without_a_quote_are_never_lost(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    words = ["good", "bad", "film", "plot", "actor", "scene", "music", "slow", "fast", "boring", "great", "story"]
    width, separator = [(2, "\t"), (2, ","), (3, ","), (5, ";")][seed % 4]
    body = [
        [
            f"{' '.join(random.choices(words, k=8))} {k}",
            *("1357"[k % 4] for _ in range(width - 2)),
            ("pos", "neg")[k % 2],
        ]
        for k in range(200)
    ]
    odd = {random.randrange(200): random.randrange(width) for _ in range(random.randint(1, 8))}
    for row, column in odd.items():
        body[row][column] = random.choice(['"{}', '{}"', '{} "x" y', '"{}" z', '"{}"', '""{}']).format(
            body[row][column]
        )
    found = dict(read(tmp_path, "\n".join(map(separator.join, [["c"] * width, *body])), separator=separator)[1])
    assert all(found[row + 2] == body[row] for row in range(200) if row not in odd)


@pytest.mark.parametrize(
    "cell",
    [
        '"one line,\nanother line, and more\nthe end"',
        '"Dear all,\n\nfirst, second\nthird, fourth\nfifth, sixth\nbye"',
        '"a ""quoted"" word,\nand, more"',
    ],
)
def test_long_texts_in_quotes_stay_whole(cell: str, tmp_path: Path) -> None:
    for text in (f"text,label\n{cell},pos\nx,neg\n", f"label,text\npos,{cell}\nneg,x\n"):
        found = rows(tmp_path, text + "".join(f"{k},{k % 2}\n" for k in range(50)))
        assert len(found) == 52
        assert "\n" in "".join(found[0])


def test_quotes_may_be_text(tmp_path: Path) -> None:
    text = 'a\tb\n5" pipe\t"x\n"inches"\ty"\n'
    assert rows(tmp_path, text, quotes=False) == [['5" pipe', '"x'], ['"inches"', 'y"']]
    assert [line for line, row in read(tmp_path, text)[1] if isinstance(row, str)] == [2, 3]


def test_what_a_bad_quote_takes_with_it_counts_as_rows(tmp_path: Path) -> None:
    found = read(tmp_path, 'text,label\n"one\ntwo\nthree" four,pos\nfine,neg\n')[1]
    assert [line for line, row in found if isinstance(row, str)] == [2, 3, 4]
    assert found[-1] == (5, ["fine", "neg"])


def test_a_quote_is_followed_so_far_and_no_farther(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_MOST_LINES", 10)
    found = read(tmp_path, 'a,b\n"' + "x\n" * 20 + '",2\n3,4\n')[1]
    assert STRAY in str(found[0][1])
    assert found[-1] == (23, ["3", "4"])
    monkeypatch.setattr(csv_file, "LONGEST", 100)
    monkeypatch.setattr(decoding, "LONGEST", 100)
    assert STRAY in str(read(tmp_path, 'a,b\n"' + ("x" * 60 + "\n") * 4 + '",2\n3,4\n')[1][0][1])


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty": ("\n \n,,\n", {}, "is empty"),
    "values for names": (
        "5,1895,1.5\n4,1356,2.5\n",
        {"every": True},
        r"first line holds values .*\(5, 1895, 1.5\)",
    ),
    "values among words": ("Ulm,5.5\nBonn,6.5\n", {"every": True}, "its first line holds values"),
    "a date for a name": ("2020-01-01,x\n2020-01-02,y\n", {"every": True}, "its first line holds values"),
    "a name twice": ("a,b,a\n1,2,3\n", {"every": True}, "two columns are called a"),
    "a wanted name twice": ("a,b,a\n1,2,3\n", {"wanted": ["a"]}, "two columns are called a"),
    "no name": ("a,,b\n1,2,3\n", {"every": True}, "column 2 of 3 has no name"),
    "too few names": ("1,2\n", {"columns": ["a"]}, "data.csv.columns has 1 names, the first line 2 fields"),
    "JSON": ('[{"a": 1}]', {}, "begins like JSON"),
    "Parquet": (b"PAR1....", {}, "it is a Parquet file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, tmp_path: Path) -> None:
    text, options, problem = REFUSED[case]
    with pytest.raises(UserError, match=problem) as caught:
        read(tmp_path, text, **options)
    assert caught.value.fix


@pytest.mark.parametrize(
    "header", ["a,b,c", "0,1,2", "1,2,3", "x,2019,2020", "country,1990,2000", "5,1895,193285", "size,0.5,0.9"]
)
def test_names_that_are_numbers(header: str, tmp_path: Path) -> None:
    """Counts and years are names; so is whatever a setting names, and a first line that is like no other."""
    wanted = ["193285"] if "193285" in header else ["0.9"] if "0.9" in header else []
    body = "x,7.5,8.5\ny,6,2\n" if not header[0].isdigit() else "4,5.5,7\n3,4,6.5\n"
    assert len(rows(tmp_path, f"{header}\n{body}", every=True, wanted=wanted)) == 2
