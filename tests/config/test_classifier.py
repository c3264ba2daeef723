from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlstm.config import DEFAULT_PRESET, PRESETS, ModelConfig, TrainingConfig, configure, from_json, preset
from fastlstm.errors import OptionError
from fastlstm.serialization import weights

Configs = type[ModelConfig] | type[TrainingConfig]


def complaint(kind: Configs, **values: Any) -> str:
    with pytest.raises(OptionError) as caught:
        kind(**values)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_tutorial_preset_is_the_classic() -> None:
    tutorial = preset("tutorial")
    assert tutorial.model == ModelConfig(
        vocabulary_size=10_000,
        max_tokens=500,
        truncate="end",
        embedding_size=64,
        hidden_sizes=(64, 32),
        bidirectional=False,
        pooling="last",
        dropout=0.0,
        activation="auto",
    )
    training = tutorial.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (5, 64, 1e-3)
    assert training.class_weights == "none"


def test_the_tutorial_preset_has_the_classic_number_of_weights() -> None:
    assert weights.parameter_count(preset("tutorial").model, 2) == 685_473


def test_the_default_preset_is_one_of_the_presets() -> None:
    assert DEFAULT_PRESET in PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_what_it_is_for(name: str) -> None:
    assert preset(name) is PRESETS[name]
    assert PRESETS[name].purpose


def test_an_unknown_preset_is_told_with_the_near_one() -> None:
    with pytest.raises(
        OptionError, match=r"unknown preset 'tutorail'; did you mean 'tutorial'\? known: .*tutorial"
    ):
        preset("tutorail")


def test_an_unknown_option_is_told_with_the_near_one() -> None:
    with pytest.raises(OptionError, match=r"unknown option 'epoch'; did you mean 'epochs'\? known: activation, "):
        configure("tutorial", {"epoch": 3})


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (ModelConfig, "pooling", "avg", "unknown pooling 'avg'; known: concat, last, max, mean"),
        (
            ModelConfig,
            "pooling",
            "men",
            "unknown pooling 'men'; did you mean 'mean'? known: concat, last, max, mean",
        ),
        (ModelConfig, "truncate", "END", "unknown truncate 'END'; known: beginning, both, end"),
        (ModelConfig, "truncate", None, "unknown truncate None; known: beginning, both, end"),
        (
            ModelConfig,
            "activation",
            "sigmoids",
            "unknown activation 'sigmoids'; did you mean 'sigmoid'? known: auto, sigmoid, softmax",
        ),
        (
            TrainingConfig,
            "schedule",
            "liner",
            "unknown schedule 'liner'; did you mean 'linear'? known: constant, cosine, linear",
        ),
        (
            TrainingConfig,
            "threshold_metric",
            "F1",
            "unknown threshold-metric 'F1'; known: accuracy, balanced-accuracy, f1, macro-f1, none",
        ),
        (TrainingConfig, "calibration", "yes", "unknown calibration 'yes'; known: auto, none"),
        (
            TrainingConfig,
            "class_weights",
            ["balanced"],
            "unknown class-weights ['balanced']; did you mean 'balanced'? known: balanced, none",
        ),
    ],
)
def test_an_unknown_value_is_told_with_the_near_one(kind: Configs, name: str, value: object, expected: str) -> None:
    assert complaint(kind, **{name: value}) == expected


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (ModelConfig, "vocabulary_size", 2, "vocabulary-size is 2; expected at least 3"),
        (ModelConfig, "max_tokens", 0, "max-tokens is 0; expected at least 1"),
        (ModelConfig, "embedding_size", -1, "embedding-size is -1; expected from 1 to 65536"),
        (ModelConfig, "dropout", -1e-9, "dropout is -1e-09; expected from 0 to 0.95"),
        (ModelConfig, "dropout", 1, "dropout is 1; expected from 0 to 0.95"),
        (ModelConfig, "dropout", math.inf, "dropout is inf; expected from 0 to 0.95"),
        (TrainingConfig, "epochs", 0, "epochs is 0; expected at least 1"),
        (TrainingConfig, "batch_size", 0, "batch-size is 0; expected at least 1"),
        (TrainingConfig, "learning_rate", 0.0, "learning-rate is 0.0; expected from 1e-07 to 1"),
        (TrainingConfig, "learning_rate", 1.5, "learning-rate is 1.5; expected from 1e-07 to 1"),
        (TrainingConfig, "clip_norm", -1.0, "clip-norm is -1.0; expected at least 0"),
        (TrainingConfig, "patience", 0, "patience is 0; expected at least 1"),
        (TrainingConfig, "seed", -1, "seed is -1; expected from 0 to 4294967295"),
        (TrainingConfig, "seed", 2**32, "seed is 4294967296; expected from 0 to 4294967295"),
    ],
)
def test_a_value_outside_its_range_is_told(kind: Configs, name: str, value: object, expected: str) -> None:
    assert complaint(kind, **{name: value}) == expected


