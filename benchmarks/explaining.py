"""Time of explanations: integrated gradients against PyTorch's autograd, occlusion, gates and trajectories.

    python benchmarks/explaining.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled model is measured too. Each explains texts of 200 tokens, one at a time, on
all cores. fastlstm and PyTorch use the same integration points, and the result contains their largest difference.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm.data.datasets import load_imdb
from fastlstm.inference import Classifier
from fastlstm.inference.explain.attribution import POINT_COUNTS, integrated_gradients, lobatto
from fastlstm.inference.explain.layers import Layers
from fastlstm.kernel import find_kernel
from opponents import pytorch_gradients
from timing import alternate, medians

TOKENS = 200
TEXTS = 20


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    info = find_kernel()
    if info.kernel is None:
        sys.exit(f"no compiled kernel: {info.reason}")

    texts = load_imdb(arguments.data_dir).train.texts
    result: dict[str, Any] = {"tokens": TOKENS, "points": POINT_COUNTS[0], "cores": info.kernel.threads}
    for name, model in (("tutorial", fastlstm.load(arguments.model)), ("bundled", fastlstm.load())):
        result[name] = measure(model, texts, info.kernel.threads, arguments.repeats)
        print(f"{name}: {TOKENS} tokens, {POINT_COUNTS[0]} points, median of {arguments.repeats}")
        for method, seconds in result[name]["medians"].items():
            print(f"  {method:40} {1000 * seconds:8.2f} ms")
        median, largest = result[name]["median_error"], result[name]["largest_error"]
        print(f"  error of the attributions' sum: median {median:.4f}, largest {largest:.4f} logits")
        print(f"  largest difference from PyTorch: {result[name]['largest_difference']:.1e}")
    print(
        machine.save("explaining", ["fastlstm", "torch", "numpy", "tokenizers"], result, publish=arguments.publish)
    )


def measure(model: Classifier, texts: list[str], threads: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of each method and the errors of the attributions."""
    encoded = model.tokenize(texts).ids
    selected = [k for k, ids in enumerate(encoded) if len(ids) == TOKENS][:TEXTS]
    text, ids = texts[selected[0]], encoded[selected[0]]
    weight = np.ascontiguousarray(model.saved.weights["output.weight"][0])
    layers = Layers(model.saved.config, model.saved.weights)
    opponent = pytorch_gradients.Opponent(model.saved, weight, threads)
    nodes, node_weights = lobatto(POINT_COUNTS[0])
    own = integrated_gradients(layers, ids, weight, POINT_COUNTS[0]).attributions
    seconds = alternate(
        {
            "integrated gradients": lambda: integrated_gradients(layers, ids, weight, POINT_COUNTS[0]),
            "integrated gradients, PyTorch's autograd": lambda: opponent(ids, nodes, node_weights),
            "explain, from the text": lambda: model.explain(text),
            "explain, by occlusion": lambda: model.explain(text, method="occlusion"),
            "gates": lambda: model.gates(text),
            "trajectory": lambda: model.trajectory(text),
            "predict_proba": lambda: model.predict_proba(text),
        },
        repeats,
    )
    errors = [model.explain(texts[k]).error for k in selected]
    return {
        "medians": medians(seconds),
        "seconds": seconds,
        "texts": len(selected),
        "median_error": float(np.median(errors)),
        "largest_error": max(errors),
        "largest_difference": float(np.abs(own - opponent(ids, nodes, node_weights)).max()),
    }


if __name__ == "__main__":
    main()
