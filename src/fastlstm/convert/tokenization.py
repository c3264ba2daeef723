"""Tokenization rules of imported models, and tokenizers that follow them exactly."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from fastlstm.text.segmentation import RUNS, clean_text
from fastlstm.text.tokenizer import PADDING, UNKNOWN, UNKNOWN_ID

START = "[START]"
STRIPPED = "".join(sorted(string.punctuation))
"""The characters that keras.layers.TextVectorization strips: ASCII punctuation."""
TOKENIZER_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""The characters that Keras' Tokenizer replaces by spaces, if its `filters` is not set."""
ASCII_SPACES = " \t\n\v\f\r"
"""The characters at which tf.strings.split splits: white space of ASCII only."""
PYTHON_SPACES = "".join(c for c in map(chr, range(0x3001)) if c.isspace())
"""The characters at which str.split() splits."""
FINAL_SIGMA = r"\p{Cased}\p{Case_Ignorable}*\KΣ(?!\p{Case_Ignorable}*\p{Cased})"
"""A capital sigma that str.lower() makes a final one; `normalizers.Lowercase` knows one lower-case sigma only."""
EXAMPLE_COUNT = 3


@dataclass(frozen=True)
class TokenizationRule:
    """How a text is split into words. The default is that of fastlstm's earlier models.

    Attributes:
        is_standard: Texts are cleaned, converted to lower case, and split at white space and around punctuation,
            by `RUNS`. The other attributes are then ignored.
        lower: Which letters become lower case first: "unicode" as str.lower(), "ascii" as tf.strings.lower.
        breaks: Whether "<br />" is then replaced by a space.
        removed: Characters that are then removed.
        separators: Characters at which words end; None: every character is a word.
    """

    is_standard: bool = True
    lower: Literal["unicode", "ascii", "none"] = "unicode"
    breaks: bool = False
    removed: str = ""
    separators: str | None = ASCII_SPACES


def _text_vectorization(
    lower: Literal["ascii", "none"], removed: str, *, characters: bool = False, breaks: bool = False
) -> TokenizationRule:
    return TokenizationRule(False, lower, breaks, removed, None if characters else ASCII_SPACES)


TOKENIZATION_RULES = {
    "fastlstm": TokenizationRule(),
    "keras": TokenizationRule(False, separators=TOKENIZER_FILTERS + " "),
    "vectorization": _text_vectorization("ascii", STRIPPED),
    "vectorization-lower": _text_vectorization("ascii", ""),
    "vectorization-stripped": _text_vectorization("none", STRIPPED),
    "vectorization-spaces": _text_vectorization("none", ""),
    "vectorization-html": _text_vectorization("ascii", STRIPPED, breaks=True),
    "vectorization-characters": _text_vectorization("ascii", STRIPPED, characters=True),
    "lower": TokenizationRule(False, separators=PYTHON_SPACES),
    "spaces": TokenizationRule(False, "none", separators=PYTHON_SPACES),
    "stripped": TokenizationRule(False, "none", removed=STRIPPED, separators=PYTHON_SPACES),
    "characters": TokenizationRule(False, "none", separators=None),
}
"""Rules by name: fastlstm's, those of Keras' Tokenizer and TextVectorization, and those of str.split() and list()."""


def rule_name(rule: TokenizationRule) -> str:
    """Return the name of a rule; "model" if only the imported file defines it."""
    return next((name for name, candidate in TOKENIZATION_RULES.items() if candidate == rule), "model")


def make_tokenizer(words: Sequence[str], rule: TokenizationRule, *, add_start: bool) -> Tokenizer:
    """Return a tokenizer whose ids are the positions in `words`; `add_start` puts `START` before each text."""
    names = list(words)
    if _may_split_off(rule, PADDING):  # a text that contains the name must not become padding
        names = [
            name + rule.separators[0] if name in (PADDING, START) and rule.separators else name for name in names
        ]
    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(names)}, unk_token=UNKNOWN))
    if rule.is_standard:
        tokenizer.normalizer = RUNS.normalizer
        tokenizer.pre_tokenizer = RUNS.pre_tokenizer
    else:
        tokenizer.normalizer = normalizers.Sequence(list(_normalizers(rule)))
        pattern, behavior = (
            (r"[\s\S]", "isolated") if rule.separators is None else (f"[{_escaped(rule.separators)}]+", "removed")
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior)
    if add_start:
        start = words.index(START)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[names[start], "$A"], special_tokens=[(names[start], start)]
        )
    assert tokenizer.token_to_id(UNKNOWN) == UNKNOWN_ID
    return tokenizer


def _may_split_off(rule: TokenizationRule, name: str) -> bool:
    """Return whether a text may contain `name` as a word."""
    if rule.is_standard or rule.separators is None or rule.lower != "none":
        return False
    return not set(name) & set(rule.removed + rule.separators)


def _normalizers(rule: TokenizationRule) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = []
    if rule.lower == "unicode":
        steps += [normalizers.Replace(Regex(FINAL_SIGMA), "ς"), normalizers.Lowercase()]
    if rule.lower == "ascii":
        steps += [normalizers.Replace(letter, letter.lower()) for letter in string.ascii_uppercase]
    if rule.breaks:
        steps.append(normalizers.Replace("<br />", " "))
    if rule.removed:
        steps.append(normalizers.Replace(Regex(f"[{_escaped(rule.removed)}]"), ""))
    return steps


def _escaped(characters: str) -> str:
    """Return the content of a character class of Oniguruma."""
    return "".join(
        f"\\{character}" if character in string.punctuation else
        f"\\x{ord(character):02x}" if character < " " else character
        for character in characters
    )  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """How many words of a vocabulary a tokenization can find in texts.

    Attributes:
        found: Words that are tokens of a text which contains them.
        total: All words, special tokens excluded.
        examples: A few words that no text can ever have as tokens.
        better: The name of the rule that finds the most words, if it finds clearly more.
        better_found: The words that it finds.
    """

    found: int
    total: int
    examples: tuple[str, ...]
    better: str | None
    better_found: int


def coverage(words: Sequence[str], special_count: int, rule: TokenizationRule) -> Coverage:
    """Count the words that a rule finds, and compare with the rules of `TOKENIZATION_RULES`.

    Args:
        words: All words, in the order of their ids.
        special_count: Number of words at the beginning that are special tokens.
        rule: The rule to examine.
    """
    missing = _missing(words, special_count, rule)
    total = len(words) - special_count
    found, better, better_found = total - len(missing), None, 0
    if missing:
        for name, candidate in TOKENIZATION_RULES.items():
            count = total - len(_missing(words, special_count, candidate))
            if count > max(better_found, found) and count - found > MIN_GAIN * total:
                better, better_found = name, count
    return Coverage(found, total, tuple(missing[:EXAMPLE_COUNT]), better, better_found)


MIN_GAIN = 0.01
"""A rule is proposed if it finds at least this fraction of the vocabulary more."""


def _missing(words: Sequence[str], special_count: int, rule: TokenizationRule) -> list[str]:
    tokenizer = make_tokenizer(words, rule, add_start=False)
    ordinary = list(words[special_count:])
    texts = [clean_text(word) for word in ordinary] if rule.is_standard else ordinary
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [
        word
        for id_, (word, encoding) in enumerate(zip(ordinary, encodings, strict=True), start=special_count)
        if encoding.ids != [id_]
    ]
