"""Functions for Flink, on its mini cluster."""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of PyFlink, about itself
    pytest.importorskip("pyflink.table")

from pyflink.common import Configuration, Duration, Encoder, Row, Time, Types, WatermarkStrategy
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from pyflink.datastream.state import StateTtlConfig
from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.expressions import col

import fastlstm
from fastlstm.errors import OptionError
from fastlstm.inference.columns import predict_column
from fastlstm.integrations import flink

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

TEXTS = ["This movie was fantastic!", None, "Horrible film.", "", "qzxv", "A slow start. " * 30 + "Wonderful!"]
PIECES = [
    ("a", "This movie was fant"),
    ("b", "A dull, "),
    ("a", "astic! I rea"),
    ("c", "qzx"),
    ("b", None),
    ("a", "lly enjoyed it. "),
    ("b", "slow film. The end"),
    ("c", "v qzxv "),
    ("a", "The ending is wonderful"),
    ("b", "ing was horrible."),
]
TIMEOUT = 60


@pytest.fixture(scope="module", autouse=True)
def _worker_processes() -> Iterator[None]:
    """Run functions in worker processes, as a cluster does, instead of threads of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_python_worker_execution_mode", "process")
        yield


def table_environment(**settings: str) -> TableEnvironment:
    environment = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
    for name, value in {"parallelism.default": "1", "python.executable": sys.executable, **settings}.items():
        environment.get_config().set(name, value)
    row_type = DataTypes.ROW([DataTypes.FIELD("id", DataTypes.INT()), DataTypes.FIELD("text", DataTypes.STRING())])
    environment.create_temporary_view("reviews", environment.from_elements(list(enumerate(TEXTS)), row_type))
    return environment


def predictions_of(environment: TableEnvironment, function: str) -> list[tuple[Any, ...]]:
    query = f"SELECT id, p.label, p.probability FROM (SELECT id, {function}(text) AS p FROM reviews)"
    with environment.execute_sql(query).collect() as rows:
        return sorted((row[0], row[1], float32(row[2])) for row in rows)


def float32(value: float | None) -> float | None:
    """Return a FLOAT that PyFlink has converted by its shortest decimal representation."""
    return None if value is None else float(np.float32(value))


def expected_predictions(*, threshold: float | None = None) -> list[tuple[Any, ...]]:
    predictions = predict_column(fastlstm.load(), TEXTS, threshold=threshold)
    rows = zip(predictions.labels, predictions.label_probabilities.tolist(), strict=True)
    return [(i, label, None if label is None else probability) for i, (label, probability) in enumerate(rows)]


@pytest.mark.parametrize("batch_size", ["2", "1000"])
def test_sql_function_equals_predictions_of_a_column(batch_size: str) -> None:
    environment = table_environment(**{"python.fn-execution.arrow.batch.size": batch_size})
    environment.execute_sql(
        "CREATE TEMPORARY SYSTEM FUNCTION sentiment"
        " AS 'fastlstm.integrations.flink.english_sentiment' LANGUAGE PYTHON"
    )
    assert predictions_of(environment, "sentiment") == expected_predictions()


def test_function_of_a_user_module_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from fastlstm.integrations.flink import classify\nstrict = classify(threshold=0.999)\n"
    (tmp_path / "functions_of_a_user.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    environment = table_environment()
    environment.execute_sql(
        "CREATE TEMPORARY SYSTEM FUNCTION strict AS 'functions_of_a_user.strict' LANGUAGE PYTHON"
    )
    expected = expected_predictions(threshold=0.999)
    assert predictions_of(environment, "strict") == expected
    assert expected != expected_predictions()


def test_tables_take_a_folder_and_a_classifier(tmp_path: Path) -> None:
    model = fastlstm.load()
    model.save(tmp_path / "model")
    for argument in (tmp_path / "model", model):
        environment = table_environment()
        prediction = flink.classify(argument)(col("text")).alias("p")
        table = environment.from_path("reviews").select(col("id"), prediction)
        table = table.select(col("id"), col("p").get("label"), col("p").get("probability"))
        with table.execute().collect() as rows:
            assert sorted((row[0], row[1], float32(row[2])) for row in rows) == expected_predictions()


def test_other_columns_than_text_are_rejected_when_the_query_is_planned() -> None:
    environment = table_environment()
    flink.register(environment)
    with pytest.raises(Exception, match="sentiment"):
        environment.explain_sql("SELECT sentiment(ARRAY[id]) FROM reviews")


class Conversations:
    """Streams of the package, one per key, fed directly."""

    def __init__(self, model: fastlstm.Classifier) -> None:
        self.model = model
        self.streams: dict[str, Any] = {}

    def feed(self, key: str, text: str | None, *, ended: bool = False) -> tuple[Any, ...]:
        """Return the row that is expected for a piece."""
        stream = self.streams.setdefault(key, self.model.stream())
        if text is not None:
            stream.feed(text)
        if ended:
            del self.streams[key]
            stream.end()
        if not stream.known:
            return key, None, None, stream.token_count, ended
        index = int(stream.probabilities.argmax())
        return key, self.model.labels[index], float(stream.probabilities[index]), stream.token_count, ended


def stream_environment(**settings: str) -> StreamExecutionEnvironment:
    defaults = {"parallelism.default": "2", "python.executable": sys.executable}
    configuration = Configuration()
    for name, value in {**defaults, **settings}.items():
        configuration.set_string(name, value)
    return StreamExecutionEnvironment.get_execution_environment(configuration)


def rows_by_key(rows: Sequence[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each key, in their order. Flink keeps the order of a key, not that of all rows."""
    return {key: [row for row in rows if row[0] == key] for key in sorted({row[0] for row in rows})}


