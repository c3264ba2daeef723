"""Word vectors in the text formats of word2vec, GloVe and fastText."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from fastlstm.data.readers.word_vectors import read_word_vectors, vector_size
from fastlstm.errors import DataError

GLOVE = "the 0.5 -1 2e-1\nfilm 1 2 3\nat name 4 5 6\nthe 7 8 9\n"
WORD2VEC = "3 3\nthe 0.5 -1 2e-1 \nfilm 1 2 3 \nother 0 0 0 \n"


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content", [GLOVE, WORD2VEC, GLOVE.replace("\n", "\r\n"), GLOVE.replace(" ", "\t"), WORD2VEC.rstrip()]
)
def test_known_words_have_their_first_vector(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "vectors.txt", content)
    assert vector_size(path) == 3
    vectors = read_word_vectors(path, {"the", "film", "at", "missing"})
    assert vectors.keys() == {"the", "film"}
    np.testing.assert_array_equal(vectors["the"], np.array([0.5, -1, 0.2], np.float32))
    np.testing.assert_array_equal(vectors["film"], np.array([1, 2, 3], np.float32))


def test_gzipped_files_and_invalid_bytes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "vectors.vec.GZ"
    path.write_bytes(gzip.compress(b"b\xffd 1 2\nfilm 3 4\n"))
    assert vector_size(path) == 2
    assert read_word_vectors(path, {"film"})["film"].tolist() == [3, 4]


def test_a_word_of_two_numbers_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "vectors.txt", "the 1\n1990 2\n")
    assert vector_size(path) == 1
    assert read_word_vectors(path, {"1990", "the"})["1990"].tolist() == [2]


@pytest.mark.parametrize(
    ("content", "code", "location"),
    [
        ("", "bad-word-vectors", 1),
        ("text,label\ngood,1\n", "bad-word-vectors", 1),
        ("a word in a sentence\n", "bad-word-vectors", 1),
        ("2 0\n", "bad-word-vectors", 1),
        ("the 1 2\nfilm 1 x\n", "bad-word-vectors", 2),
        ("the 1 2\nfilm 1 nan\n", "bad-word-vectors", 2),
        ("the 1 2\nfilm 1\n", "bad-word-vectors", 2),
        ("the 1 2\nstory 1 2\n", "no-known-vectors", None),
    ],
)
def test_other_files_raise_data_error(tmp_path: Path, content: str, code: str, location: int | None) -> None:
    with pytest.raises(DataError) as raised:
        read_word_vectors(write(tmp_path / "vectors.txt", content), {"film"})
    assert (raised.value.code, raised.value.source) == (code, "vectors.txt")
    assert location is None or raised.value.location == location


@pytest.mark.parametrize(
    ("name", "code"), [("missing.vec", "file-not-found"), (".", "unreadable-file"), ("bad.gz", "bad-gzip-file")]
)
def test_unreadable_files_raise_data_error(tmp_path: Path, name: str, code: str) -> None:
    write(tmp_path / "bad.gz", "the 1 2\n")
    with pytest.raises(DataError) as raised:
        vector_size(tmp_path / name)
    assert raised.value.code == code


@pytest.mark.parametrize("header", ["", "2 3\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path: Path, header: str) -> None:
    path = tmp_path / "words.vec"
    path.write_text(f"{header}good 1 2 3\nfilm 4 5 6\n", encoding="utf-8-sig")
    assert read_word_vectors(path, {"good", "film"}).keys() == {"good", "film"}
