"""Read Keras models of Embedding, LSTM and Dense layers from .keras and .h5 files, without Keras."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import BuiltInTokenization, ImportedModel, LSTMWeights
from fastlstm.convert.vocabulary import TOKENIZATION_RULES
from fastlstm.errors import DataError, FastLSTMError, MissingDependencyError
from fastlstm.text.tokenizer import UNKNOWN

Arrays = list[FloatArray]
ArrayLookup = Callable[[str, str], Arrays]
"""The arrays of a layer, by its name and its group's name in the archive."""
GROUP_ORDER = ("forward_layer", "backward_layer", "cell", "vars")
"""The groups inside a layer's group, in the order in which their arrays are read."""
MAX_COMPRESSION_RATIO = 200
"""A file that unpacks to more than this many times its size is rejected."""


@dataclass(frozen=True)
class Layer:
    """One layer of a saved model.

    Attributes:
        kind: Class name, such as "LSTM".
        name: Name within the model.
        config: The layer's options.
        inputs: Names of the layers that it reads; None in a Sequential model: the layer before it.
        arrays: Weights in Keras' order.
        vocabulary: Words of a TextVectorization layer; None if the file has none.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: frozenset[str] | None
    arrays: Arrays
    vocabulary: list[str] | None


def read_layers(path: Path) -> list[Layer]:
    """Return the layers of a Sequential or Functional model in the order of the file.

    Raises:
        DataError: The file is not a Keras model, or refers to data outside of the file.
        MissingDependencyError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError("importing from Keras", "h5py", "keras") from None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_unpacked_sizes(archive)
                config = json.loads(archive.read("config.json"))
                with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as weights:
                    return _layers(config, _keras_arrays(weights), _vocabularies(archive))
        with h5py.File(path, "r") as weights:
            if "model_config" not in weights.attrs:
                raise DataError(
                    f"{path} contains weights but no layers; save the whole model: model.save('model.keras')",
                    code="weights-only",
                    path=path,
                )
            return _layers(json.loads(weights.attrs["model_config"]), _h5_arrays(weights), {})
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a Keras model ({error!r}); expected a file written by "
            "model.save('model.keras') or model.save('model.h5')",
            code="not-a-keras-model",
            path=path,
        ) from None


def _layers(config: Any, arrays: ArrayLookup, vocabularies: Mapping[str, list[str]]) -> list[Layer]:
    layers = []
    counts = Counter[str]()
    for entry in config["config"]["layers"]:
        kind, options = entry["class_name"], entry["config"]
        name, kind_name = options["name"], _snake_case(kind)
        group = f"{kind_name}_{counts[kind_name]}" if counts[kind_name] else kind_name
        counts[kind_name] += 1
        inputs = _strings(entry.get("inbound_nodes"))
        layers.append(Layer(kind, name, options, inputs, arrays(name, group), vocabularies.get(group)))
    names = {layer.name for layer in layers}
    return [
        layer if layer.inputs is None else Layer(**{**vars(layer), "inputs": layer.inputs & names})
        for layer in layers
    ]


def _snake_case(kind: str) -> str:
    """Convert a class name as Keras does for group names: global_max_pooling1d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


def _strings(nodes: object) -> frozenset[str] | None:
    """Return all strings in `inbound_nodes`, which include the names of the input layers."""
    if nodes is None:
        return None
    if isinstance(nodes, str):
        return frozenset((nodes,))
    parts = nodes.values() if isinstance(nodes, dict) else nodes if isinstance(nodes, list) else ()
    return frozenset().union(*(_strings(part) or () for part in parts))


def _keras_arrays(weights: Any) -> ArrayLookup:
    """Find arrays in a .keras archive: groups are named by kind and number; newer versions add the layer's name."""
    groups = weights["layers"] if "layers" in weights else weights["_layer_checkpoint_dependencies"]
    by_name = {group["vars"].attrs["name"]: group for group in groups.values() if "name" in group["vars"].attrs}

    def arrays(name: str, group_name: str) -> Arrays:
        group = by_name.get(name, groups.get(group_name))
        return [] if group is None else _collect_arrays(group)

    return arrays


def _collect_arrays(group: Any) -> Arrays:
    arrays: Arrays = []
    for part in GROUP_ORDER:
        if part == "vars" and part in group:
            arrays += [_array(group, f"{part}/{number}") for number in sorted(group[part], key=int)]
        elif part in group:
            arrays += _collect_arrays(group[part])
    return arrays


def _h5_arrays(weights: Any) -> ArrayLookup:
    """Find arrays in an .h5 file of Keras 2 or 3, in which each layer lists them."""

    def arrays(name: str, group_name: str) -> Arrays:  # noqa: ARG001 -- layers are found by name here
        group = weights["model_weights"].get(name)
        paths = [] if group is None else group.attrs["weight_names"]
        return [_array(group, path.decode() if isinstance(path, bytes) else str(path)) for path in paths]

    return arrays


