"""The bundled model with ONNX Runtime behind FastAPI, in the obvious way: each request is one batch.

    python benchmarks/opponents/onnx_server.py PORT

fastlstm computes the token ids.
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
from fastlstm.convert.onnx import to_onnx

model = fastlstm.load()
session = onnxruntime.InferenceSession(to_onnx(model.saved).SerializeToString(), providers=["CPUExecutionProvider"])
app = FastAPI()


class PredictRequest(BaseModel):
    """One text or a batch."""

    inputs: str | list[str]


@app.post("/predict")
def predict(request: PredictRequest) -> list[Any]:
    """Return the class probabilities of each text."""
    texts = [request.inputs] if isinstance(request.inputs, str) else request.inputs
    encoded = model.tokenize(texts)
    token_ids = encoded.untruncated or encoded.ids
    lengths = np.array([len(ids) for ids in token_ids])
    padded = np.zeros((len(texts), int(lengths.max())), np.int64)
    for row, text_ids in zip(padded, token_ids, strict=True):
        row[: len(text_ids)] = text_ids
    inputs = {"ids": padded, "lengths": lengths}
    (probabilities,) = session.run(None, inputs)
    predictions = [
        [{"label": label, "score": float(p)} for label, p in zip(model.labels, row, strict=True)]
        for row in probabilities
    ]
    return predictions[0] if isinstance(request.inputs, str) else predictions


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
