"""The Keras tutorial's training: every review padded to 500 tokens, Model.fit, batches of 64.

`benchmarks/training.py` starts it with a Python that has TensorFlow. It reads an .npz file with `ids` [n, 500] and
`truth` [n]. For each line on standard input it trains one epoch and prints the seconds.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np


def main() -> None:
    """Train one epoch per line of standard input."""
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
