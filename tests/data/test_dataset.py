"""Datasets and stratified splits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data.dataset import Dataset, split_dataset
from fastlstm.errors import DataError, OptionError


def make_dataset(labels: list[str]) -> Dataset:
    return Dataset([f"text {number}" for number in range(len(labels))], labels, "reviews.csv")


@pytest.mark.parametrize(
    ("labels", "locations", "values"),
    [
        (["x"], None, {"texts": 2, "labels": 1}),
        (["x", "y"], [1], {"texts": 2, "locations": 1}),
    ],
)
def test_unequal_lengths_raise_data_error(
    labels: list[str], locations: list[int | str] | None, values: dict[str, int]
) -> None:
    with pytest.raises(DataError) as raised:
        Dataset(["a", "b"], labels, "reviews.csv", locations)
    assert raised.value.code == "length-mismatch"
    assert raised.value.values == {"source": "reviews.csv", **values}


def test_length_is_the_number_of_texts() -> None:
    assert len(make_dataset(["x", "y", "x"])) == 3


def test_repr_is_short() -> None:
    assert repr(make_dataset(["x"] * 1000)) == "Dataset(source='reviews.csv')"


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
def test_class_names_are_sorted_and_integers_by_value(labels: list[str], names: list[str]) -> None:
    assert make_dataset(labels).class_names == names


def test_take_keeps_the_order_of_the_indices() -> None:
    dataset = make_dataset(["x", "y", "z"])
    taken = dataset.take(np.array([2, 0, 2]))
    assert taken == Dataset(["text 2", "text 0", "text 2"], ["z", "x", "z"], "reviews.csv")
    assert dataset.take([], "nothing") == Dataset([], [], "nothing")


def test_split_holds_out_a_fraction_of_each_class() -> None:
    dataset = make_dataset(["x"] * 50 + ["y"] * 10 + ["rare"] + ["two"] * 2)
    rest, held_out = split_dataset(dataset, 0.2, seed=0)
    assert Counter(held_out.labels) == {"x": 10, "y": 2, "two": 1}
    assert Counter(rest.labels) == {"x": 40, "y": 8, "two": 1, "rare": 1}
    assert (rest.source, held_out.source) == ("reviews.csv (the rest)", "reviews.csv (held out)")


def test_split_never_empties_a_class() -> None:
    rest, _ = split_dataset(make_dataset(["x", "x", "y", "y", "y"]), 0.999, seed=0)
    assert Counter(rest.labels) == {"x": 1, "y": 1}


def test_split_depends_only_on_the_seed() -> None:
    dataset = make_dataset(["x", "y"] * 50)
    assert split_dataset(dataset, 0.3, seed=7) == split_dataset(dataset, 0.3, seed=7)
    assert split_dataset(dataset, 0.3, seed=7) != split_dataset(dataset, 0.3, seed=8)


@given(
    labels=st.lists(st.sampled_from("abc"), min_size=2, max_size=60),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_partitions_the_texts_and_keeps_their_order(labels: list[str], fraction: float, seed: int) -> None:
    dataset = make_dataset(labels)
    if max(Counter(labels).values()) == 1:
        return
    parts = split_dataset(dataset, fraction, seed)
    assert sorted(parts[0].texts + parts[1].texts) == sorted(dataset.texts)
    for part in parts:
        rows = [dataset.texts.index(text) for text in part.texts]
        assert rows == sorted(rows)
        assert part.labels == [labels[row] for row in rows]
    for name, count in Counter(labels).items():
        expected = 0 if count == 1 else min(max(round(count * fraction), 1), count - 1)
        assert parts[1].labels.count(name) == expected


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_outside_0_and_1_raises_option_error(fraction: float) -> None:
    with pytest.raises(OptionError) as raised:
        split_dataset(make_dataset(["x", "x"]), fraction, seed=0)
    assert raised.value.code == "bad-fraction"
    assert raised.value.fraction is fraction


def test_split_of_classes_with_one_text_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        split_dataset(make_dataset(["x", "y"]), 0.5, seed=0)
    assert (raised.value.code, raised.value.source) == ("cannot-split", "reviews.csv")


def test_subsets_keep_the_location_of_each_text() -> None:
    dataset = make_dataset(["x", "y"] * 5)
    assert [dataset.location(index) for index in (0, 9)] == [1, 10]
    rest, held_out = split_dataset(dataset, 0.2, seed=0)
    assert None not in [rest.locations, held_out.locations]
    texts = {part.location(i): text for part in (rest, held_out) for i, text in enumerate(part.texts)}
    assert texts == {number: f"text {number - 1}" for number in range(1, 11)}
    files = Dataset(["a", "b"], ["x", "y"], locations=["x/1.txt", "y/2.txt"])
    assert files.take([1]).location(0) == "y/2.txt"


def test_label_indices_are_positions_in_the_given_labels() -> None:
    assert make_dataset(["y", "x", "y"]).label_indices(["x", "y"]).tolist() == [1, 0, 1]


def test_unknown_label_raises_data_error_with_its_location() -> None:
    dataset = Dataset(["a", "b"], ["x", "z"], "reviews.csv", [7, 9])
    with pytest.raises(DataError) as raised:
        dataset.label_indices(["x", "y"])
    assert raised.value.code == "unknown-label"
    assert raised.value.values == {
        "source": "reviews.csv", "location": 9, "label": "z", "labels": ["x", "y"],
    }  # fmt: skip
