"""Request and response bodies, and the checks that pydantic does not make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fastlstm.errors import DataError
from fastlstm.server.errors import APIError
from fastlstm.server.settings import Settings
from fastlstm.text.tokenizer import validate_texts


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(_StrictModel):
    """Texts to classify, in the format of text-embeddings-inference. A string is one text; a list is a batch."""

    inputs: str | Annotated[list[str], Field(fail_fast=True, json_schema_extra={"minItems": 1})] = Field(
        description="One text, or a batch of texts."
    )
    truncate: bool | None = Field(
        default=None,
        description="false: reject texts that exceed the model's maximum length. Otherwise they are truncated.",
    )
    raw_scores: bool = Field(default=False, description="Return logits instead of probabilities.")
    model: str | None = Field(default=None, description="Model name. Default: the first model.")


class Score(BaseModel):
    """A class and its probability or logit."""

    label: str
    score: float


Prediction = list[Score]
"""The scores of all classes, in descending order."""


class ExplainRequest(_StrictModel):
    """A text to explain."""

    text: str
    label: str | None = Field(default=None, description="Class to explain. Default: the predicted class.")
    method: Literal["gradients", "occlusion"] = "gradients"
    gates: int | None = Field(default=None, ge=0, description="Unit of the last layer whose gates to return.")
    model: str | None = None


class Tensor(BaseModel):
    """A tensor of the Open Inference Protocol."""

    model_config = ConfigDict(extra="ignore")

    name: str
    shape: Annotated[list[int], Field(fail_fast=True)]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class RequestedOutput(BaseModel):
    """An output to return."""

    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: dict[str, Any] | None = None


def _check_unicode(value: str) -> str:
    """Raise `ValueError` for lone surrogates, which the response could not contain."""
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("contains lone surrogates, which are not valid Unicode")
    return value


class InferRequest(BaseModel):
    """An inference request of the Open Inference Protocol: one input `text`, datatype BYTES, shape [n]."""

    model_config = ConfigDict(extra="ignore")

    inputs: list[Tensor] = Field(json_schema_extra={"minItems": 1, "maxItems": 1})
    id: Annotated[str, AfterValidator(_check_unicode)] | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


class InferResponse(BaseModel):
    """The requested outputs: `probabilities`, FP32, [n, classes], and `label`, BYTES, [n]. Default: both."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


class ErrorBody(BaseModel):
    """An error response."""

    error: str
    error_type: str


def check_texts(texts: Sequence[str], settings: Settings) -> list[str]:
    """Return the texts of a request. Raise `APIError` for an empty batch, exceeded limits, or invalid Unicode."""
    if not texts:
        raise APIError(422, "validation", "the batch is empty; expected one or more texts", code="empty-batch")
    if len(texts) > settings.max_texts:
        raise APIError(
            413,
            "validation",
            f"the batch has {len(texts)} texts; expected at most {settings.max_texts}",
            code="too-many-texts",
            texts=len(texts),
            maximum=settings.max_texts,
        )
    for position, text in enumerate(texts):
        if len(text) > settings.max_characters:
            raise APIError(
                413,
                "validation",
                f"text {position} has {len(text)} characters; expected at most {settings.max_characters}",
                code="text-too-long",
                position=position,
                characters=len(text),
                maximum=settings.max_characters,
            )
    try:
        return validate_texts(texts)
    except DataError as error:
        raise APIError(422, "validation", str(error), code=error.code, **error.values) from None
