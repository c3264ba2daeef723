"""Convert Keras models of Embedding, LSTM and Dense layers, without Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import BuiltInTokenization, DenseWeights, ImportedModel, LSTMWeights
from fastlstm.convert.keras_file import KerasModel, Layer, class_name, read_model
from fastlstm.convert.tokenization import ASCII_SPACES, STRIPPED, TokenizationRule
from fastlstm.errors import DataError, FastLSTMError
from fastlstm.text.tokenizer import UNKNOWN

IGNORED_LAYERS = (
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "ActivityRegularization",
    "Identity",
)
"""Layers without effect on predictions."""
POOLING_LAYERS = {"GlobalMaxPooling1D": "max", "GlobalAveragePooling1D": "mean"}
"""Class name of a Keras layer -> pooling, as in `ModelConfig`."""
MASKED_LAYERS = ("LSTM", "Bidirectional", "GlobalAveragePooling1D")
"""Layers that read a mask."""
DENSE_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")
"""Activations of Dense layers before the last one."""
SUPPORTED = (
    "supported: TextVectorization or token ids, Embedding, then LSTM layers, each plain or in a Bidirectional, then "
    "GlobalMaxPooling1D or GlobalAveragePooling1D if the last LSTM returns sequences, then Dense layers; Activation, "
    "dropout and noise layers, and Sequential models as layers"
)
STANDARDIZE_RULES: dict[str | None, tuple[bool, str]] = {
    "lower_and_strip_punctuation": (True, STRIPPED),
    "strip_punctuation": (False, STRIPPED),
    "lower": (True, ""),
    None: (False, ""),
}
"""Value of TextVectorization's option `standardize` -> whether letters become lower case, and what is removed."""
CROSSENTROPIES = ("binarycrossentropy", "categoricalcrossentropy", "sparsecategoricalcrossentropy")
"""Losses of classifiers, without underscores."""
LOW_PRECISIONS = ("float16", "bfloat16")


def from_keras(path: Path) -> ImportedModel:
    """Return the classifier in a .keras or .h5 file.

    Raises:
        DataError: The file is not a Keras model, or has a layer or option that fastlstm does not support.
        MissingDependencyError: h5py is not installed.
    """
    content = read_model(path)
    try:
        return _interpret(content)
    except FastLSTMError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} has a layer with an incomplete configuration ({error!r}); {SUPPORTED}",
            code="incomplete-layer",
            path=path,
            cause=repr(error),
        ) from None


def _interpret(content: KerasModel) -> ImportedModel:
    layers = _chain(content.model)
    input_length = _input_length(layers)
    notes = _precision_notes(layers)
    has_mask = _has_explicit_mask(layers)
    layers = [layer for layer in layers if layer.kind not in IGNORED_LAYERS]
    vectorization = layers.pop(0) if layers and layers[0].kind == "TextVectorization" else None
    tokenization = None if vectorization is None else _tokenization(vectorization)
    if not layers or layers[0].kind != "Embedding":
        raise _unsupported_layers(f"the first layer is {layers[0].kind if layers else 'missing'}", layers)
    embedding = layers.pop(0)
    _check_array_count(embedding, 1)
    lstms: list[tuple[LSTMWeights, ...]] = []
    returns_sequences = True
    while layers and layers[0].kind in ("LSTM", "Bidirectional"):
        if not returns_sequences:
            raise _unsupported_layers(f"the LSTM before {layers[0].name} does not return sequences", layers)
        lstms.append(tuple(_lstm_weights(layers[0])))
        returns_sequences = bool(_lstm_config(layers[0])["return_sequences"])
        layers.pop(0)
    pooling = "last"
    if layers and layers[0].kind in POOLING_LAYERS and returns_sequences:
        expected = {"data_format": "channels_last", "keepdims": False}
        _check_options(layers[0].name, {**expected, **layers[0].config}, expected)
        pooling = POOLING_LAYERS[layers.pop(0).kind]
        returns_sequences = False
    if not lstms or returns_sequences or not layers:
        raise _unsupported_layers(f"the layers after {len(lstms)} LSTM layers are {_kinds(layers)}", layers)
    dense, output, activation = _dense_layers([layer for layer in layers if layer.kind != "Flatten"])
    if activation == "linear":
        notes += _check_loss(content.loss)
    return ImportedModel(
        source="Keras",
        embedding=embedding.arrays[0],
        layers=lstms,
        pooling=pooling,
        dense=dense,
        output=output,
        activation="sigmoid" if len(output[1]) == 1 else "softmax",
        masks_padding=has_mask or bool(embedding.config.get("mask_zero")),
        input_length=input_length or embedding.config.get("input_length"),
        tokenization=tokenization,
        notes=tuple(notes),
    )


