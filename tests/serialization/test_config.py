from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.damaged_models import (
    MakeFolder,
    ModelFiles,
    check_error_is_documented,
    corrupt_error,
    with_config_value,
)
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError
from fastlstm.serialization.classifier import read_classifier, write_classifier
from fastlstm.serialization.folder import CONFIG, TOKENIZER, WEIGHTS


@pytest.mark.parametrize("key", ["labels", "model", "calibration", "sha256", "training"])
def test_missing_key_raises_corrupt_model_error(model_files: ModelFiles, make_folder: MakeFolder, key: str) -> None:
    config = json.loads(model_files[CONFIG])
    del config[key]
    folder = make_folder({**model_files, CONFIG: json.dumps(config).encode()})
    assert corrupt_error(folder, CONFIG).field == key


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "a"],
        ["a"],
        [],
        ["a", 1],
        ["a", None],
        "ab",
        {"a": 1, "b": 2},
        None,
        ["a", "\ud800"],
        ["a", ["b"]],
    ],
)
def test_invalid_labels_raise_corrupt_model_error(
    model_files: ModelFiles, make_folder: MakeFolder, labels: object
) -> None:
    corrupt_error(make_folder(with_config_value(model_files, "labels", value=labels)), CONFIG)


@pytest.mark.parametrize(
    "temperature",
    [
        0,
        -1.0,
        float("nan"),
        float("inf"),
        1e-300,
        1e300,
        pytest.param(10**400, id="401 digits"),
        "warm",
        "1.5",
        True,
        None,
        [1.0],
    ],
)
def test_invalid_temperature_raises_corrupt_model_error(
    model_files: ModelFiles, make_folder: MakeFolder, temperature: object
) -> None:
    damaged = with_config_value(model_files, "calibration", "temperature", value=temperature)
    corrupt_error(make_folder(damaged), CONFIG)


@pytest.mark.parametrize(
    "threshold",
    [
        -1e-9,
        1.0000001,
        float("nan"),
        float("inf"),
        pytest.param(10**400, id="401 digits"),
        "0.5",
        True,
        None,
        [0.5],
    ],
)
def test_invalid_threshold_raises_corrupt_model_error(
    model_files: ModelFiles, make_folder: MakeFolder, threshold: object
) -> None:
    damaged = with_config_value(model_files, "calibration", "threshold", value=threshold)
    corrupt_error(make_folder(damaged), CONFIG)


@pytest.mark.parametrize("threshold", [0, 0.0, 0.25, 1, 1.0])
def test_threshold_is_read(model_files: ModelFiles, make_folder: MakeFolder, threshold: float) -> None:
    changed = with_config_value(model_files, "calibration", "threshold", value=threshold)
    assert read_classifier(make_folder(changed)).threshold == threshold


def test_default_threshold_is_valid_for_three_classes(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(labels=("a", "b", "c"), threshold=0.5)
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    assert read_classifier(tmp_path / "model").threshold == 0.5


def test_threshold_for_three_classes_raises_corrupt_model_error(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(labels=("a", "b", "c"), threshold=0.4)
    write_classifier(model, tmp_path / "model", card="", golden=[], extras={})
    assert corrupt_error(tmp_path / "model", CONFIG).field == "threshold"


def test_missing_threshold_raises_corrupt_model_error(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    damaged = with_config_value(model_files, "calibration", value={"temperature": 1.0})
    assert corrupt_error(make_folder(damaged), CONFIG).field == "threshold"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "500"),
        ("hidden_sizes", []),
        ("hidden_sizes", [4, -3]),
        ("pooling", "avg"),
        ("pooling", {}),
        ("bidirectional", 0),
        ("dropout", float("nan")),
        ("colour", "blue"),
    ],
)
def test_invalid_model_field_raises_corrupt_model_error(
    model_files: ModelFiles, make_folder: MakeFolder, name: str, value: object
) -> None:
    error = corrupt_error(make_folder(with_config_value(model_files, "model", name, value=value)), CONFIG)
    assert isinstance(error.__cause__, OptionError)
    assert error.field == (None if name == "colour" else name)


@pytest.mark.parametrize(
    ("name", "value"), [("hidden_sizes", [4, 4]), ("embedding_size", 6), ("bidirectional", True)]
)
def test_config_of_another_shape_does_not_fit_the_weights(
    model_files: ModelFiles, make_folder: MakeFolder, name: str, value: object
) -> None:
    error = corrupt_error(make_folder(with_config_value(model_files, "model", name, value=value)), WEIGHTS)
    assert error.expected.startswith("float32")


def test_more_labels_than_outputs_do_not_fit_the_weights(model_files: ModelFiles, make_folder: MakeFolder) -> None:
    folder = make_folder(with_config_value(model_files, "labels", value=["a", "b", "c"]))
    error = corrupt_error(folder, WEIGHTS)
    assert (error.array, error.actual, error.expected) == ("output.weight", "float32 [1, 3]", "float32 [3, 3]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEYS = [
    ("format",),
    ("format_version",),
    ("labels",),
    ("model",),
    ("calibration",),
    ("sha256",),
    ("training",),
    ("calibration", "temperature"),
    ("calibration", "threshold"),
    ("sha256", TOKENIZER),
    *(("model", field.name) for field in dataclasses.fields(ModelConfig)),
]


@given(st.sampled_from(KEYS), JSON)
def test_any_value_in_the_config_is_read_or_raises_a_documented_error(
    model_files: ModelFiles, make_folder: MakeFolder, keys: tuple[str, ...], value: object
) -> None:
    check_error_is_documented(make_folder(with_config_value(model_files, *keys, value=value)))


@given(st.integers(0, 10**6), st.binary(max_size=3))
def test_any_bytes_in_the_config_are_read_or_raise_a_documented_error(
    model_files: ModelFiles, make_folder: MakeFolder, position: int, inserted: bytes
) -> None:
    content = model_files[CONFIG]
    start = position % len(content)
    content = content[:start] + inserted + content[start + 1 :]
    check_error_is_documented(make_folder({**model_files, CONFIG: content}))
