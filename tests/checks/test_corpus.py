"""Parts as one: where each text stands, and how it is shown."""

from __future__ import annotations

import pytest
from tests.checks.conftest import MakePool

from fastlstm.checks.corpus import EXCERPT, Example, make_corpus
from fastlstm.data import Dataset
from fastlstm.errors import DataError


def test_a_text_is_named_by_its_part_and_its_place_there() -> None:
    texts = make_corpus({
        "training": Dataset(["a  b\n很好<br />c", "d"], ["x", "y"], "a.csv", [4, 7]),
        "test": Dataset(["e"], ["y"], "b", ["y/1.txt"]),
    })  # fmt: skip
    assert [texts.example(index) for index in range(3)] == [
        Example("training", 4, "x", "a b 很好<br />c"),
        Example("training", 7, "y", "d"),
        Example("test", "y/1.txt", "y", "e"),
    ]
    assert texts.within("test").tolist() == [False, False, True]
    assert texts.counted(texts.truth == 1) == {"training": 1, "test": 1}


def test_a_long_text_is_shown_from_its_beginning_or_from_where_something_is_to_be_seen(make_pool: MakePool) -> None:
    texts = make_pool(training=[("word " * 100 + "HERE " + "word " * 100, "x"), ("other", "y")])
    begin = texts.example(0).text
    assert begin.startswith("word word")
    assert begin.endswith("...")
    assert len(begin) == EXCERPT
    there = texts.example(0, at=500).text
    assert there.startswith("...")
    assert "HERE" in there


def test_a_label_that_training_lacks_is_refused(make_pool: MakePool) -> None:
    with pytest.raises(DataError, match="never seen in training"):
        make_pool(training=[("a", "x"), ("b", "y")], test=[("c", "z")])
