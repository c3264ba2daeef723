"""The Open Inference Protocol, version 2, over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from fastlstm import __version__
from fastlstm.server.errors import APIError, check_texts
from fastlstm.server.registry import ModelRegistry, ServedModel
from fastlstm.server.routes import REFUSED
from fastlstm.server.schemas import InferRequest, InferResponse, Tensor

open_inference_router = APIRouter(prefix="/v2", responses=REFUSED)
OUTPUTS = ("probabilities", "label")


@open_inference_router.get("")
async def server() -> dict[str, Any]:
    """What this server is."""
    return {"name": "fastlstm", "version": __version__, "extensions": []}


@open_inference_router.get("/health/live")
async def live() -> dict[str, bool]:
    """The process answers."""
    return {"live": True}


@open_inference_router.get("/health/ready")
async def ready() -> dict[str, bool]:
    """Requests are taken: a server that is being stopped takes no connection any more."""
    return {"ready": True}


@open_inference_router.get("/models/{name}")
async def metadata(request: Request, name: str) -> dict[str, Any]:
    """A model's inputs and outputs."""
    served = _served(request, name)
    reader = served.reader
    classes = len(reader.classifier.labels)
    return {
        "name": served.name,
        "versions": [str(reader.version)],
        "platform": "fastlstm",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, classes]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ],
        "labels": list(reader.classifier.labels),
    }


@open_inference_router.get("/models/{name}/ready")
async def model_ready(request: Request, name: str) -> dict[str, Any]:
    """The model is there."""
    return {"name": _served(request, name).name, "ready": True}


@open_inference_router.post("/models/{name}/infer")
async def infer(request: Request, name: str, body: InferRequest) -> InferResponse:
    """Probabilities and labels of texts."""
    served = _served(request, name)
    texts = check_texts(_texts(body), request.app.state.settings)
    request.scope["fastlstm.texts"] = texts
    wanted = OUTPUTS if body.outputs is None else tuple(output.name for output in body.outputs)
    if unknown := [output for output in wanted if output not in OUTPUTS]:
        raise APIError(422, "validation", f"unknown output {unknown[0][:100]!r}; there are: {', '.join(OUTPUTS)}")
    if len(set(wanted)) < len(wanted):
        raise APIError(422, "validation", "an output is asked for twice; expected each once")
    reader, both = await served.batcher.submit(texts)
    classifier = reader.classifier
    rows = both[:, : len(classifier.labels)]
    labels = [classifier.labels[k] for k in classifier.choose(rows)]
    made = {
        "probabilities": Tensor(
            name="probabilities", shape=list(rows.shape), datatype="FP32", data=rows.ravel().tolist()
        ),
        "label": Tensor(name="label", shape=[len(labels)], datatype="BYTES", data=labels),
    }
    return InferResponse(
        model_name=served.name,
        model_version=str(reader.version),
        id=body.id,
        outputs=[made[output] for output in wanted],
    )


def _served(request: Request, name: str) -> ServedModel:
    store: ModelRegistry = request.app.state.store
    return store.get(name)


def _texts(body: InferRequest) -> list[str]:
    if [tensor.name for tensor in body.inputs] != ["text"]:
        names = ", ".join(tensor.name[:50] for tensor in body.inputs) or "none"
        raise APIError(
            422, "validation", f"inputs are {names}; expected one, text, of datatype BYTES and shape [n]"
        )
    (tensor,) = body.inputs
    if tensor.datatype != "BYTES" or not all(isinstance(text, str) for text in tensor.data):
        raise APIError(422, "validation", f"text has datatype {tensor.datatype[:20]}; expected BYTES: strings")
    if tensor.shape not in ([len(tensor.data)], [len(tensor.data), 1]):
        raise APIError(
            422, "validation", f"text has shape {tensor.shape[:5]} and {len(tensor.data)} strings; expected [n]"
        )
    return list(tensor.data)