@pytest.mark.parametrize(
    ("kind", "name", "value", "expected"),
    [
        (ModelConfig, "max_tokens", True, "max-tokens is True; expected a whole number"),
        (ModelConfig, "max_tokens", 500.0, "max-tokens is 500.0; expected a whole number"),
        (ModelConfig, "max_tokens", "500", "max-tokens is '500'; expected a whole number"),
        (ModelConfig, "max_tokens", None, "max-tokens is None; expected a whole number"),
        (ModelConfig, "dropout", math.nan, "dropout is nan; expected a number"),
        (ModelConfig, "dropout", False, "dropout is False; expected a number"),
        (ModelConfig, "dropout", "0", "dropout is '0'; expected a number"),
        (ModelConfig, "bidirectional", 1, "bidirectional is 1; expected true or false"),
        (ModelConfig, "bidirectional", "true", "bidirectional is 'true'; expected true or false"),
        (TrainingConfig, "learning_rate", math.nan, "learning-rate is nan; expected a number"),
        (TrainingConfig, "seed", True, "seed is True; expected a whole number"),
    ],
)
def test_a_value_of_the_wrong_type_is_told(kind: Configs, name: str, value: object, expected: str) -> None:
    assert complaint(kind, **{name: value}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((), "hidden-sizes is (); expected one whole number a layer, such as 64,32"),
        ([64], "hidden-sizes is [64]; expected one whole number a layer, such as 64,32"),
        (64, "hidden-sizes is 64; expected one whole number a layer, such as 64,32"),
        ("64", "hidden-sizes is '64'; expected one whole number a layer, such as 64,32"),
        ((64, 0), "hidden-sizes is 0; expected from 1 to 65536"),
        ((64, True), "hidden-sizes is True; expected a whole number"),
        ((64, 1.5), "hidden-sizes is 1.5; expected a whole number"),
        (((64,),), "hidden-sizes is (64,); expected a whole number"),
    ],
)
def test_hidden_sizes_are_one_whole_number_a_layer(value: object, expected: str) -> None:
    assert complaint(ModelConfig, hidden_sizes=value) == expected


def test_values_at_the_ends_of_their_ranges_are_taken() -> None:
    ModelConfig(vocabulary_size=3, max_tokens=1, embedding_size=1, hidden_sizes=(1,), dropout=0)
    ModelConfig(dropout=0.95)
    TrainingConfig(epochs=1, batch_size=1, learning_rate=1e-7, clip_norm=0, patience=1, seed=0)
    TrainingConfig(learning_rate=1, seed=2**32 - 1)


def test_a_configuration_does_not_change() -> None:
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
def test_a_configuration_survives_json(config: ModelConfig | TrainingConfig) -> None:
    values = json.loads(json.dumps(dataclasses.asdict(config)))
    back: ModelConfig | TrainingConfig = (
        from_json(ModelConfig, values) if isinstance(config, ModelConfig) else from_json(TrainingConfig, values)
    )
    assert back == config


