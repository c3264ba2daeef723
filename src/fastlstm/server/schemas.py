"""Request and response bodies, and the checks that pydantic does not make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from fastlstm.errors import DataError
from fastlstm.server.errors import APIError
from fastlstm.server.settings import Settings
from fastlstm.text.validation import validate_texts


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


INPUTS_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "minItems": 1,
            "items": {
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string"}},
                ]
            },
        },
    ]
}
EXAMPLE_TEXT = "A slow start, but a wonderful ending."
LABEL_UNKNOWN = "Also predict a label for a text without any known token. Otherwise its label is null."
Direction = Literal["left", "right"]
"""The side of a text that truncation drops."""


def _example(body: dict[str, Any]) -> ConfigDict:
    """Return the configuration of a request whose example in the API documentation is `body`."""
    return ConfigDict(json_schema_extra={"examples": [body]})


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class PredictRequest(_StrictModel):
    """Texts to classify, in the format of text-embeddings-inference. A string is one text; a list is a batch."""

    model_config = _example({"inputs": [EXAMPLE_TEXT]})

    inputs: Annotated[Any, WithJsonSchema(INPUTS_SCHEMA)] = Field(
        description="One text, or a batch of texts, each a string or a list of one string."
    )
    truncate: bool | None = Field(
        default=None,
        description="false: reject texts that exceed the model's maximum length. Otherwise they are truncated.",
    )
    truncation_direction: Annotated[Direction, BeforeValidator(_lower)] | None = Field(
        default=None, description="Side of a long text that truncation drops. Default: as the model was trained."
    )
    raw_scores: bool = Field(default=False, description="Return logits instead of probabilities.")
    model: str | None = Field(default=None, description="Model name. Default: the first model.")


class Score(BaseModel):
    """A class and its probability or logit. `known` is that of the text, the same for all classes."""

    label: str
    score: float
    known: float = Field(description="Fraction of the text's tokens that the model knows, 0 to 1.")


Prediction = list[Score]
"""The scores of all classes, in descending order."""


class ExplainRequest(_StrictModel):
    """A text to explain."""

    model_config = _example({"text": EXAMPLE_TEXT})

    text: Annotated[Any, WithJsonSchema({"type": "string"})]
    label: str | None = Field(default=None, description="Class to explain. Default: the predicted class.")
    method: Literal["gradients", "occlusion"] = "gradients"
    label_unknown: bool = Field(default=False, description=LABEL_UNKNOWN)
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
    """An inference request of the Open Inference Protocol: one input `text`, datatype BYTES, shape [n].

    The parameter `label_unknown`, a boolean, has the meaning of the same field of `ExplainRequest`.
    """

    model_config = ConfigDict(extra="ignore") | _example(
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [EXAMPLE_TEXT]}]}
    )

    inputs: list[Tensor] = Field(json_schema_extra={"minItems": 1, "maxItems": 1})
    id: Annotated[str, AfterValidator(_check_unicode)] | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[RequestedOutput] | None = None


class InferResponse(BaseModel):
    """The requested outputs; by default all of them.

    They are `probabilities`, FP32, [n, classes]; `label`, BYTES, [n]; and `known`, FP64, [n], the fraction of tokens
    that the model knows. A text without any known token has the label "", unless `label_unknown` is set.
    """

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[Tensor]


class ErrorBody(BaseModel):
    """An error response."""

    error: str
    error_type: str
    code: str


def parse_inputs(inputs: object) -> list[str]:
    """Return the texts of the field `inputs`: one text, or a batch. Raise `APIError` if it is neither."""
    if isinstance(inputs, list):
        return [_parse_element(element, f"inputs[{position}]") for position, element in enumerate(inputs)]
    return [parse_text(inputs, "inputs")]


def _parse_element(element: object, field: str) -> str:
    if not isinstance(element, list):
        return parse_text(element, field)
    if len(element) == 1:
        return parse_text(element[0], f"{field}[0]")
    if len(element) == 2 and all(isinstance(text, str) for text in element):
        raise APIError(
            422,
            "validation",
            f"{field} is a pair of texts; expected one text, because the model does not compare texts",
            code="text-pair",
            field=field,
        )
    return parse_text(element, field)


def parse_text(value: object, field: str) -> str:
    """Return a JSON value that must be a text. Raise `APIError` if it is not one."""
    if not isinstance(value, str):
        found = _json_type(value)
        raise APIError(
            422, "validation", f"{field} is {found}; expected a text", code="not-a-text", field=field, type=found
        )
    return value


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"a list of {len(value)} elements"
    names = {bool: "a boolean", int: "a number", float: "a number", dict: "an object"}
    return names[type(value)]


def check_texts(texts: Sequence[str], settings: Settings, field: str) -> list[str]:
    """Return the texts of a request. Raise `APIError` for an empty batch, exceeded limits, or invalid Unicode.

    `field` is the body field of the texts, for the messages.
    """
    if not texts:
        raise APIError(422, "validation", f"{field} is empty; expected one or more texts", code="empty-batch")
    if len(texts) > settings.max_texts:
        raise APIError(
            413,
            "validation",
            f"{field} has {len(texts)} texts; expected at most {settings.max_texts}",
            code="too-many-texts",
            texts=len(texts),
            maximum=settings.max_texts,
        )
    for position, text in enumerate(texts):
        if len(text) > settings.max_characters:
            name = field if len(texts) == 1 else f"{field}[{position}]"
            raise APIError(
                413,
                "validation",
                f"{name} has {len(text)} characters; expected at most {settings.max_characters}",
                code="text-too-long",
                position=position,
                characters=len(text),
                maximum=settings.max_characters,
            )
    try:
        return validate_texts(texts)
    except DataError as error:
        raise APIError(422, "validation", f"{field}: {error}", code=error.code, **error.values) from None
