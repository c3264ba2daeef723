from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.earlier_tokenizers import train_runs_tokenizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from fastlstm.errors import OptionError
from fastlstm.text.fast_tokens import FastTokens
from fastlstm.text.segmentation import RUNS, SEGMENTS, clean_text
from fastlstm.text.tokenizer import (
    CHUNK_TEXTS,
    MIN_COMPILED_CHARACTERS,
    PADDING,
    PADDING_ID,
    UNKNOWN,
    UNKNOWN_ID,
    TextTokenizer,
    train_tokenizer,
    truncate_vocabulary,
)

WORDS = [f"w{i}" for i in range(40)]
TOKENIZER = train_tokenizer([" ".join(WORDS)], 100)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="[<"), max_size=60)


def tokens_of(text: str) -> list[str]:
    """Return the tokens of a text, by a tokenizer trained on it."""
    tokenizer = train_tokenizer([text], 1000)
    tokens = [tokenizer.id_to_token(int(token_id)) for token_id in ids_of(tokenizer, text)]
    assert all(token is not None for token in tokens)
    return [str(token) for token in tokens]


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = TextTokenizer(tokenizer, max_tokens=10_000, truncate="end")([text]).ids[0].tolist()
    return ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great FILM", ["great", "film"]),
        ("ÉTÉ Straße ΑΘΗΝΑ", ["été", "straße", "αθηνα"]),
        ("Good, really!? (yes)", ["good", ",", "really", "!", "?", "(", "yes", ")"]),
        ("don't 10/10 mid-air a_b", ["don", "'", "t", "10", "/", "10", "mid", "-", "air", "a_b"]),
        ("line<br />break<BR>here<br/>too", ["line", "break", "here", "too"]),
        ("a < b and b<c", ["a", "<", "b", "and", "b", "<", "c"]),
        ("e\u0301te\u0301", ["\u00e9t\u00e9"]),
        ("很好看 film电影。", ["很", "好", "看", "film", "电", "影", "。"]),
        ("한국어 ひらがな", ["한국어", "ひ", "ら", "が", "な"]),
        ("tabs\tand\nlines\u00a0and\u3000spaces", ["tabs", "and", "lines", "and", "spaces"]),
    ],
)
def test_trained_tokenizer_splits_into_segments(text: str, expected: list[str]) -> None:
    assert tokens_of(text) == expected


@pytest.mark.parametrize("train", [train_tokenizer, train_runs_tokenizer])
@given(
    texts=st.lists(
        st.one_of(PRINTABLE, st.text(max_size=40), st.text(st.characters(max_codepoint=127), max_size=40))
    )
)
def test_ids_equal_those_of_the_tokenizers_library(
    train: Callable[[list[str], int], Tokenizer], texts: list[str]
) -> None:
    tokenizer = train(texts[::2], 50)
    prepared = texts if train is train_tokenizer else [clean_text(text) for text in texts]
    encodings = tokenizer.encode_batch(prepared, add_special_tokens=False)
    expected = [encoding.ids or [UNKNOWN_ID] for encoding in encodings]
    assert [ids.tolist() for ids in TextTokenizer(tokenizer, max_tokens=100, truncate="end")(texts).ids] == expected


@pytest.mark.parametrize("train", [train_tokenizer, train_runs_tokenizer])
@pytest.mark.parametrize("text", ["a<br<br>>b", "é<br<br>>é b", "é <br<br>> é", "<br\x1c>a", "é<br\u00a0>a"])
def test_line_breaks_are_found_once(train: Callable[[list[str], int], Tokenizer], text: str) -> None:
    tokenizer = train(["a b é <br> <br<br>>"], 50)
    prepared = text if train is train_tokenizer else clean_text(text)
    assert ids_of(tokenizer, text) == tokenizer.encode(prepared).ids


def test_compiled_tokens_are_used_for_words_of_ascii_characters() -> None:
    def compile_tokens(*_: object) -> FastTokens:
        return lambda texts: [np.full(1, 99, np.int32) for _ in texts]

    tokenizer = TextTokenizer(TOKENIZER, max_tokens=9, truncate="end", compile_tokens=compile_tokens)
    spaces = " " * MIN_COMPILED_CHARACTERS
    tokenized = tokenizer([f"w0 w1{spaces}", "w0 é w1"])
    assert [ids.tolist() for ids in tokenized.ids] == [[99], [99, UNKNOWN_ID, 99]]
    assert tokenizer(["w0"]).ids[0].tolist() == ids_of(TOKENIZER, "w0")


