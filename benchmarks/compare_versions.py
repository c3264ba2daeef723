"""Compare the speed of two versions of fastlstm, in alternation.

    python benchmarks/compare_versions.py TRAIN_PARQUET --other-python /path/to/other/.venv/bin/python

TRAIN_PARQUET has the columns text and label (0 or 1), as IMDb's train.parquet. Each round starts a process in both
environments, which measures: importing fastlstm, loading the bundled model, one text, 64 texts and 2,000 texts on two
threads, an epoch of the tutorial preset on 4,000 texts, and `fastlstm predict TEXT` as a whole process. It prints the
ratios of the medians, this version to the other one. The script uses only functions that older versions have too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
from bit_identity import write_sample

MEASURE = """
import json, sys, time
started = time.perf_counter()
import fastlstm
seconds = {"import fastlstm": time.perf_counter() - started}
started = time.perf_counter()
model = fastlstm.load()
seconds["fastlstm.load()"] = time.perf_counter() - started
import csv
texts = [row["text"] for row in csv.DictReader(open(sys.argv[1], encoding="utf-8"))]

def median(call, repeats):
    values = []
    call()
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        values.append(time.perf_counter() - started)
    return sorted(values)[len(values) // 2]

seconds["one text"] = median(lambda: model.predict_proba(texts[:1]), 200)
seconds["64 texts"] = median(lambda: model.predict_proba(texts[:64]), 15)
seconds["2,000 texts"] = median(lambda: model.predict_proba(texts[:2000]), 1)
result = fastlstm.train(sys.argv[1], sys.argv[2], preset="tutorial", epochs=1, baseline=False)
seconds["epoch of tutorial"] = result.history[0].seconds
print(json.dumps(seconds))
"""
"""The script that each environment runs."""
TEXT = "This movie was fantastic! I really enjoyed it."


def main() -> None:
    """Measure, print the ratios, and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data", type=Path, help="Parquet file with the columns text and label")
    parser.add_argument("--other-python", required=True, help="Python of an environment with another version")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    pythons = {"this": sys.executable, "other": arguments.other_python}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "reviews.csv")
        write_sample(arguments.data, data, 4000)
        for number in range(arguments.rounds):
            for name in pythons if number % 2 == 0 else reversed(pythons):
                runs[name].append(measure(pythons[name], data, Path(folder, f"{name}-{number}")))
    medians: dict[str, dict[str, float]] = {
        name: {key: statistics.median(run[key] for run in runs[name]) for key in runs[name][0]} for name in pythons
    }
    ratios = {key: medians["this"][key] / medians["other"][key] for key in medians["this"]}
    for key, ratio in ratios.items():
        print(f"{key:24} {medians['this'][key]:9.4f} s  {medians['other'][key]:9.4f} s  {ratio:.3f}")
    result: dict[str, Any] = {"runs": runs, "medians": medians, "ratios": ratios}
    packages = ["fastlstm", "torch", "numpy", "tokenizers"]
    print(machine.save("compare_versions", packages, result, publish=arguments.publish))


def measure(python: str, data: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of each measurement in an environment."""
    process = subprocess.run(
        [python, "-c", MEASURE, str(data), str(folder)], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([python, "-m", "fastlstm", "predict", TEXT], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - started)
    return {**seconds, "fastlstm predict TEXT": statistics.median(times)}


if __name__ == "__main__":
    main()
