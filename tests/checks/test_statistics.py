"""Text lengths, truncation and vocabulary coverage."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.corpora import Rows, corpus_from_rows

from fastlstm.checks.corpus import make_corpus, tokenize_corpus
from fastlstm.checks.statistics import (
    LengthPercentiles,
    Lengths,
    MissingWord,
    Truncation,
    Vocabulary,
    measure_lengths,
    measure_vocabulary,
)
from fastlstm.config import ModelConfig
from fastlstm.data import Dataset
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer, train_tokenizer


def lengths_of(limits: dict[str, ModelConfig], **parts: Rows) -> Lengths:
    corpus = corpus_from_rows(**parts)
    return measure_lengths(corpus, tokenize_corpus(corpus).lengths, limits)


def vocabulary_of(size: int, max_examples: int = 10, **parts: Rows) -> Vocabulary:
    corpus = corpus_from_rows(**parts)
    return measure_vocabulary(corpus, tokenize_corpus(corpus), size, max_examples)


def test_percentiles_and_truncation_follow_from_the_lengths() -> None:
    limits = {"given": ModelConfig(max_tokens=90, truncate="both"), "none": ModelConfig(max_tokens=1000)}
    training = [("a " * n, "xy"[n % 2]) for n in range(1, 101)]
    lengths = lengths_of(limits, training=training, test=[("a " * 1000, "x")])
    assert lengths.parts["training"] == LengthPercentiles(50.5, 1, 5, 25, 50, 75, 95, 99, 100)
    assert lengths.parts["test"].min == lengths.parts["test"].max == 1000
    given_, none = lengths.truncation
    assert dataclasses.astuple(given_)[:3] == ("given", 90, "both")
    assert given_.texts == pytest.approx(11 / 101)
    assert given_.tokens == pytest.approx((55 + 910) / (5050 + 1000))
    assert none == Truncation("none", 1000, "end", 0.0, 0.0)
    assert sum(lengths.histogram) == 101
    assert lengths.histogram_max == 1000


def test_texts_of_one_token_have_a_histogram() -> None:
    lengths = lengths_of({"given": ModelConfig()}, training=[("a", "x"), ("b", "y")])
    assert (lengths.histogram, lengths.histogram_max) == ((2,), 1)


def test_vocabulary_is_built_from_training_and_measured_on_every_part() -> None:
    training = [("the the the film film was was bad", "x"), ("the end", "y")]
    test = [("the film was superb bad bad", "x")]
    vocabulary = vocabulary_of(5, training=training, test=test)
    assert (vocabulary.requested_size, vocabulary.size) == (5, 5)
    assert (vocabulary.training_words, vocabulary.singletons) == (5, 2)
    assert vocabulary.unknown == {"training": pytest.approx(0.2), "test": pytest.approx(0.5)}
    assert vocabulary.unseen == {"training": 0, "test": pytest.approx(1 / 6)}
    assert vocabulary.missing == (MissingWord("bad", 1, 2), MissingWord("end", 1, 0), MissingWord("superb", 0, 1))
    assert vocabulary.sufficient_size == 7
    limited = vocabulary_of(5, max_examples=1, training=training, test=test)
    assert limited.missing == (MissingWord("bad", 1, 2),)


def test_large_vocabulary_contains_every_training_word() -> None:
    vocabulary = vocabulary_of(100, training=[("a b c", "x"), ("a", "y")])
    assert (vocabulary.size, vocabulary.unknown, vocabulary.missing) == (5, {"training": 0}, ())


@given(st.lists(st.text("ab电 .", min_size=1, max_size=12).filter(str.strip), min_size=2, max_size=8))
def test_unknown_fraction_is_that_of_a_model(texts: list[str]) -> None:
    corpus = make_corpus({"training": Dataset(texts, ["x", *["y"] * (len(texts) - 1)])})
    vocabulary = measure_vocabulary(corpus, tokenize_corpus(corpus), 4, max_examples=5)
    tokenizer = TextTokenizer(train_tokenizer(texts, 4), max_tokens=1000, truncate="end")
    ids = np.concatenate(tokenizer(texts).ids)
    assert vocabulary.unknown["training"] == pytest.approx((ids == UNKNOWN_ID).mean())
