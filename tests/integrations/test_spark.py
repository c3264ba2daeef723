"""Classification in Spark: a local session, a standalone cluster, streams, and Spark Connect."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fastlstm
from fastlstm.errors import DataError, MissingDependencyError, ModelNotFoundError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.columns import predict_column
from fastlstm.integrations.spark import MAX_MODELS, classify, prepared_model, register

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pyspark = pytest.importorskip("pyspark")
pa = pytest.importorskip("pyarrow")
pytestmark = [
    pytest.mark.skipif(not (shutil.which("java") or os.environ.get("JAVA_HOME")), reason="needs Java"),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),  # PySpark 4.1
]

DOCUMENT = Path(__file__).parents[2] / "docs" / "spark.md"
TEXTS = [
    "This movie was fantastic!",
    None,
    "Horrible film.",
    "",
    "qzxv",
    "Not bad, but far too long.",
    "Ein Film 🎬",
]
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Java starts faster, and its threads leave the cores to the tests."""
CONFIGURATION = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": JAVA_OPTIONS,
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.extraJavaOptions": JAVA_OPTIONS,
    "spark.executor.memory": "512m",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
RECORDED_CLASSIFIER = """
import os
from fastlstm.inference import Classifier

class RecordedClassifier(Classifier):
    def __init__(self, saved, precision="float32"):
        super().__init__(saved, precision)
        with open({path!r}, "a") as file:
            file.write(f"{{os.getpid()}}\\n")
"""
CLUSTER_JOB = """
import json, os, sys
from pyspark.sql import SparkSession
from pyspark.sql.functions import arrow_udf
from fastlstm.integrations.spark import classify

master, marker, texts, configuration = sys.argv[1], sys.argv[2], *map(json.loads, sys.argv[3:])
builder = SparkSession.builder.master(master)
for name, value in configuration.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()

def place_of_work(numbers):
    import pyarrow
    return pyarrow.array([f"{os.getppid()} {os.getcwd()}"] * len(numbers))

def crash_once(numbers):
    if not os.path.exists(marker):
        open(marker, "w").close()
        os._exit(1)
    return numbers

frame = spark.createDataFrame(list(enumerate(texts)), "id long, text string").repartition(8)
rows = frame.select(
    arrow_udf(crash_once, "long")("id").alias("id"),
    classify()("text").alias("sentiment"),
    arrow_udf(place_of_work, "string")("id").alias("place"),
).collect()
spark.stop()
print(json.dumps([[row.id, list(row.sentiment) if row.sentiment else None, row.place] for row in rows]))
"""
CONNECT_JOB = """
import json, sys
from pyspark.sql import SparkSession
from fastlstm.integrations.spark import classify, register

texts = json.loads(sys.argv[1])
spark = SparkSession.builder.remote("local[2]").getOrCreate()
assert not hasattr(spark, "sparkContext")
frame = spark.createDataFrame(list(enumerate(texts)), "id long, text string")
rows = frame.select("id", classify()("text").alias("sentiment")).collect()
register(spark)
frame.createOrReplaceTempView("reviews")
labels = spark.sql("SELECT sentiment(text).label AS label FROM reviews ORDER BY id").collect()
print(json.dumps([[row.id, list(row.sentiment) if row.sentiment else None] for row in rows]))
print(json.dumps([row.label for row in labels]))
spark.stop()
"""


