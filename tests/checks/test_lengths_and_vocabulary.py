"""Token counts, and what limits of tokens and words leave out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.checks.conftest import MakePool

from fastlstm.checks.corpus import make_corpus, tokenize_corpus
from fastlstm.checks.lengths import Percentiles, TruncationShare, measure_lengths
from fastlstm.checks.vocabulary import Frequent, measure_vocabulary
from fastlstm.config import ModelConfig
from fastlstm.data import Dataset
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer, train_tokenizer


def test_lengths_are_in_the_tokens_that_a_model_reads(make_pool: MakePool) -> None:
    texts = make_pool(training=[("Not bad, really!", "x"), ("很好看", "y"), ("\u200b", "x"), ("[UNK] a", "y")])
    words = tokenize_corpus(texts)
    assert words.lengths.tolist() == [5, 3, 1, 4]
    assert [words.names[k] for k in words.of(np.array([True, False, False, False]))] == [
        "not", "bad", ",", "really", "!",
    ]  # fmt: skip


def test_percentiles_and_cuts_are_of_the_texts_lengths(make_pool: MakePool) -> None:
    texts = make_pool(training=[("a " * n, "xy"[n % 2]) for n in range(1, 101)], test=[("a " * 1000, "x")])
    config = ModelConfig(max_tokens=90, truncate="both")
    found = measure_lengths(
        texts, tokenize_corpus(texts).lengths, {"given": config, "none": ModelConfig(max_tokens=1000)}
    )
    assert found.parts["training"] == Percentiles(50.5, 1, 5, 25, 50, 75, 95, 99, 100)
    assert found.parts["test"].shortest == found.parts["test"].longest == 1000
    given_, none = found.cuts
    assert dataclasses.astuple(given_)[:3] == ("given", 90, "both")
    assert given_.texts == pytest.approx(11 / 101)
    assert given_.tokens == pytest.approx((55 + 910) / (5050 + 1000))
    assert none == TruncationShare("none", 1000, "end", 0.0, 0.0)
    assert sum(found.histogram) == 101
    assert found.to == 1000


def test_texts_of_one_token_have_a_histogram(make_pool: MakePool) -> None:
    texts = make_pool(training=[("a", "x"), ("b", "y")])
    found = measure_lengths(texts, tokenize_corpus(texts).lengths, {"given": ModelConfig()})
    assert (found.histogram, found.to) == ((2,), 1)


def test_the_vocabulary_is_that_of_training_and_held_out_words_are_unknown_or_unseen(make_pool: MakePool) -> None:
    texts = make_pool(
        training=[("the the the film film was was bad", "x"), ("the end", "y")],
        test=[("the film was superb bad bad", "x")],
    )
    found = measure_vocabulary(texts, tokenize_corpus(texts), 5, most=10)
    assert (found.asked, found.size, found.words, found.once) == (5, 5, 5, 2)
    assert found.unknown == {"training": pytest.approx(0.2), "test": pytest.approx(0.5)}
    assert found.unseen == {"training": 0, "test": pytest.approx(1 / 6)}
    assert found.missing == (Frequent("bad", 1, 2), Frequent("end", 1, 0), Frequent("superb", 0, 1))
    assert found.enough == 7
    assert measure_vocabulary(texts, tokenize_corpus(texts), 5, most=1).missing == (Frequent("bad", 1, 2),)


def test_a_vocabulary_larger_than_the_words_there_are_lacks_none_of_training(make_pool: MakePool) -> None:
    texts = make_pool(training=[("a b c", "x"), ("a", "y")])
    found = measure_vocabulary(texts, tokenize_corpus(texts), 100, most=5)
    assert (found.size, found.unknown, found.missing) == (5, {"training": 0}, ())


@given(st.lists(st.text("ab电 .", min_size=1, max_size=12).filter(str.strip), min_size=2, max_size=8))
def test_the_share_of_unknown_tokens_is_what_a_model_would_read(some: list[str]) -> None:
    texts = make_corpus({"training": Dataset(some, ["x", *["y"] * (len(some) - 1)])})
    found = measure_vocabulary(texts, tokenize_corpus(texts), 4, most=5)
    encoder = TextTokenizer(train_tokenizer(some, 4), max_tokens=1000, truncate="end")
    ids = np.concatenate(encoder(some).ids)
    assert found.unknown["training"] == pytest.approx((ids == UNKNOWN_ID).mean())
