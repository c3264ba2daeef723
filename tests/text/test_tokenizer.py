from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers, pre_tokenizers

from fastlstm.errors import OptionError
from fastlstm.text.tokenizer import (
    CHUNK_TEXTS,
    PADDING,
    PADDING_ID,
    UNKNOWN,
    UNKNOWN_ID,
    WORD_PATTERN,
    TextTokenizer,
    clean_text,
    train_tokenizer,
)

WORDS = [f"w{i}" for i in range(40)]
NUMBERED = train_tokenizer([" ".join(WORDS)], 100)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="[<"), max_size=60)


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, by a tokenizer that has seen it."""
    tokenizer = train_tokenizer([text], 1000)
    found = [tokenizer.id_to_token(int(i)) for i in ids_of(tokenizer, text)]
    assert all(token is not None for token in found)
    return [str(token) for token in found]


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = TextTokenizer(tokenizer, max_tokens=10_000, truncate="end")([text]).ids[0].tolist()
    return ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great FILM", ["great", "film"]),
        ("ÉTÉ Straße ΑΘΗΝΑ", ["été", "straße", "αθηνα"]),
        ("Good, really!? (yes)", ["good", ",", "really", "!?", "(", "yes", ")"]),
        ("don't 10/10 mid-air a_b", ["don", "'", "t", "10", "/", "10", "mid", "-", "air", "a_b"]),
        ("line<br />break<BR>here<br/>too", ["line", "break", "here", "too"]),
        ("a < b and b<c", ["a", "<", "b", "and", "b", "<", "c"]),
        ("e\u0301te\u0301", ["\u00e9t\u00e9"]),
        ("很好看 film电影。", ["很", "好", "看", "film", "电", "影", "。"]),
        ("한국어 ひらがな", ["한국어", "ひらがな"]),
        ("tabs\tand\nlines\u00a0and\u3000spaces", ["tabs", "and", "lines", "and", "spaces"]),
    ],
)
def test_a_text_is_lower_cased_words_and_punctuation(text: str, expected: list[str]) -> None:
    assert tokens_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<br />b", "a b"),
        ("a<br\n/>b", "a b"),
        ("a<BR>b<bR/>c", "a b c"),
        ("a<b>r</b>", "a<b>r</b>"),
        ("<break>", "<break>"),
        ("e\u0301", "\u00e9"),
        ("\u212b", "\u00c5"),
        ("", ""),
    ],
)
def test_clean_replaces_html_breaks_and_composes(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(PRINTABLE)
def test_tokens_of_ascii_text_are_the_matches_of_the_pattern(text: str) -> None:
    expected = re.findall(WORD_PATTERN, text.lower())
    assert tokens_of(text) == (expected or [UNKNOWN])


@given(st.lists(st.one_of(PRINTABLE, st.text(max_size=40), st.text(st.characters(max_codepoint=127), max_size=40))))
def test_ids_are_those_of_the_tokenizer(texts: list[str]) -> None:
    texts = [clean_text(text) for text in texts]
    tokenizer = train_tokenizer(texts[::2], 50)
    expected = [one.ids or [UNKNOWN_ID] for one in tokenizer.encode_batch(texts, add_special_tokens=False)]
    assert [ids.tolist() for ids in TextTokenizer(tokenizer, max_tokens=100, truncate="end")(texts).ids] == expected


def test_a_tokenizer_of_another_making_is_followed() -> None:
    tokenizer = train_tokenizer(["Some words"], 10)
    tokenizer.normalizer = normalizers.Sequence([])
    assert ids_of(tokenizer, "Some words") == [UNKNOWN_ID, 3]
    tokenizer = train_tokenizer(["a-b"], 10)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert ids_of(tokenizer, "a-b a") == [UNKNOWN_ID, tokenizer.token_to_id("a")]


def test_composed_and_decomposed_accents_read_alike() -> None:
    tokenizer = train_tokenizer(["café"], 10)
    assert ids_of(tokenizer, "cafe\u0301") == ids_of(tokenizer, "café") == [2]


def test_padding_and_unknown_are_the_first_two_ids() -> None:
    tokenizer = train_tokenizer(["some words"], 10)
    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (PADDING_ID, UNKNOWN_ID) == (0, 1)


def test_a_word_never_seen_is_unknown() -> None:
    assert ids_of(NUMBERED, "w0 nobody w1") == [ids_of(NUMBERED, "w0")[0], UNKNOWN_ID, ids_of(NUMBERED, "w1")[0]]


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "A", "!", "?", "é", "很"]), max_size=8)),
    st.integers(3, 9),
)
def test_the_most_frequent_words_are_kept_and_ties_are_alphabetical(texts: list[list[str]], size: int) -> None:
    counts = Counter(word.lower() for text in texts for word in text)
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    expected = [PADDING, UNKNOWN, *by_frequency][:size]
    vocabulary = train_tokenizer((" ".join(text) for text in texts), size).get_vocab()
    assert sorted(vocabulary, key=lambda word: vocabulary[word]) == expected
    assert sorted(vocabulary.values()) == list(range(len(expected)))


def test_the_vocabulary_is_smaller_than_asked_where_words_are_few() -> None:
    assert train_tokenizer(["two words, two"], 10_000).get_vocab_size() == 5


def test_texts_without_words_leave_padding_and_unknown() -> None:
    tokenizer = train_tokenizer(["", "  "], 10)
    assert tokenizer.get_vocab() == {PADDING: PADDING_ID, UNKNOWN: UNKNOWN_ID}


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0", "<br />"])
def test_a_text_without_a_token_is_one_unknown_token(text: str) -> None:
    encoded = TextTokenizer(NUMBERED, max_tokens=1, truncate="both")(["w1", text])
    assert encoded.ids[1].tolist() == [UNKNOWN_ID]
    assert encoded.longer == 0


@pytest.mark.parametrize(
    ("truncate", "max_tokens", "expected"),
    [
        ("end", 4, "w3 w4 w5 w6"),
        ("beginning", 4, "w0 w1 w2 w3"),
        ("both", 4, "w0 w1 w5 w6"),
        ("both", 5, "w0 w1 w4 w5 w6"),
        ("both", 1, "w6"),
        ("end", 1, "w6"),
        ("beginning", 1, "w0"),
        ("end", 7, "w0 w1 w2 w3 w4 w5 w6"),
        ("beginning", 7, "w0 w1 w2 w3 w4 w5 w6"),
        ("both", 6, "w0 w1 w2 w4 w5 w6"),
    ],
)
def test_a_longer_text_keeps_the_part_asked_for(truncate: str, max_tokens: int, expected: str) -> None:
    encoded = TextTokenizer(NUMBERED, max_tokens=max_tokens, truncate=truncate)([" ".join(WORDS[:7])])
    assert encoded.ids[0].tolist() == ids_of(NUMBERED, expected)
    assert encoded.longer == (max_tokens < 7)


@given(
    st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=20), max_size=8),
    st.integers(1, 23),
    st.sampled_from(["end", "beginning", "both"]),
)
def test_what_is_kept_are_the_right_slices_of_the_whole(
    words: list[list[str]], max_tokens: int, truncate: str
) -> None:
    texts = [" ".join(text) for text in words]
    encoded = TextTokenizer(NUMBERED, max_tokens=max_tokens, truncate=truncate)(texts)
    assert encoded.longer == sum(len(text) > max_tokens for text in words)
    for text, ids in zip(texts, encoded.ids, strict=True):
        assert ids.dtype == np.int32
        whole, kept = ids_of(NUMBERED, text), ids.tolist()
        assert len(kept) == min(len(whole), max_tokens)
        head = {"end": 0, "beginning": len(kept), "both": max_tokens // 2}[truncate]
        if len(whole) > max_tokens:
            assert kept == whole[:head] + whole[len(whole) - len(kept) + head :]
        else:
            assert kept == whole


def test_an_unknown_truncation_is_refused() -> None:
    with pytest.raises(OptionError, match="truncate is 'middle'; expected end, beginning or both"):
        TextTokenizer(NUMBERED, max_tokens=3, truncate="middle")(["w0"])


def test_no_texts_are_no_ids() -> None:
    assert TextTokenizer(NUMBERED, max_tokens=3, truncate="end")([]).ids == []


@pytest.mark.parametrize("texts", [1, 2, CHUNK_TEXTS - 1, CHUNK_TEXTS, CHUNK_TEXTS + 1, 2 * CHUNK_TEXTS + 3])
def test_the_ids_of_a_text_do_not_depend_on_the_others(texts: int) -> None:
    generator = np.random.default_rng(texts)
    batch = [" ".join(generator.choice([*WORDS, "unseen", "!"], generator.integers(0, 12))) for _ in range(texts)]
    together = TextTokenizer(NUMBERED, max_tokens=7, truncate="both")(batch)
    alone = [TextTokenizer(NUMBERED, max_tokens=7, truncate="both")([text]) for text in batch]
    assert [ids.tolist() for ids in together.ids] == [one.ids[0].tolist() for one in alone]
    assert together.longer == sum(one.longer for one in alone)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_a_tokenizer_survives_json(texts: list[str]) -> None:
    tokenizer = train_tokenizer(texts[1:], 20)
    back = Tokenizer.from_str(tokenizer.to_str())
    assert back.to_str() == tokenizer.to_str()
    assert back.get_vocab() == tokenizer.get_vocab()
    for text in texts:
        assert ids_of(back, text) == ids_of(tokenizer, text)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    texts = ["b a c", "c b d", "a e"]
    assert train_tokenizer(texts, 6).to_str() == train_tokenizer(iter(texts), 6).to_str()


def test_the_name_of_a_special_token_in_a_text_is_just_words() -> None:
    tokenizer = train_tokenizer(["pad the [PAD] film [UNK]"], 50)
    ids = TextTokenizer(tokenizer, max_tokens=9, truncate="end")(["[PAD] [UNK]"]).ids[0]
    assert PADDING_ID not in ids
    assert [tokenizer.id_to_token(i) for i in ids] == ["[", "pad", "]", "[", "unk", "]"]
