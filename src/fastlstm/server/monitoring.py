"""Health, information about the models, and metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fastlstm import __version__
from fastlstm.server.registry import ModelRegistry, ServedModel
from fastlstm.server.settings import Settings

monitoring_router = APIRouter()


@monitoring_router.get("/health", response_class=Response)
async def health() -> Response:
    """Return status 200 and no body: all models are loaded. A server that is stopping refuses connections."""
    return Response()


@monitoring_router.get("/info")
async def info(request: Request, model: str | None = None) -> dict[str, Any]:
    """Describe a model and the limits of the server, in the format of text-embeddings-inference.

    `model_sha`, `sha` and `docker_label` are null. `model` selects the model; default: the first one.
    """
    registry: ModelRegistry = request.app.state.registry
    settings: Settings = request.app.state.settings
    served = registry.get(model)
    classifier = served.current.classifier
    labels, max_tokens = classifier.labels, classifier.saved.config.max_tokens
    return {
        "model_id": served.name,
        "model_sha": None,
        "model_dtype": classifier.network.precision,
        "model_type": {
            "classifier": {
                "id2label": {str(k): label for k, label in enumerate(labels)},
                "label2id": {label: k for k, label in enumerate(labels)},
            }
        },
        "max_concurrent_requests": settings.max_requests,
        "max_input_length": max_tokens,
        "max_batch_tokens": max(settings.batch_texts, settings.max_texts) * max_tokens,
        "max_batch_requests": settings.batch_texts,
        "max_client_batch_size": settings.max_texts,
        "auto_truncate": True,
        "tokenization_workers": 1,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


@monitoring_router.get("/models")
async def models(request: Request) -> list[dict[str, Any]]:
    """List the served models."""
    return [_describe(served) for served in request.app.state.registry]


@monitoring_router.get("/metrics", response_class=Response)
async def prometheus(request: Request) -> Response:
    """Return the metrics in Prometheus's text format."""
    return Response(request.app.state.metrics.exposition(), media_type="text/plain; version=0.0.4")


def _describe(served: ServedModel) -> dict[str, Any]:
    model = served.current
    config = model.classifier.saved.config
    return {
        "name": served.name,
        "labels": list(model.classifier.labels),
        "version": model.version,
        "streams": model.classifier.can_stream,
        "linear": model.classifier.saved.is_linear,
        "units": config.hidden_sizes[-1],
        "max_tokens": config.max_tokens,
    }
