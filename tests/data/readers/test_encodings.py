"""Encodings: byte order marks, proposals, and the option."""

from __future__ import annotations

import pytest
from tests.helpers.files import WriteFile

from fastlstm.data import read_dataset, read_texts
from fastlstm.data.options import ReadOptions
from fastlstm.errors import DataError

SENTENCES = {
    "gb18030": ("这部电影非常好看，演员的表演也很精彩。", "剧情无聊，我看了一半就睡着了，不推荐。"),
    "cp1252": (
        "Der Film war schön, die Schauspieler großartig – für alle Fälle.",
        "Trop long, déjà vu, et très ennuyeux…",
    ),
    "cp932": (
        "この映画はとても面白かったです。俳優の演技も素晴らしい。",
        "退屈な映画でした。途中で寝てしまいました。",
    ),
    "cp1251": ("Очень хороший фильм, актёры играют великолепно.", "Скучный сюжет, я заснул на половине фильма."),
}
"""Encoding -> a positive and a negative review in it."""


def table(encoding: str) -> str:
    good, bad = SENTENCES[encoding]
    return "label,text\n" + "".join(f'pos,"{good} {number}"\nneg,"{bad} {number}"\n' for number in range(30))


@pytest.mark.parametrize("encoding", SENTENCES)
def test_encodings_are_proposed_by_name_and_read_on_request(write: WriteFile, encoding: str) -> None:
    path = write("reviews.csv", table(encoding).encode(encoding))
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert raised.value.code == "not-utf8"
    assert encoding in raised.value.encodings
    dataset = read_dataset(path, encoding=encoding)
    assert dataset.texts[:2] == [f"{sentence} 0" for sentence in SENTENCES[encoding]]
    assert [note.code for note in dataset.notes] == ["dialect"]


@pytest.mark.parametrize("name", ["reviews.jsonl", "reviews.txt", "reviews.csv.gz"])
def test_encodings_are_proposed_for_every_format(write: WriteFile, name: str) -> None:
    lines = {
        "reviews.jsonl": '{{"text": "{0}", "label": "x"}}\n',
        "reviews.txt": "__label__x {0}\n",
        "reviews.csv.gz": 'x,"{0}"\n',
    }[name]
    content = ("label,text\n" if ".csv" in name else "") + "".join(
        lines.format(sentence) for sentence in SENTENCES["gb18030"] * 20
    )
    path = write(name, content.encode("gb18030"))
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert raised.value.code == "not-utf8"
    assert "gb18030" in raised.value.encodings
    assert read_dataset(path, encoding="gb18030").texts == list(SENTENCES["gb18030"]) * 20


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["reviews.csv", "reviews.csv.gz"])
def test_byte_order_mark_names_the_encoding(write: WriteFile, name: str, encoding: str) -> None:
    path = write(name, table("gb18030").encode(encoding))
    assert read_dataset(path).texts[0] == f"{SENTENCES['gb18030'][0]} 0"
    assert read_dataset(path, encoding=encoding).texts[0] == f"{SENTENCES['gb18030'][0]} 0"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_byte_order_mark_is_refused_by_name(write: WriteFile, encoding: str) -> None:
    path = write("reviews.csv", "text,label\nfine,x\ngood,y\n".encode(encoding))
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert raised.value.code == "not-utf8"
    assert encoding in str(raised.value)
    assert read_dataset(path, encoding=encoding).texts == ["fine", "good"]


def test_wrong_encoding_raises_data_error(write: WriteFile) -> None:
    for encoding in ("utf-16", "utf-32"):
        path = write("reviews.csv", b"text,label\nfine,x\n")
        with pytest.raises(DataError) as raised:
            read_dataset(path, encoding=encoding)
        assert (raised.value.code, raised.value.source) == ("bad-encoding", "reviews.csv")
    path = write("reviews.csv", "text,label\nfine,x\n".encode("utf-16") + b"\x00\xd8\x00")
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert (raised.value.code, raised.value.source) == ("bad-encoding", "reviews.csv")


def test_few_rows_that_are_not_utf8_are_skipped(write: WriteFile) -> None:
    path = write("reviews.csv", b"text,label\n" + b"fine,x\n" * 20 + b"caf\xe9,x\n")
    dataset = read_dataset(path)
    assert len(dataset) == 20
    assert [(row.location, row.code) for row in dataset.bad_rows] == [(22, "not-utf8")]
    assert read_dataset(path, encoding="cp1252").texts[-1] == "café"


def test_unlabelled_texts_have_the_same_encodings(write: WriteFile) -> None:
    path = write("texts.txt", "\n".join(SENTENCES["gb18030"] * 20).encode("gb18030"))
    with pytest.raises(DataError) as raised:
        read_texts(path)
    assert "gb18030" in raised.value.encodings
    assert read_texts(path, ReadOptions(encoding="gb18030")).texts == list(SENTENCES["gb18030"]) * 20
    assert read_texts(write("wide.txt", "größer\n".encode("utf-16"))).texts == ["größer"]


def test_files_of_class_folders_may_have_an_encoding(write: WriteFile) -> None:
    for name in ("pos", "neg"):
        write(f"reviews/{name}/a.txt", "größer".encode("cp1252"))
    path = write("reviews/readme.md", "").parent
    assert read_dataset(path, encoding="cp1252").texts == ["größer", "größer"]
