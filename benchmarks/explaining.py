"""Time of explanations: integrated gradients against PyTorch's autograd, occlusion, gates and trajectories.

    python benchmarks/explaining.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model; the bundled model is measured too. Each explains texts of 200 tokens, one at a time, on
all cores. fastlstm and PyTorch use the same integration points, those of the first batch, and the result contains their
largest difference. The accuracy is that of the default, which adds points: `largest_error` is that of the sum, and
`relative_differences` are the sums of the absolute differences from many points, relative to the absolute attributions.
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
from fastlstm.inference.explain.attribution import FIRST_POINTS, integrated_gradients
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.explain.path import LinearReadout
from fastlstm.inference.explain.quadrature import first_points, interval_weights
from fastlstm.kernel import find_kernel
from opponents import pytorch_gradients
from timing import alternate, medians

TOKENS = 200
TEXTS = 20
MANY_POINTS = 256


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
    result: dict[str, Any] = {"tokens": TOKENS, "points": FIRST_POINTS, "cores": info.kernel.threads}
    for name, model in (("tutorial", fastlstm.load(arguments.model)), ("bundled", fastlstm.load())):
        result[name] = measure(model, texts, info.kernel.threads, arguments.repeats)
        print(f"{name}: {TOKENS} tokens, {FIRST_POINTS} points, median of {arguments.repeats}")
        for method, seconds in result[name]["medians"].items():
            print(f"  {method:40} {1000 * seconds:8.2f} ms")
        median, largest = result[name]["median_error"], result[name]["largest_error"]
        print(f"  error of the attributions' sum: median {median:.4f}, largest {largest:.4f} logits")
        differences = result[name]["relative_differences"]
        print(f"  difference from many points: median {np.median(differences):.2%}, largest {max(differences):.2%}")
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
    points, readout = first_points(FIRST_POINTS), LinearReadout(weight)
    nodes, node_weights = points.astype(np.float32), interval_weights(points).sum(axis=0).astype(np.float32)
    own = integrated_gradients(layers, ids, readout, points).attributions
    seconds = alternate(
        {
            "integrated gradients": lambda: integrated_gradients(layers, ids, readout, points),
            "integrated gradients, PyTorch's autograd": lambda: opponent(ids, nodes, node_weights),
            "explain, from the text": lambda: model.explain(text),
            "explain, by occlusion": lambda: model.explain(text, method="occlusion"),
            "gates": lambda: model.gates(text),
            "trajectory": lambda: model.trajectory(text),
            "predict_proba": lambda: model.predict_proba(text),
        },
        repeats,
    )
    results = [integrated_gradients(layers, encoded[k], readout) for k in selected]
    many = [integrated_gradients(layers, encoded[k], readout, first_points(MANY_POINTS)) for k in selected]
    errors = [result.error for result in results]
    return {
        "medians": medians(seconds),
        "seconds": seconds,
        "texts": len(selected),
        "median_error": float(np.median(errors)),
        "largest_error": max(errors),
        "relative_differences": [
            float(np.abs(result.attributions - exact.attributions).sum() / np.abs(exact.attributions).sum())
            for result, exact in zip(results, many, strict=True)
        ],
        "largest_difference": float(np.abs(own - opponent(ids, nodes, node_weights)).max()),
    }


if __name__ == "__main__":
    main()