def _chain(model: Layer) -> list[Layer]:
    """Return the layers of a model and of the models in it, in order.

    Raises:
        DataError: A layer reads anything but the layer before it, or is called in a way that changes its result.
    """
    chain: list[Layer] = []
    previous: Layer | None = None
    masks: set[str] = set()
    ids = _embedding_inputs(model)
    for layer in model.layers:
        if layer.kind == "NotEqual" and layer.inputs == ids and layer.arguments.get("argument 1") == 0:
            masks.add(layer.name)  # the mask of an Embedding with mask_zero
            continue
        if previous is not None and previous.kind == "LSTM" and layer.inputs == ((previous.name, 1),):
            # With return_state, output 1 is the last hidden state.
            chain[-1] = replace(chain[-1], config={**previous.config, "return_sequences": False})
        elif layer.inputs not in (None, () if previous is None else ((previous.name, 0),)):
            raise _unsupported_graph(layer, previous)
        for argument, value in layer.arguments.items():
            if (
                (argument == "training" and value)
                or argument == "calls"
                or (argument == "mask" and value not in masks)
            ):
                raise DataError(
                    f"{layer.name} is called with {argument}={value}; expected one call, without training=True, and no "
                    "mask but that of padding",
                    code="unsupported-call",
                    layer=layer.name,
                    argument=argument,
                    value=value,
                )
        inner = _chain(layer) if layer.layers else [layer]
        mask = {name: value for name, value in layer.arguments.items() if name == "mask"}
        chain += [replace(part, arguments={**part.arguments, **mask}) for part in inner]
        previous = layer
    if model.outputs is not None and (previous is None or model.outputs != ((previous.name, 0),)):
        raise DataError(
            f"{model.name} returns {', '.join(name for name, _ in model.outputs)}; expected one output, that of its "
            f"last layer; {SUPPORTED}",
            code="unsupported-graph",
            layer=model.name,
            inputs=[name for name, _ in model.outputs],
        )
    return chain


def _embedding_inputs(model: Layer) -> tuple[tuple[str, int], ...] | None:
    """Return what the Embedding of a model reads; None if the model has none, or does not say."""
    return next((layer.inputs for layer in model.layers if layer.kind == "Embedding"), None)


def _has_explicit_mask(layers: list[Layer]) -> bool:
    """Return whether the layers are called with a mask. Raise `DataError` if only some of them are."""
    masked = {layer.name: "mask" in layer.arguments for layer in layers if layer.kind in MASKED_LAYERS}
    if len(set(masked.values())) > 1:
        name = next(name for name, is_masked in masked.items() if not is_masked)
        raise DataError(
            f"{name} has no mask, but other layers have one; expected all LSTM and pooling layers to have the mask",
            code="unsupported-call",
            layer=name,
            argument="mask",
            value=None,
        )
    return any(masked.values())


def _unsupported_graph(layer: Layer, previous: Layer | None) -> DataError:
    inputs = [name for name, _ in layer.inputs or ()]
    problem = f"reads {', '.join(inputs) or 'nothing'}"
    if previous is not None and inputs == [previous.name]:
        state = "the cell state" if previous.kind == "LSTM" else "a state"
        problem = f"reads {state} of {previous.name}"
    return DataError(
        f"layer {layer.name} {problem}; expected each layer to read the output of the one before it; {SUPPORTED}",
        code="unsupported-graph",
        layer=layer.name,
        inputs=inputs,
    )


def _kinds(layers: list[Layer]) -> str:
    return ", ".join(layer.kind for layer in layers) or "none"


def _unsupported_layers(problem: str, layers: list[Layer]) -> DataError:
    return DataError(f"{problem}; {SUPPORTED}", code="unsupported-layers", layers=[layer.kind for layer in layers])


