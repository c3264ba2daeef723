"""Corpora: the location of each text, excerpts, and tokens."""

from __future__ import annotations

import numpy as np
import pytest
from tests.helpers.corpora import corpus_from_rows

from fastlstm.checks.corpus import MAX_EXCERPT_LENGTH, Example, make_corpus, tokenize_corpus
from fastlstm.data import Dataset
from fastlstm.errors import DataError


def test_example_has_the_part_and_the_location_there() -> None:
    corpus = make_corpus({
        "training": Dataset(["a  b\n很好<br />c", "d"], ["x", "y"], "a.csv", [4, 7]),
        "test": Dataset(["e"], ["y"], "b", ["y/1.txt"]),
    })  # fmt: skip
    assert [corpus.example(index) for index in range(3)] == [
        Example("training", 4, "x", "a b 很好<br />c"),
        Example("training", 7, "y", "d"),
        Example("test", "y/1.txt", "y", "e"),
    ]
    assert corpus.part_mask("test").tolist() == [False, False, True]
    assert corpus.count_by_part(corpus.targets == 1) == {"training": 1, "test": 1}


def test_long_text_is_shown_from_its_beginning_or_near_a_position() -> None:
    corpus = corpus_from_rows(training=[("word " * 100 + "HERE " + "word " * 100, "x"), ("other", "y")])
    beginning = corpus.example(0).text
    assert beginning.startswith("word word")
    assert beginning.endswith("...")
    assert len(beginning) == MAX_EXCERPT_LENGTH
    middle = corpus.example(0, position=500).text
    assert middle.startswith("...")
    assert "HERE" in middle


def test_label_that_training_lacks_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        corpus_from_rows(training=[("a", "x"), ("b", "y")], test=[("c", "z")])
    assert (raised.value.code, raised.value.label) == ("unknown-label", "z")


def test_tokens_are_those_that_a_model_reads() -> None:
    rows = [("Not bad, really!", "x"), ("很好看", "y"), ("\u200b", "x"), ("[UNK] a", "y")]
    tokens = tokenize_corpus(corpus_from_rows(training=rows))
    assert tokens.lengths.tolist() == [5, 3, 0, 4]
    first_text = tokens.select(np.array([True, False, False, False]))
    assert [tokens.words[k] for k in first_text] == ["not", "bad", ",", "really", "!"]