def test_tokenizer_with_another_normalizer_is_used_as_it_is() -> None:
    tokenizer = train_tokenizer(["Some words"], 10)
    tokenizer.normalizer = normalizers.Sequence([])
    assert ids_of(tokenizer, "Some words") == [UNKNOWN_ID, 3]


def test_tokenizer_with_another_pre_tokenizer_is_used_as_it_is() -> None:
    tokenizer = train_tokenizer(["a-b"], 10)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert ids_of(tokenizer, "a-b a") == [UNKNOWN_ID, tokenizer.token_to_id("a")]


def test_composed_and_decomposed_accents_have_the_same_id() -> None:
    tokenizer = train_tokenizer(["café"], 10)
    assert ids_of(tokenizer, "cafe\u0301") == ids_of(tokenizer, "café") == [2]


def test_padding_and_unknown_are_the_first_two_ids() -> None:
    tokenizer = train_tokenizer(["some words"], 10)
    assert (tokenizer.token_to_id(PADDING), tokenizer.token_to_id(UNKNOWN)) == (PADDING_ID, UNKNOWN_ID) == (0, 1)


def test_unknown_word_has_the_unknown_id() -> None:
    assert ids_of(TOKENIZER, "w0 nobody w1") == [ids_of(TOKENIZER, "w0")[0], UNKNOWN_ID, ids_of(TOKENIZER, "w1")[0]]


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "e", "A", "!", "?", "é", "很"]), max_size=8)),
    st.integers(3, 9),
)
def test_vocabulary_has_the_most_frequent_words_ties_alphabetical(texts: list[list[str]], size: int) -> None:
    counts = Counter(word.lower() for text in texts for word in text)
    by_frequency = sorted(counts, key=lambda word: (-counts[word], word))
    expected = [PADDING, UNKNOWN, *by_frequency][:size]
    vocabulary = train_tokenizer((" ".join(text) for text in texts), size).get_vocab()
    assert sorted(vocabulary, key=lambda word: vocabulary[word]) == expected
    assert sorted(vocabulary.values()) == list(range(len(expected)))


def test_vocabulary_is_smaller_if_there_are_fewer_words() -> None:
    assert train_tokenizer(["two words, two"], 10_000).get_vocab_size() == 5


def test_vocabulary_of_empty_texts_has_padding_and_unknown() -> None:
    tokenizer = train_tokenizer(["", "  "], 10)
    assert tokenizer.get_vocab() == {PADDING: PADDING_ID, UNKNOWN: UNKNOWN_ID}


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0", "<br />"])
def test_text_without_tokens_is_one_unknown_token(text: str) -> None:
    encoded = TextTokenizer(TOKENIZER, max_tokens=1, truncate="both")(["w1", text])
    assert encoded.ids[1].tolist() == [UNKNOWN_ID]
    assert encoded.truncated_count == 0


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
def test_longer_text_is_truncated(truncate: str, max_tokens: int, expected: str) -> None:
    encoded = TextTokenizer(TOKENIZER, max_tokens=max_tokens, truncate=truncate)([" ".join(WORDS[:7])])
    assert encoded.ids[0].tolist() == ids_of(TOKENIZER, expected)
    assert encoded.truncated_count == (max_tokens < 7)


