from __future__ import annotations

import itertools
import os
import subprocess
import sys
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fastlstm.text.segmentation import CHARACTERS, SUBWORDS, find_segmentation
from fastlstm.text.subwords import join_subwords
from fastlstm.text.token_boundaries import TokenBuffer
from fastlstm.text.tokenizer import (
    PADDING,
    UNKNOWN,
    UNKNOWN_ID,
    TextTokenizer,
    train_tokenizer,
    truncate_vocabulary,
)

KINDS = ("characters", "bpe", "unigram")
TEXTS = [
    "the film was good, the films were better!",
    "酒店很好，服务很好。酒店不好。",
    "อาหารอร่อยมาก อาหารดี",
    "été 2024 👍🏽 <br/> e\u0301t\u00e9 a_b 가나다 हिन्दी",
] * 3
PIECES = [*"thefilmwas酒店很好อาหร่ย ,.!<br/>é\u0301👍🏽_1", "<br />", "\u200d"]
EACH_KIND = pytest.mark.parametrize("kind", KINDS)


def text_tokenizer(kind: str, size: int = 120) -> TextTokenizer:
    return TextTokenizer(train_tokenizer(TEXTS, size, kind), max_tokens=10_000, truncate="end")


STREAMED = {kind: text_tokenizer(kind) for kind in KINDS}


def names(tokenizer: Tokenizer, text: str) -> list[str]:
    tokens: list[str] = tokenizer.encode(text).tokens
    return tokens


@EACH_KIND
def test_vocabulary_begins_with_padding_and_unknown(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 60, kind)
    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (0, 1)
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))
    assert tokenizer.get_vocab_size() <= 60


@EACH_KIND
@pytest.mark.parametrize("size", [3, 10, 30])
def test_small_vocabulary_keeps_the_most_frequent_letters(kind: str, size: int) -> None:
    tokenizer = train_tokenizer(["aaaa bbb cc"] * 2, size, kind)
    assert 3 <= tokenizer.get_vocab_size() <= size


@EACH_KIND
def test_texts_without_letters_have_no_vocabulary(kind: str) -> None:
    assert train_tokenizer([], 9, kind).get_vocab_size() == 2
    assert train_tokenizer([" ", "\n"], 9, kind).get_vocab_size() == 2


def test_characters_are_letters_with_their_marks() -> None:
    tokenizer = train_tokenizer(TEXTS, 500, "characters")
    assert names(tokenizer, "The été, 很好 กี่ 👍🏽") == [
        *("▁t", "h", "e", "▁é", "t", "é", ",", "很", "好"),
        *(UNKNOWN, "👍🏽"),
    ]
    assert names(tokenizer, "हिन्दी") == ["▁हि", "न्", "दी"]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_subwords_span_letters_of_scripts_without_spaces(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 300, kind)
    assert "酒店" in "|".join(names(tokenizer, "酒店"))
    assert len(names(tokenizer, "อาหาร")) == 1
    assert names(tokenizer, "the film")[0] == "▁the"


@EACH_KIND
def test_unknown_letters_are_unknown(kind: str) -> None:
    tokenize = text_tokenizer(kind)
    tokenized = tokenize(["ж жж", "the", "the ж", "[PAD] [UNK]"])
    assert tokenized.ids[0].tolist()[-1] == UNKNOWN_ID
    assert tokenized.known[:2].tolist() == [0.0, 1.0]
    assert 0 < tokenized.known[2] < 1
    assert 0 not in tokenized.ids[3].tolist()


@EACH_KIND
def test_same_texts_give_the_same_tokenizer_in_another_process(kind: str) -> None:
    code = (
        "from tests.text.test_subwords import TEXTS, train_tokenizer\n"
        f"print(train_tokenizer(TEXTS, 80, {kind!r}).to_str(), end='')"
    )
    environment = {"RAYON_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env={**os.environ, **environment}
    )
    assert result.stdout.decode() == train_tokenizer(TEXTS, 80, kind).to_str()


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_ids_follow_the_frequency(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 150, kind)
    counts = [0] * tokenizer.get_vocab_size()
    for text in TEXTS:
        for token_id in tokenizer.encode(text).ids:
            counts[token_id] += 1
    assert counts[2:] == sorted(counts[2:], reverse=True)


