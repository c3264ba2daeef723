"""Whose word each row of an embedding is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fastlstm.convert.vocabulary import (
    TOKENIZATION_RULES,
    find_rule,
    make_tokenizer,
    ordered_words,
    read_vocabulary,
)
from fastlstm.errors import DataError, OptionError


def test_a_word_a_line_in_the_order_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\n[UNK]\ngood\nfilm\n", encoding="utf-8")
    found = read_vocabulary(tmp_path / "words.txt")
    assert (found.unknown, found.padding, found.start) == (1, 0, None)
    assert ordered_words(found, 4) == (["[PAD]", "[UNK]", "good", "film"], [0, 1, 2, 3])
    assert ordered_words(found, 3) == (["[PAD]", "[UNK]", "good"], [0, 1, 2])


def test_the_index_of_keras_tokenizer_leaves_row_0_to_padding(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"<OOV>": 1, "b": 2, "a": 3}))
    assert ordered_words(read_vocabulary(path), 9, padding=0) == (["[PAD]", "[UNK]", "b", "a"], [0, 1, 2, 3])


def test_the_index_of_imdb_has_a_start_and_unknown_words_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"b": 2, "a": 1}))
    assert ordered_words(read_vocabulary(path, index_from=3), 5) == (
        ["[PAD]", "[UNK]", "[START]", "a"],
        [0, 2, 1, 4],
    )


def test_a_vocabulary_without_padding_gets_a_row_of_nothing() -> None:
    words = find_rule(["a", "b"], unknown="b")
    assert ordered_words(words, 2) == (["[PAD]", "[UNK]", "a"], [None, 1, 0])
    assert ordered_words(words, 2, padding=0) == (
        ["[PAD]", "[UNK]", "a"],
        [0, 1, 0],
    )  # Keras pads with 0, whatever it is


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("\r\n[UNK]\r\nwait\x85what\r\nfilm\r\n".encode())
    found = read_vocabulary(tmp_path / "words.txt")
    assert (found.words["wait\x85what"], found.words["film"], found.vectorized) == (2, 3, True)


@pytest.mark.parametrize(
    ("words", "rows", "why"),
    [
        (["a", "b", "[UNK]"], 2, "unknown words would be row 2 of 2"),
        (["a", "<pad>", "<unk>", "[START]"], 4, r"has a word \[START\]"),
        (["<unk>", "[UNK]", "<pad>"], 3, r"has a word \[UNK\]"),
        (["<pad>", "<unk>", "电影"], 3, "character by character"),
    ],
)
def test_words_that_would_be_misread_are_refused(words: list[str], rows: int, why: str) -> None:
    unknown = "<unk>" if "<unk>" in words else None
    with pytest.raises(DataError, match=why):
        ordered_words(find_rule(words, unknown), rows)


def test_indices_are_for_objects_and_imdb_has_no_word_for_unknown_ones(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"<OOV>": 1, "a": 2}))
    with pytest.raises(OptionError, match="leave --index-from out"):
        read_vocabulary(path, index_from=3)
    with pytest.raises(OptionError, match="it is for word -> index"):
        find_rule(["", "[UNK]"], index_from=3)


@pytest.mark.parametrize(
    ("name", "content", "error", "why"),
    [
        ("v.json", "{", DataError, "is not JSON"),
        ("v.json", '{"a": "b"}', DataError, "is no vocabulary"),
        ("v.json", '{"a": true}', DataError, "is no vocabulary"),
        ("v.json", '["a", 3]', DataError, "is no vocabulary"),
        ("v.txt", "a\nb\na", DataError, "'a' twice"),
        ("v.txt", "a\nb", OptionError, "no word for unknown ones"),
        ("v.json", '{"a": 1}', OptionError, "--index-from 3"),
    ],
)
def test_what_is_none_is_told(tmp_path: Path, name: str, content: str, error: type[Exception], why: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(error, match=why):
        read_vocabulary(tmp_path / name)


def test_an_unknown_word_must_be_in_it() -> None:
    with pytest.raises(OptionError, match="'nix' is no word of the vocabulary"):
        find_rule(["a", "b"], unknown="nix")


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [
        ("stripped", ["Dont", "stopit"]),
        ("fastlstm", ["don", "'", "t", "stop", "-", "it", "!"]),
        ("keras", ["don't", "stop", "it"]),
        ("vectorization", ["dont", "stopit"]),
        ("spaces", ["Don't", "stop-it!"]),
        ("lower", ["don't", "stop-it!"]),
    ],
)
def test_what_a_word_is(kind: str, tokens: list[str]) -> None:
    names = ["[PAD]", "[UNK]", *dict.fromkeys(tokens)]
    found = make_tokenizer(names, TOKENIZATION_RULES[kind], start=False).encode("Don't stop-it!").ids
    assert [names[id_] for id_ in found] == tokens
