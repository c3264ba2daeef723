"""Accuracy on IMDb's test split in the kernel's precisions and in ONNX Runtime, with float32 and int8 weights.

    python benchmarks/runtimes.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model, whose weights are float32. The bundled model, whose weights are stored as int8, is
measured too. No choice is made on the test split: all runtimes run the same model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
import machine
from fastlstm._typing import FloatArray
from fastlstm.convert.onnx import to_onnx
from fastlstm.data.datasets import load_imdb
from fastlstm.inference import Classifier
from opponents import onnx_classifier
from precisions import explicit_precisions

BATCH = 64


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    test = load_imdb(arguments.data_dir).test
    result: dict[str, Any] = {}
    for name, folder in (("tutorial", arguments.model), ("bundled", None)):
        truth = test.label_indices(fastlstm.load(folder).labels)
        reference: FloatArray | None = None
        result[name] = {}
        for runtime, probabilities in probabilities_by_runtime(folder, test.texts):
            reference = probabilities if reference is None else reference
            result[name][runtime] = {
                "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
                "largest_difference": float(np.abs(probabilities - reference).max()),
            }
            accuracy, difference = result[name][runtime].values()
            print(f"{name}, {runtime}: {accuracy:.2%}, largest difference {difference:.1e}", flush=True)
    packages = ["fastlstm", "onnx", "onnxruntime", "numpy", "tokenizers"]
    print(
        machine.save("runtimes", packages, {"texts": len(test.texts), "models": result}, publish=arguments.publish)
    )


def probabilities_by_runtime(folder: Path | None, texts: Sequence[str]) -> Iterator[tuple[str, FloatArray]]:
    """Yield each runtime's name and probabilities, starting with the kernel in float32."""
    for precision in explicit_precisions():
        yield f"kernel, {precision}", fastlstm.load(folder, precision=precision).predict_proba(texts)
    model = fastlstm.load(folder)
    yield "ONNX", onnx_probabilities(model, texts, "float32")
    yield "ONNX, int8", onnx_probabilities(model, texts, "int8")


def onnx_probabilities(model: Classifier, texts: Sequence[str], storage: Any) -> FloatArray:
    """Return ONNX Runtime's probabilities."""
    exported = to_onnx(model.saved, storage).SerializeToString()
    return onnx_classifier.Opponent(model, exported, len(os.sched_getaffinity(0))).predict_proba(texts, BATCH)


if __name__ == "__main__":
    main()