def write_results(results: DataStream, folder: Path) -> None:
    """Append each result to a file as soon as it is computed, one file per worker process."""

    def append(row: Row) -> str:
        folder.mkdir(exist_ok=True)
        with (folder / f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(tuple(row)) + "\n")
        return ""

    sink = FileSink.for_row_format(str(folder / "sink"), Encoder.simple_string_encoder()).build()
    results.map(append, Types.STRING()).uid("append").sink_to(sink).uid("sink")


def read_results(folder: Path) -> list[tuple[Any, ...]]:
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines(True)]
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


PIECE_TYPE = Types.ROW([Types.STRING(), Types.STRING()])
TTL = StateTtlConfig.new_builder(Time.hours(1)).build()


@pytest.mark.parametrize("ttl", [None, TTL])
def test_interleaved_texts_equal_streams_to_the_last_bit(ttl: StateTtlConfig | None, tmp_path: Path) -> None:
    environment = stream_environment(**{"python.fn-execution.bundle.size": "3"})
    pieces = environment.from_collection([Row(*piece) for piece in PIECES], PIECE_TYPE)
    write_results(flink.classify_pieces(pieces, ttl=ttl), tmp_path)
    environment.execute()
    conversations = Conversations(fastlstm.load())
    expected = [conversations.feed(*piece) for piece in PIECES]
    assert rows_by_key(read_results(tmp_path)) == rows_by_key(expected)


def test_end_of_a_text_processes_pending_text_and_removes_the_state(tmp_path: Path) -> None:
    pieces = [("a", "A wonder", False), ("a", "ful film", True), ("a", "Horrible.", None), ("a", None, True)]
    environment = stream_environment()
    row_type = Types.ROW([Types.STRING(), Types.STRING(), Types.BOOLEAN()])
    stream = environment.from_collection([Row(*piece) for piece in pieces], row_type)
    write_results(flink.classify_pieces(stream), tmp_path)
    environment.execute()
    conversations = Conversations(fastlstm.load())
    rows = read_results(tmp_path)
    assert rows == [conversations.feed(key, text, ended=bool(ended)) for key, text, ended in pieces]
    assert [row[3] for row in rows] == [1, 3, 1, 2]


def test_more_texts_than_live_streams(tmp_path: Path) -> None:
    keys = [str(k) for k in range(flink.MAX_LIVE_STREAMS + 5)]
    pieces = [(key, f"{text} {key} ") for text in ("A wonderful film.", "Or not.") for key in keys]
    environment = stream_environment(**{"parallelism.default": "1"})
    stream = environment.from_collection([Row(*piece) for piece in pieces], PIECE_TYPE)
    write_results(flink.classify_pieces(stream), tmp_path)
    environment.execute()
    conversations = Conversations(fastlstm.load())
    expected = [conversations.feed(*piece) for piece in pieces]
    assert rows_by_key(read_results(tmp_path)) == rows_by_key(expected)


