"""A Keras model of Embedding, LSTM and Dense layers -> what fastlstm makes a classifier of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm.errors import DataError, FastLSTMError
from fastlstm.importing.imported import Cutting, FloatArray, Imported, Weights
from fastlstm.importing.keras_file import Layer, read_layers
from fastlstm.importing.vocabulary import KINDS
from fastlstm.tokens import UNKNOWN

PASSED = ("InputLayer", "Dropout", "SpatialDropout1D")
"""Layers that do nothing in prediction."""
POOLINGS = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}
EXPECTED = (
    "expected Embedding, then LSTM layers, each alone or in a Bidirectional, then, where the last returns "
    "sequences, GlobalMaxPooling1D or GlobalAveragePooling1D, then one Dense"
)
STANDARD = {
    "lower_and_strip_punctuation": KINDS["vectorization"],
    "strip_punctuation": KINDS["stripped"],
    "lower": KINDS["lower"],
    None: KINDS["spaces"],
}
"""TextVectorization's `standardize`."""


def from_keras(path: Path) -> Imported:
    """The classifier in a `.keras` or `.h5` file.

    Raises `DataError` for a file that is none, and for layers that have no like here; `MissingDependencyError`
    without h5py.
    """
    layers = _in_a_row(read_layers(path))
    try:
        return _imported(layers)
    except FastLSTMError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} has layers that say too little of themselves ({error!r}); {EXPECTED}") from None


def _imported(layers: list[Layer]) -> Imported:
    length = _length(layers)
    layers = [layer for layer in layers if layer.kind not in PASSED]
    cutting = _cutting(layers.pop(0)) if layers and layers[0].kind == "TextVectorization" else None
    if not layers or layers[0].kind != "Embedding":
        raise DataError(f"the first layer is {layers[0].kind if layers else 'missing'}; {EXPECTED}")
    embedding = layers.pop(0)
    lstms: list[tuple[Weights, ...]] = []
    returns = True
    while layers and layers[0].kind in ("LSTM", "Bidirectional"):
        if not returns:
            raise DataError(f"an LSTM before {layers[0].name} returns no sequences; {EXPECTED}")
        lstms.append(tuple(_lstm(layers[0])))
        returns = bool(_told(layers.pop(0))["return_sequences"])
    pooling = "last"
    if layers and layers[0].kind in POOLINGS:
        pooling = POOLINGS[layers.pop(0).kind]
    if not lstms or (pooling == "last") == returns or [layer.kind for layer in layers] != ["Dense"]:
        raise DataError(
            f"after {len(lstms)} LSTM layers come {', '.join(layer.kind for layer in layers) or 'none'}; {EXPECTED}"
        )
    output, activation = _output(layers[0])
    return Imported(
        source="Keras",
        embedding=embedding.arrays[0],
        layers=lstms,
        pooling=pooling,
        output=output,
        activation=activation,
        masks=bool(embedding.config.get("mask_zero")),
        length=embedding.config.get("input_length") or length,
        cutting=cutting,
    )


def _in_a_row(layers: list[Layer]) -> list[Layer]:
    for before, layer in zip([None, *layers], layers, strict=False):
        wanted = frozenset() if before is None else frozenset((before.name,))
        if layer.inputs is not None and layer.inputs != wanted:
            read = ", ".join(sorted(layer.inputs)) or "nothing"
            raise DataError(f"layer {layer.name} reads {read}; expected one layer after another: {EXPECTED}")
    return layers


def _length(layers: list[Layer]) -> int | None:
    """Tokens that the model's input has room for, where it says so and is no text."""
    first = layers[0].config if layers else {}
    shape = list(first.get("batch_shape") or first.get("batch_input_shape") or ())
    if first.get("dtype") == "string" or len(shape) != 2 or not isinstance(shape[1], int):
        return None
    return shape[1]


def _cutting(layer: Layer) -> Cutting:
    told = layer.config
    expected = {"split": "whitespace", "ngrams": None, "output_mode": "int"}
    for name, value in expected.items():
        if told.get(name) != value:
            raise DataError(f"{layer.name} has {name} {told.get(name)!r}; expected {value!r}")
    if not isinstance(told["standardize"], str | None) or told["standardize"] not in STANDARD:
        raise DataError(
            f"{layer.name} has standardize {told['standardize']!r}, which is code; use one of Keras' own"
        )
    vocabulary = list(layer.vocabulary or told.get("vocabulary") or ())
    if not vocabulary:
        raise DataError(f"{layer.name} has no vocabulary; adapt it to texts before the model is saved")
    if vocabulary[:2] != ["", UNKNOWN]:  # one that it was given has the words alone
        vocabulary = ["", UNKNOWN, *vocabulary]
    return Cutting(STANDARD[told["standardize"]], vocabulary, told["output_sequence_length"])


def _told(layer: Layer) -> Any:
    """An LSTM's configuration, its own or within a Bidirectional."""
    return layer.config if layer.kind == "LSTM" else layer.config["layer"]["config"]


def _lstm(layer: Layer) -> Iterator[Weights]:
    told = _told(layer)
    if layer.kind == "Bidirectional":
        inner = layer.config["layer"]["class_name"]
        if inner != "LSTM" or layer.config["merge_mode"] != "concat":
            raise DataError(
                f"{layer.name} is a Bidirectional of {inner}, merged by {layer.config['merge_mode']}; expected an "
                "LSTM, merged by concat"
            )
        backward = layer.config.get("backward_layer")
        if backward is not None:  # newer versions write the usual one too
            _check_lstm(f"{layer.name}'s backward_layer", backward["config"], go_backwards=True)
            if backward["class_name"] != "LSTM" or backward["config"]["use_bias"] != told["use_bias"]:
                raise DataError(
                    f"{layer.name} has a {backward['class_name']} backward; expected an LSTM like the other"
                )
    _check_lstm(layer.name, told, go_backwards=False)
    width = 3 if told["use_bias"] else 2
    count = width * (2 if layer.kind == "Bidirectional" else 1)
    if len(layer.arrays) != count:
        raise DataError(f"{layer.name} has {len(layer.arrays)} arrays; expected {count}")
    for first in range(0, count, width):
        kernel, recurrent, *bias = layer.arrays[first : first + width]
        yield Weights(kernel.T, recurrent.T, bias[0] if bias else np.zeros(kernel.shape[1], np.float32))


def _check_lstm(name: str, told: Any, *, go_backwards: bool) -> None:
    expected = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": go_backwards}
    for what, value in expected.items():
        if told.get(what) != value:
            raise DataError(f"{name} has {what} {told.get(what)!r}; expected {value!r}")


def _output(layer: Layer) -> tuple[tuple[FloatArray, FloatArray], str]:
    units, activation = layer.config["units"], layer.config["activation"]
    usual = "sigmoid" if units == 1 else "softmax"
    if activation not in (usual, "linear"):
        raise DataError(
            f"{layer.name} has {units} units and activation {activation!r}; expected sigmoid for one, softmax for "
            "several, or linear for logits of these"
        )
    kernel, *bias = layer.arrays
    return (kernel.T, bias[0] if bias else np.zeros(units, np.float32)), usual