def _input_length(layers: list[Layer]) -> int | None:
    """Return the number of tokens that the input layer takes; None if it is variable or the input is text."""
    for layer in layers:
        config = layer.config
        shape = list(config.get("batch_shape") or config.get("batch_input_shape") or ())
        if layer.kind == "TextVectorization" or config.get("dtype") == "string":
            return None
        if len(shape) == 2 and isinstance(shape[1], int):
            return shape[1]
        if layer.kind == "Embedding":
            break
    return None


def _precision_notes(layers: list[Layer]) -> list[str]:
    """Return a note if Keras rounds the outputs of layers."""
    inner = [layer.config["layer"]["config"] for layer in layers if layer.kind == "Bidirectional"]
    types = [config.get("dtype") for config in (*(layer.config for layer in layers), *inner)]
    policies = {str(value.get("config", {}).get("name") if isinstance(value, dict) else value) for value in types}
    rounding = sorted(policy for policy in policies if any(name in policy for name in LOW_PRECISIONS))
    if not rounding:
        return []
    return [
        f"Keras computes this model in {rounding[0]}, fastlstm in float32: probabilities differ by the rounding"
    ]


def _tokenization(layer: Layer) -> BuiltInTokenization:
    config = layer.config
    encoding = str(config.get("encoding") or "utf-8").lower()
    options = {"ngrams": None, "output_mode": "int", "ragged": False, "encoding": "utf-8"}
    _check_options(layer.name, {"ragged": False, **config, "encoding": encoding}, options)
    standardize, split = config["standardize"], config["split"]
    if not isinstance(standardize, str | None) or standardize not in STANDARDIZE_RULES:
        supported = ", ".join(str(value) for value in STANDARDIZE_RULES)
        raise _unsupported_option(layer.name, "standardize", standardize, f"one of {supported}")
    if split not in ("whitespace", "character"):
        raise _unsupported_option(layer.name, "split", split, "'whitespace' or 'character'")
    vocabulary = list(layer.vocabulary or config.get("vocabulary") or ())
    if not vocabulary:
        raise DataError(
            f"{layer.name} has no vocabulary; call its adapt() before saving the model",
            code="missing-vocabulary",
            layer=layer.name,
        )
    if vocabulary[:2] != ["", UNKNOWN]:  # a vocabulary passed to the constructor has no special tokens
        vocabulary = ["", UNKNOWN, *vocabulary]
    lower, removed = STANDARDIZE_RULES[standardize]
    separators = ASCII_SPACES if split == "whitespace" else None
    rule = TokenizationRule(False, "ascii" if lower else "none", False, removed, separators)
    return BuiltInTokenization(rule, vocabulary, config["output_sequence_length"])


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
    _check_array_count(layer, count)
    for first in range(0, count, width):
        kernel, recurrent, *bias = layer.arrays[first : first + width]
        yield LSTMWeights(kernel.T, recurrent.T, bias[0] if bias else np.zeros(kernel.shape[1], np.float32))


def _check_array_count(layer: Layer, count: int) -> None:
    if len(layer.arrays) != count:
        raise DataError(
            f"{layer.name} has {len(layer.arrays)} arrays; expected {count}, save the model again",
            code="missing-weights",
            layer=layer.name,
            count=len(layer.arrays),
            expected=count,
        )


def _check_bidirectional(layer: Layer, config: Mapping[str, Any]) -> None:
    inner = class_name(layer.config["layer"])
    if inner != "LSTM":
        raise _unsupported_option(layer.name, "layer", inner, "LSTM")
    _check_options(layer.name, {"merge_mode": layer.config["merge_mode"]}, {"merge_mode": "concat"})
    backward = layer.config.get("backward_layer")
    if backward is not None:  # newer versions also write the default one
        name = f"{layer.name}'s backward_layer"
        _check_lstm_options(name, backward["config"], go_backwards=True)
        if class_name(backward) != "LSTM":
            raise _unsupported_option(name, "class_name", class_name(backward), "LSTM")
        _check_options(name, {"use_bias": backward["config"]["use_bias"]}, {"use_bias": config["use_bias"]})


