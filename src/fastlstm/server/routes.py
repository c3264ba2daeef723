"""`POST /predict`, as text-embeddings-inference spells it, and `POST /explain`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Request

from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.server.errors import APIError, check_texts, overloaded_error
from fastlstm.server.registry import ModelRegistry, ServedModel
from fastlstm.server.schemas import ErrorBody, ExplainRequest, Prediction, PredictRequest, Score

REFUSED: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 404, 408, 413, 415, 422, 429)
}
MOST_EXPLANATIONS = 32
"""Explanations that wait for the thread that makes them."""
MOST_EXPLAINED = 1_000
"""Tokens of a text to explain: the answer after each is asked for, which takes the square of their number."""
inference_router = APIRouter(responses=REFUSED)


@inference_router.post("/predict")
async def predict(request: Request, body: PredictRequest) -> Prediction | list[Prediction]:
    """The probabilities of all classes, the most likely first: of one text, or of each text of a batch."""
    store: ModelRegistry = request.app.state.store
    served = store.get(body.model)
    one = isinstance(body.inputs, str)
    texts = check_texts([body.inputs] if isinstance(body.inputs, str) else body.inputs, request.app.state.settings)
    request.scope["fastlstm.texts"] = texts
    if body.truncate is False:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, _refuse_longer, served.reader.classifier, texts)
    if body.raw_scores and request.app.state.settings.early_exit is not None:
        raise APIError(422, "validation", "this server reads texts early and has no raw scores; leave them out")
    reader, rows = await served.batcher.submit(texts)
    labels = reader.classifier.labels
    classes = len(labels)
    rows = rows[:, classes:] if body.raw_scores else rows[:, :classes]
    answers = [_scores(labels, row) for row in rows]
    return answers[0] if one else answers


@inference_router.post("/explain")
async def explain(request: Request, body: ExplainRequest) -> dict[str, Any]:
    """How much each token moved the answer, and the probabilities after each token."""
    store: ModelRegistry = request.app.state.store
    served = store.get(body.model)
    state = request.app.state
    (text,) = check_texts([body.text], state.settings)
    request.scope["fastlstm.texts"] = [text]
    if state.explanations >= MOST_EXPLANATIONS:
        raise overloaded_error(f"{state.explanations} explanations wait, as many as may")
    state.explanations += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(state.explaining, _explained, served, text, body)
    finally:
        state.explanations -= 1


def _explained(served: ServedModel, text: str, body: ExplainRequest) -> dict[str, Any]:
    classifier = served.reader.classifier
    units = classifier.model.config.hidden_sizes[-1]
    if body.gates is not None and body.gates >= units:
        raise APIError(422, "validation", f"gates is unit {body.gates}; the last layer has {units}, from 0")
    tokens = len(classifier.tokens(text))
    if tokens > MOST_EXPLAINED:
        raise APIError(413, "validation", f"the text has {tokens} tokens; at most {MOST_EXPLAINED} are explained")
    try:
        found = classifier.explain(text, label=body.label, method=body.method).to_dict()
    except OptionError as error:
        raise APIError(422, "validation", str(error)) from None
    after = classifier.trajectory(text)
    for token, row in zip(found["tokens"], after, strict=True):
        token["probabilities"] = dict(zip(classifier.labels, map(float, row), strict=True))
    if body.gates is not None:
        layer = classifier.gates(text).layers[-1]
        names = ("input", "forget", "output", "candidate", "cell", "hidden")
        found["gates"] = {name: getattr(layer, name)[:, body.gates].tolist() for name in names}
        found["units"] = units
    found["model"] = served.name
    return found


def _refuse_longer(classifier: Classifier, texts: Sequence[str]) -> None:
    most = classifier.model.config.max_tokens
    if longer := classifier.encode(texts).longer:
        raise APIError(
            413,
            "validation",
            f"{longer} of {len(texts)} texts have more than the {most} tokens that the model reads; shorten them, "
            "or leave truncate out",
        )


def _scores(labels: Sequence[str], row: npt.NDArray[np.float32]) -> Prediction:
    order = np.argsort(-row, kind="stable")
    return [Score(label=labels[k], score=float(row[k])) for k in order]
