"""The FastAPI application: routers, shared state, the page, and error handlers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from fastlstm import __version__
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import RequestMiddleware
from fastlstm.server.open_inference import open_inference_router
from fastlstm.server.registry import LoadedModel, ModelRegistry
from fastlstm.server.routes import inference_router
from fastlstm.server.settings import Settings
from fastlstm.server.websocket import websocket_router

PAGE = Path(__file__).parent / "page"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAX_ERROR_CHARACTERS = 500


def make_app(settings: Settings) -> FastAPI:
    """Return the application. Loads all models; raises the errors of `fastlstm.load`."""
    metrics = Metrics()
    registry = ModelRegistry(settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.explanation_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fastlstm-explain")
        registry.start()
        yield
        await registry.stop()
        app.state.explanation_thread.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(
        title="fastlstm",
        version=__version__,
        summary="LSTM text classifiers over HTTP.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.settings, app.state.metrics, app.state.registry = settings, metrics, registry
    app.state.streams = app.state.explanations = 0
    app.include_router(inference_router)
    app.include_router(open_inference_router)
    app.include_router(websocket_router)
    _add_page(app)
    _add_error_handlers(app)
    app.add_middleware(RequestMiddleware, settings=settings, metrics=metrics, registry=registry)

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Return the metrics in Prometheus's text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @app.get("/models")
    async def models(request: Request) -> list[dict[str, Any]]:
        """List the served models."""
        return [_describe(served.name, served.current) for served in request.app.state.registry]

    return app


def _describe(name: str, model: LoadedModel) -> dict[str, Any]:
    config = model.classifier.saved.config
    return {
        "name": name,
        "labels": list(model.classifier.labels),
        "version": model.version,
        "streams": model.classifier.can_stream,
        "units": config.hidden_sizes[-1],
        "max_tokens": config.max_tokens,
    }


def _add_page(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(
            PAGE / "index.html",
            headers={
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(APIError)
    async def api_error(_: Request, error: APIError) -> Response:
        return JSONResponse(error.body(), error.status, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        # The response does not quote the input, which may contain texts or invalid Unicode.
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"{field}: {first['msg']}".encode(errors="replace").decode()
        return JSONResponse({"error": message[:MAX_ERROR_CHARACTERS], "error_type": "validation"}, 422)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        error_types = {404: "not_found", 405: "method", 400: "validation"}
        body = {"error": str(error.detail), "error_type": error_types.get(error.status_code, "http")}
        return JSONResponse(body, error.status_code, headers=error.headers)
