"""The HTTP API of the Open Inference Protocol, version 2."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from fastlstm import __version__
from fastlstm.server.errors import APIError
from fastlstm.server.registry import ModelRegistry, ServedModel
from fastlstm.server.routes import ERROR_RESPONSES
from fastlstm.server.schemas import InferRequest, InferResponse, Tensor, check_texts

open_inference_router = APIRouter(prefix="/v2", responses=ERROR_RESPONSES)
OUTPUTS = ("probabilities", "label")


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
async def metadata(request: Request, name: str) -> dict[str, Any]:
    """Return a model's inputs and outputs."""
    served = _get_model(request, name)
    model = served.current
    labels = model.classifier.labels
    return {
        "name": served.name,
        "versions": [str(model.version)],
        "platform": "fastlstm",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, len(labels)]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
        "labels": list(labels),
    }


@open_inference_router.get("/models/{name}/ready")
async def model_ready(request: Request, name: str) -> dict[str, Any]:
    """Return true if the model is served."""
    return {"name": _get_model(request, name).name, "ready": True}


@open_inference_router.post("/models/{name}/infer")
async def infer(request: Request, name: str, body: InferRequest) -> InferResponse:
    """Return the probabilities and the predicted label of each text."""
    served = _get_model(request, name)
    texts = check_texts(_texts(body), request.app.state.settings)
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
    model, rows = await served.batcher.submit(texts)
    classifier = model.classifier
    probabilities = rows[:, : len(classifier.labels)]
    labels = [classifier.labels[k] for k in classifier.choose(probabilities)]
    tensors = {
        "probabilities": Tensor(
            name="probabilities",
            shape=list(probabilities.shape),
            datatype="FP32",
            data=probabilities.ravel().tolist(),
        ),
        "label": Tensor(name="label", shape=[len(labels)], datatype="BYTES", data=labels),
    }
    return InferResponse(
        model_name=served.name,
        model_version=str(model.version),
        id=body.id,
        outputs=[tensors[output] for output in outputs],
    )


def _get_model(request: Request, name: str) -> ServedModel:
    registry: ModelRegistry = request.app.state.registry
    return registry.get(name)


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
    if tensor.datatype != "BYTES" or not all(isinstance(text, str) for text in tensor.data):
        raise APIError(
            422,
            "validation",
            f"input text has datatype {tensor.datatype[:20]}; expected BYTES, and strings as data",
            code="bad-datatype",
        )
    if tensor.shape not in ([len(tensor.data)], [len(tensor.data), 1]):
        raise APIError(
            422,
            "validation",
            f"input text has shape {tensor.shape[:5]} but {len(tensor.data)} strings; expected [n] or [n, 1]",
            code="bad-shape",
        )
    return list(tensor.data)