def test_unknown_on_model_change_raises() -> None:
    with pytest.raises(OptionError) as caught:
        flink.PieceClassifier(on_model_change="ignore")
    assert caught.value.code == "bad-option-value"
    assert caught.value.option == "on_model_change"


class Job:
    """A job that reads pieces from the JSON lines of a folder's files, as they arrive."""

    def __init__(self, folder: Path, *, savepoint: str | None = None, **options: Any) -> None:
        """Start the job. `options` are those of `classify_pieces`."""
        self.folder = folder
        self.results = folder / f"results-{time.monotonic_ns()}"
        (folder / "pieces").mkdir(exist_ok=True)
        settings = {"restart-strategy.type": "disable", "parallelism.default": "2"}
        if savepoint is not None:
            settings |= {"execution.state-recovery.path": savepoint, "parallelism.default": "1"}
        environment = stream_environment(**settings)
        source = (
            FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(folder / "pieces"))
            .monitor_continuously(Duration.of_millis(50))
            .build()
        )
        lines = environment.from_source(source, WatermarkStrategy.no_watermarks(), "pieces").uid("pieces")
        pieces = lines.map(lambda line: Row(*json.loads(line)), PIECE_TYPE).uid("parse")
        write_results(flink.classify_pieces(pieces, **options).uid("classify"), self.results)
        self.client = environment.execute_async()

    def feed(self, name: str, pieces: Sequence[tuple[str, str | None]]) -> None:
        """Add a file of pieces."""
        hidden = self.folder / "pieces" / f".{name}"
        hidden.write_text("".join(json.dumps(piece) + "\n" for piece in pieces), encoding="utf-8")
        hidden.rename(self.folder / "pieces" / name)

    def rows(self, count: int) -> list[tuple[Any, ...]]:
        """Wait until there are `count` results and return all."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            rows = read_results(self.results)
            if len(rows) >= count:
                return rows
            time.sleep(0.05)
        raise TimeoutError(f"{len(rows)} results, expected {count}")

    def savepoint(self) -> str:
        """Return the path of a new savepoint. PyFlink 2.3's own method calls one that Flink has removed."""
        savepoint_format = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
        future = self.client._j_job_client.triggerSavepoint(str(self.folder / "savepoints"), savepoint_format)
        path: str = future.get()
        return path

    def kill(self) -> None:
        """Cancel the job."""
        self.client.cancel().result()


FIRST, LOST, REST = PIECES[:5], PIECES[5:7], PIECES[7:]


@pytest.fixture(scope="module")
def savepoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a job that was killed, and its savepoint, taken before the job read the pieces `LOST`."""
    folder = tmp_path_factory.mktemp("job")
    job = Job(folder)
    job.feed("1", FIRST)
    job.rows(len(FIRST))
    path = job.savepoint()
    job.feed("2", LOST)
    job.rows(len(FIRST) + len(LOST))
    job.kill()
    return folder, path


def test_killed_job_continues_from_a_savepoint_with_the_same_bits(savepoint: tuple[Path, str]) -> None:
    folder, path = savepoint
    job = Job(folder, savepoint=path)
    job.rows(len(LOST))  # Flink reads new files in any order
    job.feed("3", REST)
    rows = job.rows(len(LOST) + len(REST))
    job.kill()
    conversations = Conversations(fastlstm.load())
    expected = [conversations.feed(*piece) for piece in PIECES][len(FIRST) :]
    assert rows_by_key(rows) == rows_by_key(expected)


def test_other_model_fails_the_restored_job(savepoint: tuple[Path, str], tmp_path: Path) -> None:
    _, path = savepoint
    job = Job(tmp_path, savepoint=path, model="chinese-sentiment")
    job.feed("2", LOST)
    with pytest.raises(Exception, match="stream state belongs to another model"):
        job.client.get_job_execution_result().result()


def test_other_model_can_start_texts_again(savepoint: tuple[Path, str], tmp_path: Path) -> None:
    _, path = savepoint
    job = Job(tmp_path, savepoint=path, model="chinese-sentiment", on_model_change="restart")
    job.feed("2", LOST)
    rows = job.rows(len(LOST))
    job.kill()
    conversations = Conversations(fastlstm.load("chinese-sentiment"))
    assert rows_by_key(rows) == rows_by_key([conversations.feed(*piece) for piece in LOST])
