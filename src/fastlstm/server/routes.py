"""`POST /predict`, in the format of text-embeddings-inference, and `POST /explain`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from fastlstm._typing import FloatArray
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.explain.gates import GATE_NAMES
from fastlstm.server.errors import APIError, overloaded_error
from fastlstm.server.registry import ModelRegistry, QueuedText, ServedModel
from fastlstm.server.schemas import (
    ErrorBody,
    ExplainRequest,
    Prediction,
    PredictRequest,
    Score,
    check_texts,
    parse_inputs,
    parse_text,
)

ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 404, 408, 413, 415, 422, 429)
}
MAX_PENDING_EXPLANATIONS = 32
"""Maximum number of explanations that wait for the explanation thread or run in it."""
MAX_EXPLAINED_TOKENS = 1_000
"""Maximum length of a text to explain: the probabilities after each token take quadratic time."""
inference_router = APIRouter(responses=ERROR_RESPONSES)


@inference_router.post("/predict")
async def predict(request: Request, body: PredictRequest) -> Prediction | list[Prediction]:
    """Return the probabilities of all classes in descending order, for one text or for each text of a batch.

    `known` is the fraction of the text's tokens that the model knows. If it is 0, the scores do not depend on what the
    text says.
    """
    registry: ModelRegistry = request.app.state.registry
    settings = request.app.state.settings
    served = registry.get(body.model)
    texts = check_texts(parse_inputs(body.inputs), settings, "inputs")
    request.scope["fastlstm.texts"] = texts
    if body.truncate is False:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, _check_lengths, served.current.classifier, texts)
    if body.raw_scores and settings.min_agreement is not None:
        raise APIError(
            422,
            "validation",
            "raw_scores is not available on a server with --min-agreement; omit it",
            code="raw-scores-unavailable",
        )
    result = await served.predict([QueuedText(text, body.truncation_direction) for text in texts])
    rows = result.logits if body.raw_scores else result.probabilities
    labels = result.model.classifier.labels
    predictions = [_prediction(labels, row, float(known)) for row, known in zip(rows, result.known, strict=True)]
    return predictions if isinstance(body.inputs, list) else predictions[0]


@inference_router.post("/explain")
async def explain(request: Request, body: ExplainRequest) -> dict[str, Any]:
    """Return the attribution of each token, and the probabilities after each token."""
    state = request.app.state
    registry: ModelRegistry = state.registry
    served = registry.get(body.model)
    (text,) = check_texts([parse_text(body.text, "text")], state.settings, "text")
    request.scope["fastlstm.texts"] = [text]
    if state.explanations >= MAX_PENDING_EXPLANATIONS:
        raise overloaded_error(
            f"too many pending explanations (maximum {MAX_PENDING_EXPLANATIONS})",
            code="too-many-explanations",
            maximum=MAX_PENDING_EXPLANATIONS,
        )
    state.explanations += 1
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(state.explanation_thread, _explain, served, text, body)
    finally:
        state.explanations -= 1


def _explain(served: ServedModel, text: str, body: ExplainRequest) -> dict[str, Any]:
    classifier = served.current.classifier
    units = classifier.saved.config.hidden_sizes[-1]
    if body.gates is not None and body.gates >= units:
        raise APIError(
            422,
            "validation",
            f"gates is {body.gates}; expected a unit of the last layer, 0 to {units - 1}",
            code="unknown-unit",
            unit=body.gates,
            units=units,
        )
    tokens = len(classifier.tokens(text))
    if tokens > MAX_EXPLAINED_TOKENS:
        raise APIError(
            413,
            "validation",
            f"the text has {tokens} tokens; expected at most {MAX_EXPLAINED_TOKENS} to explain",
            code="text-too-long",
            tokens=tokens,
            maximum=MAX_EXPLAINED_TOKENS,
        )
    try:
        explanation = classifier.explain(
            text, label=body.label, method=body.method, label_unknown=body.label_unknown
        ).to_dict()
    except OptionError as error:
        raise APIError(422, "validation", str(error), code=error.code, **error.values) from None
    trajectory = classifier.trajectory(text)
    for token, row in zip(explanation["tokens"], trajectory, strict=True):
        token["probabilities"] = dict(zip(classifier.labels, map(float, row), strict=True))
    if body.gates is not None:
        layer = classifier.gates(text).layers[-1]
        explanation["gates"] = {name: getattr(layer, name)[:, body.gates].tolist() for name in GATE_NAMES}
        explanation["units"] = units
    explanation["model"] = served.name
    return explanation


def _check_lengths(classifier: Classifier, texts: Sequence[str]) -> None:
    """Raise `APIError` if texts exceed the model's maximum length."""
    maximum = classifier.saved.config.max_tokens
    if count := classifier.tokenize(texts).truncated_count:
        raise APIError(
            413,
            "validation",
            f"{count} of {len(texts)} texts have more than {maximum} tokens, the model's "
            "maximum; shorten them, or omit truncate",
            code="text-too-long",
            texts=count,
            maximum=maximum,
        )


def _prediction(labels: Sequence[str], row: FloatArray, known: float) -> Prediction:
    order = np.argsort(-row, kind="stable")
    return [Score(label=labels[k], score=float(row[k]), known=known) for k in order]
