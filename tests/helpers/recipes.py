"""Import the scripts of recipes/ as modules."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

RECIPES = Path(__file__).parent.parent.parent / "recipes"


def load_recipe(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script of recipes/ as a module. The folder stays importable during the test."""
    monkeypatch.syspath_prepend(RECIPES)
    return importlib.import_module(name)
