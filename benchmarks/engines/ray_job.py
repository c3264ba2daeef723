"""Score a Parquet dataset with Ray Data: ray_job.py SOURCE SINK WORKERS. Prints rows and seconds as JSON."""

import json
import sys
import time

import ray

from fastlstm.integrations.ray import TextPredictor

BLOCK_ROWS = 512
"""Without it, Ray reads all files as one block, which one worker would predict."""

source, sink, workers = sys.argv[1:]
ray.init(num_cpus=int(workers) + 2, include_dashboard=False, log_to_driver=False)  # reading needs a slot, too
started = time.perf_counter()
blocks = ray.data.read_parquet(source).repartition(target_num_rows_per_block=BLOCK_ROWS)
blocks.map_batches(
    TextPredictor, batch_format="pyarrow", batch_size=BLOCK_ROWS, concurrency=int(workers)
).write_parquet(sink)
seconds = time.perf_counter() - started
print(json.dumps({"rows": ray.data.read_parquet(sink).count(), "seconds": seconds}))
