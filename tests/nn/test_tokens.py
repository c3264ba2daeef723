from __future__ import annotations

import pytest

from fastlstm.config import LanguageModelConfig, ModelConfig
from fastlstm.config.options import Tokens
from fastlstm.nn.tokens import (
    MAX_SOUTHEAST_ASIAN_SUBWORDS,
    MAX_SUBWORDS,
    resolve_tokens,
    tokens_note,
    vocabulary_notes,
)
from fastlstm.text.token_choice import SOUTHEAST_ASIAN_TOKENS

ENGLISH, THAI = ["a good film"], ["อาหารอร่อย"]


def test_auto_is_resolved_by_the_texts() -> None:
    model, language_model = ModelConfig(tokens="auto"), LanguageModelConfig(tokens="auto")
    assert resolve_tokens(model, ENGLISH, is_size_given=False).tokens == "words"
    assert resolve_tokens(model, THAI, is_size_given=False).tokens == SOUTHEAST_ASIAN_TOKENS
    assert resolve_tokens(language_model, THAI, is_size_given=False).tokens == SOUTHEAST_ASIAN_TOKENS


@pytest.mark.parametrize("tokens", ["words", "characters", "bpe", "unigram"])
def test_requested_tokens_stay(tokens: Tokens) -> None:
    assert resolve_tokens(ModelConfig(tokens=tokens), THAI, is_size_given=True) == ModelConfig(tokens=tokens)


def test_vocabulary_of_subwords_is_limited_unless_it_is_given() -> None:
    config = ModelConfig(tokens="bpe", vocabulary_size=30_000)
    assert resolve_tokens(config, ENGLISH, is_size_given=False).vocabulary_size == MAX_SUBWORDS
    assert resolve_tokens(config, THAI, is_size_given=False).vocabulary_size == MAX_SOUTHEAST_ASIAN_SUBWORDS
    assert resolve_tokens(config, ENGLISH, is_size_given=True).vocabulary_size == 30_000
    small = ModelConfig(tokens="bpe", vocabulary_size=100)
    assert resolve_tokens(small, ENGLISH, is_size_given=False).vocabulary_size == 100


def test_note_says_what_auto_chose() -> None:
    assert [note.code for note in tokens_note(ModelConfig(tokens="auto"), THAI)] == ["tokens-chosen"]
    assert list(tokens_note(ModelConfig(), THAI)) == []


@pytest.mark.parametrize(
    ("tokens", "size", "codes"),
    [
        ("words", 50, ["vocabulary-capped"]),
        ("characters", 50, ["vocabulary-capped"]),
        ("words", 100, []),
        ("bpe", 50, ["subword-vocabulary"]),
        ("unigram", 5, ["subword-vocabulary", "small-vocabulary"]),
    ],
)
def test_notes_on_the_size_of_the_vocabulary(tokens: Tokens, size: int, codes: list[str]) -> None:
    requested = ModelConfig(tokens=tokens, vocabulary_size=100)
    actual = ModelConfig(tokens=tokens, vocabulary_size=size)
    assert [note.code for note in vocabulary_notes(requested, actual, ENGLISH)] == codes
