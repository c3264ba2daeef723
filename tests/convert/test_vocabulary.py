"""Vocabularies of imported models and their tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastlstm.convert.tokenization import TOKENIZATION_RULES, TokenizationRule
from fastlstm.convert.vocabulary import VocabularyOptions, assign_ids, make_vocabulary, read_vocabulary
from fastlstm.errors import DataError, FastLSTMError, OptionError

KERAS = TOKENIZATION_RULES["keras"]


def test_text_file_has_one_word_per_line_in_the_order_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("\n[UNK]\ngood\nfilm\n", encoding="utf-8")
    vocabulary = read_vocabulary(tmp_path / "words.txt")
    assert (vocabulary.unknown, vocabulary.padding, vocabulary.start) == (1, 0, None)
    assert assign_ids(vocabulary, 4, KERAS) == (["[PAD]", "[UNK]", "good", "film"], [0, 1, 2, 3])
    assert assign_ids(vocabulary, 3, KERAS) == (["[PAD]", "[UNK]", "good"], [0, 1, 2])


def test_word_index_of_keras_tokenizer_leaves_row_0_to_padding(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"<OOV>": 1, "b": 2, "a": 3}))
    words, rows = assign_ids(read_vocabulary(path), 9, KERAS, padding_row=0)
    assert (words, rows) == (["[PAD]", "[UNK]", "b", "a"], [0, 1, 2, 3])


def test_word_index_of_keras_imdb_has_start_and_unknown_rows(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"b": 2, "a": 1}))
    words, rows = assign_ids(read_vocabulary(path, VocabularyOptions(index_from=3)), 5, KERAS)
    assert (words, rows) == (["[PAD]", "[UNK]", "[START]", "a"], [0, 2, 1, 4])


@pytest.mark.parametrize(
    ("padding_row", "rows"),
    [
        (None, [None, 1, 0]),
        (0, [0, 1, 0]),  # Keras pads with 0, whatever word that is
    ],
)
def test_vocabulary_without_padding_uses_the_given_row(padding_row: int | None, rows: list[int | None]) -> None:
    vocabulary = make_vocabulary(["a", "b"], VocabularyOptions(unknown="b"))
    assert assign_ids(vocabulary, 2, KERAS, padding_row=padding_row) == (["[PAD]", "[UNK]", "a"], rows)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes("\r\n[UNK]\r\nwait\x85what\r\nfilm\r\n".encode())
    vocabulary = read_vocabulary(tmp_path / "words.txt")
    assert (vocabulary.words["wait\x85what"], vocabulary.words["film"]) == (2, 3)
    assert vocabulary.is_vectorization


@pytest.mark.parametrize(
    ("words", "rows", "code", "values"),
    [
        (["a", "b", "[UNK]"], 2, "vocabulary-mismatch", {"row": 2, "row_count": 2}),
        (["a", "<pad>", "<unk>", "[START]"], 4, "reserved-word", {"word": "[START]"}),
        (["<unk>", "[UNK]", "<pad>"], 3, "reserved-word", {"word": "[UNK]"}),
        (["<pad>", "<unk>", "电影"], 3, "chinese-word", {"word": "电影"}),
    ],
)
def test_words_without_an_id_raise_data_error(
    words: list[str], rows: int, code: str, values: dict[str, object]
) -> None:
    unknown = "<unk>" if "<unk>" in words else None
    with pytest.raises(DataError) as raised:
        assign_ids(make_vocabulary(words, VocabularyOptions(unknown)), rows, TOKENIZATION_RULES["fastlstm"])
    assert (raised.value.code, raised.value.values) == (code, values)


def test_imdb_offset_of_a_vocabulary_with_an_unknown_word_raises_option_error(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"<OOV>": 1, "a": 2}))
    with pytest.raises(OptionError) as raised:
        read_vocabulary(path, VocabularyOptions(index_from=3))
    assert (raised.value.code, raised.value.unknown) == ("index-from-conflict", "<OOV>")


def test_offset_of_a_list_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        make_vocabulary(["", "[UNK]"], VocabularyOptions(index_from=3))
    assert (raised.value.code, raised.value.index_from) == ("index-from-conflict", 3)


@pytest.mark.parametrize(
    ("name", "content", "error", "code"),
    [
        ("v.json", "{", DataError, "not-a-vocabulary"),
        ("v.json", '{"a": "b"}', DataError, "not-a-vocabulary"),
        ("v.json", '{"a": true}', DataError, "not-a-vocabulary"),
        ("v.json", '["a", 3]', DataError, "not-a-vocabulary"),
        ("v.txt", "a\nb\na", DataError, "duplicate-word"),
        ("v.txt", "a\nb", OptionError, "missing-unknown-word"),
        ("v.json", '{"a": 1}', OptionError, "missing-unknown-word"),
    ],
)
def test_invalid_vocabulary_files_raise_an_error(
    tmp_path: Path, name: str, content: str, error: type[FastLSTMError], code: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(error) as raised:
        read_vocabulary(tmp_path / name)
    assert raised.value.code == code


def test_file_that_is_not_utf8_raises_data_error(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_bytes(b"\xff")
    with pytest.raises(DataError) as raised:
        read_vocabulary(tmp_path / "v.txt")
    assert (raised.value.code, raised.value.source) == ("unreadable-file", str(tmp_path / "v.txt"))


def test_unknown_word_that_is_not_in_the_vocabulary_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        make_vocabulary(["a", "b"], VocabularyOptions(unknown="nix"))
    assert (raised.value.code, raised.value.unknown) == ("unknown-word-not-found", "nix")


def test_byte_order_mark_is_not_part_of_the_first_word(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("[UNK]\ngood", encoding="utf-8-sig")
    (tmp_path / "v.json").write_text('["[UNK]", "good"]', encoding="utf-8-sig")
    for name in ("v.txt", "v.json"):
        assert read_vocabulary(tmp_path / name).words == {"[UNK]": 0, "good": 1}


def tokenizer_json(**options: object) -> dict[str, object]:
    """Return the object that Keras' Tokenizer.to_json() encodes."""
    config = {
        "num_words": None, "filters": "!.\t\n", "lower": True, "split": " ", "char_level": False, "oov_token": None,
        "word_index": json.dumps({"<OOV>": 1, "good": 2, "film": 3}),
    }  # fmt: skip
    return {"class_name": "Tokenizer", "config": {**config, **options}}


