from __future__ import annotations

import pytest

from fastlstm.text.token_choice import SAMPLE_TEXTS, SOUTHEAST_ASIAN_TOKENS, choose_tokens


@pytest.mark.parametrize(
    ("texts", "tokens", "unspaced"),
    [
        (["A good film", "Été à Paris"], "words", 0.0),
        (["酒店很好", "服务很好"], "words", 0.0),
        (["ខ្មែរ", "ພາສາລາວ", "မြန်မာ"], SOUTHEAST_ASIAN_TOKENS, 1.0),
        (["อาหาร"], SOUTHEAST_ASIAN_TOKENS, 1.0),
        (["ひらがな カタカナ"], "words", 0.0),
        (["한국어 영화"], "words", 0.0),
        (["a good film ดี"], "words", 2 / 11),
        (["123 !"], "words", 0.0),
        ([], "words", 0.0),
    ],
)
def test_scripts_decide(texts: list[str], tokens: str, unspaced: float) -> None:
    choice = choose_tokens(texts)
    assert choice.unspaced == pytest.approx(unspaced)
    assert choice.tokens == tokens


def test_texts_of_the_whole_list_are_sampled() -> None:
    assert 0.4 < choose_tokens(["film"] * SAMPLE_TEXTS * 3 + ["อาหา"] * SAMPLE_TEXTS * 3).unspaced < 0.6