def _check_lstm_options(name: str, config: Mapping[str, Any], *, go_backwards: bool) -> None:
    expected = {"activation": "tanh", "recurrent_activation": "sigmoid", "go_backwards": go_backwards}
    options = {"stateful": False, "time_major": False, **config}
    _check_options(name, options, {**expected, "stateful": False, "time_major": False})


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


def _dense_layers(layers: list[Layer]) -> tuple[list[DenseWeights], tuple[FloatArray, FloatArray], str]:
    """Return the inner Dense layers, weight and bias of the last one, and its activation."""
    dense: list[tuple[Layer, str]] = []
    for layer in layers:
        if layer.kind == "Dense":
            dense.append((layer, _activation_name(layer.name, layer.config["activation"])))
        elif (activation := _activation_layer(layer)) is None or not dense:
            raise _unsupported_layers(f"the layers after the LSTM layers are {_kinds(layers)}", layers)
        elif dense[-1][1] == "linear":
            dense[-1] = dense[-1][0], activation
        elif activation != "linear":
            raise _unsupported_option(layer.name, "activation", activation, f"none after {dense[-1][1]!r}")
    if not dense:
        raise _unsupported_layers(f"the layers after the LSTM layers are {_kinds(layers)}", layers)
    weights = []
    for layer, activation in dense[:-1]:
        if activation not in DENSE_ACTIVATIONS:
            raise _unsupported_option(
                layer.name, "activation", activation, f"one of {', '.join(DENSE_ACTIVATIONS)}"
            )
        weights.append(DenseWeights(*_dense_weights(layer), activation))
    last, activation = dense[-1]
    units = last.config["units"]
    expected = "sigmoid" if units == 1 else "softmax"
    if activation not in (expected, "linear"):
        plural = "" if units == 1 else "s"
        choices = f"{expected!r} for {units} unit{plural}, or 'linear' for logits"
        raise _unsupported_option(last.name, "activation", activation, choices)
    return weights, _dense_weights(last), activation


def _dense_weights(layer: Layer) -> tuple[FloatArray, FloatArray]:
    _check_array_count(layer, 2 if layer.config["use_bias"] else 1)
    kernel, *bias = layer.arrays
    return kernel.T, bias[0] if bias else np.zeros(kernel.shape[1], np.float32)


def _activation_layer(layer: Layer) -> str | None:
    """Return the activation that a layer computes; None if it computes anything else."""
    if layer.kind == "Activation":
        return _activation_name(layer.name, layer.config["activation"])
    if layer.kind == "ReLU":
        options = {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
        _check_options(layer.name, {**options, **layer.config}, options)
        return "relu"
    if layer.kind == "Softmax":
        _check_options(layer.name, {"axis": -1, **layer.config}, {"axis": -1})
        return "softmax"
    return None


def _activation_name(name: str, activation: Any) -> str:
    """Return the name of an activation, which some versions write as an object."""
    if activation is None:
        return "linear"
    if isinstance(activation, dict):
        if "." in class_name(activation):
            raise _unsupported_option(name, "activation", class_name(activation), "an activation of Keras")
        config = activation.get("config")
        activation = config if isinstance(config, str) else activation.get("class_name")
    if not isinstance(activation, str):
        raise _unsupported_option(name, "activation", activation, "the name of an activation")
    return activation.lower() if activation in ("ReLU", "Softmax", "Sigmoid") else activation


def _check_loss(loss: Any) -> list[str]:
    """Check that a last layer without activation returns logits, and return notes about it."""
    if isinstance(loss, dict) and "class_name" not in loss:
        loss = next(iter(loss.values()), None)
    if isinstance(loss, list) and len(loss) == 1:
        loss = loss[0]
    if loss is None:
        return [
            "the last layer has no activation, and the file does not contain its loss; its outputs are read as logits"
        ]
    config = loss.get("config") if isinstance(loss, dict) else {}
    name = loss.get("class_name") if isinstance(loss, dict) else loss
    if name == "function" and isinstance(config, str):
        name, config = config, {}
    if (
        str(name).replace("_", "").lower() in CROSSENTROPIES
        and isinstance(config, dict)
        and config.get("from_logits")
    ):
        return []
    raise DataError(
        f"the last layer has no activation, but the loss {name} does not read its outputs as logits; expected a "
        "sigmoid or softmax, or a cross-entropy with from_logits=True",
        code="unsupported-loss",
        loss=str(name),
    )
