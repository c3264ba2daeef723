from __future__ import annotations

import json

import pytest
from tests.helpers.damaged_models import MakeFolder, ModelFiles, corrupt_error, with_config_value, with_file
from tokenizers import Tokenizer

from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.folder import TOKENIZER


def tokenizer_with(files: ModelFiles, **parts: object) -> bytes:
    return json.dumps({**json.loads(files[TOKENIZER]), **parts}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"version": "1.0"}',
        b"[" * 100_000,
        b'{"normalizer": ' + b'{"type": "Sequence", "normalizers": [' * 500,
    ],
)
def test_file_that_is_not_a_tokenizer_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, content: bytes
) -> None:
    assert corrupt_error(make_folder(with_file(model_files, TOKENIZER, content)), TOKENIZER).__cause__ is not None


@pytest.mark.parametrize(
    "parts",
    [
        {"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "[UNK]"}},
        {"model": {"type": "Other", "vocab": {}}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "!!!"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}},
        {"pre_tokenizer": {"type": "FixedLength", "length": 0}},
        {"truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 5, "direction": "Right"}},
    ],
)
def test_tokenizer_that_fails_or_panics_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, parts: dict[str, object]
) -> None:
    damaged = with_file(model_files, TOKENIZER, tokenizer_with(model_files, **parts))
    assert corrupt_error(make_folder(damaged), TOKENIZER).__cause__ is not None


def test_vocabulary_of_another_size_is_corrupt(
    tiny_model: SavedModel, model_files: ModelFiles, make_folder: MakeFolder
) -> None:
    size = tiny_model.config.vocabulary_size
    folder = make_folder(with_config_value(model_files, "model", "vocabulary_size", value=size + 1))
    error = corrupt_error(folder, TOKENIZER)
    assert (error.expected, error.actual) == (size + 1, size)


@pytest.mark.parametrize("token_id", [0, 5000, 4_000_000_000])
def test_token_id_repeated_or_out_of_range_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, token_id: int
) -> None:
    model = json.loads(model_files[TOKENIZER])["model"]
    model["vocab"]["good"] = token_id
    damaged = with_file(model_files, TOKENIZER, tokenizer_with(model_files, model=model))
    assert corrupt_error(make_folder(damaged), TOKENIZER).field == "vocab"


@pytest.mark.parametrize("field", ["padding", "truncation"])
def test_tokenizer_that_pads_or_truncates_is_corrupt(
    model_files: ModelFiles, make_folder: MakeFolder, field: str
) -> None:
    tokenizer = Tokenizer.from_str(model_files[TOKENIZER].decode())
    if field == "padding":
        tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    else:
        tokenizer.enable_truncation(7)
    damaged = with_file(model_files, TOKENIZER, tokenizer.to_str().encode())
    assert corrupt_error(make_folder(damaged), TOKENIZER).field == field
