"""Score a Parquet dataset with Flink: flink_job.py SOURCE SINK WORKERS. Prints rows and seconds as JSON.

PyFlink has no Parquet format without a jar that PyPI lacks, so the rows are converted to JSON Lines first, and written
as such.
"""

import json
import sys
import time
from pathlib import Path

from pyarrow import dataset
from pyflink.table import EnvironmentSettings, TableEnvironment

source, sink, workers = sys.argv[1:]
lines = Path(f"{sink}-lines")
lines.mkdir()
for number, fragment in enumerate(dataset.dataset(source).get_fragments()):
    rows = fragment.to_table(columns=["id", "text"]).to_pylist()
    (lines / f"{number:03}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))

table_env = TableEnvironment.create(EnvironmentSettings.in_batch_mode())
configuration = table_env.get_config()
configuration.set("parallelism.default", workers)
configuration.set("python.executable", sys.executable)
table_env.execute_sql(
    "CREATE TEMPORARY SYSTEM FUNCTION sentiment AS 'fastlstm.integrations.flink.english_sentiment' LANGUAGE PYTHON"
)
columns = "id BIGINT, text STRING"
options = "'connector' = 'filesystem', 'format' = 'json', 'path' = 'file://{}'"
table_env.execute_sql(f"CREATE TABLE reviews ({columns}) WITH ({options.format(lines)})")
table_env.execute_sql(
    f"CREATE TABLE scored ({columns}, label STRING, probability FLOAT) WITH ({options.format(sink)})"
)
started = time.perf_counter()
table_env.execute_sql(
    "INSERT INTO scored SELECT id, text, p.label, p.probability FROM (SELECT *, sentiment(text) AS p FROM reviews)"
).wait()
seconds = time.perf_counter() - started
count = sum(path.read_bytes().count(b"\n") for path in Path(sink).rglob("*") if path.is_file())
print(json.dumps({"rows": count, "seconds": seconds}))
