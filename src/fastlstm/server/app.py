"""The FastAPI application: routers, shared state, the page, and error handlers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from fastlstm import __version__
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import RequestMiddleware
from fastlstm.server.monitoring import monitoring_router
from fastlstm.server.open_inference import open_inference_router
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.routes import inference_router
from fastlstm.server.settings import Settings
from fastlstm.server.websocket import websocket_router

PAGE = Path(__file__).parent / "page"
SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
"""The files of Swagger UI, so that browsers load nothing from a CDN. That package updates them with each release."""
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
        docs_url=None,  # it would load Swagger UI from a CDN
        redoc_url=None,
    )
    app.state.settings, app.state.metrics, app.state.registry = settings, metrics, registry
    app.state.streams = app.state.explanations = 0
    app.include_router(inference_router)
    app.include_router(open_inference_router)
    app.include_router(websocket_router)
    app.include_router(monitoring_router)
    _add_pages(app)
    _add_error_handlers(app)
    app.add_middleware(RequestMiddleware, settings=settings, metrics=metrics, registry=registry)
    if settings.cors_origins:  # outermost, so that errors have its headers, too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Encoding", "Content-Type", "X-Request-Id"],
            expose_headers=["Retry-After", "X-Request-Id"],
        )
    return app


def _add_pages(app: FastAPI) -> None:
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.mount("/docs/assets", StaticFiles(directory=SWAGGER_UI), name="docs assets")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return _page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return _page("docs.html")


def _page(file: str) -> FileResponse:
    return FileResponse(
        PAGE / file,
        headers={
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(APIError)
    async def api_error(_: Request, error: APIError) -> Response:
        return _response(error)

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        return _response(_validation_error(error))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return _response(_routing_error(error))


def _response(error: APIError) -> JSONResponse:
    return JSONResponse(error.body(), error.status, headers=error.headers)


def _validation_error(error: RequestValidationError) -> APIError:
    """Return the error for the first invalid field. It does not quote the input, which may contain texts."""
    first = error.errors()[0]
    kind, field = first["type"], ".".join(str(part) for part in first["loc"])
    message = f"{field}: {first['msg']}"[:MAX_ERROR_CHARACTERS]
    if kind == "json_invalid":
        message = f"the body is not JSON: {first['ctx']['error']} at character {first['loc'][-1]}"
        return APIError(422, "validation", message, code="invalid-json")
    if kind == "missing":
        return APIError(422, "validation", message, code="missing-field", field=field)
    if kind == "extra_forbidden":
        return APIError(422, "validation", message, code="unknown-field", field=field)
    return APIError(422, "validation", message, code="invalid-field", field=field)


def _routing_error(error: HTTPException) -> APIError:
    """Return the error for an exception of FastAPI itself."""
    status, message, headers = error.status_code, str(error.detail), dict(error.headers or {})
    if status == 404:
        return APIError(status, "not_found", "no such path; /docs lists all paths", code="unknown-path")
    if status == 405:
        return APIError(status, "method", message, code="wrong-method", headers=_add_head(headers))
    if status == 400:  # the JSON parser failed, but not at a character
        message = "the body cannot be read; expected JSON in UTF-8, not nested deeply, without huge numbers"
        return APIError(status, "validation", message, code="invalid-json")
    return APIError(status, "http", message, code="http-error", headers=headers)


def _add_head(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with HEAD in Allow if it has GET: the middleware responds to HEAD wherever there is GET."""
    methods = [method.strip() for method in headers.get("Allow", "").split(",")]
    return {**headers, "Allow": ", ".join([*methods, "HEAD"])} if "GET" in methods else dict(headers)
