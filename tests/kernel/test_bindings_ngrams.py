"""N-gram logits of the kernel against NumPy, bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from tests.helpers.kernel_ngrams import KINDS, ngram_arguments, random_model, random_texts

from fastlstm._typing import TokenIds
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.ngrams import NGramReader, NGramTable
from fastlstm.text.batches import join_texts
from fastlstm.text.ngrams import NGRAM_ID_COUNT, NGRAM_KINDS, NGramKind, NGramLogits

PLACES = NGRAM_KINDS["places"]


def make_model(count: int = 40, longest: int = 350, kinds: Sequence[NGramKind] = PLACES, C: int = 2) -> Any:
    generator = np.random.default_rng(count + C)
    texts = random_texts(generator, count, longest)
    return random_model(generator, texts, kinds, C), texts


def table_of(kernel: Kernel, model: NGramLogits) -> NGramTable:
    return kernel.ngram_table(model.ids, model.weight, model.kinds)


def kernel_logits(kernel: Kernel, model: NGramLogits, texts: Sequence[TokenIds]) -> Any:
    tokens, starts = join_texts(texts)
    return table_of(kernel, model).logits(starts, tokens)


@pytest.mark.parametrize("C", [1, 3])
@pytest.mark.parametrize("kinds", KINDS)
def test_logits_equal_those_of_numpy_with_any_number_of_threads(kernel: Kernel, kinds: str, C: int) -> None:
    model, texts = make_model(kinds=KINDS[kinds], C=C)
    expected = model(texts)
    assert np.count_nonzero(expected) > 0.9 * expected.size
    for threads in (1, 2, 3, 4):
        kernel.threads = threads
        assert kernel_logits(kernel, model, texts).tobytes() == expected.tobytes()


def test_logits_of_a_text_do_not_depend_on_its_batch(kernel: Kernel) -> None:
    model, texts = make_model()
    expected = kernel_logits(kernel, model, texts)
    for k, text in enumerate(texts):
        assert kernel_logits(kernel, model, [text]).tobytes() == expected[k].tobytes()
    order = np.random.default_rng(0).permutation(len(texts))
    assert kernel_logits(kernel, model, [texts[k] for k in order]).tobytes() == expected[order].tobytes()


def test_long_texts_and_many_texts_are_divided_among_threads(kernel: Kernel) -> None:
    generator = np.random.default_rng(3)
    texts = [generator.integers(0, 300, n, np.int32) for n in [30_000, *generator.integers(1, 60, 2000), 9000]]
    model = random_model(generator, texts[-50:], PLACES, 1)
    kernel.threads = 4
    assert kernel_logits(kernel, model, texts).tobytes() == model(texts).tobytes()


@pytest.mark.parametrize("tokens", [[], [7], [7, 7], [2**31 - 1, 0, 1]])
def test_short_texts_equal_numpy(kernel: Kernel, tokens: list[int]) -> None:
    texts = [np.array(tokens, np.int32), np.array([7, 8, 7], np.int32)]
    for kinds in KINDS.values():
        model = random_model(np.random.default_rng(1), texts, kinds, 2)
        assert kernel_logits(kernel, model, texts).tobytes() == model(texts).tobytes()


def test_no_texts_have_no_logits(kernel: Kernel) -> None:
    table = table_of(kernel, make_model()[0])
    assert table.logits(np.zeros(1, np.int64), np.empty(0, np.int32)).shape == (0, 2)


def test_each_ngram_counts_once_whatever_its_kind(kernel: Kernel) -> None:
    kinds = [NGramKind(5, (0,)), NGramKind(5, (0,), end=1), NGramKind(5, (0,), beginning=2)]
    text = np.array([4, 4, 4], np.int32)
    model = random_model(np.random.default_rng(0), [text, text + 1], kinds, 1)
    model = NGramLogits(model.ids, np.ones_like(model.weight), kinds)
    logits = kernel_logits(kernel, model, [text, text + 1])
    assert logits.sum() == 1
    assert logits.tobytes() == model([text, text + 1]).tobytes()


@pytest.mark.parametrize("ids", [[], [0], [NGRAM_ID_COUNT - 1], [0, 63, 64, NGRAM_ID_COUNT - 1]], ids=str)
def test_first_and_last_ids_have_rows(kernel: Kernel, ids: list[int]) -> None:
    weight = np.arange(1, len(ids) + 1, dtype=np.float32)[:, None]
    model = NGramLogits(np.array(ids, np.int32), weight, KINDS["pairs"])
    texts = random_texts(np.random.default_rng(0), 30, 400, vocabulary=2**31 - 1)
    assert kernel_logits(kernel, model, texts).tobytes() == model(texts).tobytes()


def test_all_ids_can_have_weights(kernel: Kernel) -> None:
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((NGRAM_ID_COUNT, 1)).astype(np.float32)
    model = NGramLogits(np.arange(NGRAM_ID_COUNT, dtype=np.int32), weight, PLACES)
    texts = random_texts(generator, 3, 500, vocabulary=20_000)
    assert kernel_logits(kernel, model, texts).tobytes() == model(texts).tobytes()


def test_nan_of_a_weight_affects_only_texts_with_its_ngram(kernel: Kernel) -> None:
    model, texts = make_model()
    expected = kernel_logits(kernel, model, texts)
    weight = model.weight.copy()
    weight[len(weight) // 2] = np.nan
    logits = kernel_logits(kernel, NGramLogits(model.ids, weight, PLACES), texts)
    affected = np.isnan(logits).any(axis=1)
    assert 0 < affected.sum() < len(texts)
    assert logits[~affected].tobytes() == expected[~affected].tobytes()


def random_pieces(text: TokenIds, generator: np.random.Generator) -> list[TokenIds]:
    pieces = []
    while len(text):
        size = int(generator.integers(1, 150) if generator.random() < 0.1 else generator.integers(0, 4))
        pieces.append(text[:size])
        text = text[size:]
    return pieces


@pytest.mark.parametrize("kinds", KINDS)
def test_pieces_equal_the_text_so_far_read_at_once(kernel: Kernel, kinds: str) -> None:
    model, texts = make_model(6, 600, kinds=KINDS[kinds])
    table = table_of(kernel, model)
    for seed, text in enumerate(texts):
        generator, reader, count = np.random.default_rng(seed), NGramReader(table), 0
        assert not reader.logits().any()
        for piece in random_pieces(text, generator):
            reader.feed(piece)
            count += len(piece)
            if generator.random() < 0.2:
                assert reader.logits().tobytes() == model([text[:count]]).tobytes()
            if generator.random() < 0.1:
                state, reader = reader.state(), NGramReader(table)
                reader.restore(*state, count)
        assert reader.logits().tobytes() == model([text]).tobytes()
        assert reader.logits().tobytes() == model([text]).tobytes()


def test_logits_of_a_reader_are_not_overwritten_by_later_ones(kernel: Kernel) -> None:
    model, texts = make_model(C=1)
    reader = NGramReader(table_of(kernel, model))
    reader.feed(texts[0])
    first = reader.logits()
    reader.feed(texts[1])
    assert reader.logits().tobytes() != first.tobytes()
    assert first.tobytes() == model([texts[0]]).tobytes()


@pytest.mark.parametrize(
    ("starts", "tokens"),
    [
        (np.empty(0, np.int64), np.empty(0, np.int32)),
        (np.array([0, 3]), np.zeros(2, np.int32)),
        (np.array([0, -1]), np.zeros(2, np.int32)),
        (np.array([1, 2]), np.zeros(2, np.int32)),
        (np.array([0, 2, 1, 2]), np.zeros(2, np.int32)),
        (np.array([0, 2], np.int32), np.zeros(2, np.int32)),
        (np.array([0, 2]), np.zeros(2, np.int64)),
        (np.array([0, 2]), np.zeros(4, np.int32)[::2]),
    ],
)
def test_wrong_texts_raise_value_error(kernel: Kernel, starts: Any, tokens: Any) -> None:
    table = table_of(kernel, make_model()[0])
    with pytest.raises(ValueError, match=r"expected|size"):
        table.logits(starts, tokens)


def test_wrong_tokens_of_a_piece_raise_value_error(kernel: Kernel) -> None:
    reader = NGramReader(table_of(kernel, make_model()[0]))
    wrong: list[Any] = [np.zeros(2, np.int64), np.zeros((2, 2), np.int32), np.zeros(4, np.int32)[::2]]
    for tokens in wrong:
        with pytest.raises(ValueError, match="tokens"):
            reader.feed(tokens)


@pytest.mark.parametrize("ids", [[3, 3], [3, 2], [-1, 2], [3, NGRAM_ID_COUNT]], ids=str)
def test_invalid_ids_raise_value_error(kernel: Kernel, ids: list[int]) -> None:
    with pytest.raises(ValueError, match="index"):
        kernel.ngram_table(np.array(ids, np.int32), np.zeros((2, 1), np.float32), PLACES)


@pytest.mark.parametrize(
    "kind",
    [
        NGramKind(1, tuple(range(9))),
        NGramKind(1, (1, 2)),
        NGramKind(1, (0, 0)),
        NGramKind(1, (0, 2, 1)),
        NGramKind(1, (0,), beginning=-1),
        NGramKind(1, (0,), end=-1),
        NGramKind(1, (0, 2**62)),
    ],
    ids=str,
)
def test_invalid_kinds_raise_value_error(kernel: Kernel, kind: NGramKind) -> None:
    with pytest.raises(ValueError, match=r"size|9 tokens"):
        kernel.ngram_table(np.zeros(1, np.int32), np.zeros((1, 1), np.float32), [kind]).logits(
            np.array([0, 1]), np.zeros(1, np.int32)
        )


def test_weights_of_another_shape_raise_value_error(kernel: Kernel) -> None:
    wrong: list[Any] = [np.zeros((2, 1), np.float32), np.zeros((3, 1)), np.zeros((1, 3), np.float32)]
    for weight in wrong:
        with pytest.raises(ValueError, match=r"weight|ids"):
            kernel.ngram_table(np.arange(3, dtype=np.int32), weight, PLACES)


def test_state_is_ignored_before_the_first_token(kernel: Kernel) -> None:
    model, texts = make_model(5)
    arguments = ngram_arguments(kernel, model, texts)
    arguments.arrays["seen"][:] = 2**64 - 1
    arguments.arrays["last"][:] = -1
    arguments.arrays["end_rows"][:] = 3
    arguments.table.call(arguments)
    assert arguments.arrays["logits"].tobytes() == model(texts).tobytes()
    assert arguments.arrays["tokens_read"].tolist() == [len(text) for text in texts]
