from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.earlier_tokenizers import train_runs_tokenizer

from fastlstm.text.segmentation import RUNS, clean_text
from fastlstm.text.token_boundaries import MAX_PENDING, TokenBuffer
from fastlstm.text.tokenizer import TextTokenizer, train_tokenizer

PIECES = [
    "not",
    "bad",
    " ",
    "\n",
    "<",
    "b",
    "r",
    "/",
    ">",
    "<br />",
    "!",
    ".",
    "Ñ",
    "n\u0303",
    "\u0301",
    "很",
    "看",
]
PIECES += ["Σ", "’s", "\u200d", "👍🏽", "movie", "_", "5", "\x1c", "\u3000", "İ", "\ufb01", "\ufe0f", "\u20e3", "#"]
PIECES += [
    "ก",
    "ำ",
    "ั",
    "ខ",
    "្",
    "မ",
    "္",
    "か",
    "\u3099",
    "ー",
    "ﾞ",
    "한",
    "\u1112",
    "\u1161",
    "\u11ab",
    "हि",
    "न्दी",
]
PIECES += [
    "🇩",
    "👩",
    "🚀",
    "❤",
    "🏽",
    "\U000e0067",
    "\u200c",
    "می",
    "\u00ad",
    "\u200b",
    "་",
    "²",
    "।",
    "\U0003fffd",
]
TOKENIZERS = {
    "segments": TextTokenizer(train_tokenizer([], 9), max_tokens=9, truncate="end"),
    "runs": TextTokenizer(train_runs_tokenizer([], 9), max_tokens=9, truncate="end"),
}
EACH_TOKENIZER = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=list(TOKENIZERS))


def tokens_of(tokenizer: TextTokenizer, text: str) -> list[str]:
    assert tokenizer.segmentation is not None
    return tokenizer.segmentation.tokens(clean_text(text) if tokenizer.segmentation is RUNS else text)


@EACH_TOKENIZER
@given(parts=st.lists(st.sampled_from(PIECES), max_size=25), random=st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_pieces_of_any_size_have_the_tokens_of_the_whole(
    tokenizer: TextTokenizer, parts: list[str], random: Random
) -> None:
    text = rest = "".join(parts)
    buffer = TokenBuffer(tokenizer)
    tokens: list[str] = []
    while rest:
        size = random.randint(1, 4)
        tokens += tokens_of(tokenizer, buffer.feed(rest[:size]))
        rest = rest[size:]
    tokens += tokens_of(tokenizer, buffer.flush())
    assert tokens == tokens_of(tokenizer, text)


@EACH_TOKENIZER
@given(text=st.text(max_size=60), size=st.integers(1, 7))
@settings(max_examples=200)
def test_pieces_of_any_text_have_its_tokens(tokenizer: TextTokenizer, text: str, size: int) -> None:
    buffer = TokenBuffer(tokenizer)
    tokens: list[str] = []
    for start in range(0, len(text), size):
        tokens += tokens_of(tokenizer, buffer.feed(text[start : start + size]))
    tokens += tokens_of(tokenizer, buffer.flush())
    assert tokens == tokens_of(tokenizer, text)


@pytest.mark.parametrize(
    ("tokenizer", "pieces", "released"),
    [
        ("segments", ("Not b", "ad", ".", ".", " 很", "好吃"), ["Not ", "", "bad", ".", ". 很", "好吃"]),
        ("runs", ("Not b", "ad", ".", ".", " 很", "好吃"), ["Not ", "", "bad", "", ".. 很", "好吃"]),
        ("segments", ("ดี", "มา", "ก"), ["", "ดีม", "า"]),
        ("segments", ("👩", "\u200d🚀", "👍", "🏽", "!"), ["", "", "👩\u200d🚀", "", "👍🏽"]),
        ("segments", ("かわ", "いい", "é", "!"), ["か", "わい", "い", "é"]),
    ],
)
def test_incomplete_token_is_held_back(tokenizer: str, pieces: tuple[str, ...], released: list[str]) -> None:
    buffer = TokenBuffer(TOKENIZERS[tokenizer])
    assert [buffer.feed(piece) for piece in pieces] == released
    assert buffer.pending == "".join(pieces).removeprefix("".join(released)) == buffer.flush()
    assert buffer.pending == ""


@EACH_TOKENIZER
def test_line_break_in_pieces_is_released_at_once(tokenizer: TextTokenizer) -> None:
    buffer = TokenBuffer(tokenizer)
    released = [buffer.feed(piece) for piece in ("good<", "b", "R ", " /", ">bad ")]
    assert "".join(released) == "good<bR  />bad "
    assert buffer.pending == ""


@EACH_TOKENIZER
def test_line_break_inside_a_partial_one_has_the_tokens_of_the_whole(tokenizer: TextTokenizer) -> None:
    buffer, text = TokenBuffer(tokenizer), "<br<br>> x"
    released = buffer.feed(text) + buffer.flush()
    assert tokens_of(tokenizer, released) == tokens_of(tokenizer, text)


@pytest.mark.parametrize(
    ("piece", "count"), [("x" * MAX_PENDING, 5), (" " * 50 + "<br" + " " * 47, 3 * MAX_PENDING // 100)]
)
@EACH_TOKENIZER
def test_pending_text_is_bounded(tokenizer: TextTokenizer, piece: str, count: int) -> None:
    buffer = TokenBuffer(tokenizer)
    for _ in range(count):
        buffer.feed(piece)
        assert len(buffer.pending) <= MAX_PENDING
