"""Options of all commands: configuration fields by --set and --config, help texts, and types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from tests.helpers.command_line import Command, all_commands

from fastlstm.cli.options import PanelCommand, config_options, option, preset_option
from fastlstm.config import (
    LanguageModelConfig,
    LanguageModelTrainingConfig,
    ModelConfig,
    TrainingConfig,
    option_fields,
)
from fastlstm.errors import DataError, FastLSTMError, OptionError

MAX_HELP_LENGTH = 60
"""Maximum length of the help text of an option, in characters."""
CLASSIFIER = (ModelConfig, TrainingConfig)
LANGUAGE_MODEL = (LanguageModelConfig, LanguageModelTrainingConfig)


@click.command(cls=PanelCommand)
@preset_option
@option("--validation", default="0.2")
@option("--early-exit", is_flag=True)
@config_options("epochs", "learning_rate")
def show_values(**values: Any) -> dict[str, Any]:
    """Return the values of all options."""
    return values


def parse(*arguments: str | Path) -> dict[str, Any]:
    """Return the values that a command receives for these arguments."""
    values: dict[str, Any] = show_values.main([str(argument) for argument in arguments], standalone_mode=False)
    return values


def fields(*arguments: str | Path) -> dict[str, Any]:
    """Return the configuration fields that a command receives for these arguments."""
    values: dict[str, Any] = parse(*arguments)["options"]
    return values


def write_toml(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("assignment", "name", "value"),
    [
        ("max_tokens=20", "max_tokens", 20),
        ("dropout=0.25", "dropout", 0.25),
        ("clip_norm=1e-2", "clip_norm", 0.01),
        ("bidirectional=false", "bidirectional", False),
        ("hidden_sizes=64,32", "hidden_sizes", (64, 32)),
        ("hidden_sizes=7", "hidden_sizes", (7,)),
        ("pooling=max", "pooling", "max"),
        ("max-tokens = 20", "max_tokens", 20),
        ("epochs=4", "epochs", 4),
    ],
)
def test_set_assigns_a_value_of_the_type_of_the_field(assignment: str, name: str, value: object) -> None:
    assigned = fields("--set", assignment)
    assert assigned == {name: value}
    assert type(assigned[name]) is type(value)


def test_set_is_repeatable_and_the_last_value_wins() -> None:
    assert fields("--set", "dropout=0.1", "--set", "ngrams=5", "--set", "dropout=0.2") == {
        "dropout": 0.2,
        "ngrams": 5,
    }


@pytest.mark.parametrize(
    ("assignment", "code", "name"),
    [
        ("colour=blue", "unknown-option", "colour"),
        ("padding=front", "unknown-option", "padding"),
        ("max_tokens=many", "bad-option-value", "max_tokens"),
        ("bidirectional=maybe", "bad-option-value", "bidirectional"),
        ("max_tokens=", "bad-option-value", "max_tokens"),
        ("max_tokens", "bad-option-value", "set"),
    ],
)
def test_bad_assignment_raises_option_error(assignment: str, code: str, name: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse("--set", assignment)
    assert (raised.value.code, raised.value.option) == (code, name)


def test_config_file_sets_options_and_fields(tmp_path: Path) -> None:
    path = write_toml(
        tmp_path,
        'preset = "tutorial"\nvalidation = 0.3\nearly-exit = true\n'
        'epochs = 7\nhidden_sizes = [64, 32]\nword-dropout = 0.5\npooling = "max"\nbidirectional = true\n',
    )
    values = parse("--config", path)
    assert (values["preset"], values["validation"], values["early_exit"]) == ("tutorial", "0.3", True)
    assert values["options"] == {
        "epochs": 7,
        "hidden_sizes": (64, 32),
        "word_dropout": 0.5,
        "pooling": "max",
        "bidirectional": True,
    }


@pytest.mark.parametrize("first", [True, False])
def test_option_precedes_set_and_set_precedes_config_file(tmp_path: Path, first: bool) -> None:
    path = write_toml(tmp_path, 'preset = "tutorial"\nepochs = 1\nlearning_rate = 0.1\nngrams = 1\n')
    given = ["--preset", "accurate", "--epochs", "3", "--set", "epochs=2", "--set", "learning_rate=0.2"]
    values = parse("--config", path, *given) if first else parse(*given, "--config", path)
    assert values["preset"] == "accurate"
    assert values["options"] == {"epochs": 3, "learning_rate": 0.2, "ngrams": 1}


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (b"colour = 1\n", OptionError, "unknown-option"),
        (b"set_values = 1\n", OptionError, "unknown-option"),
        (b"[model]\nepochs = 1\n", OptionError, "unknown-option"),
        (b"epochs = \n", OptionError, "bad-config-file"),
        (b'pooling = "\xe4"\n', OptionError, "bad-config-file"),
        (None, DataError, "file-not-found"),
    ],
)
def test_bad_config_file_raises(
    tmp_path: Path, content: bytes | None, kind: type[FastLSTMError], code: str
) -> None:
    path = tmp_path / "train.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind) as raised:
        parse("--config", path)
    assert raised.value.code == code
    assert str(path) in str(raised.value) or code == "unknown-option"


def test_folder_as_config_file_raises_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        parse("--config", tmp_path)
    assert (raised.value.code, raised.value.path) == ("unreadable-file", tmp_path)


def test_train_uses_the_config_file(command: Command, data: Path, tmp_path: Path) -> None:
    path = write_toml(
        tmp_path,
        'preset = "tutorial"\nbaseline = false\nepochs = 1\nhidden_sizes = [7]\nembedding_size = 5\n',
    )
    out = tmp_path / "model"
    result = command("train", data, "--config", path, "--out", out, "--set", "embedding_size=4", "--json")
    assert result.status == 0, result.err
    assert len(result.json["history"]) == 1
    assert result.json["baseline"] is None
    description = command("info", "-m", out, "--json").json
    assert (description["model"]["hidden_sizes"], description["model"]["embedding_size"]) == ([7], 4)
    assert description["training"]["preset"] == "tutorial"


@pytest.mark.parametrize(
    ("name", "value"), [("preset", '"smal"'), ("epochs", '"many"'), ("dropout", "2"), ("pooling", '"avg"')]
)
def test_bad_value_in_config_file_is_rejected(
    command: Command, data: Path, tmp_path: Path, name: str, value: str
) -> None:
    path = write_toml(tmp_path, f"{name} = {value}\n")
    result = command("train", data, "--config", path, "--out", tmp_path / "model")
    assert (result.status, result.code) == (2, "usage" if name == "preset" else "bad-option-value")
    assert name in result.err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("train", CLASSIFIER), ("distill", CLASSIFIER), ("tune", CLASSIFIER), ("lm train", LANGUAGE_MODEL)],
)
def test_help_all_lists_every_field(command: Command, name: str, kinds: tuple[Any, ...]) -> None:
    result = command(*name.split(), "--help-all")
    assert result.status == 0
    first_words = {line.split()[0] for line in result.out.splitlines() if line.split()}
    for kind in kinds:
        assert kind.__name__ in result.out
        assert {field.name for field in option_fields(kind)} <= first_words
    assert command(*name.split(), "--help").out.strip() in result.out


def test_help_of_train_fits_two_screens(command: Command) -> None:
    assert len(command("train", "--help").out.splitlines()) <= 75


@pytest.mark.parametrize("name", all_commands())
def test_help_fits_80_columns(command: Command, name: str) -> None:
    result = command(*name.split(), "--help")
    assert result.status == 0
    assert max(len(line) for line in result.out.splitlines()) <= 80


@pytest.mark.parametrize("name", all_commands())
def test_every_option_has_a_short_help_text(name: str) -> None:
    for parameter in all_commands()[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert len(parameter.help) <= MAX_HELP_LENGTH, parameter.help


@pytest.mark.parametrize("kind", [*CLASSIFIER, *LANGUAGE_MODEL])
def test_every_field_has_a_short_help_text(kind: type[Any]) -> None:
    for field in option_fields(kind):
        assert 0 < len(field.metadata["help"]) <= MAX_HELP_LENGTH, field.name


def value_type(parameter: click.Option) -> str:
    """Return the type of the values of an option; integers of all ranges have one type."""
    if parameter.is_flag:
        return "flag"
    return "integer" if isinstance(parameter.type, click.types.IntParamType) else parameter.type.name


def test_option_name_has_one_type_in_all_commands() -> None:
    types: dict[str, dict[str, list[str]]] = {}
    for command_name, command in all_commands().items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for name in (*parameter.opts, *parameter.secondary_opts):
                    types.setdefault(name, {}).setdefault(value_type(parameter), []).append(command_name)
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}
    assert {"--budget", "--early-exit", "--model", "--preset", "--set"} <= types.keys()
