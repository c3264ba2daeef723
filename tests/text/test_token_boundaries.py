from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
PIECES += ["Σ", "’s", "\u200d", "👍🏽", "movie", "_", "5", "\x1c", "\u3000", "İ", "\ufb01"]
VOCABULARY = ["not bad movie b r br ñ 很 看 σ ς ’s s _ 5 movie5 fi ﬁ i̇ > < /> . !", "notbad <b badmovie ñn ͏"]
TOKENIZER = TextTokenizer(
    train_tokenizer([*VOCABULARY, *PIECES], 200), max_tokens=10**9, truncate="end", keep_untruncated=True
)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.randoms(use_true_random=False))
def test_pieces_of_any_size_have_the_tokens_of_the_whole(parts: list[str], random: Random) -> None:
    text = rest = "".join(parts)
    buffer = TokenBuffer()
    ids: list[int] = []
    while rest:
        size = random.randint(1, 4)
        ids += TOKENIZER.token_ids(buffer.feed(rest[:size])).tolist()
        rest = rest[size:]
    ids += TOKENIZER.token_ids(buffer.flush()).tolist()
    assert ids == TOKENIZER.token_ids(text).tolist()


@given(st.text(max_size=60), st.integers(1, 7))
@settings(max_examples=200)
def test_pieces_of_any_text_have_its_tokens(text: str, size: int) -> None:
    buffer = TokenBuffer()
    ids: list[int] = []
    for start in range(0, len(text), size):
        ids += TOKENIZER.token_ids(buffer.feed(text[start : start + size])).tolist()
    ids += TOKENIZER.token_ids(buffer.flush()).tolist()
    assert ids == TOKENIZER.token_ids(text).tolist()


def test_incomplete_word_is_held_back() -> None:
    buffer = TokenBuffer()
    pieces = ("Not b", "ad", ".", ".", " 很", "好吃")
    assert [buffer.feed(piece) for piece in pieces] == ["Not ", "", "bad", "", ".. 很", "好吃"]
    assert (buffer.pending, buffer.flush(), buffer.pending) == ("", "", "")


def test_line_break_in_pieces_is_released_at_once() -> None:
    buffer = TokenBuffer()
    released = [buffer.feed(piece) for piece in ("good<", "b", "R ", " /", ">bad ")]
    assert "".join(released) == "good<bR  />bad "
    assert buffer.pending == ""


def test_line_break_inside_a_partial_one_has_the_tokens_of_the_whole() -> None:
    buffer, text = TokenBuffer(), "<br<br>> x"
    released = buffer.feed(text) + buffer.flush()
    assert TOKENIZER.token_ids(released).tolist() == TOKENIZER.token_ids(text).tolist()


@pytest.mark.parametrize(
    ("piece", "count"), [("x" * MAX_PENDING, 5), (" " * 50 + "<br" + " " * 47, 3 * MAX_PENDING // 100)]
)
def test_pending_text_is_bounded(piece: str, count: int) -> None:
    buffer = TokenBuffer()
    for _ in range(count):
        buffer.feed(piece)
        assert len(buffer.pending) <= MAX_PENDING
