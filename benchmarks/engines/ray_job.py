"""Score a Parquet dataset with Ray Data: ray_job.py SOURCE SINK WORKERS. Prints rows and seconds as JSON."""

import json
import sys
import time

import ray

from fastlstm.integrations.ray import TextPredictor

source, sink, workers = sys.argv[1:]
ray.init(num_cpus=int(workers) + 2, include_dashboard=False, log_to_driver=False)  # reading needs a slot, too
started = time.perf_counter()
ray.data.read_parquet(source).map_batches(
    TextPredictor, batch_format="pyarrow", batch_size=1024, concurrency=int(workers)
).write_parquet(sink)
seconds = time.perf_counter() - started
print(json.dumps({"rows": ray.data.read_parquet(sink).count(), "seconds": seconds}))
