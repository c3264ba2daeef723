"""What a model gets right on IMDb's test split as an ONNX model, float32 and int8 weights, and in the kernel.

    python benchmarks/runtimes.py IMDB_FOLDER MODEL

MODEL is a saved tutorial model, whose weights are float32; the bundled one, whose weights are stored as int8
already, is measured too. Nothing is chosen by it: each is the same model, rounded or not.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

import fastlstm
import machine
from fastlstm.convert.onnx import onnx_model
from fastlstm.data.datasets import load_imdb
from fastlstm.inference import Classifier

BATCH = 64
FloatArray = npt.NDArray[np.float32]


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("model", type=Path)
    arguments = parser.parse_args()
    test = load_imdb(arguments.data_dir).test
    result: dict[str, Any] = {}
    for name, folder in (("tutorial", arguments.model), ("bundled", None)):
        truth = test.label_indices(fastlstm.load(folder).labels)
        exact: FloatArray | None = None
        result[name] = {}
        for runtime, probabilities in answers(folder, test.texts):
            exact = probabilities if exact is None else exact
            result[name][runtime] = {
                "accuracy": float((probabilities.argmax(axis=1) == truth).mean()),
                "largest_difference": float(np.abs(probabilities - exact).max()),
            }
            of = result[name][runtime]
            print(f"{name}, {runtime}: {of['accuracy']:.2%}, differs by {of['largest_difference']:.1e}", flush=True)
    packages = ["fastlstm", "onnx", "onnxruntime", "numpy", "tokenizers"]
    print(machine.save("runtimes", machine.describe(packages), {"texts": len(test.texts), "models": result}))


def answers(folder: Path | None, texts: Sequence[str]) -> Iterator[tuple[str, FloatArray]]:
    """Each runtime's probabilities, the kernel's in float32 first."""
    for precision in ("float32", "bfloat16", "int8"):
        yield f"kernel, {precision}", fastlstm.load(folder, precision=precision).predict_proba(texts)
    model = fastlstm.load(folder)
    yield "ONNX", exported(model, texts, "float32")
    yield "ONNX, int8", exported(model, texts, "int8")


def exported(model: Classifier, texts: Sequence[str], storage: Any) -> FloatArray:
    """ONNX Runtime's, texts of like lengths side by side."""
    session = onnxruntime.InferenceSession(
        onnx_model(model.model, storage).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    encoded = model.encode(texts)
    order = np.argsort([len(ids) for ids in encoded.ids], kind="stable")
    result = np.empty((len(texts), len(model.labels)), np.float32)
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        lengths = np.array([len(encoded.ids[k]) for k in rows])
        ids = np.zeros((len(rows), int(lengths.max())), np.int64)
        for row, k in zip(ids, rows, strict=True):
            row[: len(encoded.ids[k])] = encoded.ids[k]
        fed = {"ids": ids, "lengths": lengths}
        if model.network.wide is not None and encoded.whole is not None:
            fed["evidence"] = model.network.wide([encoded.whole[k] for k in rows])
        result[rows] = session.run(None, fed)[0]
    return result


if __name__ == "__main__":
    main()
