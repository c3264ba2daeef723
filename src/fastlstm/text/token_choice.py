"""The choice of tokens by the texts: `tokens="auto"`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SAMPLE_TEXTS = 1000
"""Texts that are looked at, evenly spaced."""
SAMPLE_CHARACTERS = 1000
"""Characters of each that are looked at."""
MIN_SOUTHEAST_ASIAN = 0.3
"""Fraction of the letters from which on an alphabet without spaces decides."""

ChosenTokens = Literal["words", "bpe", "unigram"]
SOUTHEAST_ASIAN_TOKENS: ChosenTokens = "unigram"
"""Tokens of alphabets without spaces: the best ones for Thai in validation, by benchmarks/token_kinds.py."""
_UNSPACED_LETTER = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f"
    "\ua980-\ua9ff\uaa60-\uaadf\U00011700-\U0001174f]"
)
"""A letter or mark of Thai, Lao, Myanmar, Khmer and related alphabets. One letter means little there, unlike a Chinese
character, for which subwords were no better. Kana were not measured."""


@dataclass(frozen=True)
class TokenChoice:
    """The tokens of a model, and the fraction of letters of alphabets without spaces, which decided on them."""

    tokens: ChosenTokens
    unspaced: float


def choose_tokens(texts: Sequence[str]) -> TokenChoice:
    """Return the tokens for training texts: words, or subwords for alphabets without spaces between words.

    Single letters of other scripts without spaces, such as Chinese, count as words.
    """
    letters = unspaced = 0
    for text in texts[:: max(-(-len(texts) // SAMPLE_TEXTS), 1)]:
        beginning = text[:SAMPLE_CHARACTERS]
        count = len(_UNSPACED_LETTER.findall(beginning))
        unspaced += count
        letters += sum(map(str.isalpha, _UNSPACED_LETTER.sub("", beginning))) + count
    fraction = unspaced / letters if letters else 0.0
    return TokenChoice(SOUTHEAST_ASIAN_TOKENS if fraction >= MIN_SOUTHEAST_ASIAN else "words", fraction)
