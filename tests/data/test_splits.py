"""The training, validation and test texts of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.imdb_archive import write_acl

from fastlstm.data import Dataset, UnlabelledTexts
from fastlstm.data.datasets import IMDB_LABELS
from fastlstm.data.splits import VALIDATION_DESCRIPTION, load_splits, read_unlabelled
from fastlstm.errors import DataError


def make_dataset(texts: int, source: str = "reviews.csv", labels: tuple[str, str] = ("x", "y")) -> Dataset:
    return Dataset([f"text {number}" for number in range(texts)], [*labels] * (texts // 2), source)


def test_without_test_texts_the_validation_texts_are_the_evaluation_texts() -> None:
    splits = load_splits(make_dataset(20))
    assert splits.test is None
    assert splits.evaluation is splits.validation
    assert (len(splits.training), len(splits.validation)) == (16, 4)
    assert (splits.origin, splits.evaluated_on) == ("reviews.csv", VALIDATION_DESCRIPTION)


def test_test_texts_are_held_out_before_the_validation_texts() -> None:
    splits = load_splits(make_dataset(100), test=0.1, seed=3)
    assert splits.evaluation is splits.test
    assert [len(part) for part in (splits.training, splits.validation, splits.evaluation)] == [72, 18, 10]
    assert splits.overlap == 0


def test_test_split_does_not_depend_on_the_seed() -> None:
    first, second = (load_splits(make_dataset(100), test=0.1, seed=seed) for seed in (0, 1))
    assert first.test == second.test
    assert first.validation != second.validation


def test_overlap_counts_evaluation_texts_that_are_training_texts() -> None:
    splits = load_splits(make_dataset(20), validation=make_dataset(6), test=make_dataset(4, "test.csv"))
    assert (splits.overlap, splits.evaluated_on) == (4, "test.csv")


def test_imdb_has_its_own_test_split(tmp_path: Path) -> None:
    validation = make_dataset(4, labels=IMDB_LABELS)
    splits = load_splits("imdb", data_dir=write_acl(tmp_path), validation=validation, unlabelled="imdb")
    assert splits.test is not None
    assert splits.test.texts == ["poor", "fine", "good"]
    assert splits.evaluated_on == "the official test split"
    assert splits.unlabelled == ("who knows",)


def test_imdb_as_validation_texts_raises_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        load_splits("imdb", data_dir=write_acl(tmp_path), validation="imdb")
    assert raised.value.code == "test-split-as-validation"


def test_data_of_an_unknown_type_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        load_splits(3)
    assert (raised.value.code, raised.value.type) == ("bad-data-type", "int")


def test_dataset_in_memory_is_validated() -> None:
    with pytest.raises(DataError) as raised:
        load_splits(Dataset(["some words", " "], ["x", "y"], locations=[8, 9]))
    assert (raised.value.code, raised.value.location) == ("empty-text", 9)


def test_label_that_training_lacks_raises_data_error() -> None:
    with pytest.raises(DataError) as raised:
        load_splits(make_dataset(20), test=Dataset(["a"], ["z"]))
    assert (raised.value.code, raised.value.label) == ("unknown-label", "z")


def test_unlabelled_texts_are_a_path_or_texts(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert read_unlabelled(tmp_path / "more.txt").texts == ["one", "two"]
    assert read_unlabelled(["one", "two"]).texts == ["one", "two"]
    texts = UnlabelledTexts(["one"], "mine")
    assert read_unlabelled(texts) is texts
    with pytest.raises(DataError) as raised:
        read_unlabelled({"one", "two"})  # type: ignore[arg-type]
    assert raised.value.code == "not-a-column"
