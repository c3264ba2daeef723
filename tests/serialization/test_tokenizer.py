from __future__ import annotations

import json

import pytest
from tests.helpers.damaged_models import Files, Place, changed, complaint, replaced

from fastlstm.errors import CorruptModelError
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.folder import CONFIG, TOKENIZER


def tokenizer_with(files: Files, **parts: object) -> bytes:
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
def test_a_tokenizer_that_is_none_is_corrupt(files: Files, place: Place, content: bytes) -> None:
    complaint(place(replaced(files, TOKENIZER, content)), CorruptModelError, f"{TOKENIZER} is not a tokenizer")


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
def test_a_tokenizer_that_fails_or_panics_is_corrupt(files: Files, place: Place, parts: dict[str, object]) -> None:
    damaged = replaced(files, TOKENIZER, tokenizer_with(files, **parts))
    complaint(place(damaged), CorruptModelError, f"{TOKENIZER} is not a tokenizer")


def test_a_vocabulary_of_another_size_is_corrupt(tiny_model: SavedModel, files: Files, place: Place) -> None:
    size = tiny_model.config.vocabulary_size
    folder = place(changed(files, "model", "vocabulary_size", value=size + 1))
    complaint(folder, CorruptModelError, f"{TOKENIZER} has {size} words, {CONFIG} says {size + 1}")


@pytest.mark.parametrize("number", [0, 5000, 4_000_000_000])
def test_a_word_numbered_beyond_the_vocabulary_is_corrupt(files: Files, place: Place, number: int) -> None:
    model = json.loads(files[TOKENIZER])["model"]
    model["vocab"]["good"] = number
    damaged = replaced(files, TOKENIZER, tokenizer_with(files, model=model))
    complaint(place(damaged), CorruptModelError, f"{TOKENIZER} does not number its words from 0 to ")


def test_a_tokenizer_that_pads_or_truncates_is_corrupt(tiny_model: SavedModel, files: Files, place: Place) -> None:
    for change in ("enable_padding", "enable_truncation"):
        tokenizer = type(tiny_model.tokenizer).from_str(files[TOKENIZER].decode())
        if change == "enable_padding":
            tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
        else:
            tokenizer.enable_truncation(7)
        damaged = replaced(files, TOKENIZER, tokenizer.to_str().encode())
        complaint(place(damaged), CorruptModelError, f"{TOKENIZER} pads or truncates")