@pytest.fixture(scope="module", autouse=True)
def _environment() -> Iterator[None]:
    """Make the workers use this Python and this package, and addresses of this machine only."""
    folders = [str(Path(fastlstm.__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(str(Path(folder).absolute()) for folder in folders if folder))
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def spark_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current folder of the session's JVM."""
    return tmp_path_factory.mktemp("spark")


@pytest.fixture(scope="module")
def spark(_environment: None, spark_folder: Path) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]")
    for name, value in CONFIGURATION.items():
        builder = builder.config(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(spark_folder)
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="module")
def model() -> Classifier:
    return fastlstm.load()


def numbered(spark: SparkSession, texts: list[str | None], partitions: int = 3) -> DataFrame:
    """Return a table of texts with their position as `id`."""
    return spark.createDataFrame(list(enumerate(texts)), "id long, text string").repartition(partitions)


def expected(
    model: Classifier, texts: list[str | None], threshold: float | None = None
) -> list[tuple[str | None, float | None] | None]:
    """Return label and probability of each text according to `predict_column`; None for a missing text."""
    predictions = predict_column(model, texts, threshold=threshold)
    return [
        ((label, float(probability)) if label is not None else (None, None)) if is_text else None
        for label, probability, is_text in zip(
            predictions.labels, predictions.label_probabilities, predictions.is_text, strict=True
        )
    ]


def collected(frame: DataFrame) -> list[Any]:
    """Return the column `sentiment` in the order of `id`; structs are tuples."""
    return [row.sentiment for row in sorted(frame.collect(), key=lambda row: int(row.id))]


@pytest.mark.parametrize("records_per_batch", [10_000, 2])
def test_results_equal_those_of_predict_column(
    spark: SparkSession, model: Classifier, records_per_batch: int
) -> None:
    texts = TEXTS * 5
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", records_per_batch)
    frame = numbered(spark, texts).select("id", classify()("text").alias("sentiment"))
    spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert frame.schema["sentiment"].dataType.simpleString() == "struct<label:string,probability:float>"
    assert collected(frame) == expected(model, texts)


def test_probabilities_are_a_map_from_labels(spark: SparkSession, model: Classifier) -> None:
    sentiment = classify(probabilities=True)("text")
    frame = numbered(spark, TEXTS).select("id", sentiment.alias("sentiment"))
    assert frame.schema["sentiment"].dataType["probabilities"].dataType.simpleString() == "map<string,float>"
    rows = predict_column(model, TEXTS).probabilities
    for text, row, result in zip(TEXTS, rows, collected(frame), strict=True):
        assert result is None if text is None else result.probabilities == dict(zip(model.labels, row, strict=True))
    positive = numbered(spark, TEXTS).select("id", sentiment.probabilities["positive"].alias("sentiment"))
    np.testing.assert_array_equal(np.array(collected(positive), np.float32), rows[:, 1])


def test_model_may_be_a_classifier_a_folder_or_a_name(
    spark: SparkSession, three_classes: Classifier, tmp_path: Path
) -> None:
    three_classes.save(tmp_path / "model")
    frame = numbered(spark, TEXTS)
    chinese = fastlstm.load("chinese-sentiment")
    models = ((three_classes, three_classes), (tmp_path / "model", three_classes), ("chinese-sentiment", chinese))
    for argument, classifier in models:
        results = collected(frame.select("id", classify(argument)("text").alias("sentiment")))
        assert results == expected(classifier, TEXTS)


def test_several_models_classify_in_one_query(spark: SparkSession, three_classes: Classifier) -> None:
    chinese = fastlstm.load("chinese-sentiment")
    first, second = classify(three_classes), classify(chinese)
    rows = numbered(spark, TEXTS).select("id", first("text").alias("first"), second("text").alias("second"))
    results = sorted(rows.collect(), key=lambda row: int(row.id))
    assert [row.first for row in results] == expected(three_classes, TEXTS)
    assert [row.second for row in results] == expected(chinese, TEXTS)


def test_threshold_changes_labels(spark: SparkSession, model: Classifier) -> None:
    frame = numbered(spark, TEXTS).select("id", classify(threshold=1.0)("text").alias("sentiment"))
    assert collected(frame) == expected(model, TEXTS, threshold=1.0)


def test_large_strings_are_classified(spark: SparkSession, model: Classifier) -> None:
    spark.conf.set("spark.sql.execution.arrow.useLargeVarTypes", "true")
    try:
        frame = numbered(spark, TEXTS).select("id", classify(probabilities=True)("text").alias("sentiment"))
        results = [result and result[:2] for result in collected(frame)]
    finally:
        spark.conf.unset("spark.sql.execution.arrow.useLargeVarTypes")
    assert results == expected(model, TEXTS)


def test_sql_function_is_registered_and_replaced(spark: SparkSession, model: Classifier) -> None:
    numbered(spark, TEXTS).createOrReplaceTempView("reviews")
    query = "SELECT id, sentiment(text).label AS sentiment FROM reviews"
    register(spark)
    assert collected(spark.sql(query)) == predict_column(model, TEXTS).labels
    register(spark, "sentiment", model, threshold=1.0)
    assert collected(spark.sql(query)) == predict_column(model, TEXTS, threshold=1.0).labels
    returned = register(spark, "scores", probabilities=True)
    in_sql = spark.sql("SELECT id, scores(text) AS sentiment FROM reviews")
    assert collected(in_sql) == collected(numbered(spark, TEXTS).select("id", returned("text").alias("sentiment")))


def test_null_literal_has_a_null_result(spark: SparkSession) -> None:
    register(spark)
    assert spark.sql("SELECT sentiment(NULL) AS result").first() == (None,)


def test_bytes_that_are_not_utf8_are_replaced(spark: SparkSession, model: Classifier) -> None:
    register(spark)
    rows = spark.sql("SELECT sentiment(CAST(X'476f6f64ff2066696c6d' AS STRING)) AS result").first()
    assert rows is not None
    assert [rows.result] == expected(model, ["Good\ufffd film"])


def test_other_column_types_raise(spark: SparkSession) -> None:
    udf = classify()
    with pytest.raises(DataError) as error:
        udf.func(pa.array([1, 2]))
    assert (error.value.code, error.value.type) == ("not-a-text", "int64")
    with pytest.raises(pyspark.errors.PythonException, match=r"fastlstm\.errors\.DataError"):
        numbered(spark, TEXTS).select(udf("id")).collect()


@pytest.mark.parametrize("threshold", [-1, "high"])
def test_invalid_thresholds_raise_before_the_query(threshold: Any) -> None:
    with pytest.raises(OptionError) as error:
        classify(threshold=threshold)
    assert error.value.code == "bad-option-value"


def test_missing_model_raises_before_the_query(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        classify(tmp_path / "absent")


@pytest.mark.parametrize(
    ("module", "package"), [("pyarrow", "pyarrow"), ("pyspark.sql.functions", "PySpark 4.1 or later")]
)
def test_missing_packages_raise(monkeypatch: pytest.MonkeyPatch, module: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as error:
        classify()
    assert (error.value.package, error.value.extra) == (package, "spark")


def test_each_worker_prepares_a_model_once(
    spark: SparkSession, model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "prepared"
    module = tmp_path / "recorded_classifier.py"
    module.write_text(RECORDED_CLASSIFIER.format(path=str(path)), encoding="utf-8")
    spark.sparkContext.addPyFile(str(module))
    monkeypatch.syspath_prepend(tmp_path)
    recorded = importlib.import_module("recorded_classifier").RecordedClassifier(model.saved)
    path.unlink()  # written by this process

    udfs = [classify(recorded), classify(recorded), classify(recorded, threshold=1.0)]
    for udf in udfs * 2:
        frame = numbered(spark, TEXTS * 4, partitions=6).select("id", udf("text").alias("sentiment"))
        assert len(collected(frame)) == len(TEXTS) * 4
    preparations = Counter(path.read_text(encoding="ascii").split())
    assert set(preparations.values()) == {1}
    assert str(os.getpid()) not in preparations


def test_workers_use_the_threads_of_a_task(spark: SparkSession) -> None:
    from pyspark.sql.functions import arrow_udf

    def kernel_threads(numbers):  # type: ignore[no-untyped-def]
        import pyarrow

        from fastlstm.kernel.loader import find_kernel

        kernel = find_kernel().kernel
        return pyarrow.array([1 if kernel is None else kernel.threads] * len(numbers))

    frame = numbered(spark, TEXTS).select(
        classify()("text").alias("sentiment"), arrow_udf(kernel_threads, "long")("id").alias("threads")
    )
    assert {row.threads for row in frame.collect()} == {int(os.environ.get("FASTLSTM_THREADS", "1"))}


def test_least_recently_used_models_are_dropped(three_classes: Classifier) -> None:
    source = pickle.dumps(three_classes)
    digests = [f"model {number}" for number in range(MAX_MODELS)]
    models = [prepared_model(digest, source) for digest in digests]
    assert prepared_model(digests[0], source) is models[0]
    prepared_model("another model", source)
    assert prepared_model(digests[0], source) is models[0]
    assert prepared_model(digests[1], source) is not models[1]


def test_streams_classify_each_row_once_after_a_restart(
    spark: SparkSession, model: Classifier, tmp_path: Path
) -> None:
    def write(name: str, first: int, texts: list[str | None]) -> None:
        lines = [json.dumps({"id": first + row, "text": text}) for row, text in enumerate(texts)]
        (tmp_path / f"{name}.tmp").write_text("\n".join(lines), encoding="utf-8")
        (tmp_path / f"{name}.tmp").rename(tmp_path / "incoming" / f"{name}.json")

    def run() -> None:
        source = spark.readStream.schema("id long, text string").option("maxFilesPerTrigger", 1)
        scored = source.json(str(tmp_path / "incoming")).withColumn("sentiment", classify()("text"))
        writer = scored.writeStream.format("parquet").option("checkpointLocation", str(tmp_path / "checkpoint"))
        query = writer.trigger(availableNow=True).start(str(tmp_path / "scored"))
        assert query.awaitTermination(60)

    (tmp_path / "incoming").mkdir()
    write("a", 0, TEXTS)
    write("b", len(TEXTS), TEXTS[::-1])
    run()
    write("c", 2 * len(TEXTS), TEXTS)
    run()
    rows = sorted(spark.read.parquet(str(tmp_path / "scored")).collect(), key=lambda row: int(row.id))
    texts = TEXTS + TEXTS[::-1] + TEXTS
    assert [row.id for row in rows] == list(range(len(texts)))
    assert [row.sentiment for row in rows] == expected(model, texts)


def test_code_of_the_document_runs(
    spark: SparkSession, spark_folder: Path, model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spark_folder)
    numbered(spark, TEXTS, 1).write.parquet("reviews")
    numbered(spark, TEXTS, 1).write.json("incoming")
    model.save("model")
    code = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for block in code:
        exec(compile(block, str(DOCUMENT), "exec"), names)
    results = [expected(model, TEXTS)[row] for row in range(len(TEXTS))]
    for folder in ("scored", "scored-stream", "scored-updates"):
        assert collected(spark.read.parquet(folder)) == results, folder


def run_job(script: str, *arguments: str) -> list[str]:
    """Run a script in a new Python process and return the lines of its standard output."""
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def wait_for_log(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """Return the first group of a pattern once the log of a process contains it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(pattern, log.read_text(encoding="utf-8", errors="replace"))
        if match:
            return match[1]
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A standalone cluster with two workers of one core each; its address."""
    environment = os.environ | {
        "SPARK_DAEMON_JAVA_OPTS": JAVA_OPTIONS,
        "SPARK_DAEMON_MEMORY": "128m",
        "SPARK_LOCAL_DIRS": str(tmp_path / "local"),
        "SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false",
    }

    def start(stack: ExitStack, name: str, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        log = tmp_path / f"{name}.log"
        spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
        command = [str(spark_class), f"org.apache.spark.deploy.{arguments[0]}", "--host", "127.0.0.1"]
        command += ["--port", "0", "--webui-port", "0", *arguments[1:]]
        with log.open("wb") as file:
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
        stack.callback(process.wait, timeout=60)
        stack.callback(process.terminate)
        return process, log

    with ExitStack() as stack:
        process, log = start(stack, "master", "master.Master")
        address = wait_for_log(log, r"Starting Spark master at (spark://\S+)", process)
        limits = ("--cores", "1", "--memory", "600m")
        for name in ("first", "second"):
            folder = str(tmp_path / name)
            process, log = start(stack, name, "worker.Worker", *limits, "--work-dir", folder, address)
            wait_for_log(log, r"Successfully registered with master (\S+)", process)
        yield address


def test_both_workers_of_a_cluster_take_part_and_a_crash_changes_nothing(
    cluster: str, model: Classifier, tmp_path: Path
) -> None:
    texts = TEXTS * 4
    configuration = CONFIGURATION | {
        "spark.cores.max": "2",
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "60s",
    }
    crash = tmp_path / "crash"
    lines = run_job(CLUSTER_JOB, cluster, str(crash), json.dumps(texts), json.dumps(configuration))
    rows = sorted(json.loads(lines[-1]))
    assert crash.exists()
    assert [row[0] for row in rows] == list(range(len(texts)))
    assert [row[1] and tuple(row[1]) for row in rows] == expected(model, texts)
    folders = {Path(row[2].split(" ", 1)[1]).relative_to(tmp_path).parts[0] for row in rows}
    assert folders == {"first", "second"}


def test_spark_connect_sends_the_model_with_the_query(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("grpc", "pandas", "zstandard"):
        pytest.importorskip(module)
    monkeypatch.setenv("SPARK_TESTING", "1")  # a free port
    monkeypatch.setenv("SPARK_CONF_DIR", str(tmp_path))
    lines = [f"{name} {value}" for name, value in CONFIGURATION.items()]
    (tmp_path / "spark-defaults.conf").write_text("\n".join(lines), encoding="utf-8")
    *_, first, second = run_job(CONNECT_JOB, json.dumps(TEXTS))
    rows = sorted(json.loads(first))
    assert [row[1] and tuple(row[1]) for row in rows] == expected(model, TEXTS)
    assert json.loads(second) == predict_column(model, TEXTS).labels
