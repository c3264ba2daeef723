"""The scalar functions for SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.errors import ModelNotFoundError, OptionError
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.sqlite import register

TEXTS = ["This movie was fantastic!", None, "Horrible film.", "", "qzxv", "Ein guter Film; très bon. 好看"]


class CountingClassifier(fastlstm.Classifier):
    """A classifier that counts the texts it tokenizes."""

    texts = 0

    def tokenize(self, texts: Any) -> Any:
        batch = list(texts)
        self.texts += len(batch)
        return super().tokenize(batch)


@pytest.fixture(scope="module")
def model() -> fastlstm.Classifier:
    return fastlstm.load()


@pytest.fixture
def connection(model: fastlstm.Classifier) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE reviews (id INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO reviews (text) VALUES (?)", [(text,) for text in TEXTS])
        register(connection, model=model)
        yield connection


def test_predictions_equal_those_of_predict_column(
    connection: sqlite3.Connection, model: fastlstm.Classifier
) -> None:
    query = "SELECT sentiment(text), sentiment_probability(text) FROM reviews ORDER BY id"
    rows = connection.execute(query).fetchall()
    predictions = predict_column(model, TEXTS)
    assert [label for label, _ in rows] == predictions.labels
    probabilities = np.array([np.nan if p is None else p for _, p in rows], np.float32)
    np.testing.assert_array_equal(probabilities, predictions.label_probabilities)


def test_results_are_text_and_real(connection: sqlite3.Connection) -> None:
    query = "SELECT typeof(sentiment('Great!')), typeof(sentiment_probability('Great!'))"
    assert connection.execute(query).fetchone() == ("text", "real")


@pytest.mark.parametrize("value", ["NULL", "x'676f6f64'", "zeroblob(0)", "''"])
def test_values_without_text_give_null(connection: sqlite3.Connection, value: str) -> None:
    query = f"SELECT sentiment({value}), sentiment_probability({value})"
    assert connection.execute(query).fetchone() == (None, None)


@pytest.mark.parametrize("value", ["10", "-3", "4.5"])
def test_numbers_are_read_as_their_text(connection: sqlite3.Connection, value: str) -> None:
    query = f"SELECT sentiment({value}), sentiment('{value}')"
    number, text = connection.execute(query).fetchone()
    assert number == text


def test_a_blob_can_be_cast_to_text(connection: sqlite3.Connection) -> None:
    query = "SELECT sentiment(CAST(CAST('A great film' AS BLOB) AS TEXT))"
    assert connection.execute(query).fetchone() == ("positive",)


@pytest.mark.parametrize("text", ["x'ff676f6f64'", "x'676f6f64ff'", "x'eda080'"])
def test_texts_that_are_not_utf8_raise_unless_their_bytes_are_checked(
    connection: sqlite3.Connection, text: str
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        connection.execute(f"SELECT sentiment(CAST({text} AS TEXT))").fetchall()

    def is_utf8(value: bytes | None) -> bool:
        return value is not None and value.decode(errors="ignore").encode() == value

    connection.create_function("is_utf8", 1, is_utf8, deterministic=True)
    texts = f"SELECT CAST({text} AS TEXT) AS text UNION ALL SELECT 'A great film' UNION ALL SELECT NULL"
    query = f"SELECT CASE WHEN is_utf8(CAST(text AS BLOB)) THEN sentiment(text) END FROM ({texts})"
    assert connection.execute(query).fetchall() == [(None,), ("positive",), (None,)]


def test_both_functions_of_a_row_need_one_prediction(
    connection: sqlite3.Connection, model: fastlstm.Classifier
) -> None:
    counting = CountingClassifier(model.saved)
    register(connection, "counted", counting)
    query = "SELECT counted(text), counted_probability(text) FROM reviews WHERE counted(text) IS NOT NULL"
    assert len(connection.execute(query).fetchall()) == 3
    assert counting.texts == sum(text is not None for text in TEXTS)


def test_an_index_on_labels_is_used(connection: sqlite3.Connection, model: fastlstm.Classifier) -> None:
    counting = CountingClassifier(model.saved)
    register(connection, model=counting)
    connection.execute("CREATE INDEX labels ON reviews (sentiment(text))")
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT id FROM reviews WHERE sentiment(text) = 'negative'")
    assert "USING INDEX labels" in plan.fetchone()[3]
    before = counting.texts
    assert connection.execute("SELECT id FROM reviews WHERE sentiment(text) = 'negative'").fetchall() == [(3,)]
    assert counting.texts == before


def test_reindex_applies_another_model(connection: sqlite3.Connection, model: fastlstm.Classifier) -> None:
    query = "SELECT count(*) FROM reviews WHERE sentiment(text) = 'positive'"
    connection.execute("CREATE INDEX labels ON reviews (sentiment(text))")
    before = connection.execute(query).fetchone()
    register(connection, model=model, threshold=1.0)
    assert connection.execute(query).fetchone() == before
    connection.execute("REINDEX labels")
    assert connection.execute(query).fetchone() == (0,)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 31), reason="SQLite has generated columns since version 3.31")
@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_generated_columns_contain_predictions(
    connection: sqlite3.Connection, model: fastlstm.Classifier, kind: str
) -> None:
    connection.execute(f"CREATE TABLE scored (text, label TEXT AS (sentiment(text)) {kind})")
    connection.executemany("INSERT INTO scored (text) VALUES (?)", [(text,) for text in TEXTS])
    labels = [row[0] for row in connection.execute("SELECT label FROM scored ORDER BY rowid")]
    assert labels == predict_column(model, TEXTS).labels


def test_an_update_writes_predictions(connection: sqlite3.Connection, model: fastlstm.Classifier) -> None:
    connection.execute("ALTER TABLE reviews ADD COLUMN label TEXT")
    connection.execute("UPDATE reviews SET label = sentiment(text)")
    labels = [row[0] for row in connection.execute("SELECT label FROM reviews ORDER BY id")]
    assert labels == predict_column(model, TEXTS).labels


def test_names_and_thresholds_can_be_chosen(connection: sqlite3.Connection, model: fastlstm.Classifier) -> None:
    register(connection, "strict", model, threshold=1.0)
    label, probability = connection.execute("SELECT strict('Great!'), strict_probability('Great!')").fetchone()
    assert label == "negative"
    assert np.float32(probability) == model.predict_proba("Great!")[0]


def test_models_are_loaded_from_folders(
    connection: sqlite3.Connection, three_classes: fastlstm.Classifier, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    register(connection, "topic", tmp_path / "model")
    labels = [row[0] for row in connection.execute("SELECT topic(text) FROM reviews ORDER BY id")]
    assert labels == predict_column(three_classes, TEXTS).labels


def test_errors_of_registration(connection: sqlite3.Connection, model: fastlstm.Classifier, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        register(connection, model=model, threshold=-1)
    assert caught.value.code == "bad-option-value"
    with pytest.raises(OptionError) as caught:
        register(connection, "", model)
    assert (caught.value.code, caught.value.option) == ("bad-option-value", "name")
    with pytest.raises(ModelNotFoundError):
        register(connection, model=tmp_path / "missing")
