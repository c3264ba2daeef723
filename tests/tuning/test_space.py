from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FixedTrial

from fastlstm.config import PRESETS, configure
from fastlstm.errors import OptionError
from fastlstm.tuning.space import SPACE, Choice, Range, preset_values, search_space


@pytest.mark.parametrize("name", PRESETS)
def test_space_includes_preset_which_survives_encoding(name: str) -> None:
    defaults = preset_values(name)
    space = search_space(name, {})
    trial = FixedTrial({field.name: field.encode(defaults[field.name]) for field in space})
    decoded = {field.name: field.decode(field.suggest(trial), defaults[field.name]) for field in space}
    assert decoded == {field.name: defaults[field.name] for field in SPACE}
    assert configure(name, decoded) == configure(name, {"min_steps": 0})


@pytest.mark.parametrize("field", SPACE, ids=lambda field: field.name)
def test_configuration_accepts_all_values_of_space(field: Range | Choice) -> None:
    values: tuple[Any, ...] = (field.low, field.high) if isinstance(field, Range) else field.choices
    for value in values:
        configure("tutorial", {field.name: value})


def test_fixed_fields_are_not_searched() -> None:
    names = [field.name for field in search_space("tutorial", {"dropout": 0.0, "epochs": None, "seed": 3})]
    assert "dropout" not in names
    assert "epochs" in names


def test_error_without_searchable_fields_names_them() -> None:
    fixed = {name: value for name, value in preset_values("tutorial").items() if name != "seed"}
    with pytest.raises(OptionError) as raised:
        search_space("tutorial", fixed)
    assert raised.value.code == "nothing-to-search"
    assert raised.value.options == tuple(field.name for field in SPACE)


def test_unknown_preset_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        search_space("smal", {})
    assert (raised.value.code, raised.value.preset) == ("unknown-preset", "smal")


def test_suggestions_are_rounded_but_preset_values_are_not() -> None:
    field = Range("dropout", 0.0, 0.7)
    assert field.decode(0.123456, 0.5) == 0.123
    assert field.decode(0.123456, 0.123456) == 0.123456
    assert Range("epochs", 2, 8, log=True).decode(7, 5) == 7


def test_ranges_and_choices_are_extended_to_preset_value() -> None:
    assert Range("dropout", 0.1, 0.5).including(0.9) == Range("dropout", 0.1, 0.9)
    assert Range("dropout", 0.1, 0.5).including(0.0) == Range("dropout", 0.0, 0.5)
    field = Choice("hidden_sizes", ((3,), (4, 5)))
    assert field.including((4, 5)) is field
    assert field.including((6,)).choices == ((3,), (4, 5), (6,))


def test_tuples_are_encoded_as_strings() -> None:
    field = Choice("hidden_sizes", ((3,), (4, 5)))
    assert field.suggest(FixedTrial({"hidden_sizes": "4,5"})) == "4,5"
    assert field.decode("4,5", (3,)) == (4, 5)
    assert field.encode((4, 5)) == "4,5"


def test_command_reference_lists_searched_fields() -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8").split("## Tuning")[1]
    assert re.findall(r"^\| `([a-z_]+)` \|", text, flags=re.MULTILINE) == [field.name for field in SPACE]
