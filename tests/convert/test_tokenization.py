"""Tokenization rules of imported models, compared with what they reproduce."""

from __future__ import annotations

import re
import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.convert.tokenization import START, TOKENIZATION_RULES, coverage, make_tokenizer
from fastlstm.text.tokenizer import PADDING, UNKNOWN

ASCII_SPACES = re.compile("[ \t\n\v\f\r]+")
PUNCTUATION = {ord(character): "" for character in string.punctuation}


def ascii_lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


def keras_tokenizer(text: str) -> list[str]:
    """Keras' text_to_word_sequence with default filters."""
    filters = dict.fromkeys((ord(c) for c in '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'), " ")
    return [word for word in text.lower().translate(filters).split(" ") if word]


def vectorization(text: str) -> list[str]:
    """tf.strings: lower-case ASCII letters, remove punctuation, split at white space of ASCII."""
    return [word for word in ASCII_SPACES.split(ascii_lower(text).translate(PUNCTUATION)) if word]


SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "keras": keras_tokenizer,
    "vectorization": vectorization,
    "vectorization-lower": lambda text: [word for word in ASCII_SPACES.split(ascii_lower(text)) if word],
    "vectorization-stripped": lambda text: [w for w in ASCII_SPACES.split(text.translate(PUNCTUATION)) if w],
    "vectorization-spaces": lambda text: [word for word in ASCII_SPACES.split(text) if word],
    "vectorization-html": lambda text: vectorization(ascii_lower(text).replace("<br />", " ")),
    "vectorization-characters": lambda text: list(ascii_lower(text).translate(PUNCTUATION)),
    "lower": lambda text: text.lower().split(),
    "spaces": str.split,
    "stripped": lambda text: text.translate(PUNCTUATION).split(),
    "characters": list,
}
TEXTS = st.text(
    st.sampled_from("aAΣςéÉ \t\n\r\v\f\x00\x1c\x85\xa0\u2028\u3000.,'-_<>[]&^\\|~İß电😀\u0301/br"), max_size=14
)


@pytest.mark.parametrize("rule", SPLITTERS)
@given(text=TEXTS)
def test_rules_split_texts_as_what_they_reproduce(rule: str, text: str) -> None:
    expected = SPLITTERS[rule](text)
    words = [PADDING, UNKNOWN, *dict.fromkeys(expected)]
    ids = make_tokenizer(words, TOKENIZATION_RULES[rule], add_start=False).encode(text).ids
    assert [words[id_] for id_ in ids] == expected


def test_all_rules_are_compared() -> None:
    assert set(SPLITTERS) | {"fastlstm"} == set(TOKENIZATION_RULES)


def test_rule_of_fastlstm_separates_punctuation() -> None:
    words = [PADDING, UNKNOWN, "don", "'", "t", "stop", "-", "it", "!"]
    ids = make_tokenizer(words, TOKENIZATION_RULES["fastlstm"], add_start=False).encode("Don't stop-it!").ids
    assert [words[id_] for id_ in ids] == words[2:]


def test_names_of_special_tokens_in_a_text_are_unknown_words() -> None:
    tokenizer = make_tokenizer([PADDING, UNKNOWN, START, "a"], TOKENIZATION_RULES["spaces"], add_start=True)
    assert tokenizer.encode(f"{PADDING} a {START}").ids == [2, 1, 3, 1]


def test_words_that_no_text_has_are_counted_and_the_best_rule_is_proposed() -> None:
    words = [PADDING, UNKNOWN, "don't", "U.S.", "a", "b c"]
    found = coverage(words, 2, TOKENIZATION_RULES["vectorization"])
    assert (found.found, found.total, found.examples) == (1, 4, ("don't", "U.S.", "b c"))
    assert (found.better, found.better_found) == ("vectorization-spaces", 3)
    everything = coverage(words[:5], 2, TOKENIZATION_RULES["spaces"])
    assert (everything.found, everything.better) == (3, None)
