from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastlstm.config import configure
from fastlstm.data import Dataset
from fastlstm.data.splits import load_splits
from fastlstm.errors import OptionError
from fastlstm.tuning.settings import DEFAULT_BUDGET, TuningSettings


def create(**options: Any) -> TuningSettings:
    return TuningSettings.create("reviews.csv", "model", options)


@pytest.mark.parametrize(
    ("options", "budget", "trials"),
    [
        ({}, DEFAULT_BUDGET, None),
        ({"trials": 3}, None, 3),
        ({"budget": 5.0}, 5.0, None),
        ({"budget": "1m", "trials": 2}, 60.0, 2),
    ],
)
def test_default_time_limit_applies_without_other_limits(
    options: dict[str, Any], budget: float | None, trials: int | None
) -> None:
    settings = create(**options)
    assert (settings.budget, settings.trials) == (budget, trials)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"trials": trials}, "trials") for trials in (0, -1, True, 2.5)]
    + [
        ({"metric": "los"}, "metric"),
        ({"budget": "soon"}, "budget"),
        ({"dropout": 2}, "dropout"),
        ({"validation": "cross"}, "validation"),
    ],
)
def test_bad_values_raise_option_error(options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(**options)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", name)


@pytest.mark.parametrize("name", ["droput", "teacher", "encoder", "early_exit"])
def test_unknown_options_and_other_run_settings_raise_option_error(name: str) -> None:
    with pytest.raises(OptionError) as raised:
        create(**{name: "x"})
    assert (raised.value.code, raised.value.option) == ("unknown-option", name)


def test_probabilities_of_a_teacher_raise_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        create(probability_columns="a,b")
    assert raised.value.code == "search-without-teacher"


def test_trials_keep_min_steps_of_preset() -> None:
    data = load_splits(Dataset(["good film", "bad film"] * 20, ["a", "b"] * 20))
    settings = TuningSettings.create(data, Path("out"), {"preset": "small", "dropout": 0.3, "epochs": None})
    options = {"batch_size": 64, "epochs": 3, "word_dropout": 0.1}
    assert settings.trial(options).training == configure("small", {})[1]
    fixed = TuningSettings.create(data, Path("out"), {"preset": "small", "epochs": 2})
    assert fixed.trial(options).training.min_steps == 0
