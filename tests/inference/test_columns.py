"""Predictions for columns of tables."""

from __future__ import annotations

import numpy as np
import pytest

import fastlstm
from fastlstm.errors import DataError
from fastlstm.inference.columns import predict_column

TEXTS = ["This movie was fantastic!", None, "Horrible film.", "", "qzxv"]


def test_missing_texts_have_neither_label_nor_probabilities() -> None:
    model = fastlstm.load()
    predictions = predict_column(model, TEXTS)
    assert predictions.labels == ["positive", None, "negative", None, None]
    assert predictions.is_text.tolist() == [True, False, True, True, True]
    assert np.isnan(predictions.label_probabilities).tolist() == [False, True, False, True, True]
    assert np.isnan(predictions.probabilities[1]).all()


def test_probabilities_equal_those_of_predict_proba() -> None:
    model = fastlstm.load()
    predictions = predict_column(model, TEXTS)
    present = [text for text in TEXTS if text is not None]
    np.testing.assert_array_equal(predictions.probabilities[predictions.is_text], model.predict_proba(present))
    assert predictions.label_probabilities[0] == predictions.probabilities[0, 1]
    assert predictions.label_probabilities[2] == predictions.probabilities[2, 0]


def test_threshold_changes_labels_and_their_probabilities() -> None:
    model = fastlstm.load()
    predictions = predict_column(model, TEXTS[:1], threshold=1.0)
    assert predictions.labels == ["negative"]
    assert predictions.label_probabilities[0] == predictions.probabilities[0, 0]


@pytest.mark.parametrize("texts", [[], [None, None]])
def test_columns_without_texts_have_predictions_without_labels(texts: list[str | None]) -> None:
    predictions = predict_column(fastlstm.load(), texts)
    assert predictions.labels == texts
    assert predictions.probabilities.shape == (len(texts), 2)


def test_other_values_raise() -> None:
    with pytest.raises(DataError):
        predict_column(fastlstm.load(), ["good", 3])  # type: ignore[list-item]
