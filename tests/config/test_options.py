"""Configuration fields: validation, parsing from strings, JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.config import (
    LanguageModelConfig,
    LanguageModelTrainingConfig,
    ModelConfig,
    TrainingConfig,
    from_json,
    option_fields,
)
from fastlstm.config.options import field_type, parse_duration, parse_value, plain_value, split_values
from fastlstm.errors import OptionError

KINDS = (ModelConfig, TrainingConfig)


def creation_error(kind: type[Any], **values: Any) -> OptionError:
    """Return the error of creating a configuration with these values."""
    with pytest.raises(OptionError) as raised:
        kind(**values)
    assert "\n" not in str(raised.value)
    return raised.value


def assert_bad_value(kind: type[Any], name: str, value: object, reported: object) -> OptionError:
    error = creation_error(kind, **{name: value})
    assert (error.code, error.option) == ("bad-option-value", name)
    assert error.value is reported or error.value == reported
    assert name in str(error)
    assert repr(reported) in str(error)
    return error


@pytest.mark.parametrize(
    ("kind", "name", "value", "suggested"),
    [
        (ModelConfig, "pooling", "avg", ["concat", "last", "max", "mean"]),
        (ModelConfig, "pooling", "men", ["'mean'", "concat", "last", "max"]),
        (ModelConfig, "truncate", "END", ["beginning", "both", "end"]),
        (ModelConfig, "truncate", None, ["beginning", "both", "end"]),
        (ModelConfig, "activation", "sigmoids", ["'sigmoid'", "auto", "softmax"]),
        (TrainingConfig, "schedule", "liner", ["'linear'", "constant", "cosine"]),
        (TrainingConfig, "threshold_metric", "F1", ["accuracy", "balanced-accuracy", "f1", "macro-f1", "none"]),
        (TrainingConfig, "calibration", "yes", ["auto", "none"]),
        (TrainingConfig, "class_weights", ["balanced"], ["'balanced'", "none"]),
    ],
)
def test_unknown_choice_raises_and_names_the_known_ones(
    kind: type[Any], name: str, value: object, suggested: list[str]
) -> None:
    message = str(assert_bad_value(kind, name, value, value))
    for choice in suggested:
        assert choice in message


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ModelConfig, "vocabulary_size", 2),
        (ModelConfig, "max_tokens", 0),
        (ModelConfig, "embedding_size", -1),
        (ModelConfig, "dropout", -1e-9),
        (ModelConfig, "dropout", 1),
        (ModelConfig, "dropout", math.inf),
        (TrainingConfig, "epochs", 0),
        (TrainingConfig, "batch_size", 0),
        (TrainingConfig, "learning_rate", 0.0),
        (TrainingConfig, "learning_rate", 1.5),
        (TrainingConfig, "clip_norm", -1.0),
        (TrainingConfig, "patience", 0),
        (TrainingConfig, "seed", -1),
        (TrainingConfig, "seed", 2**32),
    ],
)
def test_value_out_of_range_raises_and_names_the_limits(kind: type[Any], name: str, value: object) -> None:
    message = str(assert_bad_value(kind, name, value, value))
    (field,) = [field for field in option_fields(kind) if field.name == name]
    for limit in (field.metadata["minimum"], field.metadata["maximum"]):
        assert limit is None or str(limit) in message


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (ModelConfig, "max_tokens", True),
        (ModelConfig, "max_tokens", 500.0),
        (ModelConfig, "max_tokens", "500"),
        (ModelConfig, "max_tokens", None),
        (ModelConfig, "dropout", math.nan),
        (ModelConfig, "dropout", False),
        (ModelConfig, "dropout", "0"),
        (ModelConfig, "bidirectional", 1),
        (ModelConfig, "bidirectional", "true"),
        (TrainingConfig, "learning_rate", math.nan),
        (TrainingConfig, "seed", True),
    ],
)
def test_value_of_wrong_type_raises(kind: type[Any], name: str, value: object) -> None:
    assert_bad_value(kind, name, value, value)


@pytest.mark.parametrize(
    ("value", "reported"),
    [
        ((), ()),
        ([64], [64]),
        (64, 64),
        ("64", "64"),
        ((64, 0), 0),
        ((64, True), True),
        ((64, 1.5), 1.5),
        (((64,),), (64,)),
    ],
)
def test_hidden_sizes_must_be_a_tuple_of_whole_numbers(value: object, reported: object) -> None:
    assert_bad_value(ModelConfig, "hidden_sizes", value, reported)


def test_limits_are_included() -> None:
    ModelConfig(vocabulary_size=3, max_tokens=1, embedding_size=1, hidden_sizes=(1,), dropout=0)
    ModelConfig(dropout=0.95)
    TrainingConfig(epochs=1, batch_size=1, learning_rate=1e-7, clip_norm=0, patience=1, seed=0)
    TrainingConfig(learning_rate=1, seed=2**32 - 1)


def test_configuration_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().max_tokens = 3  # type: ignore[misc]


MODELS = st.builds(
    ModelConfig,
    vocabulary_size=st.integers(3, 10**6),
    max_tokens=st.integers(1, 10**6),
    truncate=st.sampled_from(["end", "beginning", "both"]),
    embedding_size=st.integers(1, 1000),
    hidden_sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=4).map(tuple),
    bidirectional=st.booleans(),
    pooling=st.sampled_from(["last", "max", "mean", "concat"]),
    dropout=st.floats(0, 0.95) | st.just(0),
    activation=st.sampled_from(["auto", "sigmoid", "softmax"]),
)
TRAININGS = st.builds(
    TrainingConfig,
    epochs=st.integers(1, 1000),
    learning_rate=st.floats(1e-7, 1),
    clip_norm=st.floats(0, 1e9),
    seed=st.integers(0, 2**32 - 1),
)


@given(MODELS | TRAININGS)
def test_from_json_inverts_asdict(config: ModelConfig | TrainingConfig) -> None:
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    read: object = from_json(type(config), values)
    assert read == config


@given(MODELS | TRAININGS)
def test_parse_value_inverts_str(config: ModelConfig | TrainingConfig) -> None:
    for field in option_fields(type(config)):
        value = getattr(config, field.name)
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert parse_value(field.name, text, *KINDS) == value


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "12", 12),
        ("dropout", "0", 0.0),
        ("learning_rate", "1e-3", 0.001),
        ("hidden_sizes", "64, 32", (64, 32)),
        ("hidden_sizes", "7", (7,)),
        ("pooling", "max", "max"),
        *(("bidirectional", text, True) for text in ("true", "True", "yes", "1")),
        *(("bidirectional", text, False) for text in ("false", "FALSE", "no", "0")),
    ],
)
def test_parse_value_returns_the_type_of_the_field(name: str, text: str, value: object) -> None:
    parsed = parse_value(name, text, *KINDS)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("epochs", "1.5"),
        ("epochs", "many"),
        ("epochs", ""),
        ("dropout", "half"),
        ("hidden_sizes", "64;32"),
        ("hidden_sizes", "64,"),
        ("hidden_sizes", ""),
        ("bidirectional", "maybe"),
        ("bidirectional", ""),
    ],
)
def test_parse_value_rejects_strings_of_other_types(name: str, text: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_value(name, text, *KINDS)
    assert (raised.value.code, raised.value.option, raised.value.value) == ("bad-option-value", name, text)


@pytest.mark.parametrize(
    ("name", "suggested"), [("epoch", "'epochs'"), ("padding", "pooling"), ("streams", "seed")]
)
def test_unknown_name_raises_and_names_the_known_ones(name: str, suggested: str) -> None:
    for call in (
        lambda: parse_value(name, "1", *KINDS),
        lambda: split_values({name: 1}, *KINDS),
        lambda: field_type(name, *KINDS),
    ):
        with pytest.raises(OptionError) as raised:
            call()
        assert (raised.value.code, raised.value.option) == ("unknown-option", name)
        assert suggested in str(raised.value)


def test_field_type_depends_on_the_classes() -> None:
    assert field_type("streams", LanguageModelConfig, LanguageModelTrainingConfig) is int
    assert field_type("dropout", *KINDS) is float


def test_split_values_assigns_values_to_classes_and_drops_none() -> None:
    values = {"hidden_sizes": [7, 5], "epochs": np.int64(3), "dropout": np.float32(0.5), "pooling": None}
    assert split_values(values, *KINDS) == [{"hidden_sizes": (7, 5), "dropout": 0.5}, {"epochs": 3}]


def test_plain_value_converts_numpy_scalars_and_lists() -> None:
    plain = plain_value([np.int64(3), (np.float64(0.5), "a")])
    assert plain == (3, (0.5, "a"))
    assert [type(value) for value in (plain[0], plain[1][0])] == [int, float]


@pytest.mark.parametrize("kind", KINDS)
def test_json_with_a_missing_or_an_additional_field_raises(kind: type[Any]) -> None:
    values = dataclasses.asdict(kind())
    names = sorted(values)
    for changed in (
        *({k: v for k, v in values.items() if k != name} for name in names),
        {**values, "colour": "blue"},
    ):
        with pytest.raises(OptionError) as raised:
            from_json(kind, changed)
        assert (raised.value.code, raised.value.expected) == ("bad-config-fields", names)


def test_required_and_known_fields_of_json_can_be_restricted() -> None:
    values = dataclasses.asdict(ModelConfig(dropout=0.25))
    less = {k: v for k, v in values.items() if k != "pooling"}
    rest = set(values) - {"pooling"}
    assert from_json(ModelConfig, less, required=rest) == from_json(ModelConfig, values, required=rest)
    assert from_json(ModelConfig, less, required=rest, known=rest) == ModelConfig(dropout=0.25)
    with pytest.raises(OptionError) as raised:
        from_json(ModelConfig, values, required=rest, known=rest)
    assert raised.value.expected == sorted(rest)
    with pytest.raises(OptionError) as raised:
        from_json(ModelConfig, {k: v for k, v in less.items() if k != "dropout"}, required=rest)
    assert raised.value.code == "bad-config-fields"


@pytest.mark.parametrize("values", [None, [], "x", 3, [["epochs", 5]]])
def test_json_that_is_not_an_object_raises(values: object) -> None:
    with pytest.raises(OptionError) as raised:
        from_json(ModelConfig, values)
    assert raised.value.code == "bad-config-fields"
    assert type(values).__name__ in str(raised.value)


def test_json_with_a_bad_value_raises() -> None:
    values = {**dataclasses.asdict(ModelConfig()), "hidden_sizes": [64, "32"]}
    with pytest.raises(OptionError) as raised:
        from_json(ModelConfig, values)
    assert (raised.value.code, raised.value.option, raised.value.value) == (
        "bad-option-value",
        "hidden_sizes",
        "32",
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90s", 90), ("90", 90), ("10m", 600), ("1h30m", 5400), ("1H30M", 5400), ("0.5h", 1800),
     ("1h2m3s", 3723), (" 5m ", 300), (45, 45), (1.5, 1.5)],
)  # fmt: skip
def test_duration_is_parsed(written: str | float, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize("written", ["", "m", "10 minutes", "-5m", "0s", "1m1h", "nan", float("inf"), -1, 0])
def test_bad_duration_raises(written: str | float) -> None:
    with pytest.raises(OptionError) as raised:
        parse_duration(written)
    assert (raised.value.code, raised.value.option, raised.value.value) == ("bad-option-value", "budget", written)
    with pytest.raises(OptionError) as raised:
        parse_duration(written, "limit")
    assert raised.value.option == "limit"
