"""Train with Ray Train: training_job.py KIND TEXTS OUT WORKERS. Prints seconds and the losses of the epochs as JSON.

KIND is "tutorial" or "language model". The seconds are those from the end of the first epoch to the end of the last
one, with validation.
"""

import json
import sys
import time

import ray
from pyarrow import parquet

import fastlstm

EPOCHS = {"tutorial": 3, "language model": 2}

kind, file, out, workers = sys.argv[1:]
if int(workers) > 1:
    ray.init(num_cpus=int(workers), include_dashboard=False, log_to_driver=False)
times: dict[int, list[float]] = {}


def watch(event: object) -> None:
    epoch = getattr(event, "epoch", None)
    if epoch is not None:
        times.setdefault(epoch, []).append(time.perf_counter())


table = parquet.read_table(file)
if kind == "tutorial":
    rows = list(zip(table["text"].to_pylist(), map(str, table["label"].to_pylist()), strict=True))
    history = fastlstm.train(
        rows, out, preset="tutorial", epochs=EPOCHS[kind], baseline=False, workers=int(workers), watch=watch
    ).history
    losses = [epoch.loss for epoch in history]
else:
    texts = table["text"].to_pylist()
    model = fastlstm.train_language_model(texts, out, epochs=EPOCHS[kind], workers=int(workers), watch=watch)
    losses = [epoch.loss for epoch in model.history]
last = max(times)
seconds = times[last][-1] - times[1][-1]
print(json.dumps({"seconds": seconds, "losses": losses}))
