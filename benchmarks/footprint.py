"""Import time, tokenization time and bulk prediction time.

python benchmarks/footprint.py IMDB_FOLDER MODEL
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import machine
from fastlstm import load
from fastlstm.data.datasets import load_imdb
from fastlstm.kernel.fast_tokens import compile_tokens
from fastlstm.text.tokenizer import TextTokenizer, train_tokenizer

IMPORT = "import time; t = time.perf_counter(); import fastlstm; print(time.perf_counter() - t)"
IMPORT_TO_USE = (
    "import time; t = time.perf_counter(); import fastlstm; fastlstm.load; print(time.perf_counter() - t)"
)


def main() -> None:
    """Measure, print a table and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path, help="a saved tutorial model")
    parser.add_argument("--repeats", type=int, default=11)
    arguments = parser.parse_args()

    texts = load_imdb(arguments.data_dir).train.texts
    test = load_imdb(arguments.data_dir).test.texts
    tokenizer = train_tokenizer(texts, 10_000)
    tokenize = TextTokenizer(tokenizer, max_tokens=500, truncate="end", compile_tokens=compile_tokens)
    model = load(arguments.model)
    seconds = {
        "import fastlstm": repeat(lambda: time_script(IMPORT), arguments.repeats),
        "import fastlstm and what fastlstm.load needs": repeat(
            lambda: time_script(IMPORT_TO_USE), arguments.repeats
        ),
        "tokenising 25,000 reviews": repeat(lambda: time_call(lambda: tokenize(texts)), 5),
        "predict_proba of 25,000 reviews": repeat(lambda: time_call(lambda: model.predict_proba(test)), 5),
    }
    for name, values in seconds.items():
        print(f"{name:50} {statistics.median(values):7.3f} s  (median of {len(values)})")
    print(
        machine.save(
            "footprint", ["fastlstm", "numpy", "tokenizers"], {"seconds": seconds}, publish=arguments.publish
        )
    )


def repeat(measure: Callable[[], float], repeats: int) -> list[float]:
    """Repeat a measurement, after one that warms up the file cache."""
    if repeats > 1:
        measure()
    return [measure() for _ in range(repeats)]


def time_call(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def time_script(script: str) -> float:
    """Run a Python script that times itself and prints the seconds."""
    process = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return float(process.stdout)


if __name__ == "__main__":
    main()
