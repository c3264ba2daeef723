"""Options of reading data, and the file that lists skipped rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from fastlstm.data import read_dataset, read_texts
from fastlstm.data.options import BadRow, BadRowFile, ReadOptions, split_read_options
from fastlstm.errors import DataError, OptionError, WriteError


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"delimiter": ""}, "bad-option-value"),
        ({"delimiter": ",,"}, "bad-option-value"),
        ({"delimiter": '"'}, "bad-option-value"),
        ({"delimiter": "\n"}, "bad-option-value"),
        ({"quoting": "doubel"}, "bad-option-value"),
        ({"on_bad_rows": "ignore"}, "bad-option-value"),
        ({"on_bad_rows": None}, "bad-option-value"),
        ({"encoding": "utf-9"}, "bad-option-value"),
        ({"encoding": "base64"}, "bad-option-value"),
        ({"encoding": 8}, "bad-option-value"),
        ({"text_column": 0}, "bad-option-value"),
        ({"label_column": None}, "bad-option-value"),
        ({"delimiter": 3}, "bad-option-value"),
        ({"quoting": 3}, "bad-option-value"),
        ({"bad_rows": 3}, "bad-option-value"),
        ({"text_column": "label", "label_column": "label"}, "same-column"),
        ({"max_bad_share": 0.5}, "unknown-option"),
        ({"delimeter": ","}, "unknown-option"),
    ],
)
def test_bad_options_raise_option_error(options: dict[str, Any], code: str) -> None:
    with pytest.raises(OptionError) as raised:
        ReadOptions.create(options)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [("comma", ","), ("tab", "\t"), ("\\t", "\t"), ("semicolon", ";"), ("pipe", "|"), ("space", " "), ("^", "^")],
)
def test_delimiters_have_names(name: str, delimiter: str) -> None:
    assert ReadOptions.create({"delimiter": name}).delimiter == delimiter


def test_options_of_reading_are_split_from_others() -> None:
    reading, others = split_read_options({"encoding": "gb18030", "epochs": 3, "merge_labels": True})
    assert reading == ReadOptions(encoding="gb18030", merge_labels=True)
    assert others == {"epochs": 3}


def read_table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_reviews(folder: Path, name: str = "reviews.csv") -> Path:
    path = folder / name
    path.write_text("text,label\n" + "fine,x\n" * 20 + ',y\n"a, b, c"\n', encoding="utf-8")
    return path


def test_skipped_rows_are_listed_in_a_file(tmp_path: Path) -> None:
    listed = tmp_path / "bad.csv"
    listed.write_text("source,location,code,reason,content\nold.csv,1,x,y,\n", encoding="utf-8")
    dataset = read_dataset(write_reviews(tmp_path), bad_rows=listed)
    header, *rows = read_table(listed)
    assert header == ["source", "location", "code", "reason", "content"]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("reviews.csv", "22", "empty-text"),
        ("reviews.csv", "23", "bad-csv-row"),
    ]
    assert [str(row.location) for row in dataset.bad_rows] == ["22", "23"]


def test_skipped_rows_of_several_files_are_listed_in_one_file(tmp_path: Path) -> None:
    listed = BadRowFile(tmp_path / "bad.csv")
    for name in ("a.csv", "b.csv"):
        read_dataset(write_reviews(tmp_path, name), bad_rows=listed)
    assert [row[0] for row in read_table(listed.path)] == ["source", "a.csv", "a.csv", "b.csv", "b.csv"]


@pytest.mark.parametrize("on_bad_rows", ["skip", "stop"])
def test_rows_are_listed_if_they_stop_the_run(tmp_path: Path, on_bad_rows: str) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\nfine,x\n,y\n", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read_dataset(path, bad_rows=tmp_path / "bad.csv", on_bad_rows=on_bad_rows)
    assert raised.value.code == "empty-text"
    assert [row[1:3] for row in read_table(tmp_path / "bad.csv")[1:]] == [["3", "empty-text"]]


def test_listed_rows_may_contain_bytes_that_are_not_text(tmp_path: Path) -> None:
    file = BadRowFile(tmp_path / "bad.csv")
    file.write([BadRow("a.csv", 3, "not-utf8", "not valid", "caf\udce9")])
    assert read_table(file.path)[1] == ["a.csv", "3", "not-utf8", "not valid", "caf?"]


def test_list_that_cannot_be_written_raises_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError) as raised:
        read_dataset(write_reviews(tmp_path), bad_rows=tmp_path / "missing" / "bad.csv")
    assert (raised.value.code, raised.value.path) == ("write-failed", tmp_path / "missing" / "bad.csv")


def test_a_file_that_is_no_list_of_bad_rows_is_not_replaced(tmp_path: Path) -> None:
    path = write_reviews(tmp_path)
    content = path.read_bytes()
    with pytest.raises(OptionError) as raised:
        read_dataset(path, bad_rows=path)
    assert raised.value.code == "bad-rows-file-exists"
    assert path.read_bytes() == content


def test_texts_without_labels_may_be_in_the_column_label(tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("label\ngood film\n", encoding="utf-8")
    options = ReadOptions.create({"text_column": "label"})
    assert read_texts(tmp_path / "texts.csv", options).texts == ["good film"]