@pytest.mark.parametrize("kind", [ModelConfig, TrainingConfig])
def test_json_with_a_missing_or_an_extra_field_is_refused(kind: type[Any]) -> None:
    values = dataclasses.asdict(kind())
    for name in values:
        with pytest.raises(OptionError, match=f"expected the fields .*'{name}'"):
            from_json(kind, {k: v for k, v in values.items() if k != name})
    with pytest.raises(OptionError, match=f"^{kind.__name__} has .*'colour'.*; expected the fields "):
        from_json(kind, {**values, "colour": "blue"})


def test_json_may_leave_out_what_is_not_required_and_hold_only_what_is_known() -> None:
    values = dataclasses.asdict(ModelConfig(dropout=0.25))
    less = {k: v for k, v in values.items() if k != "pooling"}
    rest = set(values) - {"pooling"}
    assert from_json(ModelConfig, less, required=rest) == from_json(ModelConfig, values, required=rest)
    assert from_json(ModelConfig, less, required=rest, known=rest) == ModelConfig(dropout=0.25)
    with pytest.raises(OptionError, match="expected the fields"):
        from_json(ModelConfig, values, required=rest, known=rest)
    with pytest.raises(OptionError, match="expected the fields"):
        from_json(ModelConfig, {k: v for k, v in less.items() if k != "dropout"}, required=rest)


@pytest.mark.parametrize("values", [None, [], "x", 3, [["epochs", 5]]])
def test_json_that_is_no_object_is_refused(values: object) -> None:
    with pytest.raises(OptionError, match=f"^ModelConfig has {type(values).__name__}; expected the fields "):
        from_json(ModelConfig, values)


def test_json_with_a_bad_value_is_refused() -> None:
    values = {**dataclasses.asdict(ModelConfig()), "hidden_sizes": [64, "32"]}
    with pytest.raises(OptionError, match="hidden-sizes is '32'; expected a whole number"):
        from_json(ModelConfig, values)


def test_configure_without_values_is_the_preset() -> None:
    assert configure("tutorial", {}) == (preset("tutorial").model, preset("tutorial").training)


def test_configure_changes_what_is_given_and_nothing_else() -> None:
    base = preset("tutorial")
    given_values = {"hidden_sizes": (7,), "epochs": 3, "seed": 0, "bidirectional": True, "dropout": None}
    model, training = configure("tutorial", given_values)
    assert model == dataclasses.replace(base.model, hidden_sizes=(7,), bidirectional=True)
    assert training == dataclasses.replace(base.training, epochs=3, seed=0)


def test_configure_refuses_what_the_configurations_refuse() -> None:
    with pytest.raises(OptionError, match="epochs is 0; expected at least 1"):
        configure("tutorial", {"epochs": 0})
    with pytest.raises(OptionError, match="unknown preset 'smal'"):
        configure("smal", {})


@pytest.mark.parametrize(
    ("texts", "batch_size", "epochs"),
    [(20_000, 64, 3), (6_400, 64, 3), (1_600, 16, 3), (400, 8, 6), (80, 8, 30), (9, 8, 150), (1, 8, 300)],
)
def test_few_texts_are_read_in_smaller_batches_and_more_often(texts: int, batch_size: int, epochs: int) -> None:
    config = TrainingConfig(epochs=3, batch_size=64, min_steps=300)
    of_texts = config.for_texts(texts)
    assert (of_texts.batch_size, of_texts.epochs) == (batch_size, epochs)
    assert epochs * -(-texts // batch_size) >= 300
    assert of_texts.patience * 3 >= config.patience * of_texts.epochs
    assert of_texts.for_texts(texts) == of_texts
    assert TrainingConfig(epochs=3).for_texts(texts) == TrainingConfig(epochs=3)


def test_who_gives_a_batch_size_or_epochs_has_these() -> None:
    assert configure("small", {})[1].min_steps > 0
    for given_values in ({"epochs": 4}, {"batch_size": 32}):
        _, training = configure("small", given_values)
        assert training.for_texts(10) == training
    assert configure("small", {"epochs": 4, "min_steps": 50})[1].min_steps == 50
