"""The default preset against TF-IDF with logistic regression and fastText, on many data sets and sizes.

    python benchmarks/defaults.py DATA_FOLDER [--sets "AG News" ...] [--rows 100 300 10000] [--methods ...]

Methods:
- TF-IDF: scikit-learn's TfidfVectorizer (words and pairs, sublinear; characters 1-3 for scripts without spaces) and
  LogisticRegression with its default C; "TF-IDF, C chosen" chooses C on a fifth of the texts;
- fastText (`pip install fasttext-community`) with word pairs; characters are separated by spaces for scripts without;
- small: `fastlstm.train` with the default preset.

All methods get the same rows, and each trains on one thread. Finished cells are kept: a second call measures what is
missing. With --development, models are evaluated on training texts that are not drawn: choices are made on these.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import machine
from default_data import DATA_SETS, UNSPACED, Text
from fastlstm.kernel import find_kernel
from opponents import default_preset, fasttext_model, linear
from opponents.alternative import Fit, Task

NAME = "defaults"
ROWS = (100, 300, 10_000)


METHODS: Mapping[str, Fit] = {
    "TF-IDF": partial(linear.fit_tfidf, inverse_penalty=1.0),
    "TF-IDF, C chosen": linear.fit_tfidf,
    "fastText": fasttext_model.fit,
    "small": default_preset.fit,
}


def main() -> None:
    """Measure the missing cells, print the means and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS))
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--development", action="store_true")
    arguments = parser.parse_args()
    if (kernel := find_kernel().kernel) is not None:
        kernel.threads = 1

    name = f"{NAME}_development" if arguments.development else NAME
    path = machine.result_path(name, publish=arguments.publish)
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    packages = ["fastlstm", "torch", "scikit-learn", "numpy", "tokenizers"]
    for data_name in arguments.sets:
        data = DATA_SETS[data_name](arguments.data_dir)
        for rows in arguments.rows:
            for seed in arguments.seeds:
                training, evaluated = data.sample(rows, seed, development=arguments.development)
                texts, labels = zip(*training, strict=True)
                for method in arguments.methods:
                    cell = {"data": data_name, "rows": rows, "seed": seed, "method": method}
                    if any(cell.items() <= earlier.items() for earlier in cells):
                        continue
                    started = time.perf_counter()
                    with tempfile.TemporaryDirectory() as folder:
                        task = Task(texts, labels, data_name in UNSPACED, seed, 1, Path(folder))
                        predicted = METHODS[method](task).predict([text for text, _ in evaluated])
                    cell |= {
                        "training_texts": len(training),
                        "classes": len({label for _, label in training}),
                        "evaluated_texts": len(evaluated),
                        "accuracy": _accuracy(predicted, evaluated),
                        "seconds": time.perf_counter() - started,
                        "commit": machine.commit(),
                    }
                    cells.append(cell)
                    machine.save(name, packages, {"cells": cells}, publish=arguments.publish)
                    print(f"{data_name}, {rows} rows, seed {seed}, {method}: {cell['accuracy']:.2%}", flush=True)
    for method in arguments.methods:
        accuracies = [cell["accuracy"] for cell in cells if cell["method"] == method]
        print(f"{method:18} {statistics.mean(accuracies):.2%} over {len(accuracies)} cells")
    print(path)


def _accuracy(predicted: Sequence[str], expected: Sequence[Text]) -> float:
    return statistics.mean(answer == label for answer, (_, label) in zip(predicted, expected, strict=True))


if __name__ == "__main__":
    main()
