"""The choice of tokens by the texts: `tokens="auto"`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastlstm.text.detokenizer import UNSPACED

SAMPLE_TEXTS = 1000
"""Texts that are looked at, evenly spaced."""
SAMPLE_CHARACTERS = 1000
"""Characters of each that are looked at."""
MIN_UNSPACED = 0.3
"""Fraction of the letters from which on the texts count as written without spaces between words."""
ChosenTokens = Literal["words", "bpe", "unigram"]
UNSPACED_TOKENS: ChosenTokens = "unigram"
"""Tokens of such texts, the best ones in validation: docs/training.md, measured by benchmarks/token_kinds.py."""


@dataclass(frozen=True)
class TokenChoice:
    """The tokens of a model, and the fraction of letters of scripts without spaces that decided on them."""

    tokens: ChosenTokens
    unspaced: float


def choose_tokens(texts: Sequence[str]) -> TokenChoice:
    """Return the tokens for training texts: words, or subwords for scripts without spaces between words."""
    letters = unspaced = 0
    for text in texts[:: -(-len(texts) // SAMPLE_TEXTS) or 1]:
        beginning = text[:SAMPLE_CHARACTERS]
        unspaced_here = len(UNSPACED.findall(beginning))
        unspaced += unspaced_here
        letters += sum(map(str.isalpha, UNSPACED.sub("", beginning))) + unspaced_here
    fraction = unspaced / letters if letters else 0.0
    return TokenChoice(UNSPACED_TOKENS if fraction >= MIN_UNSPACED else "words", fraction)
