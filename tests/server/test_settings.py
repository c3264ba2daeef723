"""Limits of the server's settings."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fastlstm.errors import OptionError
from fastlstm.server.settings import MAX_VALUES, MIN_VALUES, Settings, max_workers

MODELS = {"m": Path("m")}


@pytest.mark.parametrize("name", MIN_VALUES)
def test_values_beyond_the_limits_raise_option_error(name: str) -> None:
    maximum = max_workers() if name == "workers" else MAX_VALUES[name]
    for value in (maximum + 1, MIN_VALUES[name] - 1, math.inf, math.nan):
        with pytest.raises(OptionError) as raised:
            Settings(models=MODELS, **{name: value})  # type: ignore[arg-type]
        assert (raised.value.code, raised.value.option) == ("bad-option-value", name.replace("_", "-"))


def test_limits_themselves_are_accepted() -> None:
    Settings(models=MODELS, workers=max_workers())
    Settings(models=MODELS, **MAX_VALUES)  # type: ignore[arg-type]


def test_thousands_of_workers_are_beyond_any_limit() -> None:
    assert 8 <= max_workers() < 9999
