"""Ray: datasets, and workers of `score`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from tests.helpers.scoring import ids, make_table, read_rows, write_table

import fastlstm
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.ray import RayWorkers, TextPredictor
from fastlstm.scoring import file_readers

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("default")  # those of Ray and what it imports


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_datasets_get_the_predictions_of_the_model(tmp_path: Path) -> None:
    table = make_table(60)
    write_table(tmp_path / "in.parquet", table)
    dataset = ray.data.read_parquet(str(tmp_path / "in.parquet")).map_batches(
        TextPredictor,
        fn_constructor_kwargs={"probabilities": True},
        batch_format="pyarrow",
        batch_size=16,
        concurrency=2,
    )
    rows = sorted(dataset.take_all(), key=lambda row: row["id"])
    model = fastlstm.load()
    expected = predict_column(model, table.column("text").to_pylist())
    assert [row["predicted_label"] for row in rows] == expected.labels
    assert [row["predicted_probability_positive"] for row in rows] == expected.probabilities[:, 1].tolist()
    assert [row["stars"] for row in rows] == table.column("stars").to_pylist()


def test_missing_texts_and_other_columns() -> None:
    predictor = TextPredictor(fastlstm.load(), text_column="review", prefix="m_")
    table = predictor(pyarrow.table({"review": ["great film", None]}))
    assert table.column_names == ["review", "m_label", "m_probability"]
    assert table.column("m_label").to_pylist() == ["positive", None]


def test_score_on_ray_writes_every_row_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_readers, "ROWS_PER_CHUNK", 50)
    source = write_table(tmp_path / "in.parquet", make_table(500))
    result = fastlstm.score(source, tmp_path / "out.parquet", engine="ray", processes=2)
    assert result.rows == 500
    rows = read_rows(tmp_path / "out.parquet")
    assert ids(rows) == list(range(500))
    texts = make_table(500).column("text").to_pylist()
    assert [row["predicted_label"] for row in rows] == predict_column(fastlstm.load(), texts).labels


def test_chunks_of_a_killed_actor_are_predicted_again() -> None:
    model = fastlstm.load()
    workers = RayWorkers(model, None, 2)
    texts = [f"a good film {n}" for n in range(400)]
    expected = predict_column(model, texts).labels
    pid = ray.get(workers.actors[0].process_id.remote())
    futures = [workers.submit(texts) for _ in range(6)]
    os.kill(pid, signal.SIGKILL)
    assert all(future.result(timeout=120).labels == expected for future in futures)
    workers.close()
