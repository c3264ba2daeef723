from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

from fastlstm.config import PRESETS, configure
from fastlstm.data import Dataset
from fastlstm.data.splits import load_splits
from fastlstm.errors import OptionError
from fastlstm.tuning.settings import TuningJob
from fastlstm.tuning.space import SPACE, Choice, Range, sampled_values, search_space


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_says_is_within_the_space_and_tried_as_it_stands(name: str) -> None:
    standing = sampled_values(name)
    space = search_space(name, {})
    trial = FixedTrial({field.name: field.raw(standing[field.name]) for field in space})
    tried = {field.name: field.tried(field.suggested(trial), standing[field.name]) for field in space}
    assert tried == {field.name: standing[field.name] for field in SPACE}
    assert configure(name, tried) == configure(name, {"min_steps": 0})  # a trial has the steps that it says


@pytest.mark.parametrize("field", SPACE, ids=lambda field: field.name)
def test_every_value_of_the_space_is_one_that_the_option_takes(field: Range | Choice) -> None:
    values: tuple[Any, ...] = (field.low, field.high) if isinstance(field, Range) else field.choices
    for value in values:
        configure("tutorial", {field.name: value})


def test_what_is_given_is_not_searched() -> None:
    names = [field.name for field in search_space("tutorial", {"dropout": 0.0, "epochs": None, "seed": 3})]
    assert "dropout" not in names
    assert "epochs" in names


def test_where_everything_is_given_the_error_names_what_could_be_searched() -> None:
    given = {name: value for name, value in sampled_values("tutorial").items() if name != "seed"}
    with pytest.raises(OptionError, match=r"every option that could be searched is given; .*learning-rate, epochs"):
        search_space("tutorial", given)


def test_an_unknown_preset_is_an_error() -> None:
    with pytest.raises(OptionError, match="unknown preset 'smal'; did you mean 'small'"):
        search_space("smal", {})


def test_numbers_are_tried_with_few_digits_but_the_preset_s_own_as_it_is() -> None:
    field = Range("dropout", 0.0, 0.7)
    assert field.tried(0.123456, 0.5) == 0.123
    assert field.tried(0.123456, 0.123456) == 0.123456
    assert Range("epochs", 2, 8, log=True).tried(7, 5) == 7


def test_a_range_widens_to_the_preset_s_value_and_choices_take_it_in() -> None:
    assert Range("dropout", 0.1, 0.5).including(0.9) == Range("dropout", 0.1, 0.9)
    assert Range("dropout", 0.1, 0.5).including(0.0) == Range("dropout", 0.0, 0.5)
    field = Choice("hidden_sizes", ((3,), (4, 5)))
    assert field.including((4, 5)) is field
    assert field.including((6,)).choices == ((3,), (4, 5), (6,))


def test_sizes_are_text_in_the_study_and_numbers_in_the_model() -> None:
    field = Choice("hidden_sizes", ((3,), (4, 5)))
    assert field.suggested(FixedTrial({"hidden_sizes": "4,5"})) == "4,5"
    assert field.tried("4,5", (3,)) == (4, 5)
    assert re.fullmatch(r"\d+(,\d+)*", field.raw((4, 5)))


def test_the_command_reference_lists_what_is_searched() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `--([a-z-]+)` \|", text, flags=re.MULTILINE)
    assert listed == [field.name.replace("_", "-") for field in SPACE]


def test_few_texts_make_as_many_steps_in_a_trial_as_train_gives_them() -> None:
    data = load_splits(Dataset(["good film", "bad film"] * 20, ["a", "b"] * 20))
    job = TuningJob(data=data, preset="small", out=Path("out"), given={"dropout": 0.3, "epochs": None})
    tried = {"batch_size": 64, "epochs": 3, "word_dropout": 0.1}
    assert job.trial(tried).training == configure("small", {})[1]
    named = TuningJob(data=data, preset="small", out=Path("out"), given={"epochs": 2})
    assert named.trial(tried).training.min_steps == 0
