"""Ray: datasets, and workers of `score`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow
import pytest
from tests.helpers.command_line import error_code
from tests.helpers.scoring import ids, make_table, read_rows, write_table

import fastlstm
from fastlstm.errors import DataError, FastLSTMError, InputError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.ray import RayWorkers, TextPredictor, cluster, prediction
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


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        (pyarrow.table({"review": ["a film"]}), "missing-column"),
        (pyarrow.table({"text": ["a film"], "predicted_label": ["good"]}), "column-exists"),
        ({"text": ["a film"]}, "bad-option-value"),
    ],
)
def test_unsuitable_batches_raise(batch: Any, code: str) -> None:
    with pytest.raises(InputError) as error:
        TextPredictor(fastlstm.load())(batch)
    assert error.value.code == code


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
    os.kill(pid, signal.SIGSTOP)  # so that no chunk of this actor is finished before the kill
    futures = [workers.submit(texts) for _ in range(6)]
    assert futures[1].result(timeout=120).labels == expected  # of the other actor
    assert not futures[0].done()
    os.kill(pid, signal.SIGKILL)
    assert all(future.result(timeout=120).labels == expected for future in futures)
    assert ray.get(workers.actors[0].process_id.remote()) != pid
    workers.close()


def test_errors_of_fastlstm_in_an_actor_reach_the_caller() -> None:
    workers = RayWorkers(fastlstm.load(), None, 1)
    texts = cast("list[str | None]", [42])
    with pytest.raises(DataError) as error:
        workers.submit(texts).result(timeout=120)
    workers.close()
    assert type(error.value) is DataError
    assert error.value.code == "not-a-text"


def test_dead_actor_is_an_error_of_fastlstm() -> None:
    workers = RayWorkers(fastlstm.load(), None, 1)
    ray.kill(workers.actors[0])
    with pytest.raises(FastLSTMError) as error:
        workers.submit(["a good film"]).result(timeout=120)
    workers.close()
    assert error.value.code == "worker-died"
    assert isinstance(error.value.__cause__, ray.exceptions.RayActorError)


@pytest.mark.parametrize(("ends_process", "cause"), [(True, "RayActorError"), (False, "RayTaskError")])
def test_failing_chunk_is_an_error_of_fastlstm(
    ends_process: bool, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        labels = ("negative", "positive")

        def tokenize(self, _: Sequence[str]) -> Any:
            if ends_process:
                os._exit(1)
            raise KeyError

    monkeypatch.setattr(prediction, "MAX_RETRIES", 1)
    workers = RayWorkers(cast(Classifier, Failing()), None, 1)
    with pytest.raises(FastLSTMError) as error:
        workers.submit(["a good film"]).result(timeout=120)
    workers.close()
    assert error.value.code == "worker-died"
    assert isinstance(error.value.__cause__, getattr(ray.exceptions, cause))


def test_workers_that_cannot_start_release_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    class CannotBeSent:
        def __reduce__(self) -> Any:
            raise NotImplementedError

    closed: list[bool] = []
    monkeypatch.setattr(cluster.Cluster, "close", lambda _: closed.append(True))
    with pytest.raises(NotImplementedError):
        RayWorkers(cast(Classifier, CannotBeSent()), None, 1)
    assert closed == [True]


def test_more_processes_than_cores_raise() -> None:
    with pytest.raises(OptionError) as error:
        RayWorkers(fastlstm.load(), None, 5)
    assert (error.value.code, error.value.option, error.value.value) == ("bad-option-value", "processes", 5)


def run_score(
    source: Path, sink: Path, *options: str, address: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `fastlstm score` in two processes, with a value of RAY_ADDRESS."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    if address is not None:
        environment["RAY_ADDRESS"] = address
    command = [sys.executable, "-m", "fastlstm", "score", str(source), str(sink), "--processes", "2", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_command_prints_the_same_on_ray(tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(60))
    local = run_score(source, tmp_path / "local.parquet")
    on_ray = run_score(source, tmp_path / "ray.parquet", "--engine", "ray")
    assert (local.returncode, on_ray.returncode) == (0, 0)
    # Ray prints before the first line. Later ones, every 10 seconds, depend on the speed of the machine.
    assert on_ray.stderr.splitlines()[0] == local.stderr.splitlines()[0]


def test_bad_address_of_the_cluster_is_an_error_of_fastlstm(tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(60))
    result = run_score(source, tmp_path / "out.parquet", "--engine", "ray", address="no address")
    assert (result.returncode, error_code(result.stderr)) == (2, "cannot-connect")
