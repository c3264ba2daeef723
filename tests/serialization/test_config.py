from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.damaged_models import Files, MakeModel, Place, changed, complaint, outcome

from fastlstm.config import ModelConfig
from fastlstm.errors import CorruptModelError
from fastlstm.serialization.classifier import read_classifier, write_classifier
from fastlstm.serialization.folder import CONFIG, TOKENIZER, WEIGHTS


@pytest.mark.parametrize("key", ["labels", "model", "calibration", "sha256", "training"])
def test_a_configuration_without_a_part_is_corrupt(files: Files, place: Place, key: str) -> None:
    config = json.loads(files[CONFIG])
    del config[key]
    folder = place({**files, CONFIG: json.dumps(config).encode()})
    complaint(folder, CorruptModelError, f"{CONFIG} lacks or misstates '{key}'")


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
def test_labels_that_are_not_two_or_more_different_texts_are_corrupt(
    files: Files, place: Place, labels: object
) -> None:
    complaint(place(changed(files, "labels", value=labels)), CorruptModelError, CONFIG)


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
def test_a_temperature_that_nothing_can_be_divided_by_is_corrupt(
    files: Files, place: Place, temperature: object
) -> None:
    damaged = changed(files, "calibration", "temperature", value=temperature)
    complaint(place(damaged), CorruptModelError, CONFIG)


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
def test_a_threshold_that_is_no_probability_is_corrupt(files: Files, place: Place, threshold: object) -> None:
    complaint(place(changed(files, "calibration", "threshold", value=threshold)), CorruptModelError, CONFIG)


@pytest.mark.parametrize("threshold", [0, 0.0, 0.25, 1, 1.0])
def test_a_threshold_is_read_back(files: Files, place: Place, threshold: float) -> None:
    assert (
        read_classifier(place(changed(files, "calibration", "threshold", value=threshold))).threshold == threshold
    )


def test_only_two_classes_have_a_threshold(make_model: MakeModel, tmp_path: Path) -> None:
    for threshold in (0.5, 0.4):
        model = make_model(labels=("a", "b", "c"), threshold=threshold)
        write_classifier(model, tmp_path / str(threshold), card="", golden=[], extras={})
    assert read_classifier(tmp_path / "0.5").threshold == 0.5
    complaint(tmp_path / "0.4", CorruptModelError, "threshold 0.4 for 3 classes")


def test_a_configuration_without_a_threshold_is_corrupt(files: Files, place: Place) -> None:
    damaged = changed(files, "calibration", value={"temperature": 1.0})
    complaint(place(damaged), CorruptModelError, f"{CONFIG} lacks or misstates 'threshold'")


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
def test_a_model_configuration_out_of_range_is_corrupt(
    files: Files, place: Place, name: str, value: object
) -> None:
    complaint(place(changed(files, "model", name, value=value)), CorruptModelError, CONFIG)


@pytest.mark.parametrize(
    ("name", "value"), [("hidden_sizes", [4, 4]), ("embedding_size", 6), ("bidirectional", True)]
)
def test_a_configuration_of_another_shape_does_not_fit_the_weights(
    files: Files, place: Place, name: str, value: object
) -> None:
    message = complaint(place(changed(files, "model", name, value=value)), CorruptModelError, WEIGHTS)
    assert "expected float32" in message


def test_more_labels_than_the_output_has_do_not_fit_the_weights(files: Files, place: Place) -> None:
    folder = place(changed(files, "labels", value=["a", "b", "c"]))
    complaint(folder, CorruptModelError, f"{WEIGHTS}: output.weight is float32 [1, 3]; expected float32 [3, 3]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
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


@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_the_configuration_is_read_or_has_its_error(
    files: Files, place: Place, path: tuple[str, ...], value: object
) -> None:
    assert "\n" not in outcome(place(changed(files, *path, value=value)))


@given(st.integers(0, 10**6), st.binary(max_size=3))
def test_any_bytes_in_the_configuration_are_read_or_have_their_error(
    files: Files, place: Place, position: int, inserted: bytes
) -> None:
    at = position % len(files[CONFIG])
    content = files[CONFIG][:at] + inserted + files[CONFIG][at + 1 :]
    assert "\n" not in outcome(place({**files, CONFIG: content}))