def _array(group: Any, path: str) -> FloatArray:
    """Return the array at `path`; reject links and storage outside of the file, which HDF5 would follow."""
    import h5py

    node = group
    for step in path.split("/"):
        if not isinstance(node.get(step, getlink=True), h5py.HardLink):
            raise DataError(
                f"{path} is a link to data elsewhere; expected a file that contains its weights",
                code="external-weights",
                name=path,
            )
        node = node[step]
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual or node.dtype.kind != "f":
        raise DataError(
            f"{path} is not an array of floating-point numbers stored in the file; expected the weights of a layer",
            code="bad-weights",
            name=path,
        )
    if node.nbytes > max(MAX_COMPRESSION_RATIO * node.id.get_storage_size(), 1024):
        raise DataError(
            f"{path} declares {node.nbytes} bytes, but the file stores too few; save the model again",
            code="too-large-unpacked",
            name=path,
            bytes=node.nbytes,
        )
    return np.array(node, np.float32)


def _check_unpacked_sizes(archive: zipfile.ZipFile) -> None:
    for entry in archive.infolist():
        if entry.file_size > max(MAX_COMPRESSION_RATIO * entry.compress_size, 1 << 20):
            raise DataError(
                f"{entry.filename} unpacks to {entry.file_size} bytes from {entry.compress_size}; expected at most "
                f"{MAX_COMPRESSION_RATIO} times as many, save the model again",
                code="too-large-unpacked",
                name=entry.filename,
                bytes=entry.file_size,
            )


def _vocabularies(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    vocabularies = {}
    for file in archive.namelist():
        if match := re.fullmatch(r"assets/layers/([^/]+)/vocabulary\.txt", file):
            vocabularies[match[1]] = archive.read(file).decode().split("\n")
    return vocabularies


IGNORED_LAYERS = ("InputLayer", "Dropout", "SpatialDropout1D")
"""Layers without effect on predictions."""
POOLING_LAYERS = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}
"""Class name of a Keras layer -> pooling, as in `ModelConfig`."""
SUPPORTED = (
    "supported: Embedding, then LSTM layers, each plain or in a Bidirectional, then GlobalMaxPooling1D or "
    "GlobalAveragePooling1D if the last LSTM returns sequences, then one Dense"
)
STANDARDIZE_RULES = {
    "lower_and_strip_punctuation": TOKENIZATION_RULES["vectorization"],
    "strip_punctuation": TOKENIZATION_RULES["stripped"],
    "lower": TOKENIZATION_RULES["lower"],
    None: TOKENIZATION_RULES["spaces"],
}
"""The rule of each value of TextVectorization's option `standardize`."""


def from_keras(path: Path) -> ImportedModel:
    """Return the classifier in a .keras or .h5 file.

    Raises:
        DataError: The file is not a Keras model, or has a layer or option that fastlstm does not support.
        MissingDependencyError: h5py is not installed.
    """
    layers = read_layers(path)
    _check_chain(layers)
    try:
        return _interpret(layers)
    except FastLSTMError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} has a layer with an incomplete configuration ({error!r}); {SUPPORTED}",
            code="incomplete-layer",
            path=path,
            cause=repr(error),
        ) from None


def _interpret(layers: list[Layer]) -> ImportedModel:
    input_length = _input_length(layers)
    layers = [layer for layer in layers if layer.kind not in IGNORED_LAYERS]
    vectorization = layers.pop(0) if layers and layers[0].kind == "TextVectorization" else None
    tokenization = None if vectorization is None else _tokenization(vectorization)
    if not layers or layers[0].kind != "Embedding":
        raise _unsupported_layers(f"the first layer is {layers[0].kind if layers else 'missing'}", layers)
    embedding = layers.pop(0)
    lstms: list[tuple[LSTMWeights, ...]] = []
    returns_sequences = True
    while layers and layers[0].kind in ("LSTM", "Bidirectional"):
        if not returns_sequences:
            raise _unsupported_layers(f"the LSTM before {layers[0].name} does not return sequences", layers)
        lstms.append(tuple(_lstm_weights(layers[0])))
        returns_sequences = bool(_lstm_config(layers.pop(0))["return_sequences"])
    pooling = "last"
    if layers and layers[0].kind in POOLING_LAYERS:
        pooling = POOLING_LAYERS[layers.pop(0).kind]
    if not lstms or (pooling == "last") == returns_sequences or [layer.kind for layer in layers] != ["Dense"]:
        remaining = ", ".join(layer.kind for layer in layers) or "none"
        raise _unsupported_layers(f"the layers after {len(lstms)} LSTM layers are {remaining}", layers)
    output, activation = _output(layers[0])
    return ImportedModel(
        source="Keras",
        embedding=embedding.arrays[0],
        layers=lstms,
        pooling=pooling,
        output=output,
        activation=activation,
        masks_padding=bool(embedding.config.get("mask_zero")),
        input_length=embedding.config.get("input_length") or input_length,
        tokenization=tokenization,
    )


def _unsupported_layers(problem: str, layers: list[Layer]) -> DataError:
    return DataError(f"{problem}; {SUPPORTED}", code="unsupported-layers", layers=[layer.kind for layer in layers])


