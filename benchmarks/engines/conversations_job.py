"""Classify conversations that arrive in pieces with Flink: conversations_job.py FOLDER COUNT WORKERS [SAVEPOINT].

The pieces are the JSON lines of the files in FOLDER/pieces. Each worker appends its results to a file in
FOLDER/results, or with a SAVEPOINT to continue from, in FOLDER/restored. When there are COUNT results, the job takes a
savepoint and ends.
Prints the seconds until then, the savepoint and its seconds as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path

from pyflink.common import Configuration, Duration, Encoder, Row, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, FileSource, StreamFormat
from pyflink.java_gateway import get_gateway

from fastlstm.integrations.flink import classify_pieces

folder, count, workers, *savepoint = sys.argv[1:]
results = Path(folder) / ("restored" if savepoint else "results")
results.mkdir()


def append(row: Row) -> str:
    """Append a result to the file of this worker."""
    with (results / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(tuple(row)) + "\n")
    return ""


def results_so_far() -> int:
    """Return the number of results that are written."""
    return sum(path.read_bytes().count(b"\n") for path in results.glob("*.jsonl"))


configuration = Configuration()
for name, value in {
    "restart-strategy.type": "disable",
    "parallelism.default": workers,
    "execution.checkpointing.storage": "filesystem",  # by default, states of more than 5 MB per task fail
    "execution.checkpointing.dir": f"file://{folder}/checkpoints",
    "python.executable": sys.executable,
    **({"execution.state-recovery.path": savepoint[0]} if savepoint else {}),
}.items():
    configuration.set_string(name, value)
environment = StreamExecutionEnvironment.get_execution_environment(configuration)
source = (
    FileSource.for_record_stream_format(StreamFormat.text_line_format(), f"{folder}/pieces")
    .monitor_continuously(Duration.of_millis(100))
    .build()
)
row_type = Types.ROW([Types.STRING(), Types.STRING()])
lines = environment.from_source(source, WatermarkStrategy.no_watermarks(), "pieces").uid("pieces")
pieces = lines.map(lambda line: Row(*json.loads(line)), row_type).uid("parse")
sink = FileSink.for_row_format(f"{folder}/sink", Encoder.simple_string_encoder()).build()
classify_pieces(pieces).uid("classify").map(append, Types.STRING()).uid("append").sink_to(sink).uid("sink")

started = time.perf_counter()
client = environment.execute_async()
while results_so_far() < int(count):
    if client.get_job_status().result().name in ("FAILED", "CANCELED", "FINISHED"):
        client.get_job_execution_result().result()  # raises the error of the job
        sys.exit("the job ended early")
    time.sleep(1)
seconds = time.perf_counter() - started
canonical = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
started = time.perf_counter()
path = client._j_job_client.triggerSavepoint(f"{folder}/savepoints", canonical).get()  # as docs/flink.md says
savepoint_seconds = time.perf_counter() - started
client.cancel().result()
print(json.dumps({"seconds": seconds, "savepoint": path, "savepoint_seconds": savepoint_seconds}))
