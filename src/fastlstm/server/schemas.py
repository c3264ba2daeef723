"""What requests and answers look like."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Text = str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PredictRequest(_Strict):
    """As text-embeddings-inference spells it: a string is one text, a list is a batch, always."""

    inputs: Text | Annotated[list[Text], Field(fail_fast=True, json_schema_extra={"minItems": 1})] = Field(
        description="One text, or a batch of texts."
    )
    truncate: bool | None = Field(
        default=None,
        description="false: refuse texts longer than the model reads. Else they are cut.",
    )
    raw_scores: bool = Field(default=False, description="Logits of each class instead of probabilities.")
    model: str | None = Field(default=None, description="Which model; the first where none is named.")


class Score(BaseModel):
    """A class and its probability, or logit."""

    label: str
    score: float


Prediction = list[Score]
"""Of all classes, the most likely first."""


class ExplainRequest(_Strict):
    """One text to explain."""

    text: Text
    label: str | None = Field(default=None, description="The class to explain; the most likely one where none is.")
    method: Literal["gradients", "occlusion"] = "gradients"
    gates: int | None = Field(default=None, ge=0, description="A unit of the last layer, whose gates to give too.")
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
    """An output that is asked for."""

    model_config = ConfigDict(extra="ignore")

    name: str
    parameters: dict[str, Any] | None = None


def _unicode(given: str) -> str:
    """What the answer repeats must be such that it can be written."""
    if not given.isascii() and any("\ud800" <= letter <= "\udfff" for letter in given):
        raise ValueError("holds lone surrogates, which are no valid Unicode")
    return given


class InferRequest(BaseModel):
    """An inference request of the Open Inference Protocol: one input `text` of datatype BYTES and shape [n]."""

    model_config = ConfigDict(extra="ignore")

    inputs: list[Tensor] = Field(json_schema_extra={"minItems": 1, "maxItems": 1})
    id: Annotated[str, AfterValidator(_unicode)] | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


class InferResponse(BaseModel):
    """Outputs `probabilities` [n, classes] FP32 and `label` [n] BYTES, or those that were asked for."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


class ErrorBody(BaseModel):
    """Why a request was refused."""

    error: str
    error_type: str
