"""What is kept of early exit, and what is refused as such."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from fastlstm.early_exit import NEVER, Bar, EarlyExit
from fastlstm.errors import OptionError

LEARNED = EarlyExit(
    (10, 30),
    (Bar(0.9, (0.8, 0.7), 0.5, 0.08), Bar(0.99, (NEVER, 0.95), 0.2, 0.004)),
    500,
)


def test_it_goes_through_json() -> None:
    assert EarlyExit.from_json(json.loads(json.dumps(LEARNED.to_json()))) == LEARNED


@pytest.mark.parametrize(("asked", "expected"), [(0.5, 0.9), (0.9, 0.9), (0.91, 0.99), (0.99, 0.99)])
def test_the_first_bar_that_promises_enough_is_taken(asked: float, expected: float) -> None:
    assert LEARNED.bar(asked).agreement == expected


@pytest.mark.parametrize("asked", [0, -1, 1.01, float("nan"), True, "0.9"])
def test_what_is_no_share_is_refused(asked: Any) -> None:
    with pytest.raises(OptionError, match="expected an agreement above 0 and at most 1"):
        LEARNED.bar(asked)


def test_more_than_was_learned_is_refused() -> None:
    with pytest.raises(OptionError, match=r"early-exit is 0\.995, and the model has learned up to 0.99; give that"):
        LEARNED.bar(0.995)


SPOILED: dict[str, Any] = {
    "no stages": {"stages": []},
    "stages that fall": {"stages": [30, 10]},
    "a stage twice": {"stages": [10, 10]},
    "a stage of nothing": {"stages": [0, 10]},
    "half a stage": {"stages": [1.5, 10]},
    "no bars": {"bars": []},
    "bars that fall": {"bars": list(reversed(LEARNED.to_json()["bars"]))},
    "bars that are none": {"bars": [1]},
    "no number of texts": {"texts": True},
    "no list": {"stages": 7},
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_what_is_spoiled_is_an_error(spoiled: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json({**LEARNED.to_json(), **SPOILED[spoiled]})


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
def test_a_bar_that_is_spoiled_is_an_error(name: str, value: Any) -> None:
    kept = copy.deepcopy(LEARNED.to_json())
    kept["bars"][0][name] = value
    with pytest.raises((KeyError, TypeError, ValueError)):
        EarlyExit.from_json(kept)
