"""Tokens and vocabulary of a run: what `tokens="auto"` chooses, and the notes about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeVar

from fastlstm.config import LanguageModelConfig, ModelConfig
from fastlstm.notes import Note
from fastlstm.text.token_choice import SOUTHEAST_ASIAN_TOKENS, choose_tokens

MAX_SUBWORDS = 8_000
"""Maximum vocabulary size of subwords, unless the user sets another one."""
MAX_SOUTHEAST_ASIAN_SUBWORDS = 4_000
"""The same for Southeast Asian alphabets without spaces: benchmarks/token_kinds.py."""

MIN_SHOWN = 0.005
"""Smallest fraction of letters without spaces between words that the note about "auto" names."""

SUBWORD_TOKENS = ("bpe", "unigram")

Config = TypeVar("Config", ModelConfig, LanguageModelConfig)


def resolve_tokens(config: Config, texts: Sequence[str], *, is_size_given: bool) -> Config:
    """Return the configuration with the tokens that "auto" chooses for the training texts.

    Unless the user set the vocabulary size, that of subwords is at most `MAX_SUBWORDS`, or
    `MAX_SOUTHEAST_ASIAN_SUBWORDS`.
    """
    if config.tokens in ("words", "characters"):
        return config
    chosen = choose_tokens(texts).tokens
    if config.tokens == "auto":
        config = dataclasses.replace(config, tokens=chosen)
    if config.tokens == "words" or is_size_given:
        return config
    limit = MAX_SOUTHEAST_ASIAN_SUBWORDS if chosen == SOUTHEAST_ASIAN_TOKENS else MAX_SUBWORDS
    return dataclasses.replace(config, vocabulary_size=min(config.vocabulary_size, limit))


def tokens_note(requested: Config, texts: Sequence[str]) -> Iterator[Note]:
    """Yield what "auto" chose and why, if it was requested."""
    if requested.tokens == "auto":
        choice = choose_tokens(texts)
        kind = "words" if choice.tokens == "words" else f"subwords ({choice.tokens})"
        reason = (
            f" ({choice.unspaced:.0%} of the letters are Thai, Lao, Khmer, Myanmar or related)"
            if choice.unspaced >= MIN_SHOWN
            else ""
        )
        yield Note(f"tokens: {kind}{reason}", code="tokens-chosen")


def vocabulary_notes(requested: Config, actual: Config, texts: Sequence[str]) -> Iterator[Note]:
    """Yield what "auto" chose, and the size of a vocabulary of subwords, or of one smaller than requested."""
    yield from tokens_note(requested, texts)
    size = actual.vocabulary_size
    if actual.tokens in SUBWORD_TOKENS:
        yield Note(f"vocabulary: {size:,} subwords", code="subword-vocabulary")
        characters = len(set().union(*texts))
        if characters > size:
            yield Note(
                f"the training texts have {characters:,} characters, more than the vocabulary has subwords: the rarer "
                "ones are unknown; pass a larger `vocabulary_size`",
                code="small-vocabulary",
            )
    elif size < requested.vocabulary_size:
        yield Note(f"vocabulary: {size:,} {actual.tokens}, all of the training texts", code="vocabulary-capped")
