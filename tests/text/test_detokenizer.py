from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.text.detokenizer import add_spaces, detokenize
from fastlstm.text.segmentation import RUNS, SEGMENTS, Segmentation, clean_text


@pytest.mark.parametrize(
    "text",
    [
        "i don't know.",
        "well, it's fine! we're here, aren't we?",
        "(a film) and [more]",
        "half-hearted and/or dull",
        "wait... what?",
        'he said "no".',
        '"yes", he said: "perhaps." then he left.',
        'the so-called ("good") film',
        "he said 'no', and 'yes'.",
        "the actors' faces and the director's cut",
        "rock 'n' roll at ten o'clock",
        "10/10, 7.5 at 10:30, 25,000 people in 1984, 20 of them",
        "it cost $5 and 20% more",
        "the u.s. army",
        "so am i. a film",
        "tom & jerry -- a classic",
        "c'est l'amour?",
        "很好看的电影，我喜欢！",
        "i say 很好 to that",
        "ของที่นี่ดีมาก",
        "សៀវភៅល្អ movie",
        "wow!!! so good 😍😍👍🏽",
        "映画「君」が好き。",
        "a ‘so-called’ “film”",
        "?!",
        "",
    ],
)
@pytest.mark.parametrize("segmentation", [SEGMENTS, RUNS], ids=lambda segmentation: segmentation.name)
def test_detokenize_restores_the_text(text: str, segmentation: Segmentation) -> None:
    assert detokenize(segmentation.tokens(clean_text(text))) == text


@pytest.mark.parametrize(
    ("prefix", "tokens", "expected"),
    [
        (["he", "said", '"'], ["no", '"', "."], 'no".'),
        (["he", "said", '"', "no"], ['"', "and", "left"], '" and left'),
        (["i", "don"], ["'", "t"], "'t"),
        (["the", "film"], [",", "and"], ", and"),
        (["("], ["a"], "a"),
        ([], ["a", "film"], "a film"),
    ],
)
def test_tokens_continue_a_prefix(prefix: list[str], tokens: list[str], expected: str) -> None:
    assert "".join(add_spaces(tokens, prefix)) == expected


def test_token_is_yielded_once_the_next_one_is_known() -> None:
    consumed: list[str] = []

    def generate() -> Iterator[str]:
        for token in ("a", "film", "."):
            consumed.append(token)
            yield token

    pieces = add_spaces(generate())
    assert (next(pieces), consumed) == ("a", ["a", "film"])
    assert list(pieces) == [" film", "."]


@given(
    st.lists(st.sampled_from(["a", "film", "s", "'", '"', "(", ")", ".", '."', "'\"", "-", "--", "5", "很", "，"]))
)
def test_only_spaces_are_added_to_any_tokens(tokens: list[str]) -> None:
    pieces = list(add_spaces(tokens))
    assert [piece.removeprefix(" ") for piece in pieces] == tokens
    assert not "".join(pieces).startswith(" ")
