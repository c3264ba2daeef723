"""What explaining an answer costs: integrated gradients against PyTorch's autograd, gates, occlusion, trajectory.

    python benchmarks/explaining.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled one is measured too. Of each, texts of about 200 tokens, one at a time,
on all cores. Both sides take the same points; that their answers agree is part of the result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm.data.datasets import load_imdb
from fastlstm.inference import Classifier
from fastlstm.inference.explain.attribution import POINTS, integrated_gradients, lobatto
from fastlstm.inference.explain.layers import Layers
from fastlstm.kernel import find_kernel
from opponents import pytorch_gradients
from timing import alternate, medians

TOKENS = 200
TEXTS = 20


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    found = find_kernel()
    if found.kernel is None:
        sys.exit(f"there is no kernel: {found.why_not}")

    texts = load_imdb(arguments.data_dir).train.texts
    result: dict[str, Any] = {"tokens": TOKENS, "points": POINTS[0], "cores": found.kernel.threads}
    for name, model in (("tutorial", fastlstm.load(arguments.model)), ("bundled", fastlstm.load())):
        result[name] = measured(model, texts, found.kernel.threads, arguments.repeats)
        print(f"{name}: {TOKENS} tokens, {POINTS[0]} points, median of {arguments.repeats}")
        for what, seconds in result[name]["medians"].items():
            print(f"  {what:40} {1000 * seconds:8.2f} ms")
        of = result[name]
        print(f"  sum off by {of['median_error']:.4f} of a logit, at most {of['largest_error']:.4f}")
        print(f"  largest difference from PyTorch's: {of['largest_difference']:.1e}")
    print(machine.save("explaining", machine.describe(["fastlstm", "torch", "numpy", "tokenizers"]), result))


def measured(model: Classifier, texts: list[str], threads: int, repeats: int) -> dict[str, Any]:
    """Seconds of each way, and how right the sums are."""
    encoded = model.encode(texts).ids
    of_length = [k for k, ids in enumerate(encoded) if len(ids) == TOKENS][:TEXTS]
    text, ids = texts[of_length[0]], encoded[of_length[0]]
    weight = np.ascontiguousarray(model.model.weights["output.weight"][0])
    layers = Layers(model.model.config, model.model.weights)
    opponent = pytorch_gradients.Opponent(model.model, weight, threads)
    nodes, shares = lobatto(POINTS[0])
    own = integrated_gradients(layers, ids, weight, POINTS[0]).words
    seconds = alternate(
        {
            "integrated gradients": lambda: integrated_gradients(layers, ids, weight, POINTS[0]),
            "integrated gradients, PyTorch's autograd": lambda: opponent(ids, nodes, shares),
            "explain, from the text": lambda: model.explain(text),
            "explain, by occlusion": lambda: model.explain(text, method="occlusion"),
            "gates": lambda: model.gates(text),
            "trajectory": lambda: model.trajectory(text),
            "predict_proba": lambda: model.predict_proba(text),
        },
        repeats,
    )
    errors = [model.explain(texts[k]).error for k in of_length]
    return {
        "medians": medians(seconds),
        "seconds": seconds,
        "texts": len(of_length),
        "median_error": float(np.median(errors)),
        "largest_error": max(errors),
        "largest_difference": float(np.abs(own - opponent(ids, nodes, shares)).max()),
    }


if __name__ == "__main__":
    main()
