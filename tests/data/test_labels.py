"""Labels: one spelling for equal values, missing values, and labels that look alike."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.data.dataset import Dataset
from fastlstm.data.labels import MISSING_LABELS, is_missing, look_alikes, merged_names, normalize_label
from fastlstm.errors import DataError


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("pos", "pos"),
        (" pos\t", "pos"),
        ("\u00a0pos", "pos"),
        (np.str_("pos"), "pos"),
        (1, "1"),
        (1.0, "1"),
        ("1", "1"),
        ("1.0", "1"),
        ("1.", "1"),
        ("-0", "0"),
        (-0.0, "0"),
        ("0.50", "0.5"),
        (0.5, "0.5"),
        (1.5, "1.5"),
        (np.int64(3), "3"),
        (np.float32(2), "2"),
        (True, "true"),
        ("True", "true"),
        ("TRUE", "true"),
        (np.bool_(False), "false"),
        ("False", "false"),
        (1e22, "1e+22"),
        ("007", "007"),
        ("1e5", "1e5"),
        ("none", "none"),
        ("na", "na"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
    ],
)
def test_equal_labels_have_one_name(label: object, name: str) -> None:
    assert normalize_label(label) == name
    assert normalize_label(name) == name


@pytest.mark.parametrize("label", [*sorted(MISSING_LABELS), " NA ", None, float("nan"), np.nan, np.float32("nan")])
def test_missing_values_are_missing_labels(label: object) -> None:
    with pytest.raises(DataError) as raised:
        normalize_label(label)
    assert raised.value.code == "missing-label"


@pytest.mark.parametrize("name", sorted(MISSING_LABELS - {""}))
def test_spellings_of_missing_values_are_kept_on_request(name: str) -> None:
    assert normalize_label(name, keep_missing=True) == name
    assert Dataset(["words"], [name], keep_missing=True).class_names == [name]


def test_empty_labels_are_never_kept() -> None:
    for label in ("", " ", None, float("nan")):
        with pytest.raises(DataError) as raised:
            normalize_label(label, keep_missing=True)
        assert raised.value.code == "missing-label"


@pytest.mark.parametrize(
    ("label", "code"),
    [
        (b"inf", "bad-label"),
        (["x"], "bad-label"),
        ({"x": 1}, "bad-label"),
        (b"x", "bad-label"),
        (1j, "bad-label"),
        (np.array(["x", "y"]), "bad-label"),
        ("x\udcff", "not-utf8"),
        ("x\ud83d", "invalid-unicode"),
    ],
)
def test_other_labels_raise_data_error(label: object, code: str) -> None:
    with pytest.raises(DataError) as raised:
        normalize_label(label)
    assert raised.value.code == code


@given(st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_normalization_is_idempotent(label: Any) -> None:
    try:
        name = normalize_label(label)
    except DataError:
        return
    assert normalize_label(name) == name


@given(st.one_of(st.integers(-(10**12), 10**12), st.floats(-1e9, 1e9), st.booleans()))
def test_a_value_and_its_spelling_have_one_name(value: float) -> None:
    assert normalize_label(value) == normalize_label(str(value))


def test_pandas_missing_values_are_missing() -> None:
    pandas = pytest.importorskip("pandas")
    missing: list[object] = [None, pandas.NA, pandas.NaT, np.nan]
    present: list[object] = ["", 0, False, "nan", [], np.array([1, 2])]
    assert all(is_missing(value) for value in missing)
    assert not any(is_missing(value) for value in present)


def test_labels_that_look_alike_are_grouped_by_frequency() -> None:
    labels = ["Pos", "pos", "pos", "neg", "very good", "very\u00a0good", "very\u00a0good", "n\u200beg", "\uff50os"]
    assert look_alikes(labels) == [
        ("pos", "Pos", "\uff50os"),
        ("very\u00a0good", "very good"),
        ("neg", "n\u200beg"),
    ]
    assert look_alikes(["pos", "neg", "1", "01"]) == []


def test_merged_labels_take_the_most_frequent_name_or_one_that_must_be_kept() -> None:
    labels = ["Pos", "pos", "pos", "neg"]
    assert merged_names(labels) == {"Pos": "pos", "pos": "pos", "neg": "neg"}
    assert merged_names(labels, ["POS"]) == {"Pos": "POS", "pos": "POS", "neg": "neg"}


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ([1e15, "1000000000000000.0", 10**15], "1000000000000000"),
        ([np.float32(0.1), 0.1, "0.10"], "0.1"),
        ([datetime.datetime(2020, 1, 2), "2020-01-02 00:00:00", "2020-01-02T00:00:00", "2020-01-02"], "2020-01-02"),
        ([np.datetime64("2020-01-02", "ns"), datetime.date(2020, 1, 2)], "2020-01-02"),
        ([decimal.Decimal("1.50"), 1.5, "1.5"], "1.5"),
        ([float("inf"), "inf"], "inf"),
        (["\ufeffpos", "pos"], "pos"),
    ],
)
def test_equal_values_have_one_name(labels: list[object], name: str) -> None:
    assert {normalize_label(label) for label in labels} == {name}
