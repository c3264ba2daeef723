"""Token ids of simple texts: the kernel against Python."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.kernel import loader
from fastlstm.kernel.abi import TokenizerArguments
from fastlstm.kernel.fast_tokens import CompiledTokens, compile_tokens
from fastlstm.text.fast_tokens import PythonTokens
from fastlstm.text.segmentation import RUNS, SEGMENTS, Segmentation

UNKNOWN_ID = 1
SEGMENTATIONS = pytest.mark.parametrize("segmentation", [SEGMENTS, RUNS], ids=lambda value: value.name)
ASCII = st.text(st.characters(max_codepoint=127), max_size=30)
SNIPPETS = st.sampled_from(
    [
        "<br>",
        "<BR />",
        "<br\t\n/>",
        "<br\x1c>",
        "<br/ >",
        "<br",
        "<b",
        "<",
        ">",
        "!",
        "a",
        "B",
        " ",
        "0_",
        "'",
        "\x00",
    ]
)
TEXTS = st.lists(st.one_of(ASCII, st.lists(SNIPPETS, max_size=9).map("".join)), max_size=6)


@pytest.fixture
def segmentation_tokens(
    segmentation: Segmentation, library: SimpleNamespace
) -> tuple[CompiledTokens, PythonTokens]:
    vocabulary = {"a": 7, "b": 0, "!": 5, "<": 2, "br": 3, "0_": 1 << 30, "été": 9}
    return (
        CompiledTokens(library, vocabulary, UNKNOWN_ID, segmentation.character_kinds),
        PythonTokens(segmentation, vocabulary, UNKNOWN_ID),
    )


@SEGMENTATIONS
@given(texts=TEXTS)
def test_ids_equal_those_of_python(segmentation: Segmentation, library: SimpleNamespace, texts: list[str]) -> None:
    words = {word for text in texts[::2] for word in segmentation.simple_tokens(text)}
    vocabulary = {word: 2 + i for i, word in enumerate(sorted(words))}
    found = CompiledTokens(library, vocabulary, UNKNOWN_ID, segmentation.character_kinds)(texts)
    expected = PythonTokens(segmentation, vocabulary, UNKNOWN_ID)(texts)
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in expected]
    assert {ids.dtype for ids in [*found, *expected]} <= {np.dtype(np.int32)}


@SEGMENTATIONS
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("A b", [7, 0]),
        ("a<br>b<BR\n/>A", [7, 0, 7]),
        ("a<br<br>>", [7, 2, 3, 1]),
        ("0_<br>0_", [1 << 30, 1 << 30]),
        ("<br", [2, 3]),
    ],
)
def test_words_have_the_ids_of_the_vocabulary(
    segmentation_tokens: tuple[CompiledTokens, PythonTokens], text: str, ids: list[int]
) -> None:
    for tokens in segmentation_tokens:
        assert tokens([text])[0].tolist() == ids


@SEGMENTATIONS
def test_control_characters_are_punctuation_of_earlier_models(
    segmentation_tokens: tuple[CompiledTokens, PythonTokens], segmentation: Segmentation
) -> None:
    for tokens in segmentation_tokens:
        assert tokens(["a\x00b"])[0].tolist() == ([7, UNKNOWN_ID, 0] if segmentation is RUNS else [7, 0])


@SEGMENTATIONS
def test_texts_without_tokens_have_no_ids(segmentation_tokens: tuple[CompiledTokens, PythonTokens]) -> None:
    for tokens in segmentation_tokens:
        assert tokens([]) == []
        assert [ids.tolist() for ids in tokens(["", " ", "<br>", "a", ""])] == [[], [], [], [7], []]


@SEGMENTATIONS
def test_all_words_of_a_large_vocabulary_are_found(segmentation: Segmentation, library: SimpleNamespace) -> None:
    vocabulary = {f"w{i}": 2 + i for i in range(5000)}
    tokens = CompiledTokens(library, vocabulary, UNKNOWN_ID, segmentation.character_kinds)
    known, unknown = tokens([" ".join(vocabulary), "w5000"])
    assert known.tolist() == list(vocabulary.values())
    assert unknown.tolist() == [UNKNOWN_ID]


@given(
    texts=st.lists(st.text(st.sampled_from("aB0_ <br>/!\t\n中文不\u3400\u9fff，。“！~"), max_size=20), max_size=6)
)
def test_ids_of_chinese_texts_equal_those_of_python(library: SimpleNamespace, texts: list[str]) -> None:
    assert all(map(SEGMENTS.is_simple, texts))
    vocabulary = {"中": 2, "文": 3, "。": 4, "a": 5, "\u9fff": 6, "中文": 7, "é": 8}
    found = CompiledTokens(library, vocabulary, UNKNOWN_ID, SEGMENTS.character_kinds)(texts)
    expected = PythonTokens(SEGMENTS, vocabulary, UNKNOWN_ID)(texts)
    assert [ids.tolist() for ids in found] == [ids.tolist() for ids in expected]


def test_chinese_characters_have_the_ids_of_the_vocabulary(library: SimpleNamespace) -> None:
    vocabulary = {"中": 2, "。": 4, "ok": 5}
    tokens = CompiledTokens(library, vocabulary, UNKNOWN_ID, SEGMENTS.character_kinds)
    found = tokens(["OK中。", "", "文<br>中"])
    assert [ids.tolist() for ids in found] == [[5, 2, 4], [], [UNKNOWN_ID, 2]]


def test_there_is_no_compiled_form_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = loader.KernelInfo(None, "disabled", None)
    monkeypatch.setattr("fastlstm.kernel.fast_tokens.find_kernel", lambda: missing)
    assert compile_tokens({"a": 2}, UNKNOWN_ID, SEGMENTS.character_kinds) is None


BAD_SIZE, BAD_INDEX, BAD_POINTER = 1, 2, 3


class Tokenizer:
    """The words "a" and "bc" in a table of 4 slots. `changes` replace arguments."""

    def __init__(self, **changes: object) -> None:
        self.values = {
            "kinds": SEGMENTS.character_kinds.ljust(256, b"\0"),
            "words": 2,
            "characters": b"abc",
            "starts": np.array([0, 1, 3], np.int64),
            "ids": np.array([2, 3], np.int32),
            "unknown_id": UNKNOWN_ID,
            "slots": 4,
            "table": np.zeros(4, np.int32),
            **changes,
        }
        self.arguments = TokenizerArguments(**{name: address(value) for name, value in self.values.items()})


def address(value: object) -> object:
    return value.ctypes.data if isinstance(value, np.ndarray) else value


VOCABULARY_STATUSES = [
    ({}, 0),
    ({"slots": 0}, BAD_SIZE),
    ({"slots": 3}, BAD_SIZE),
    ({"slots": 2}, BAD_SIZE),
    ({"slots": 1 << 32}, BAD_SIZE),
    ({"words": -1}, BAD_SIZE),
    *[({name: None}, BAD_POINTER) for name in ("kinds", "characters", "starts", "ids", "table")],
]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        *VOCABULARY_STATUSES,
        ({"starts": np.array([0, 2, 1], np.int64)}, BAD_INDEX),
        ({"starts": np.array([1, 2, 3], np.int64)}, BAD_INDEX),
    ],
)
def test_status_of_words(library: SimpleNamespace, changes: dict[str, object], status: int) -> None:
    assert library.index_words(ctypes.byref(Tokenizer(**changes).arguments)) == status


@pytest.mark.parametrize(("changes", "status"), VOCABULARY_STATUSES)
def test_status_of_texts_with_bad_words(library: SimpleNamespace, changes: dict[str, object], status: int) -> None:
    tokenizer, starts, ids = Tokenizer(**changes), np.zeros(2, np.int64), np.zeros(1, np.int32)
    arguments = 1, b"", address(starts), address(ids), address(starts.copy())
    assert library.token_ids(ctypes.byref(tokenizer.arguments), *arguments) == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"texts": 0}, 0),
        ({"texts": -1}, BAD_SIZE),
        ({"starts": np.array([0, 2, 1], np.int64)}, BAD_INDEX),
        *[({name: None}, BAD_POINTER) for name in ("characters", "starts", "ids", "id_starts")],
    ],
)
def test_status_of_texts(library: SimpleNamespace, changes: dict[str, object], status: int) -> None:
    tokenizer, ids, id_starts = Tokenizer(), np.zeros(4, np.int32), np.full(3, -1, np.int64)
    assert library.index_words(ctypes.byref(tokenizer.arguments)) == 0
    values = {
        "texts": 2,
        "characters": b"abcx",
        "starts": np.array([0, 1, 4], np.int64),
        "ids": ids,
        "id_starts": id_starts,
        **changes,
    }
    arguments = (address(value) for value in values.values())
    assert library.token_ids(ctypes.byref(tokenizer.arguments), *arguments) == status
    if not changes:
        assert id_starts.tolist() == [0, 1, 2]
        assert ids.tolist() == [2, 1, 0, 0]
