"""The application: routes, their state from start to stop, and how refusals become answers."""

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
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.routes import inference_router
from fastlstm.server.settings import Settings
from fastlstm.server.websocket import websocket_router

PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_app(settings: Settings) -> FastAPI:
    """The application that serves as `settings` say. Raises what `fastlstm.load` raises of its models."""
    metrics = Metrics()
    store = ModelRegistry(settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.explaining = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fastlstm-explain")
        store.start()
        yield
        await store.stop()
        app.state.explaining.shutdown(wait=True, cancel_futures=True)

    app = FastAPI(
        title="fastlstm",
        version=__version__,
        summary="LSTM text classifiers over HTTP.",
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.store = store
    app.state.settings, app.state.metrics, app.state.streams = settings, metrics, 0
    app.state.explanations = 0
    app.include_router(inference_router)
    app.include_router(open_inference_router)
    app.include_router(websocket_router)
    _add_page(app)
    _add_handlers(app)
    app.add_middleware(RequestMiddleware, settings=settings, metrics=metrics, store=store)

    @app.get("/metrics", response_class=Response)
    async def metrics_() -> Response:
        """What Prometheus scrapes."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    @app.get("/models")
    async def models(request: Request) -> list[dict[str, Any]]:
        """What is served."""
        return [
            {
                "name": served.name,
                "labels": list(reader.classifier.labels),
                "version": reader.version,
                "streams": reader.classifier.streams,
                "units": reader.classifier.model.config.hidden_sizes[-1],
                "max_tokens": reader.classifier.model.config.max_tokens,
            }
            for served, reader in ((served, served.reader) for served in request.app.state.store)
        ]

    return app


def _add_page(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(
            PAGE / "index.html",
            headers={
                "Content-Security-Policy": POLICY,
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )


def _add_handlers(app: FastAPI) -> None:
    @app.exception_handler(APIError)
    async def refused(_: Request, refusal: APIError) -> Response:
        return JSONResponse(refusal.body(), refusal.status, headers=refusal.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # What came is not repeated: it may hold texts, or what is no valid Unicode.
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"{where}: {first['msg']}".encode(errors="replace").decode()
        return JSONResponse({"error": message[:500], "error_type": "validation"}, 422)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        kinds = {404: "not_found", 405: "method", 400: "validation"}
        body = {"error": str(error.detail), "error_type": kinds.get(error.status_code, "http")}
        return JSONResponse(body, error.status_code, headers=error.headers)