@given(
    st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=20), max_size=8),
    st.integers(1, 23),
    st.sampled_from(["end", "beginning", "both"]),
)
def test_truncated_ids_are_slices_of_all_ids(words: list[list[str]], max_tokens: int, truncate: str) -> None:
    texts = [" ".join(text) for text in words]
    encoded = TextTokenizer(TOKENIZER, max_tokens=max_tokens, truncate=truncate)(texts)
    assert encoded.truncated_count == sum(len(text) > max_tokens for text in words)
    for text, ids in zip(texts, encoded.ids, strict=True):
        assert ids.dtype == np.int32
        all_ids, truncated = ids_of(TOKENIZER, text), ids.tolist()
        assert len(truncated) == min(len(all_ids), max_tokens)
        head = {"end": 0, "beginning": len(truncated), "both": max_tokens // 2}[truncate]
        if len(all_ids) > max_tokens:
            assert truncated == all_ids[:head] + all_ids[len(all_ids) - len(truncated) + head :]
        else:
            assert truncated == all_ids


def test_unknown_truncation_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        TextTokenizer(TOKENIZER, max_tokens=3, truncate="middle")
    error = raised.value
    assert (error.code, error.option, error.value) == ("bad-option-value", "truncate", "middle")


def test_no_texts_have_no_ids() -> None:
    assert TextTokenizer(TOKENIZER, max_tokens=3, truncate="end")([]).ids == []


@pytest.mark.parametrize("texts", [1, 2, CHUNK_TEXTS - 1, CHUNK_TEXTS, CHUNK_TEXTS + 1, 2 * CHUNK_TEXTS + 3])
def test_ids_of_a_text_do_not_depend_on_the_others(texts: int) -> None:
    generator = np.random.default_rng(texts)
    batch = [" ".join(generator.choice([*WORDS, "unseen", "!"], generator.integers(0, 12))) for _ in range(texts)]
    together = TextTokenizer(TOKENIZER, max_tokens=7, truncate="both")(batch)
    alone = [TextTokenizer(TOKENIZER, max_tokens=7, truncate="both")([text]) for text in batch]
    assert [ids.tolist() for ids in together.ids] == [single.ids[0].tolist() for single in alone]
    assert together.truncated_count == sum(single.truncated_count for single in alone)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_tokenizer_restored_from_json_gives_the_same_ids(texts: list[str]) -> None:
    tokenizer = train_tokenizer(texts[1:], 20)
    restored = Tokenizer.from_str(tokenizer.to_str())
    assert restored.to_str() == tokenizer.to_str()
    assert restored.get_vocab() == tokenizer.get_vocab()
    for text in texts:
        assert ids_of(restored, text) == ids_of(tokenizer, text)


def test_same_texts_give_the_same_tokenizer() -> None:
    texts = ["b a c", "c b d", "a e"]
    assert train_tokenizer(texts, 6).to_str() == train_tokenizer(iter(texts), 6).to_str()


def test_special_token_names_in_a_text_are_plain_words() -> None:
    tokenizer = train_tokenizer(["pad the [PAD] film [UNK]"], 50)
    ids = TextTokenizer(tokenizer, max_tokens=9, truncate="end")(["[PAD] [UNK]"]).ids[0]
    assert PADDING_ID not in ids
    assert [tokenizer.id_to_token(i) for i in ids] == ["[", "pad", "]", "[", "unk", "]"]


@pytest.mark.parametrize("keep_untruncated", [False, True])
def test_untruncated_ids_are_returned_on_request(keep_untruncated: bool) -> None:
    text = " ".join(WORDS[:7])
    tokenizer = TextTokenizer(TOKENIZER, max_tokens=4, truncate="both", keep_untruncated=keep_untruncated)
    tokenized = tokenizer([text])
    assert tokenized.ids[0].tolist() == ids_of(TOKENIZER, "w0 w1 w5 w6")
    if keep_untruncated:
        assert tokenized.untruncated is not None
        assert tokenized.untruncated[0].tolist() == ids_of(TOKENIZER, text)
        assert tokenizer.truncate(tokenized.untruncated[0]).tolist() == tokenized.ids[0].tolist()
    else:
        assert tokenized.untruncated is None


def test_aligned_tokens_have_their_positions_in_the_text() -> None:
    aligned = TextTokenizer(TOKENIZER, max_tokens=2, truncate="both").align("w0 <br/>W1, w2")
    assert aligned.text == "w0 <br/>W1, w2"
    assert aligned.tokens == ("w0", "W1", ",", "w2")
    assert aligned.char_spans.tolist() == [[0, 2], [8, 10], [10, 11], [12, 14]]
    assert aligned.ids.tolist() == ids_of(TOKENIZER, "w0 w1, w2")
    assert aligned.used.tolist() == [True, False, False, True]


@pytest.mark.parametrize("train", [train_tokenizer, train_runs_tokenizer])
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("很好看。", ["很", "好", "看", "。"]),
        ("cafe\u0301 e\u0301te\u0301!", ["cafe\u0301", "e\u0301te\u0301", "!"]),
        ("<br>I\u0307s\u0323\u0307<br />好", ["I\u0307s\u0323\u0307", "好"]),
        ("\u1112\u1161\u11ab \u1100\u1161", ["\u1112\u1161\u11ab", "\u1100\u1161"]),
    ],
)
def test_aligned_tokens_are_written_as_in_the_text(
    train: Callable[[list[str], int], Tokenizer], text: str, tokens: list[str]
) -> None:
    tokenizer = TextTokenizer(train([], 10), max_tokens=9, truncate="end")
    aligned = tokenizer.align(text)
    assert (aligned.text, list(aligned.tokens), tokenizer.split(text)) == (text, tokens, tokens)
    assert [text[start:end] for start, end in aligned.char_spans] == tokens


def test_aligned_emoji_include_all_parts() -> None:
    tokenizer = TextTokenizer(TOKENIZER, max_tokens=9, truncate="end")
    assert tokenizer.split("❤\ufe0f👍🏽1\ufe0f\u20e3!") == ["❤\ufe0f", "👍🏽", "1\ufe0f\u20e3", "!"]


