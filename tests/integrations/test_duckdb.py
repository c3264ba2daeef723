"""The scalar function for DuckDB."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastlstm
from fastlstm.errors import FastLSTMError, MissingDependencyError, ModelNotFoundError, OptionError
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.duckdb import register

duckdb = pytest.importorskip("duckdb")
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

TEXTS = ["This movie was fantastic!", None, "Horrible film.", "", "qzxv", "Ein guter Film; très bon. 好看"]


@pytest.fixture(scope="module")
def model() -> fastlstm.Classifier:
    return fastlstm.load()


@pytest.fixture
def connection(model: fastlstm.Classifier) -> Iterator[Any]:
    with duckdb.connect() as connection:
        register(connection, model=model)
        yield connection


def create_reviews(connection: Any, texts: list[str | None]) -> None:
    """Create the table `reviews(id, text)`."""
    table = pyarrow.table(
        {"id": pyarrow.array(range(len(texts)), pyarrow.int64()), "text": pyarrow.array(texts, pyarrow.string())}
    )
    connection.register("texts", table)
    connection.execute("CREATE TABLE reviews AS FROM texts")


def test_predictions_equal_those_of_predict_column(connection: Any, model: fastlstm.Classifier) -> None:
    create_reviews(connection, TEXTS)
    query = (
        "SELECT sentiment(text).label AS label, sentiment(text).probability AS probability FROM reviews ORDER BY id"
    )
    result = connection.sql(query).to_arrow_table()
    assert result.schema.types == [pyarrow.string(), pyarrow.float32()]
    predictions = predict_column(model, TEXTS)
    assert result["label"].to_pylist() == predictions.labels
    probabilities = result["probability"].to_numpy()
    np.testing.assert_array_equal(probabilities, predictions.label_probabilities)


def test_only_missing_texts_give_null(connection: Any) -> None:
    create_reviews(connection, TEXTS)
    rows = connection.sql("SELECT sentiment(text) IS NULL, sentiment(text).label IS NULL FROM reviews ORDER BY id")
    assert rows.fetchall() == [
        (False, False),
        (True, True),
        (False, False),
        (False, True),
        (False, True),
        (False, False),
    ]
    assert connection.sql("SELECT sentiment(NULL), sentiment('qzxv')").fetchall() == [
        (None, {"label": None, "probability": None})
    ]


def test_empty_tables_and_columns_of_nulls_have_no_labels(connection: Any) -> None:
    create_reviews(connection, [])
    assert connection.sql("SELECT sentiment(text).label FROM reviews").fetchall() == []
    connection.execute("INSERT INTO reviews SELECT i, NULL FROM range(5000) r(i)")
    assert connection.sql("SELECT count(*), count(sentiment(text)) FROM reviews").fetchall() == [(5000, 0)]


def test_parallel_threads_give_the_predictions_of_each_row(
    connection: Any, model: fastlstm.Classifier, tmp_path: Path
) -> None:
    words = ["great", "awful", "boring", "wonderful", "bad", "qzxv"]
    texts = [f"{words[i % 6]} {words[i // 6 % 6]} film {i}" if i % 7 else None for i in range(4000)]
    threads: set[int] = set()
    overlap = threading.Event()

    class Recorder(fastlstm.Classifier):
        def tokenize(self, texts: Any) -> Any:
            threads.add(threading.get_ident())
            if len(threads) > 1:
                overlap.set()
            overlap.wait(10)
            return super().tokenize(texts)

    register(connection, "recorded", Recorder(model.saved))
    connection.execute("SET threads = 4")
    table = pyarrow.table({"id": range(len(texts)), "text": texts})
    parquet.write_table(table, tmp_path / "reviews.parquet", row_group_size=500)
    query = f"SELECT id, recorded(text) FROM '{tmp_path}/reviews.parquet' ORDER BY id"
    rows = connection.sql(query).fetchall()
    predictions = predict_column(model, texts)
    assert [row_id for row_id, _ in rows] == list(range(len(texts)))
    assert [prediction and prediction["label"] for _, prediction in rows] == predictions.labels
    probabilities = [prediction and prediction["probability"] for _, prediction in rows]
    np.testing.assert_array_equal(np.array(probabilities, np.float32), predictions.label_probabilities)
    assert overlap.is_set()


def test_parquet_files_are_scored_into_a_parquet_file(
    connection: Any, model: fastlstm.Classifier, tmp_path: Path
) -> None:
    for number in range(2):
        ids = [number * len(TEXTS) + i for i in range(len(TEXTS))]
        parquet.write_table(pyarrow.table({"id": ids, "text": TEXTS}), tmp_path / f"{number}.parquet")
    output = tmp_path / "scored" / "out.parquet"
    output.parent.mkdir()
    connection.execute(
        f"COPY (SELECT *, sentiment(text) AS prediction FROM '{tmp_path}/*.parquet' ORDER BY id) TO '{output}'"
    )
    labels = [row and row["label"] for row in parquet.read_table(output)["prediction"].to_pylist()]
    assert labels == predict_column(model, TEXTS).labels * 2


def test_default_connection_can_be_used(model: fastlstm.Classifier) -> None:
    register(duckdb.default_connection(), "default_sentiment", model)
    try:
        assert duckdb.sql("SELECT default_sentiment('A great film').label").fetchall() == [("positive",)]
    finally:
        duckdb.default_connection().remove_function("default_sentiment")


def test_other_connections_of_the_database_can_use_the_function(connection: Any) -> None:
    assert connection.cursor().sql("SELECT sentiment('A great film').label").fetchall() == [("positive",)]


def test_threshold_changes_labels(connection: Any, model: fastlstm.Classifier) -> None:
    register(connection, "strict", model, threshold=1.0)
    query = "SELECT p.label, p.probability FROM (SELECT strict('Great!') AS p)"
    [(label, probability)] = connection.sql(query).fetchall()
    assert label == "negative"
    assert probability == model.predict_proba("Great!")[0]


def test_registering_again_replaces_the_function(connection: Any, model: fastlstm.Classifier) -> None:
    connection.execute("CREATE VIEW labels AS SELECT sentiment('Great!').label AS label")
    register(connection, model=model, threshold=1.0)
    assert connection.sql("FROM labels").fetchall() == [("negative",)]


def test_models_are_loaded_from_folders(
    connection: Any, three_classes: fastlstm.Classifier, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    register(connection, "topic", tmp_path / "model")
    create_reviews(connection, TEXTS)
    rows = connection.sql("SELECT topic(text).label FROM reviews ORDER BY id").fetchall()
    assert [row[0] for row in rows] == predict_column(three_classes, TEXTS).labels


@pytest.mark.parametrize("name", ["lower", "sentiment"])
def test_functions_of_others_are_not_replaced(connection: Any, model: fastlstm.Classifier, name: str) -> None:
    with pytest.raises(OptionError) as caught:
        register(connection.cursor(), name, model)
    assert (caught.value.code, caught.value.function) == ("function-exists", name)


def test_errors_of_registration(connection: Any, model: fastlstm.Classifier, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        register(connection, "other", model, threshold=2.0)
    assert caught.value.code == "bad-option-value"
    with pytest.raises(OptionError) as caught:
        register(connection, "", model)
    assert (caught.value.code, caught.value.option) == ("bad-option-value", "name")
    with pytest.raises(ModelNotFoundError):
        register(connection, "other", tmp_path / "missing")
    with pytest.raises(duckdb.CatalogException):
        connection.sql("SELECT other('text')")


def test_errors_of_a_model_end_the_query(connection: Any, model: fastlstm.Classifier) -> None:
    class Broken(fastlstm.Classifier):
        def tokenize(self, texts: Any) -> Any:
            raise FastLSTMError(f"no prediction of {len(texts)} texts")

    register(connection, "broken", Broken(model.saved))
    create_reviews(connection, TEXTS)
    with pytest.raises(duckdb.InvalidInputException, match="FastLSTMError: no prediction of 5 texts"):
        connection.sql("SELECT broken(text) FROM reviews").fetchall()
    assert connection.sql("SELECT sentiment('Great!').label").fetchall() == [("positive",)]


@pytest.mark.parametrize("expression", ["3", "'a'::BLOB", "['a']"])
def test_other_types_must_be_cast(connection: Any, expression: str) -> None:
    with pytest.raises(duckdb.BinderException):
        connection.sql(f"SELECT sentiment({expression})")


@pytest.mark.parametrize("package", ["duckdb", "pyarrow"])
def test_missing_packages_are_reported(
    connection: Any, model: fastlstm.Classifier, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError) as caught:
        register(connection, model=model)
    assert (caught.value.package, caught.value.extra) == (package, "duckdb")
