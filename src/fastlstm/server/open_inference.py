"""The HTTP API of the Open Inference Protocol, version 2."""

from __future__ import annotations

import math
from typing import Any

from fastapi import APIRouter, Request

from fastlstm import __version__
from fastlstm.server.errors import APIError
from fastlstm.server.registry import LoadedModel, ModelRegistry, QueuedText, ServedModel
from fastlstm.server.routes import ERROR_RESPONSES
from fastlstm.server.schemas import InferRequest, InferResponse, Tensor, check_texts, parse_text

open_inference_router = APIRouter(prefix="/v2", responses=ERROR_RESPONSES)
OUTPUTS = ("probabilities", "label", "known")


@open_inference_router.get("")
async def server() -> dict[str, Any]:
    """Return the server's name and version."""
    return {"name": "fastlstm", "version": __version__, "extensions": []}


@open_inference_router.get("/health/live")
async def live() -> dict[str, bool]:
    """Return true: the process is running."""
    return {"live": True}


@open_inference_router.get("/health/ready")
async def ready() -> dict[str, bool]:
    """Return true: the server accepts requests. A server that is stopping refuses connections."""
    return {"ready": True}


@open_inference_router.get("/models/{name}")
@open_inference_router.get("/models/{name}/versions/{version}")
async def metadata(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Return a model's version, inputs and outputs."""
    served = _get_model(request, name)
    model = _check_version(served, served.current, version)
    labels = model.classifier.labels
    return {
        "name": served.name,
        "versions": [str(model.version)],
        "platform": "fastlstm",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(labels)]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "known", "datatype": "FP64", "shape": [-1]},
        ],
        "labels": list(labels),
    }


@open_inference_router.get("/models/{name}/ready")
@open_inference_router.get("/models/{name}/versions/{version}/ready")
async def model_ready(request: Request, name: str, version: str | None = None) -> dict[str, Any]:
    """Return true if the model is served."""
    served = _get_model(request, name)
    _check_version(served, served.current, version)
    return {"name": served.name, "ready": True}


@open_inference_router.post("/models/{name}/infer", response_model_exclude_none=True)
@open_inference_router.post("/models/{name}/versions/{version}/infer", response_model_exclude_none=True)
async def infer(request: Request, name: str, body: InferRequest, version: str | None = None) -> InferResponse:
    """Return the probabilities, the predicted label, and the fraction of known tokens of each text."""
    served = _get_model(request, name)
    _check_version(served, served.current, version)
    texts = check_texts(_texts(body), request.app.state.settings, "inputs[0].data")
    request.scope["fastlstm.texts"] = texts
    outputs = OUTPUTS if body.outputs is None else tuple(output.name for output in body.outputs)
    if unknown := [output for output in outputs if output not in OUTPUTS]:
        raise APIError(
            422,
            "validation",
            f"unknown output {unknown[0][:100]!r}; known: {', '.join(OUTPUTS)}",
            code="unknown-output",
            output=unknown[0],
        )
    if len(set(outputs)) < len(outputs):
        raise APIError(
            422, "validation", "an output is requested twice; expected each at most once", code="duplicate-output"
        )
    label_unknown = _label_unknown(body)
    result = await served.predict([QueuedText(text) for text in texts])
    _check_version(served, result.model, version)  # the model may have been reloaded in the meantime
    probabilities = result.probabilities
    labels = [label or "" for label in result.labels(label_unknown=label_unknown)]  # BYTES has no null
    tensors = {
        "probabilities": Tensor(
            name="probabilities",
            shape=list(probabilities.shape),
            datatype="FP32",
            data=probabilities.ravel().tolist(),
        ),
        "label": Tensor(name="label", shape=[len(labels)], datatype="BYTES", data=labels),
        "known": Tensor(name="known", shape=[len(labels)], datatype="FP64", data=result.known.tolist()),
    }
    return InferResponse(
        model_name=served.name,
        model_version=str(result.model.version),
        id=body.id,
        outputs=[tensors[output] for output in outputs],
    )


def _get_model(request: Request, name: str) -> ServedModel:
    registry: ModelRegistry = request.app.state.registry
    return registry.get(name)


def _check_version(served: ServedModel, model: LoadedModel, version: str | None) -> LoadedModel:
    """Return the model. Raise `APIError` if another version was requested."""
    if version is not None and version != str(model.version):
        raise APIError(
            404,
            "unknown_version",
            f"model {served.name} has version {model.version} only; it changes with each reload",
            code="unknown-version",
            version=version,
            known=(str(model.version),),
        )
    return model


def _label_unknown(body: InferRequest) -> bool:
    value = (body.parameters or {}).get("label_unknown", False)
    if not isinstance(value, bool):
        field = "parameters.label_unknown"
        raise APIError(422, "validation", f"{field} is not a boolean", code="invalid-field", field=field)
    return value


def _texts(body: InferRequest) -> list[str]:
    """Return the texts of the input tensor. Raise `APIError` for other inputs."""
    if [tensor.name for tensor in body.inputs] != ["text"]:
        names = ", ".join(tensor.name[:50] for tensor in body.inputs) or "none"
        raise APIError(
            422,
            "validation",
            f"the inputs are: {names}; expected one input named text, datatype BYTES, shape [n]",
            code="bad-inputs",
        )
    (tensor,) = body.inputs
    if tensor.datatype != "BYTES":
        raise APIError(
            422,
            "validation",
            f"input text has datatype {tensor.datatype[:20]}; expected BYTES",
            code="bad-datatype",
        )
    elements = _flatten(tensor)
    return [parse_text(element, f"inputs[0].data[{position}]") for position, element in enumerate(elements)]


def _flatten(tensor: Tensor) -> list[Any]:
    """Return the elements of a tensor of shape [n], [n, 1] or [1, n], whose data may be nested.

    Raise `APIError` if it has another shape, or if its shape is not that of the data.
    """
    shape = tensor.shape
    elements = tensor.data
    is_vector = len(shape) == 1 or (len(shape) == 2 and 1 in shape)
    if is_vector and any(isinstance(element, list) for element in elements):
        rows: list[Any] = [elements]
        for size in shape:
            is_vector &= all(isinstance(row, list) and len(row) == size for row in rows)
            rows = [element for row in rows if isinstance(row, list) for element in row]
        elements = rows
    if not is_vector or math.prod(shape) != len(elements):
        raise APIError(
            422,
            "validation",
            f"input text has shape {shape[:5]}, which is not that of its data, or not a list of texts; "
            "expected [n], [n, 1] or [1, n]",
            code="bad-shape",
        )
    return elements
