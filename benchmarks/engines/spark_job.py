"""Score a Parquet dataset with Spark: spark_job.py SOURCE SINK WORKERS. Prints rows and seconds as JSON."""

import json
import sys
import time

from pyspark.sql import SparkSession

from fastlstm.integrations.spark import classify

source, sink, workers = sys.argv[1:]
spark = (
    SparkSession.builder.master(f"local[{workers}]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.files.maxPartitionBytes", "4m")
    .getOrCreate()
)
spark.range(1).count()
sentiment = classify()
started = time.perf_counter()
scored = spark.read.parquet(f"file://{source}").withColumn("sentiment", sentiment("text"))
scored.select("id", "text", "sentiment.label", "sentiment.probability").write.parquet(f"file://{sink}")
seconds = time.perf_counter() - started
# A condition that is always true, so that the column is read.
rows = spark.read.parquet(f"file://{sink}").where("label IS NOT NULL OR label IS NULL").count()
print(json.dumps({"rows": rows, "seconds": seconds}))