def _check_chain(layers: list[Layer]) -> None:
    """Reject a model in which a layer reads anything but the layer before it."""
    for previous, layer in zip([None, *layers], layers, strict=False):
        expected = frozenset() if previous is None else frozenset((previous.name,))
        if layer.inputs is not None and layer.inputs != expected:
            inputs = sorted(layer.inputs)
            raise DataError(
                f"layer {layer.name} reads {', '.join(inputs) or 'nothing'}; expected each layer to read the one "
                f"before it; {SUPPORTED}",
                code="unsupported-graph",
                layer=layer.name,
                inputs=inputs,
            )


def _input_length(layers: list[Layer]) -> int | None:
    """Return the number of tokens that the input layer takes; None if it is variable or the input is text."""
    first = layers[0].config if layers else {}
    shape = list(first.get("batch_shape") or first.get("batch_input_shape") or ())
    if first.get("dtype") == "string" or len(shape) != 2 or not isinstance(shape[1], int):
        return None
    return shape[1]


def _tokenization(layer: Layer) -> BuiltInTokenization:
    config = layer.config
    _check_options(layer.name, config, {"split": "whitespace", "ngrams": None, "output_mode": "int"})
    standardize = config["standardize"]
    if not isinstance(standardize, str | None) or standardize not in STANDARDIZE_RULES:
        supported = ", ".join(str(value) for value in STANDARDIZE_RULES)
        raise _unsupported_option(layer.name, "standardize", standardize, f"one of {supported}")
    vocabulary = list(layer.vocabulary or config.get("vocabulary") or ())
    if not vocabulary:
        raise DataError(
            f"{layer.name} has no vocabulary; call its adapt() before saving the model",
            code="missing-vocabulary",
            layer=layer.name,
        )
    if vocabulary[:2] != ["", UNKNOWN]:  # a vocabulary passed to the constructor has no special tokens
        vocabulary = ["", UNKNOWN, *vocabulary]
    return BuiltInTokenization(STANDARDIZE_RULES[standardize], vocabulary, config["output_sequence_length"])


def _lstm_config(layer: Layer) -> Any:
    """Return the options of an LSTM, plain or inside a Bidirectional."""
    return layer.config if layer.kind == "LSTM" else layer.config["layer"]["config"]


def _lstm_weights(layer: Layer) -> Iterator[LSTMWeights]:
    config = _lstm_config(layer)
    if layer.kind == "Bidirectional":
        _check_bidirectional(layer, config)
    _check_lstm_options(layer.name, config, go_backwards=False)
    width = 3 if config["use_bias"] else 2
    count = width * (2 if layer.kind == "Bidirectional" else 1)
    if len(layer.arrays) != count:
        raise DataError(
            f"{layer.name} has {len(layer.arrays)} arrays; expected {count}, save the model again",
            code="missing-weights",
            layer=layer.name,
            count=len(layer.arrays),
            expected=count,
        )
    for first in range(0, count, width):
        kernel, recurrent, *bias = layer.arrays[first : first + width]
        yield LSTMWeights(kernel.T, recurrent.T, bias[0] if bias else np.zeros(kernel.shape[1], np.float32))


def _check_bidirectional(layer: Layer, config: Mapping[str, Any]) -> None:
    inner = layer.config["layer"]["class_name"]
    if inner != "LSTM":
        raise _unsupported_option(layer.name, "layer", inner, "LSTM")
    _check_options(layer.name, {"merge_mode": layer.config["merge_mode"]}, {"merge_mode": "concat"})
    backward = layer.config.get("backward_layer")
    if backward is not None:  # newer versions also write the default one
        name = f"{layer.name}'s backward_layer"
        _check_lstm_options(name, backward["config"], go_backwards=True)
        if backward["class_name"] != "LSTM":
            raise _unsupported_option(name, "class_name", backward["class_name"], "LSTM")
        _check_options(name, {"use_bias": backward["config"]["use_bias"]}, {"use_bias": config["use_bias"]})


def _check_lstm_options(name: str, config: Mapping[str, Any], *, go_backwards: bool) -> None:
    _check_options(
        name, config, {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": go_backwards}
    )


def _check_options(name: str, config: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for option, value in expected.items():
        if config.get(option) != value:
            raise _unsupported_option(name, option, config.get(option), repr(value))


def _unsupported_option(name: str, option: str, value: object, expected: str) -> DataError:
    return DataError(
        f"{name} has {option} {value!r}; expected {expected}",
        code="unsupported-layer-option",
        layer=name,
        option=option,
        value=value,
    )


def _output(layer: Layer) -> tuple[tuple[FloatArray, FloatArray], str]:
    """Return weight and bias of the Dense layer, and the activation of the classifier."""
    units, activation = layer.config["units"], layer.config["activation"]
    classifier_activation = "sigmoid" if units == 1 else "softmax"
    if activation not in (classifier_activation, "linear"):
        raise _unsupported_option(
            layer.name,
            "activation",
            activation,
            f"{classifier_activation!r} for {units} unit{'' if units == 1 else 's'}, or 'linear' for logits",
        )
    kernel, *bias = layer.arrays
    return (kernel.T, bias[0] if bias else np.zeros(units, np.float32)), classifier_activation
