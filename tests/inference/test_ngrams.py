"""The n-gram model of inference, on the kernel and on NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.kernel_ngrams import KINDS as MORE_KINDS

from fastlstm._typing import TokenIds
from fastlstm.inference.ngrams import NGramModel
from fastlstm.kernel import find_kernel
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, extract_ngrams

KINDS = NGRAM_KINDS["places"]
TEXT = np.random.default_rng(0).integers(0, 40, 700, np.int32)


@pytest.fixture(params=["kernel", "NumPy"])
def model(request: pytest.FixtureRequest) -> NGramModel:
    """A model with weights for half of the n-grams of `TEXT`."""
    kernel = find_kernel().kernel
    if request.param == "NumPy":
        kernel = None
    elif kernel is None:
        pytest.skip("no compiled kernel")
    ids = extract_ngrams([TEXT], kinds=KINDS).ids[::2]
    weight = np.random.default_rng(1).standard_normal((len(ids), 2)).astype(np.float32)
    return NGramModel(ids, weight, KINDS, kernel)


def test_logits_equal_the_reference(model: NGramModel) -> None:
    texts = [TEXT[:n] for n in (1, 2, 30, 31, 301, 700)]
    assert model(texts).tobytes() == model.reference(texts).tobytes()


def test_weights_need_not_be_contiguous(model: NGramModel) -> None:
    reference = model.reference
    weight = np.asfortranarray(reference.weight)
    other = NGramModel(reference.ids.astype(np.int64), weight, KINDS, find_kernel().kernel)
    assert other([TEXT]).tobytes() == model([TEXT]).tobytes()


def test_pieces_equal_the_text_so_far(model: NGramModel) -> None:
    text, count = model.start_text(), 0
    for size in np.random.default_rng(2).integers(1, 40, 30):
        text.feed(TEXT[count : count + size])
        count = min(count + int(size), len(TEXT))
        assert text.logits().tobytes() == model([TEXT[:count]]).tobytes()
    assert count > 400


def test_states_of_kernel_and_numpy_are_equal(model: NGramModel) -> None:
    reference = model.reference
    other = NGramModel(reference.ids, reference.weight, KINDS, None)
    for count in (1, 2, 64, 65, 299, 300, 301, 700):
        texts = model.start_text(), other.start_text()
        for text in texts:
            text.feed(TEXT[: count // 2])
            text.feed(TEXT[count // 2 : count])
        states = [text.state() for text in texts]
        for array, expected, dtype in zip(*states, [np.int64, np.int32], strict=True):
            assert array.dtype == expected.dtype == dtype
            np.testing.assert_array_equal(array, expected)
        resumed = model.resume_text(*states[1], count)
        resumed.feed(TEXT)
        assert resumed.logits().tobytes() == model([np.concatenate([TEXT[:count], TEXT])]).tobytes()


@pytest.mark.parametrize("kinds", ["mixed", "words"])
def test_kinds_with_two_windows_or_one_token_equal_the_reference_in_pieces(kinds: str) -> None:
    ids = extract_ngrams([TEXT], kinds=MORE_KINDS[kinds]).ids
    model = NGramModel(ids, np.ones((len(ids), 1), np.float32), MORE_KINDS[kinds], None)
    text = model.start_text()
    for count in range(1, 200):
        text.feed(TEXT[count - 1 : count])
        assert text.logits().tobytes() == model([TEXT[:count]]).tobytes()
        assert len(text.state()[1]) == min(count, model.reference.window)


def test_rows_are_those_of_the_ids(model: NGramModel) -> None:
    ids = model.reference.ids
    assert model.rows(ids).tolist() == list(range(len(ids)))
    assert model.rows(ids[:0]).tolist() == []
    unknown = np.flatnonzero(~model.reference.mask)
    for wrong in (-1, unknown[0], unknown[-1], NGRAM_ID_COUNT):
        with pytest.raises(ValueError, match="n-gram ids"):
            model.rows(np.array([ids[0], wrong], np.int32))


@pytest.mark.parametrize("case", ["negative", "too large", "decreasing", "repeated"])
def test_invalid_rows_are_not_resumed(model: NGramModel, case: str) -> None:
    count = len(model.reference.ids)
    rows = {"negative": [-1, 0], "too large": [0, count], "decreasing": [1, 0], "repeated": [1, 1]}[case]
    last = np.zeros(4, np.int32)
    model.resume_text(np.array([0, count - 1]), last, 4)
    with pytest.raises(ValueError, match="n-gram rows"):
        model.resume_text(np.array(rows), last, 4)


def test_ngrams_without_tokens_are_not_resumed(model: NGramModel) -> None:
    none = np.empty(0, np.int32)
    model.resume_text(np.empty(0, np.int64), none, 0)
    with pytest.raises(ValueError, match="without tokens"):
        model.resume_text(np.array([0, 1]), none, 0)


@pytest.mark.parametrize(
    ("last", "token_count"),
    [
        (np.zeros(5, np.int32), 4),
        (np.zeros(3, np.int32), 4),
        (np.zeros(299, np.int32), 400),
        (np.array([1, -1]), 2),
    ],
)
def test_invalid_last_tokens_are_not_resumed(model: NGramModel, last: TokenIds, token_count: int) -> None:
    with pytest.raises(ValueError, match="last tokens"):
        model.resume_text(np.array([0, 1]), last, token_count)
