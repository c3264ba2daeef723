from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fastlstm.errors import OptionError
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold

EARLY_EXIT = EarlyExit(
    (10, 30),
    (ExitThreshold(0.9, (0.8, 0.7), 0.5, 0.08), ExitThreshold(0.99, (NEVER_EXIT, 0.95), 0.2, 0.004)),
    500,
)


def test_from_json_inverts_to_json() -> None:
    assert EarlyExit.from_json(json.loads(json.dumps(EARLY_EXIT.to_json()))) == EARLY_EXIT


@pytest.mark.parametrize(("agreement", "expected"), [(0.5, 0.9), (0.9, 0.9), (0.91, 0.99), (0.99, 0.99)])
def test_threshold_for_returns_the_first_with_enough_agreement(agreement: float, expected: float) -> None:
    assert EARLY_EXIT.threshold_for(agreement).agreement == expected


@pytest.mark.parametrize("agreement", [0, -1, 1.01, float("nan"), True, "0.9"])
def test_agreement_out_of_range_raises_option_error(agreement: Any) -> None:
    with pytest.raises(OptionError) as raised:
        EARLY_EXIT.threshold_for(agreement)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", "min_agreement")
    assert raised.value.value is agreement


def test_agreement_above_the_highest_fitted_one_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        EARLY_EXIT.threshold_for(0.995)
    error = raised.value
    assert (error.code, error.agreement, error.highest) == ("agreement-too-high", 0.995, 0.99)


@pytest.mark.parametrize(
    "fields",
    [
        {"stages": []},
        {"stages": [30, 10]},
        {"stages": [10, 10]},
        {"stages": [0, 10]},
        {"stages": [1.5, 10]},
        {"bars": []},
        {"bars": list(reversed(EARLY_EXIT.to_json()["bars"]))},
        {"bars": [1]},
        {"texts": True},
        {"stages": 7},
    ],
    ids=str,
)
def test_invalid_field_raises(fields: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json({**EARLY_EXIT.to_json(), **fields})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agreement", 1.5),
        ("agreement", None),
        ("probabilities", [0.5]),
        ("probabilities", [0.5, float("inf")]),
        ("probabilities", "ab"),
        ("saved", -0.1),
        ("disagreement", True),
    ],
)
def test_invalid_threshold_field_raises(name: str, value: Any) -> None:
    fields = copy.deepcopy(EARLY_EXIT.to_json())
    fields["bars"][0][name] = value
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json(fields)
