from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from fastlstm.text.segmentation import (
    RUNS,
    SEGMENTS,
    WORD_PATTERN,
    Segmentation,
    clean_text,
    cleaned_spans,
    cleans_text,
    find_segmentation,
)

SEGMENTATIONS = pytest.mark.parametrize("segmentation", [SEGMENTS, RUNS], ids=lambda value: value.name)
ASCII = st.text(st.characters(max_codepoint=127), max_size=60)


def make_tokenizer(segmentation: Segmentation) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = segmentation.normalizer, segmentation.pre_tokenizer
    return tokenizer


def library_tokens(segmentation: Segmentation, text: str) -> list[str]:
    tokenizer = make_tokenizer(segmentation)
    pieces = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
    return [token for token, _ in pieces]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great FILM don't a_b mid-air", "great film don ' t a_b mid - air"),
        ("Ωmega ÉTÉ Straße привет Ελλάδα", "ωmega été straße привет ελλάδα"),
        ("한국어 문장입니다", "한국어 문장입니다"),
        ("हिन्दी में नमस्ते", "हिन्दी में नमस्ते"),
        ("বাংলা தமிழ் සිංහල", "বাংলা தமிழ் සිංහල"),
        ("العَرَبِيَّة עִבְרִית", "العَرَبِيَّة עִבְרִית"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("很好看film电影2024年", "很 好 看 film 电 影 2024 年"),
        ("二〇二四 佐々木 韓國에서", "二 〇 二 四 佐 々 木 韓 國 에서"),
        ("\U00020000\U0003fffd", "\U00020000 \U0003fffd"),
        ("すーぱーテレビ〆", "す ー ぱ ー テ レ ビ 〆"),
        ("か\u3099あ\u3099ｶﾞ", "が あ\u3099 ｶﾞ"),
        ("ㄅㄆㄇ ꀀꀁ", "ㄅ ㄆ ㄇ ꀀ ꀁ"),
        ("สวัสดี ทำกับ ๒๕๖๗บาท", "ส วั ส ดี ทำ กั บ ๒๕๖๗ บ า ท"),
        ("ຂ້ອຍຮັກ ນຳ", "ຂ້ ອ ຍ ຮັ ກ ນຳ"),
        ("ភាសាខ្មែរ", "ភា សា ខ្មែ រ"),
        ("မြန်မာ သတ္တိ", "မြ န် မာ သ တ္တိ"),
        ("ᥖᥭᥰ ꦧꦱꦗꦮ ꦱ꧀ꦱ", "ᥖ ᥭ ᥰ ꦧ ꦱ ꦗ ꦮ ꦱ꧀ꦱ"),
        ("བོད་ཡིག", "བོད ཡིག"),
        ("goodดี好좋다", "good ดี 好 좋다"),
        ("é!!! e\u0301...", "é ! ! ! é . . ."),
        ("“Oui”, ¿no?", "“ oui ” , ¿ no ?"),
        ("10² ½ 5€ 3℃ ٣٤ ५\u20e3", "10 ² ½ 5 € 3 ℃ ٣٤ ५\u20e3"),
        ("co\u00adop\u2060erate \ufeffnow", "cooperate now"),
        ("a\u200bb\u0000c\x1cd", "a b c d"),
        ("line<br />bréak<BR>here<br\t/>too", "line bréak here too"),
    ],
)
def test_tokens_are_words_letters_of_unspaced_scripts_and_symbols(text: str, expected: str) -> None:
    tokens = expected.split(" ")
    assert library_tokens(SEGMENTS, text) == tokens
    assert SEGMENTS.tokens(text) == tokens


EMOJI = [
    "😍",
    "❤",
    "👍🏽",
    "👨\u200d👩\u200d👧\u200d👦",
    "👩🏿\u200d🚀",
    "🏳\u200d🌈",
    "🇩🇪",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "1\u20e3",
    "#\u20e3",
    "♂",
]


@given(st.lists(st.sampled_from(EMOJI), max_size=8))
def test_every_emoji_is_one_token(emoji: list[str]) -> None:
    assert SEGMENTS.tokens("ok" + "".join(emoji)) == ["ok", *emoji]


@given(st.lists(st.sampled_from(EMOJI), max_size=8))
def test_emoji_are_grapheme_clusters(emoji: list[str]) -> None:
    clusters = pre_tokenizers.Split(Regex(r"\X"), "removed", invert=True)
    assert [cluster for cluster, _ in clusters.pre_tokenize_str("".join(emoji))] == emoji


@pytest.mark.parametrize("selector", ["\ufe0e", "\ufe0f"])
@pytest.mark.parametrize(("text", "expected"), [("❤{}", ["❤"]), ("7{}\u20e3", ["7\u20e3"]), ("很{}", ["很"])])
def test_variation_selectors_do_not_matter(text: str, expected: list[str], selector: str) -> None:
    assert SEGMENTS.tokens(text.format(selector)) == expected


def test_number_before_a_keycap_is_a_token() -> None:
    assert SEGMENTS.tokens("step 10\ufe0f\u20e3") == ["step", "1", "0\u20e3"]


def test_runs_keep_kana_punctuation_and_emoji_together() -> None:
    text = clean_text("すばらしい!!! 很好😍😍")
    assert library_tokens(RUNS, text) == ["すばらしい", "!!!", "很", "好", "😍😍"]


