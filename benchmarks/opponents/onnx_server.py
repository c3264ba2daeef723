"""The bundled model behind ONNX Runtime and FastAPI, written plainly: one request, one batch.

    python benchmarks/opponents/onnx_server.py PORT

The same model: its tokens and what its n-grams add come from fastlstm, as an ONNX graph has neither.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import fastlstm
from fastlstm.convert.onnx import onnx_model

model = fastlstm.load()
session = onnxruntime.InferenceSession(
    onnx_model(model.model).SerializeToString(), providers=["CPUExecutionProvider"]
)
app = FastAPI()


class Asked(BaseModel):
    """What a client sends."""

    inputs: str | list[str]


@app.post("/predict")
def predict(asked: Asked) -> list[Any]:
    """The classes and their probabilities of each text."""
    texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
    encoded = model.encode(texts)
    lengths = np.array([len(ids) for ids in encoded.ids])
    ids = np.zeros((len(texts), int(lengths.max())), np.int64)
    for row, of in zip(ids, encoded.ids, strict=True):
        row[: len(of)] = of
    wide = model.network.wide
    assert wide is not None
    fed = {"ids": ids, "lengths": lengths, "evidence": wide(encoded.whole or encoded.ids)}
    (probabilities,) = session.run(None, fed)
    answers = [
        [{"label": label, "score": float(p)} for label, p in zip(model.labels, row, strict=True)]
        for row in probabilities
    ]
    return answers[0] if isinstance(asked.inputs, str) else answers


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
