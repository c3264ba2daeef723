from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.data.validation import collect_dataset, require_classes
from fastlstm.errors import DataError, OptionError


def records_of(labels: list[str]) -> Dataset:
    return Dataset([f"text {number}" for number in range(len(labels))], labels, "reviews.csv")


def test_a_label_is_needed_for_each_text() -> None:
    with pytest.raises(DataError, match=r"2 texts and 1 labels came; expected one label a text"):
        Dataset(["a", "b"], ["x"], "reviews.csv")


def test_length_is_the_number_of_texts() -> None:
    assert len(records_of(["x", "y", "x"])) == 3


def test_the_representation_is_short() -> None:
    assert repr(records_of(["x"] * 1000)) == "Dataset(source='reviews.csv')"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a", "b"], ["a", "b"]),
        (["10", "9", "-1", "+2"], ["-1", "+2", "9", "10"]),
        (["10", "9", "x"], ["10", "9", "x"]),
        (["1", "01"], ["01", "1"]),
        (["1" * 5000, "2"], ["1" * 5000, "2"]),
        ([], []),
    ],
)
def test_class_names_are_sorted_and_whole_numbers_by_value(labels: list[str], names: list[str]) -> None:
    assert records_of(labels).class_names == names


def test_take_keeps_the_order_of_the_indices() -> None:
    records = records_of(["x", "y", "z"])
    taken = records.take(np.array([2, 0, 2]))
    assert taken == Dataset(["text 2", "text 0", "text 2"], ["z", "x", "z"], "reviews.csv")
    assert records.take([], "nothing") == Dataset([], [], "nothing")


def test_split_holds_out_a_share_of_each_class() -> None:
    records = records_of(["x"] * 50 + ["y"] * 10 + ["rare"] + ["two"] * 2)
    rest, held_out = split_dataset(records, 0.2, seed=0)
    assert Counter(held_out.labels) == {"x": 10, "y": 2, "two": 1}
    assert Counter(rest.labels) == {"x": 40, "y": 8, "two": 1, "rare": 1}
    assert (rest.source, held_out.source) == ("reviews.csv (the rest)", "reviews.csv (held out)")


def test_split_never_empties_a_class() -> None:
    rest, _ = split_dataset(records_of(["x", "x", "y", "y", "y"]), 0.999, seed=0)
    assert Counter(rest.labels) == {"x": 1, "y": 1}


def test_split_depends_on_the_seed_alone() -> None:
    records = records_of(["x", "y"] * 50)
    assert split_dataset(records, 0.3, seed=7) == split_dataset(records, 0.3, seed=7)
    assert split_dataset(records, 0.3, seed=7) != split_dataset(records, 0.3, seed=8)


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=2, max_size=60),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_parts_the_records_and_keeps_their_order(labels: list[str], fraction: float, seed: int) -> None:
    records = records_of(labels)
    if max(Counter(labels).values()) == 1:
        return
    parts = split_dataset(records, fraction, seed)
    assert sorted(parts[0].texts + parts[1].texts) == sorted(records.texts)
    for part in parts:
        rows = [records.texts.index(text) for text in part.texts]
        assert rows == sorted(rows)
        assert part.labels == [labels[row] for row in rows]
    for name, count in Counter(labels).items():
        expected = 0 if count == 1 else min(max(round(count * fraction), 1), count - 1)
        assert parts[1].labels.count(name) == expected


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_split_refuses_a_fraction_outside_0_and_1(fraction: float) -> None:
    with pytest.raises(OptionError, match=r"hold out is .*; expected a number between 0 and 1"):
        split_dataset(records_of(["x", "x"]), fraction, seed=0)


def test_split_refuses_records_of_single_rows() -> None:
    with pytest.raises(DataError, match=r"nothing of reviews\.csv can be held out: no class has two rows"):
        split_dataset(records_of(["x", "y"]), 0.5, seed=0)


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
def test_a_label_becomes_a_class_name(label: object, name: str) -> None:
    assert collect_dataset([(1, "some words", label)], "reviews").labels == [name]


@pytest.mark.parametrize("text", ["10/10", "5 stars", "...", "-", "3,5 von 5", "1e", "☆"])
def test_a_text_need_not_be_made_of_letters(text: str) -> None:
    assert collect_dataset([(1, text, "x")], "reviews").texts == [text]


@pytest.mark.parametrize("labels", [["x", "x"], []])
def test_classes_are_required_where_there_are_fewer_than_two(labels: list[str]) -> None:
    with pytest.raises(DataError, match=r"reviews\.csv has (one class only \('x'\)|no class); expected two"):
        require_classes(records_of(labels))


def test_two_classes_are_enough() -> None:
    require_classes(records_of(["x", "y"]))


def test_a_record_keeps_its_place_when_parts_are_taken() -> None:
    records = records_of(["x", "y"] * 5)
    assert [records.place(index) for index in (0, 9)] == [1, 10]
    rest, held_out = split_dataset(records, 0.2, seed=0)
    assert [rest.places, held_out.places] != [None, None]
    assert {rest.place(i): text for i, text in enumerate(rest.texts)} | {
        held_out.place(i): text for i, text in enumerate(held_out.texts)
    } == {number: f"text {number - 1}" for number in range(1, 11)}
    files = Dataset(["a", "b"], ["x", "y"], places=["x/1.txt", "y/2.txt"])
    assert files.take([1]).place(0) == "y/2.txt"


def test_a_place_is_needed_for_each_text_or_none() -> None:
    with pytest.raises(DataError, match=r"2 texts and 1 places came; expected one place a text, or none"):
        Dataset(["a", "b"], ["x", "y"], places=[1])


def test_an_unknown_label_is_named_by_its_place() -> None:
    records = Dataset(["a", "b"], ["x", "z"], "reviews.csv", [7, 9])
    with pytest.raises(DataError, match=r"text 9 of reviews\.csv has the label 'z'"):
        records.label_indices(["x", "y"])