@pytest.mark.parametrize("twice", [False, True])
def test_keras_tokenizer_without_oov_token_drops_unknown_words(tmp_path: Path, twice: bool) -> None:
    content = json.dumps(tokenizer_json(num_words=3))
    (tmp_path / "t.json").write_text(json.dumps(content) if twice else content)
    vocabulary = read_vocabulary(tmp_path / "t.json")
    assert (vocabulary.unknown, vocabulary.padding) == (None, 0)
    assert vocabulary.words == {"<OOV>": 1, "good": 2}
    assert vocabulary.rule == TokenizationRule(False, "unicode", separators="!.\t\n ")


def test_keras_tokenizer_with_oov_token_has_its_row_for_unknown_words(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(json.dumps(tokenizer_json(oov_token="<OOV>", lower=False, char_level=True)))
    vocabulary = read_vocabulary(tmp_path / "t.json")
    assert vocabulary.unknown == 1
    assert vocabulary.rule == TokenizationRule(False, "none", separators=None)


@pytest.mark.parametrize(
    ("options", "values", "error", "code"),
    [
        ({"split": "ab"}, {}, DataError, "unsupported-layer-option"),
        ({"word_index": "[]"}, {}, DataError, "not-a-vocabulary"),
        ({"oov_token": "nix"}, {}, DataError, "not-a-vocabulary"),
        ({}, {"num_words": 5}, OptionError, "conflicting-options"),
        ({}, {"drop_unknown": True}, OptionError, "conflicting-options"),
    ],
)
def test_keras_tokenizers_that_cannot_be_read_raise_an_error(
    tmp_path: Path, options: dict[str, object], values: dict[str, Any], error: type[FastLSTMError], code: str
) -> None:
    (tmp_path / "t.json").write_text(json.dumps(tokenizer_json(**options)))
    with pytest.raises(error) as raised:
        read_vocabulary(tmp_path / "t.json", VocabularyOptions(**values))
    assert raised.value.code == code


def test_unknown_words_of_a_word_index_are_dropped_on_request(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"good": 1, "film": 2, "rare": 3}')
    vocabulary = read_vocabulary(tmp_path / "v.json", VocabularyOptions(drop_unknown=True, num_words=3))
    assert (vocabulary.words, vocabulary.unknown) == ({"good": 1, "film": 2}, None)
    with pytest.raises(OptionError) as raised:
        VocabularyOptions(unknown="good", drop_unknown=True)
    assert raised.value.code == "conflicting-options"


def test_plain_names_of_special_tokens_are_words_in_later_rows() -> None:
    assert make_vocabulary(["PAD", "unk", "good"]).unknown == 1
    words = ["a", "b", "c", "d", "unk", "PAD"]
    with pytest.raises(OptionError) as raised:
        make_vocabulary(words)
    assert raised.value.code == "missing-unknown-word"
    vocabulary = make_vocabulary(words, VocabularyOptions(unknown="unk"))
    assert (vocabulary.unknown, vocabulary.padding) == (4, None)


def test_two_words_of_one_index_raise_data_error(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text('{"<unk>": 0, "good": 1, "film": 1}')
    with pytest.raises(DataError) as raised:
        read_vocabulary(tmp_path / "v.json")
    assert (raised.value.code, raised.value.index, raised.value.words) == ("duplicate-index", 1, ["good", "film"])
