"""Token ids of ASCII texts: the kernel against Python."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.kernel import loader
from fastlstm.kernel.abi import TokenArguments, Vocabulary
from fastlstm.kernel.ascii_tokens import AsciiTokens, compiled_ascii_tokens
from fastlstm.text.ascii_tokens import PythonTokens
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
def segmentation_tokens(segmentation: Segmentation, library: SimpleNamespace) -> tuple[AsciiTokens, PythonTokens]:
    vocabulary = {"a": 7, "b": 0, "!": 5, "<": 2, "br": 3, "0_": 1 << 30, "été": 9}
    return (
        AsciiTokens(library, vocabulary, UNKNOWN_ID, segmentation.ascii_kinds),
        PythonTokens(segmentation, vocabulary, UNKNOWN_ID),
    )


@SEGMENTATIONS
@given(texts=TEXTS)
def test_ids_equal_those_of_python(segmentation: Segmentation, library: SimpleNamespace, texts: list[str]) -> None:
    words = {word for text in texts[::2] for word in segmentation.ascii_tokens(text)}
    vocabulary = {word: 2 + i for i, word in enumerate(sorted(words))}
    ids, starts = AsciiTokens(library, vocabulary, UNKNOWN_ID, segmentation.ascii_kinds)(texts)
    expected_ids, expected_starts = PythonTokens(segmentation, vocabulary, UNKNOWN_ID)(texts)
    assert (ids.dtype, starts.dtype) == (expected_ids.dtype, expected_starts.dtype)
    assert (ids.tolist(), starts.tolist()) == (expected_ids.tolist(), expected_starts.tolist())


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
    segmentation_tokens: tuple[AsciiTokens, PythonTokens], text: str, ids: list[int]
) -> None:
    for tokens in segmentation_tokens:
        assert tokens([text])[0].tolist() == ids


@SEGMENTATIONS
def test_control_characters_are_punctuation_of_earlier_models(
    segmentation_tokens: tuple[AsciiTokens, PythonTokens], segmentation: Segmentation
) -> None:
    for tokens in segmentation_tokens:
        assert tokens(["a\x00b"])[0].tolist() == ([7, UNKNOWN_ID, 0] if segmentation is RUNS else [7, 0])


@SEGMENTATIONS
def test_texts_without_tokens_have_no_ids(segmentation_tokens: tuple[AsciiTokens, PythonTokens]) -> None:
    for tokens in segmentation_tokens:
        for texts, starts in (([], [0]), (["", " ", "<br>"], [0, 0, 0, 0]), (["", "a", ""], [0, 0, 1, 1])):
            ids, found = tokens(texts)
            assert found.tolist() == starts
            assert ids.tolist() == [7] * starts[-1]


@SEGMENTATIONS
def test_all_words_of_a_large_vocabulary_are_found(segmentation: Segmentation, library: SimpleNamespace) -> None:
    vocabulary = {f"w{i}": 2 + i for i in range(5000)}
    tokens = AsciiTokens(library, vocabulary, UNKNOWN_ID, segmentation.ascii_kinds)
    ids, _ = tokens([" ".join(vocabulary), "w5000"])
    assert ids.tolist() == [*vocabulary.values(), UNKNOWN_ID]


@SEGMENTATIONS
def test_other_texts_raise_an_error(segmentation_tokens: tuple[AsciiTokens, PythonTokens]) -> None:
    with pytest.raises(UnicodeEncodeError):
        segmentation_tokens[0](["a", "é"])


def test_there_is_no_compiled_form_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = loader.KernelInfo(None, "disabled", None)
    monkeypatch.setattr("fastlstm.kernel.ascii_tokens.find_kernel", lambda: missing)
    assert compiled_ascii_tokens({"a": 2}, UNKNOWN_ID, SEGMENTS.ascii_kinds) is None


BAD_SIZE, BAD_INDEX, BAD_POINTER = 1, 2, 3


def make_vocabulary(arrays: dict[str, object], **changes: object) -> Vocabulary:
    """Return the vocabulary "a", "bc" in a table of 4 slots; `arrays` keeps its memory."""
    arrays |= {
        "starts": np.array([0, 1, 3], np.int64),
        "ids": np.array([2, 3], np.int32),
        "table": np.zeros(4, np.int32),
        **changes,
    }
    addresses = {
        name: value.ctypes.data if isinstance(value, np.ndarray) else value for name, value in arrays.items()
    }
    return Vocabulary(**({"words": 2, "characters": b"abc", "unknown_id": 1, "slots": 4} | addresses))


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"slots": 0}, BAD_SIZE),
        ({"slots": 3}, BAD_SIZE),
        ({"slots": 2}, BAD_SIZE),
        ({"slots": 1 << 32}, BAD_SIZE),
        ({"words": -1}, BAD_SIZE),
        ({"starts": np.array([0, 2, 1], np.int64)}, BAD_INDEX),
        ({"starts": np.array([1, 2, 3], np.int64)}, BAD_INDEX),
        *[({name: None}, BAD_POINTER) for name in ("characters", "starts", "ids", "table")],
    ],
)
def test_status_of_a_vocabulary(library: SimpleNamespace, changes: dict[str, object], status: int) -> None:
    arrays: dict[str, object] = {}
    assert library.index_words(ctypes.byref(make_vocabulary(arrays, **changes))) == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 0),
        ({"texts": 0}, 0),
        ({"texts": -1}, BAD_SIZE),
        ({"starts": np.array([0, 2, 1], np.int64)}, BAD_INDEX),
        *[
            ({name: None}, BAD_POINTER)
            for name in ("vocabulary", "kinds", "characters", "starts", "ids", "id_starts")
        ],
    ],
)
def test_status_of_texts(library: SimpleNamespace, changes: dict[str, object], status: int) -> None:
    arrays: dict[str, object] = {}
    vocabulary, ids, id_starts = make_vocabulary(arrays), np.zeros(4, np.int32), np.full(3, -1, np.int64)
    assert library.index_words(ctypes.byref(vocabulary)) == 0
    values = {
        "vocabulary": ctypes.pointer(vocabulary),
        "kinds": SEGMENTS.ascii_kinds.ljust(256, b"\0"),
        "texts": 2,
        "characters": b"abcx",
        "starts": np.array([0, 1, 4], np.int64),
        "ids": ids,
        "id_starts": id_starts,
        **changes,
    }
    addresses = {
        name: value.ctypes.data if isinstance(value, np.ndarray) else value for name, value in values.items()
    }
    assert library.token_ids(ctypes.byref(TokenArguments(**addresses))) == status
    if not changes:
        assert id_starts.tolist() == [0, 1, 2]
        assert ids.tolist() == [2, 1, 0, 0]
