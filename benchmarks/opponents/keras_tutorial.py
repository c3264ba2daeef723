"""The Keras tutorial's own script: every review padded to 500 tokens, Model.fit, batch 64.

Runs under a Python that has TensorFlow (the benchmark starts it). Reads an .npz with `ids` [n, 500] and
`truth` [n]; then for every line on standard input trains one epoch and prints its seconds.
"""

from __future__ import annotations

import os
import sys
import time

import keras
import numpy as np

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def main() -> None:
    """Trains an epoch a line."""
    data = np.load(sys.argv[1])
    model = keras.Sequential(
        [
            keras.layers.Embedding(int(sys.argv[2]), 64),
            keras.layers.LSTM(64, return_sequences=True),
            keras.layers.LSTM(32),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(data["ids"][:128], data["truth"][:128], batch_size=64, verbose=0)  # traces the graph
    print("ready", keras.__version__, flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        model.fit(data["ids"], data["truth"], batch_size=64, epochs=1, verbose=0)
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
