"""Unknown options are answered with the option, or the field of --set, that they stand for."""

from __future__ import annotations

import pytest
from tests.helpers.command_line import Command, all_commands

from fastlstm.cli.suggestions import ALIASES, suggest_option
from fastlstm.config import LanguageModelConfig, ModelConfig, TrainingConfig, option_fields


@pytest.mark.parametrize(
    ("command_name", "option", "expected"),
    [
        ("train", "--lr", "--learning-rate"),
        ("train", "--learning", "--learning-rate"),
        ("train", "--learning_rate", "--learning-rate"),
        ("train", "--batch-size", "--set batch_size=VALUE"),
        ("train", "--dropout", "--set dropout=VALUE"),
        ("train", "--dropout_rate", "--set dropout=VALUE"),
        ("train", "--hidden-size", "--set hidden_sizes=VALUE"),
        ("train", "--max-length", "--set max_tokens=VALUE"),
        ("train", "--maxlen", "--set max_tokens=VALUE"),
        ("train", "--num-epochs", "--epochs"),
        ("train", "--output", "--out"),
        ("train", "--output-dir", "--out"),
        ("train", "--sed", "--seed"),
        ("train", "--label", "--label-column"),
        ("predict", "--treshold", "--threshold"),
        ("serve", "--num-workers", "--workers"),
        ("export", "--ngrams", "--no-ngrams"),
        ("tune", "--batch", "--set batch_size=VALUE"),
    ],
)
def test_unknown_option_names_what_it_stands_for(
    command: Command, command_name: str, option: str, expected: str
) -> None:
    result = command(command_name, option, "1")
    assert (result.status, result.code) == (2, "usage")
    assert f"{option}." in result.err
    assert f"{expected}?" in result.err


@pytest.mark.parametrize("option", ["--xyz", "--qqqqqq", "-Z"])
def test_option_like_no_other_has_no_suggestion(command: Command, option: str) -> None:
    result = command("train", option)
    assert (result.status, result.code) == (2, "usage")
    assert "mean" not in result.err


def test_every_alias_stands_for_an_option_or_a_field() -> None:
    names = {
        field.name for kind in (ModelConfig, TrainingConfig, LanguageModelConfig) for field in option_fields(kind)
    }
    options = {str(parameter.name) for each in all_commands().values() for parameter in each.params}
    assert set(ALIASES.values()) <= names | options | {"model"}


def test_every_option_is_its_own_suggestion() -> None:
    for each in all_commands().values():
        for parameter in each.params:
            for flag in parameter.opts:
                if flag.startswith("--"):
                    assert suggest_option(flag, each, ()) == flag