@EACH_KIND
def test_truncated_vocabulary_has_the_first_entries(kind: str) -> None:
    tokenizer = train_tokenizer(TEXTS, 150, kind)
    reduced = truncate_vocabulary(tokenizer, 20)
    vocabulary = tokenizer.get_vocab()
    assert reduced.get_vocab() == {word: i for word, i in vocabulary.items() if i < 20}
    assert max(reduced.encode(TEXTS[1]).ids) < 20
    assert find_segmentation(reduced) is find_segmentation(tokenizer)


@EACH_KIND
@given(
    parts=st.lists(
        st.sampled_from([*"thefilmwas酒店很好อาหร่ย ,.!<br/>é\u0301👍🏽_1", "<br />", "\u200d"]), max_size=25
    ),
    random=st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_pieces_of_any_size_have_the_ids_of_the_whole(kind: str, parts: list[str], random: Random) -> None:
    tokenizer = STREAMED[kind]
    text = rest = "".join(parts)
    buffer, ids = TokenBuffer(tokenizer), []
    while rest:
        size = random.randint(1, 4)
        ids += tokenizer.token_ids(buffer.feed(rest[:size])).tolist()
        rest = rest[size:]
    ids += tokenizer.token_ids(buffer.flush()).tolist()
    assert ids == tokenizer.token_ids(text).tolist()


@pytest.mark.parametrize(
    ("kind", "pieces", "released"),
    [
        ("characters", ("Not b", "ad", ".", " 很", "好"), ["Not ", "", "bad", ". 很", "好"]),
        ("bpe", ("Not b", "ad", ".", " 很", "好", "，"), ["Not ", "", "bad", ". ", "", "很好"]),
        ("unigram", ("ดี", "มา", "ก", " "), ["", "", "", "ดีมาก "]),
    ],
)
def test_incomplete_segment_is_held_back(kind: str, pieces: tuple[str, ...], released: list[str]) -> None:
    buffer = TokenBuffer(STREAMED[kind])
    assert [buffer.feed(piece) for piece in pieces] == released


@EACH_KIND
@given(text=st.one_of(st.text(max_size=40), st.text(st.sampled_from([*"the 酒店 อา İé\u0301<br>!"]), max_size=40)))
@settings(max_examples=150, deadline=None)
def test_spans_follow_each_other_and_cover_the_segments(kind: str, text: str) -> None:
    tokenizer = STREAMED[kind]
    aligned = tokenizer.align(text)
    assert len(aligned.ids) == len(tokenizer([text]).ids[0])
    assert aligned.ids.tolist() == tokenizer([text]).ids[0].tolist()
    spans = [span for span in aligned.char_spans.tolist() if span[1] > span[0]]
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    if "<" not in text and tokenizer.token_ids(text).size:
        assert "".join(tokenizer.split(text)) == "".join(tokenizer.segments(text))


def test_segmentation_of_each_kind_is_found() -> None:
    assert {kind: tokenizer.segmentation for kind, tokenizer in STREAMED.items()} == {
        "characters": CHARACTERS,
        "bpe": SUBWORDS,
        "unigram": SUBWORDS,
    }


@EACH_KIND
def test_joined_tokens_are_the_segments(kind: str) -> None:
    text = "the film was good, the films were better! été"
    assert list(join_subwords(names(train_tokenizer(TEXTS, 150, kind), text))) == STREAMED[kind].segments(text)


def test_word_start_alone_begins_a_word() -> None:
    assert list(join_subwords(["▁", "é", "t", "▁a", ",", "好", "t"])) == ["ét", "a", ",", "好", "t"]
