"""Train a small model with a fixed seed and print checksums of its weights, to compare two versions bit by bit.

    python benchmarks/bit_identity.py TRAIN_PARQUET [--other-python /path/to/other/.venv/bin/python]

TRAIN_PARQUET has the columns text and label (0 or 1), as IMDb's train.parquet. The tutorial preset trains on 2,000 of
its texts, shuffled with a fixed seed. With --other-python, another environment with another version of fastlstm trains
on the same texts; the exit status is 1 if any weight differs. The script uses only `fastlstm.train`, so that it works
with older versions too.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet

import machine

LABELS = ("negative", "positive")
TRAIN = """
import hashlib, json, subprocess, sys
from pathlib import Path

import fastlstm
from safetensors.numpy import load_file

data, folder, epochs, seed = sys.argv[1:]
fastlstm.train(data, folder, preset="tutorial", epochs=int(epochs), seed=int(seed), baseline=False)
weights = load_file(Path(folder, "model.safetensors"))
digests = {
    name: hashlib.sha256(f"{w.dtype} {w.shape} ".encode() + w.tobytes()).hexdigest()
    for name, w in sorted(weights.items())
}
git = ["git", "-C", str(Path(fastlstm.__file__).parent), "rev-parse", "--short=12", "HEAD"]
commit = subprocess.run(git, capture_output=True, text=True).stdout.strip()
print(json.dumps({"version": fastlstm.__version__, "commit": commit, "sha256": digests}))
"""
"""The script that each environment runs."""


def main() -> int:
    """Train, print the checksums, compare, and save the raw result. Return the exit status."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data", type=Path, help="Parquet file with the columns text and label")
    parser.add_argument("--other-python", help="Python of an environment with another version of fastlstm")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    pythons = {"this": sys.executable}
    if arguments.other_python:
        pythons["other"] = arguments.other_python
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "reviews.csv")
        write_sample(arguments.data, data, arguments.texts)
        runs = {
            name: train(python, data, Path(folder, name), arguments.epochs, arguments.seed)
            for name, python in pythons.items()
        }
    for name, run in runs.items():
        print(f"{name}: fastlstm {run['version']} at {run['commit']}, {run['seconds']:.0f} s")
    this, other = runs["this"], runs.get("other")
    differing = []
    for name in sorted(this["sha256"].keys() | (other or this)["sha256"].keys()):
        digests = [run["sha256"].get(name, "missing") for run in runs.values()]
        differing += [name] if len(set(digests)) > 1 else []
        print(f"{'DIFFERENT' if name in differing else digests[0][:16]}  {name}")
    result: dict[str, Any] = {
        "texts": arguments.texts,
        "epochs": arguments.epochs,
        "seed": arguments.seed,
        "runs": runs,
        "identical": None if other is None else not differing,
    }
    packages = ["fastlstm", "torch", "numpy", "tokenizers"]
    print(machine.save("bit_identity", packages, result, publish=arguments.publish))
    if differing:
        print(f"{len(differing)} of {len(this['sha256'])} tensors differ", file=sys.stderr)
    return int(bool(differing))


def write_sample(source: Path, target: Path, texts: int) -> None:
    """Write the first `texts` rows of a Parquet file, after shuffling them with a fixed seed, to a CSV file."""
    table = parquet.read_table(source, columns=["text", "label"])
    rows = table.take(np.random.default_rng(0).permutation(len(table))[:texts]).to_pylist()
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((row["text"], LABELS[row["label"]]) for row in rows)


def train(python: str, data: Path, folder: Path, epochs: int, seed: int) -> dict[str, Any]:
    """Train in an environment. Return its version, commit, checksums by tensor name, and seconds."""
    started = time.perf_counter()
    command = [python, "-c", TRAIN, str(data), str(folder), str(epochs), str(seed)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    run: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return {**run, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    sys.exit(main())
