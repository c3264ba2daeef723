"""HTTP server for models (extra `serve`)."""

from __future__ import annotations

import importlib.util

from fastlstm.errors import MissingDependencyError

for _name, _package in (
    ("fastapi", "FastAPI"),
    ("uvicorn", "uvicorn"),
    ("prometheus_client", "prometheus-client"),
    ("fastapi_offline", "fastapi-offline"),
):
    if importlib.util.find_spec(_name) is None:
        raise MissingDependencyError("serving", _package, "serve")
