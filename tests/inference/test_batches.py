"""Every entry point that takes texts refuses what is not a text or a batch of texts, with the same codes."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tests.helpers.random_models import MakeModel

from fastlstm.data import Dataset
from fastlstm.errors import DataError
from fastlstm.inference import Classifier
from fastlstm.serialization.early_exit import EarlyExit, ExitThreshold

TEXTS = ["not bad", "Horrible film!"]
TABLE = pd.DataFrame({"stars": [1, 2], "review": TEXTS})
BATCH_METHODS = ("predict", "predict_proba", "predict_early", "tokenize", "known")
TEXT_METHODS = ("explain", "gates", "trajectory", "tokens", "feed")


@pytest.fixture(scope="module")
def early(make_model: MakeModel) -> Classifier:
    """A classifier with exit thresholds."""
    exits = EarlyExit((2, 4), (ExitThreshold(0.9, (0.6, 0.6), 1.0, 0.0),), 50)
    return Classifier(dataclasses.replace(make_model(), early_exit=exits))


def call(model: Classifier, method: str, texts: Any) -> Any:
    """Call a method of the classifier, or `feed` of a new stream."""
    if method == "feed":
        return model.stream().feed(texts)
    arguments = (0.9,) if method == "predict_early" else ()
    return getattr(model, method)(texts, *arguments)


@pytest.mark.parametrize("method", BATCH_METHODS)
@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (TABLE, "not-a-batch"),
        (pl.from_pandas(TABLE), "not-a-batch"),
        (pa.Table.from_pandas(TABLE), "not-a-batch"),
        (TABLE.to_dict("list"), "not-a-batch"),
        (set(TEXTS), "not-a-batch"),
        (dict.fromkeys(TEXTS).keys(), "not-a-batch"),
        (np.array([TEXTS]), "not-a-batch"),
        (np.array("one text"), "not-a-batch"),
        (io.StringIO("not bad"), "not-a-batch"),
        (Dataset(TEXTS, ["a", "b"]), "not-a-batch"),
        (b"not bad", "not-a-text"),
        (Path("not bad"), "not-a-text"),
        (3, "not-a-text"),
        (None, "not-a-text"),
        (range(2), "not-a-text"),
        ([TEXTS], "not-a-text"),
        ([*TEXTS, None], "missing-text"),
        (pd.Series([*TEXTS, math.nan]), "missing-text"),
    ],
)
def test_what_is_not_a_batch_is_refused(early: Classifier, method: str, texts: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        call(early, method, texts)
    assert raised.value.code == code
    assert "texts" in str(raised.value)
    assert raised.value.values.get("column") in (None, "review")


@pytest.mark.parametrize("method", BATCH_METHODS)
@pytest.mark.parametrize("convert", [tuple, np.array, pd.Series, pl.Series, pa.array, iter])
def test_columns_are_batches(early: Classifier, method: str, convert: Callable[[list[str]], Any]) -> None:
    result, expected = (call(early, method, texts) for texts in (convert(TEXTS), TEXTS))
    for name in ("ids", "probabilities"):
        result, expected = getattr(result, name, result), getattr(expected, name, expected)
    assert len(result) == 2
    assert all(np.array_equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize("method", ["tokenize", "predict_early"])
def test_one_text_is_not_a_batch(early: Classifier, method: str) -> None:
    with pytest.raises(DataError) as raised:
        call(early, method, "not bad")
    assert raised.value.code == "not-a-batch"


@pytest.mark.parametrize("text", [np.str_("not bad"), pa.scalar("not bad")])
def test_a_string_of_numpy_or_pyarrow_is_one_text(early: Classifier, text: Any) -> None:
    assert early.predict(text) == early.predict("not bad")
    assert early.predict_proba(text).shape == (2,)
    assert early.known(text) == early.known("not bad")
    assert early.tokens(text) == ("not", "bad")
    assert early.stream().feed(text).token_count == early.stream().feed("not bad").token_count


@pytest.mark.parametrize("method", TEXT_METHODS)
@pytest.mark.parametrize(
    "text",
    [TABLE, TABLE["review"], TEXTS, (), {"text": "a"}, {"a"}, b"a", 3, None, math.nan, np.array("a"), pa.scalar(3)],
)
def test_what_is_not_one_text_is_refused(early: Classifier, method: str, text: Any) -> None:
    with pytest.raises(DataError) as raised:
        call(early, method, text)
    assert (raised.value.code, raised.value.argument) == ("not-a-text", "text")
    assert raised.value.type == type(text).__name__


LABELS = ["positive", "negative"]


@pytest.mark.parametrize(
    "data",
    [
        pd.DataFrame({"text": TEXTS, "label": LABELS}),
        pl.DataFrame({"text": TEXTS, "label": LABELS}),
        pa.table({"text": TEXTS, "label": LABELS}),
        {"text": TEXTS, "label": LABELS},
        list(zip(TEXTS, LABELS, strict=True)),
        Dataset(TEXTS, LABELS),
    ],
)
def test_evaluate_takes_tables_and_pairs(early: Classifier, data: Any) -> None:
    assert early.evaluate(data) == early.evaluate(Dataset(TEXTS, LABELS))


@pytest.mark.parametrize("data", [None, 3, b"reviews.csv", set(TEXTS), TEXTS, pd.DataFrame({"review": TEXTS})])
def test_evaluate_refuses_other_data(early: Classifier, data: Any) -> None:
    with pytest.raises(DataError):
        early.evaluate(data)


def test_evaluate_labels_every_text_and_counts_those_without_known_words(early: Classifier) -> None:
    texts = ["not bad", "qqq", "", "film qqq"]
    labels = early.predict(texts, label_unknown=True)
    report = early.evaluate(Dataset(texts, labels))
    assert (report.texts, report.accuracy) == (4, 1.0)
    assert (report.known, report.unknown_texts) == ((1 + 0 + 0 + 0.5) / 4, 2)
    assert "unknown-texts" in {note.code for note in report.notes()}
    assert "unknown-texts" not in {note.code for note in early.evaluate(Dataset(texts[:1], labels[:1])).notes()}
