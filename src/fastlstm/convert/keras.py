"""A Keras model of Embedding, LSTM and Dense layers -> what fastlstm makes a classifier of."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import ImportedModel, InputOptions, Weights
from fastlstm.convert.vocabulary import TOKENIZATION_RULES
from fastlstm.errors import DataError, FastLSTMError, MissingDependencyError
from fastlstm.text.tokenizer import UNKNOWN

Arrays = list[npt.NDArray[np.float32]]
PARTS = ("forward_layer", "backward_layer", "cell", "vars")
"""In the order in which a layer's arrays are wanted."""
MOST_TIMES = 200
"""How many times what comes out may be larger than what is packed."""


@dataclass(frozen=True)
class Layer:
    """One layer: what it is, what it was told, the layers it reads from (None: the one before), and its arrays."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: frozenset[str] | None
    arrays: Arrays
    vocabulary: list[str] | None


def read_layers(path: Path) -> list[Layer]:
    """The layers of a Sequential or Functional model, in their order.

    Raises `DataError` for a file that is none, `MissingDependencyError` without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError("importing from Keras", "h5py", "keras") from None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as folder:
                _check_sizes(folder)
                config = json.loads(folder.read("config.json"))
                with h5py.File(io.BytesIO(folder.read("model.weights.h5")), "r") as weights:
                    return _layers(config, _of_archive(weights), _vocabularies(folder))
        with h5py.File(path, "r") as weights:
            if "model_config" not in weights.attrs:
                raise DataError(f"{path} holds weights alone; save the whole model: model.save('model.keras')")
            return _layers(json.loads(weights.attrs["model_config"]), _of_legacy(weights), {})
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} can't be read as a Keras model ({error!r}); expected what model.save('model.keras') or "
            "model.save('model.h5') writes"
        ) from None


def _layers(config: Any, arrays: Any, vocabularies: Mapping[str, list[str]]) -> list[Layer]:
    layers = []
    counts = Counter[str]()
    for entry in config["config"]["layers"]:
        kind, told = entry["class_name"], entry["config"]
        name = told["name"]
        plain = _snake(kind)
        counted = f"{plain}_{counts[plain]}" if counts[plain] else plain
        counts[plain] += 1
        nodes = entry.get("inbound_nodes")
        layers.append(Layer(kind, name, told, _inputs(nodes), arrays(name, counted), vocabularies.get(counted)))
    names = {layer.name for layer in layers}
    return [
        layer if layer.inputs is None else Layer(**{**vars(layer), "inputs": layer.inputs & names})
        for layer in layers
    ]


def _snake(kind: str) -> str:
    """As Keras names what it keeps of a layer: global_max_pooling1d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


def _inputs(nodes: object) -> frozenset[str] | None:
    """All strings there are in it, layers' names among them."""
    if nodes is None:
        return None
    if isinstance(nodes, str):
        return frozenset((nodes,))
    parts = nodes.values() if isinstance(nodes, dict) else nodes if isinstance(nodes, list) else ()
    return frozenset().union(*(_inputs(part) or () for part in parts))


def _of_archive(weights: Any) -> Any:
    """Keras 3: groups named by kind and number, in which newer versions note the layer's name."""
    groups = weights["layers"] if "layers" in weights else weights["_layer_checkpoint_dependencies"]
    noted = {group["vars"].attrs["name"]: group for group in groups.values() if "name" in group["vars"].attrs}

    def arrays(name: str, counted: str) -> Arrays:
        group = noted.get(name, groups.get(counted))
        return [] if group is None else _collected(group)

    return arrays


def _collected(group: Any) -> Arrays:
    found: Arrays = []
    for part in PARTS:
        if part == "vars" and part in group:
            found += [_array(group, f"{part}/{number}") for number in sorted(group[part], key=int)]
        elif part in group:
            found += _collected(group[part])
    return found


def _array(group: Any, path: str) -> npt.NDArray[np.float32]:
    """The array there. A file may name others as the place of its numbers: such a one is refused."""
    import h5py

    within = group
    for step in path.split("/"):
        if not isinstance(within.get(step, getlink=True), h5py.HardLink):
            raise DataError(f"{path} lies in another file; expected a model that holds its weights itself")
        within = within[step]
    if not isinstance(within, h5py.Dataset) or within.external or within.is_virtual or within.dtype.kind != "f":
        raise DataError(f"{path} is no array of numbers that lies in the file; expected a layer's weights")
    if within.nbytes > max(MOST_TIMES * within.id.get_storage_size(), 1024):
        raise DataError(f"{path} would be {within.nbytes} bytes, of which the file holds too few; it is damaged")
    return np.array(within, np.float32)


def _check_sizes(folder: zipfile.ZipFile) -> None:
    for entry in folder.infolist():
        if entry.file_size > max(MOST_TIMES * entry.compress_size, 1 << 20):
            raise DataError(f"{entry.filename} would be {entry.file_size} bytes, and is packed into too few")


def _of_legacy(weights: Any) -> Any:
    """`.h5` of Keras 2 and 3: each layer lists its arrays."""

    def arrays(name: str, counted: str) -> Arrays:  # noqa: ARG001 -- layers are found by name here
        group = weights["model_weights"].get(name)
        names = [] if group is None else group.attrs["weight_names"]
        return [_array(group, of.decode() if isinstance(of, bytes) else str(of)) for of in names]

    return arrays


def _vocabularies(folder: zipfile.ZipFile) -> dict[str, list[str]]:
    found = {}
    for file in folder.namelist():
        if match := re.fullmatch(r"assets/layers/([^/]+)/vocabulary\.txt", file):
            found[match[1]] = folder.read(file).decode().split("\n")
    return found


PASSED = ("InputLayer", "Dropout", "SpatialDropout1D")
"""Layers that do nothing in prediction."""
POOLINGS = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}
EXPECTED = (
    "expected Embedding, then LSTM layers, each alone or in a Bidirectional, then, where the last returns "
    "sequences, GlobalMaxPooling1D or GlobalAveragePooling1D, then one Dense"
)
STANDARD = {
    "lower_and_strip_punctuation": TOKENIZATION_RULES["vectorization"],
    "strip_punctuation": TOKENIZATION_RULES["stripped"],
    "lower": TOKENIZATION_RULES["lower"],
    None: TOKENIZATION_RULES["spaces"],
}
"""TextVectorization's `standardize`."""


def from_keras(path: Path) -> ImportedModel:
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


def _imported(layers: list[Layer]) -> ImportedModel:
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
    return ImportedModel(
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


def _cutting(layer: Layer) -> InputOptions:
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
    return InputOptions(STANDARD[told["standardize"]], vocabulary, told["output_sequence_length"])


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