@SEGMENTATIONS
@given(text=ASCII)
def test_tokens_of_ascii_text_equal_those_of_the_library(segmentation: Segmentation, text: str) -> None:
    prepared = text if segmentation is SEGMENTS else clean_text(text)
    assert segmentation.tokens(prepared) == library_tokens(segmentation, prepared)


@given(ASCII)
def test_runs_of_ascii_text_match_the_word_pattern(text: str) -> None:
    cleaned = clean_text(text)
    assert RUNS.tokens(cleaned) == re.findall(WORD_PATTERN, cleaned.lower(), re.ASCII)


@given(st.text(max_size=40))
def test_segments_omit_only_spaces_and_invisible_characters(text: str) -> None:
    normalized = SEGMENTS.normalizer.normalize_str(text)
    rest = normalized
    for token in SEGMENTS.tokens(text):
        assert token in rest
        omitted, rest = rest.split(token, 1)
        assert all(unicodedata.category(c) in ("Cc", "Cf", "Zs", "Zl", "Zp") or c in "་༌" for c in omitted)


@SEGMENTATIONS
def test_segmentation_is_found_in_a_saved_tokenizer(segmentation: Segmentation) -> None:
    restored = Tokenizer.from_str(make_tokenizer(segmentation).to_str())
    assert find_segmentation(restored) is segmentation
    assert cleans_text(restored) is (segmentation is SEGMENTS)


@SEGMENTATIONS
def test_other_tokenizers_have_no_segmentation(segmentation: Segmentation) -> None:
    tokenizer = make_tokenizer(segmentation)
    tokenizer.normalizer = normalizers.NFC()
    assert find_segmentation(tokenizer) is None
    tokenizer = make_tokenizer(segmentation)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert find_segmentation(tokenizer) is None


@SEGMENTATIONS
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["<br>", "<BR\u00a0/>", "<br", ">", " ", "a", "1", "é", "e", "\u0301", "\u20e3", "\u00ad", "很"]
            ),
            max_size=12,
        ).map("".join),
    )
)
def test_pieces_have_the_tokens_of_the_text(segmentation: Segmentation, text: str) -> None:
    prepare = clean_text if segmentation is RUNS else str
    pieces = list(segmentation.pieces(text))
    tokens = [token for piece in pieces for token in library_tokens(segmentation, prepare(piece))]
    assert tokens == library_tokens(segmentation, prepare(text))


def test_words_of_ascii_characters_are_pieces_of_their_own() -> None:
    pieces = ["An ", "été, où", " or two", "très", " bien"]
    assert list(SEGMENTS.pieces("An été, où or two<br>très bien")) == pieces
    assert list(SEGMENTS.pieces("all ASCII<br>text")) == ["all ASCII<br>text"]


@pytest.mark.parametrize(("segmentation", "zero"), [(SEGMENTS, 0), (RUNS, 3)])
def test_kinds_of_ascii_characters(segmentation: Segmentation, zero: int) -> None:
    kinds = dict(enumerate(segmentation.character_kinds))
    assert [kinds[ord(character)] for character in "aZ0_"] == [2] * 4
    assert [kinds[ord(character)] for character in "!<~"] == [1 if segmentation is SEGMENTS else 3] * 3
    assert [kinds[ord(character)] for character in " \n\v"] == [128] * 3
    assert kinds[0] == zero
    wide = {byte for byte, kind in kinds.items() if kind == 127}
    assert wide == (set() if segmentation is RUNS else {0xE2, 0xE3, *range(0xE4, 0xEA), 0xEF})


def test_single_characters_are_tokens_whatever_is_around_them() -> None:
    characters = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    single = [character for character in characters if SEGMENTS.is_simple(character)]
    assert len(single) > 27_000
    assert {len(character.encode()) for character in single} == {3}
    for separator in ("", "a", "1", "!", " ", "_", "<br>"):
        text = separator.join(single)
        assert SEGMENTS.is_simple(text)
        assert SEGMENTS.simple_tokens(text) == library_tokens(SEGMENTS, text)
    for first in single[::997]:
        text = "".join(first + second for second in single[::101])
        assert SEGMENTS.simple_tokens(text) == library_tokens(SEGMENTS, text)


@pytest.mark.parametrize("text", ["中é", "中\u3000文", "ｶﾞ", "中\ufe0f", "!\u0301", "Ａ", "한"])
def test_other_texts_are_not_simple(text: str) -> None:
    assert not SEGMENTS.is_simple(text)
    assert not RUNS.is_simple("中")


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
        ("好a", " 好 a"),
        ("", ""),
    ],
)
def test_clean_text_replaces_html_breaks_and_composes(text: str, expected: str) -> None:
    assert clean_text(text) == expected


@given(
    st.one_of(
        st.text(max_size=30),
        st.text(
            st.sampled_from("ae\u0301\u0323\u0338<br />=很好\u1100\u1161\u11a8각가\u0958\u212b\u05bc\u09c7\u09be")
        ),
    )
)
def test_cleaned_spans_follow_each_other(text: str) -> None:
    cleaned, spans = clean_text(text), cleaned_spans(text)
    assert len(spans) == len(cleaned)
    bounds = [position for span in spans for position in span]
    assert bounds == sorted(bounds)
    assert "".join(text[start:end] for start, end in spans) == text
