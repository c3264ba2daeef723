"""Validation of texts and labels in memory."""

from __future__ import annotations

import numpy as np
import pytest

from fastlstm.data.dataset import Dataset
from fastlstm.data.validation import collect_dataset, require_classes
from fastlstm.errors import DataError


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("good", "good"),
        ("  good\t", "good"),
        (7, "7"),
        (-1, "-1"),
        (1.0, "1"),
        (True, "true"),
        (False, "false"),
        (np.int8(3), "3"),
        (np.float32(2.0), "2"),
        (np.bool_(True), "true"),
    ],
)
def test_label_becomes_a_class_name(label: object, name: str) -> None:
    assert collect_dataset([(1, "some words", label)], "reviews").labels == [name]


@pytest.mark.parametrize("text", ["10/10", "5 stars", "...", "-", "3,5 von 5", "1e", "☆"])
def test_text_without_letters_is_accepted(text: str) -> None:
    assert collect_dataset([(1, text, "x")], "reviews").texts == [text]


def test_row_error_has_the_source_and_the_location() -> None:
    with pytest.raises(DataError) as raised:
        collect_dataset([(3, "some words", "x"), (4, 12, "x")], "reviews")
    assert raised.value.code == "numeric-text"
    assert raised.value.values == {"text": 12, "source": "reviews", "location": 4}


@pytest.mark.parametrize(("labels", "classes"), [(["x", "x"], ["x"]), ([], [])])
def test_fewer_than_two_classes_raise_data_error(labels: list[str], classes: list[str]) -> None:
    with pytest.raises(DataError) as raised:
        require_classes(Dataset(["text"] * len(labels), labels, "reviews.csv"))
    assert (raised.value.code, raised.value.classes) == ("one-class", classes)
    assert raised.value.source == "reviews.csv"


def test_two_classes_are_accepted() -> None:
    require_classes(Dataset(["a", "b"], ["x", "y"]))