@pytest.mark.parametrize("train", [train_tokenizer, train_runs_tokenizer])
@given(text=st.text(max_size=40))
def test_aligned_spans_follow_each_other(train: Callable[[list[str], int], Tokenizer], text: str) -> None:
    tokenizer = TextTokenizer(train([text], 50), max_tokens=99, truncate="end")
    aligned = tokenizer.align(text)
    assert aligned.ids.tolist() == tokenizer([text]).ids[0].tolist()
    assert (np.diff(aligned.char_spans.ravel()) >= 0).all()


@pytest.mark.parametrize(("padding", "position"), [("front", 0), ("back", 2)])
def test_aligned_padding_has_an_empty_span(padding: str, position: int) -> None:
    tokenizer = TextTokenizer(TOKENIZER, max_tokens=3, truncate="end", padding=padding)
    aligned = tokenizer.align("w0 w1")
    assert aligned.tokens[position] == PADDING
    assert aligned.ids.tolist() == tokenizer(["w0 w1"]).ids[0].tolist()
    start, end = aligned.char_spans[position]
    assert start == end
    assert aligned.used.all()


@pytest.mark.parametrize("text", ["", "  "])
def test_aligned_text_without_tokens_is_one_unknown_token(text: str) -> None:
    aligned = TextTokenizer(TOKENIZER, max_tokens=3, truncate="end").align(text)
    assert (aligned.ids.tolist(), aligned.char_spans.tolist()) == ([UNKNOWN_ID], [[0, len(text)]])


@pytest.mark.parametrize("text", ["W0 nobody, w1", "w0 很 w1", ""])
def test_token_ids_are_all_ids_of_a_text(text: str) -> None:
    tokenizer = TextTokenizer(TOKENIZER, max_tokens=1, truncate="end")
    assert tokenizer.token_ids(text).tolist() == TOKENIZER.encode(text).ids


def test_truncated_vocabulary_has_the_first_entries() -> None:
    smaller = truncate_vocabulary(TOKENIZER, 5)
    expected = {word: i for word, i in TOKENIZER.get_vocab().items() if i < 5}
    assert smaller.get_vocab() == expected
    assert len(expected) == 5
    assert TOKENIZER.get_vocab_size() == len(WORDS) + 2


def test_is_standard_only_with_the_segmentation_of_a_trained_model() -> None:
    trained = TextTokenizer(TOKENIZER, max_tokens=1, truncate="end")
    earlier = TextTokenizer(train_runs_tokenizer(WORDS, 9), max_tokens=1, truncate="end")
    assert (trained.is_standard, trained.segmentation) == (True, SEGMENTS)
    assert (earlier.is_standard, earlier.segmentation) == (True, RUNS)
    other = train_tokenizer(["a-b"], 10)
    other.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    assert not TextTokenizer(other, max_tokens=1, truncate="end").is_standard


@pytest.mark.parametrize(
    ("text", "known"),
    [("w0 w1", 1.0), ("w0 nobody w1 none", 0.5), ("nobody", 0.0), ("", 0.0), (" <br />", 0.0), ("wörter W0", 0.5)],
)
def test_known_is_the_fraction_of_tokens_in_the_vocabulary(text: str, known: float) -> None:
    tokenized = TextTokenizer(TOKENIZER, max_tokens=10, truncate="end")(["w0", text])
    assert tokenized.known.tolist() == [1.0, known]
    assert tokenized.known.dtype == np.float64


def test_known_covers_the_tokens_that_are_read() -> None:
    text = "nobody none w0"
    assert TextTokenizer(TOKENIZER, max_tokens=1, truncate="end")([text]).known.tolist() == [1.0]
    all_tokens = TextTokenizer(TOKENIZER, max_tokens=1, truncate="end", keep_untruncated=True)
    assert all_tokens([text]).known.tolist() == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("padding", ["none", "front", "back"])
@pytest.mark.parametrize("drop_unknown", [False, True])
def test_padding_start_tokens_and_dropped_words_do_not_change_known(padding: str, drop_unknown: bool) -> None:
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.model = models.WordLevel({PADDING: 0, UNKNOWN: 1, "[START]": 2, "w0": 3, "w1": 4}, unk_token=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(single="[START] $A", special_tokens=[("[START]", 2)])
    tokenize = TextTokenizer(tokenizer, max_tokens=6, truncate="end", padding=padding, drop_unknown=drop_unknown)
    assert tokenize(["w0 nobody w1 none", "nobody", "", "w1"]).known.tolist() == [0.5, 0.0, 0.0, 1.0]


def test_known_of_no_texts_is_empty() -> None:
    assert TextTokenizer(TOKENIZER, max_tokens=3, truncate="end")([]).known.shape == (0,)
