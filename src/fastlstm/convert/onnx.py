"""Export a classifier as a self-contained ONNX model with variable batch size and text length.

Inputs: `ids` int64 [batch, length], all token ids of each text, followed by any ids; `lengths` int64 [batch], the
number of tokens of each text. The graph truncates, pads and computes n-grams as the classifier does.
Output: `probabilities` float32 [batch, classes].

With `states`, each layer K has the inputs `h_K` and `c_K` [1, batch, units], its states before the first token, and
the outputs `h_K_after` and `c_K_after`, its states after the last token. A text can then be read in parts, of at
least one token each; nothing is truncated.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastlstm import __version__
from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.convert.export import golden_entries, without_ngrams
from fastlstm.convert.onnx_graph import Graph, ONNXStorage, round_weight
from fastlstm.convert.onnx_ngrams import add_ngram_logits
from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference.features import EMPTY_TEXT_ID, POOLINGS, reads_empty_texts_as_zeros
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.ngrams import NGRAM_KINDS
from fastlstm.text.tokenizer import PADDING_ID, UNKNOWN_ID

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""The first version that has all operators used here; runtimes since 2023 support it."""
IR_VERSION = 9
ACTIVATION_OPERATORS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
"""Activation of a dense layer -> ONNX operator; "linear" needs none."""


def to_onnx(
    model: SavedModel, storage: ONNXStorage = "float32", *, states: bool = False, ngrams: bool = True
) -> ModelProto:
    """Return the ONNX model, checked by ONNX's checker. Its metadata has golden texts, with ids and probabilities.

    Args:
        model: The classifier.
        storage: "int8" stores weights as int8 with one scale per row, and n-gram weights as float16.
        states: Add the LSTM states as inputs and outputs.
        ngrams: Whether to include the n-grams of the model.

    Raises:
        MissingDependencyError: onnx is not installed.
        OptionError: `states` for a bidirectional model, one that reads padding, one with n-grams, or a pooling other
            than "last"; or `ngrams` false for a linear model.
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("exporting", "onnx", "export") from None
    if not ngrams and model.config.ngrams:
        model = without_ngrams(model)
    config = model.config
    if states:
        _check_states(config)
    graph = Graph(storage)
    inputs, outputs = _build(graph, model, states)
    exported = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "fastlstm", inputs, outputs, graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastlstm",
        producer_version=__version__,
    )
    metadata = {
        "labels": json.dumps(model.labels, ensure_ascii=False),
        "max_tokens": str(config.max_tokens),
        "truncate": config.truncate,
        "padding": config.padding,
        "threshold": str(model.threshold),
        "text_cleaning": model.text_cleaning,
        "unknown_words": config.unknown_words,
        "tokenizer": model.tokenizer.to_str(pretty=False),
        "golden": json.dumps(
            golden_entries(rounded_model(model, storage), truncate=not states), ensure_ascii=False
        ),
    }
    onnx.helper.set_model_props(exported, metadata)
    onnx.checker.check_model(exported, full_check=True)
    return exported


def rounded_model(model: SavedModel, storage: ONNXStorage) -> SavedModel:
    """Return the model with its weights as a graph with this storage computes with them."""
    rounded = {
        name: round_weight(array, storage) if array.ndim == 2 else array for name, array in model.weights.items()
    }
    return dataclasses.replace(model, weights=rounded)


def _check_states(config: ModelConfig) -> None:
    """Raise `OptionError` unless a text can be read in parts with the states of the LSTM."""
    obstacles = {
        "bidirectional": config.bidirectional,
        "pooling": config.pooling != "last",
        "padding": config.padding != "none",
        "ngrams": config.ngrams > 0,
    }
    values = {name: getattr(config, name) for name, is_obstacle in obstacles.items() if is_obstacle}
    if not values:
        return
    found = ", ".join(f"{name}={value!r}" for name, value in values.items())
    remedy = "pass --no-ngrams" if list(values) == ["ngrams"] else "omit --states"
    raise OptionError(
        f"cannot export the states of a model with {found}; expected bidirectional=False, pooling='last', "
        f"padding='none' and ngrams=0: {remedy}",
        code="unsupported-states",
        **values,
    )


def _build(graph: Graph, model: SavedModel, states: bool) -> tuple[list[Any], list[Any]]:
    """Add the whole network to the graph, and return its inputs and outputs."""
    from onnx import TensorProto, helper

    config = model.config
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(model.labels)])]
    ids, lengths = ("ids", "lengths") if states else _fill_empty_texts(graph, config)
    read_ids, read_lengths = (ids, lengths) if states else _truncate(graph, config, ids, lengths)
    steps = graph.add(
        "Gather", graph.weight(model.weights["embedding.weight"]), graph.add("Transpose", read_ids, perm=[1, 0])
    )
    int32_lengths = graph.add("Cast", read_lengths, to=TensorProto.INT32)
    last = ""
    for layer, size in enumerate(config.hidden_sizes):
        directions = [direction for direction in weights.directions(config) if direction.layer == layer]
        initial_states = ["", ""]
        if states:
            initial_states = [f"h_{layer}", f"c_{layer}"]
            for name in (*initial_states, *(f"{name}_after" for name in initial_states)):
                info = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "batch", size])
                (outputs if name.endswith("_after") else inputs).append(info)
        hidden, h, c = graph.add(
            "LSTM", steps, *_lstm_weights(graph, model, directions), int32_lengths, *initial_states, outputs=3,
            hidden_size=size, direction="bidirectional" if config.bidirectional else "forward",
        )  # fmt: skip
        width = size * len(directions)
        steps = graph.reshape(graph.add("Transpose", hidden, perm=[0, 2, 1, 3]), [0, 0, width])
        last = graph.reshape(graph.add("Transpose", h, perm=[1, 0, 2]), [0, width])
        if states:
            graph.add_output(f"h_{layer}_after", h)
            graph.add_output(f"c_{layer}_after", c)
    features = _pool(graph, steps, last, read_lengths, config.pooling)
    if reads_empty_texts_as_zeros(config):
        features = _zero_empty_texts(graph, features, read_ids)
    for (prefix, _, _), activation in zip(weights.dense_layers(config), config.dense_activations, strict=True):
        dense_weight = graph.weight(model.weights[f"{prefix}.weight"])
        dense_bias = graph.constant(model.weights[f"{prefix}.bias"])
        features = graph.add("Gemm", features, dense_weight, dense_bias, transB=1)
        if activation != "linear":
            features = graph.add(ACTIVATION_OPERATORS[activation], features)
    weight, bias = model.weights["output.weight"], model.weights["output.bias"]
    logits = graph.add("Gemm", features, graph.weight(weight), graph.constant(bias), transB=1)
    if config.ngrams:
        ngram_ids, kinds = model.integer_arrays["wide.ngrams"], NGRAM_KINDS[config.ngram_kinds]
        logits = graph.add(
            "Add", logits, add_ngram_logits(graph, ids, lengths, ngram_ids, model.weights["wide.weight"], kinds)
        )
    graph.add_output("probabilities", _probabilities(graph, logits, model))
    return inputs, outputs


def _fill_empty_texts(graph: Graph, config: ModelConfig) -> tuple[str, str]:
    """Return `ids` and `lengths` in which a text without tokens is one unknown token, unless the model pads."""
    if config.padding != "none":
        return "ids", "lengths"
    one = graph.integer(1)
    is_empty = graph.add("Unsqueeze", graph.add("Less", "lengths", one), graph.integer([1]))
    empty_id = EMPTY_TEXT_ID if reads_empty_texts_as_zeros(config) else UNKNOWN_ID
    ids = graph.add("Where", is_empty, graph.integer(empty_id), "ids")
    return ids, graph.add("Max", "lengths", one)


def _truncate(graph: Graph, config: ModelConfig, ids: str, lengths: str) -> tuple[str, str]:
    """Return the ids [batch, length] that the LSTM reads, truncated and padded, and their number [batch]."""
    heads = {"end": 0, "beginning": config.max_tokens, "both": config.max_tokens // 2}
    limit, zero, one = graph.integer(config.max_tokens), graph.integer(0), graph.integer(1)
    column = graph.integer([1])
    length = graph.add("Gather", graph.add("Shape", ids), one)
    counts = graph.add("Min", lengths, limit)
    read_length = graph.add("Min", length, limit) if config.padding == "none" else limit
    positions = graph.add("Unsqueeze", graph.add("Range", zero, read_length, one), graph.integer([0]))
    if config.padding == "front":
        positions = graph.add("Sub", positions, graph.add("Unsqueeze", graph.add("Sub", limit, counts), column))
    skipped = graph.add("Unsqueeze", graph.add("Sub", lengths, counts), column)
    is_head = graph.add("Less", positions, graph.integer(heads[config.truncate]))
    source = graph.add("Add", positions, graph.add("Where", is_head, zero, skipped))
    inside = graph.add("Max", graph.add("Min", source, graph.add("Sub", length, one)), zero)
    read_ids = graph.add("GatherElements", ids, inside, axis=1)
    if config.padding == "none":
        return read_ids, counts
    is_text = graph.add(
        "And",
        graph.add("GreaterOrEqual", source, zero),
        graph.add("Less", source, graph.add("Unsqueeze", lengths, column)),
    )
    padded = graph.add("Where", is_text, read_ids, graph.integer(PADDING_ID))
    return padded, graph.add("Expand", limit, graph.add("Shape", lengths))


def _lstm_weights(
    graph: Graph, model: SavedModel, directions: Sequence[weights.LayerDirection]
) -> tuple[str, str, str]:
    """Add W, R and B of the operator LSTM, whose gates are in the order i, o, f, g, and return their names."""

    def reordered(name: str) -> list[FloatArray]:
        gates = [np.split(model.weights[f"{direction.prefix}.{name}"], 4) for direction in directions]
        return [np.concatenate([i, o, f, g]) for i, f, g, o in gates]

    bias = np.stack([np.concatenate([bias_ih, np.zeros_like(bias_ih)]) for bias_ih in reordered("bias")])
    return (
        graph.weight(np.stack(reordered("weight_ih"))),
        graph.weight(np.stack(reordered("weight_hh"))),
        graph.constant(bias),
    )


def _pool(graph: Graph, steps: str, last: str, lengths: str, pooling: str) -> str:
    """Pool the steps [length, batch, units] without padding into features [batch, features]; return their name."""
    from onnx import TensorProto

    pooled = {"last": last}
    if pooling == "last-step":
        pooled["last-step"] = _last_step(graph, steps, lengths)
    elif pooling != "last":
        first_axis, last_axis = graph.integer([0]), graph.integer([2])
        zero, one = graph.integer(0), graph.integer(1)
        column = graph.integer([1])
        length = graph.add("Gather", graph.add("Shape", steps), zero, axis=0)
        positions = graph.add("Unsqueeze", graph.add("Range", zero, length, one), column)
        mask = graph.add("Unsqueeze", graph.add("Less", positions, lengths), last_axis)
        for_max = graph.add("Where", mask, steps, graph.constant(np.array(-np.inf, np.float32)))
        pooled["max"] = graph.add("ReduceMax", for_max, first_axis, keepdims=0)
        for_sum = graph.add("Where", mask, steps, graph.constant(np.array(0, np.float32)))
        counts = graph.add("Unsqueeze", graph.add("Cast", lengths, to=TensorProto.FLOAT), column)
        pooled["mean"] = graph.add("Div", graph.add("ReduceSum", for_sum, first_axis, keepdims=0), counts)
    parts = [pooled[name] for name in POOLINGS[pooling]]
    features: str = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return features


def _last_step(graph: Graph, steps: str, lengths: str) -> str:
    """Return the name of the outputs [batch, units] of the last step of each text, given [length, batch, units]."""
    indices = graph.add("Unsqueeze", graph.add("Sub", lengths, graph.integer(1)), graph.integer([1]))
    name: str = graph.add("GatherND", graph.add("Transpose", steps, perm=[1, 0, 2]), indices, batch_dims=1)
    return name


def _zero_empty_texts(graph: Graph, features: str, ids: str) -> str:
    """Set the features of texts whose first id is `EMPTY_TEXT_ID` to zero, and return their new name."""
    is_empty = graph.add(
        "Equal", graph.add("Gather", ids, graph.integer([0]), axis=1), graph.integer(EMPTY_TEXT_ID)
    )
    name: str = graph.add("Where", is_empty, graph.constant(np.array(0, np.float32)), features)
    return name


def _probabilities(graph: Graph, logits: str, model: SavedModel) -> str:
    scaled = graph.add("Div", logits, graph.constant(np.array(model.temperature, np.float32)))
    result: str
    if not weights.uses_sigmoid(model.config, len(model.labels)):
        result = graph.add("Softmax", scaled, axis=1)
        return result
    sigmoid = graph.add("Sigmoid", scaled)
    if len(model.labels) == 2:
        first = graph.add("Sub", graph.constant(np.array(1, np.float32)), sigmoid)
        result = graph.add("Concat", first, sigmoid, axis=1)
        return result
    positive = graph.add("Max", sigmoid, graph.constant(np.array(np.finfo(np.float32).tiny)))
    total = graph.add("ReduceSum", positive, graph.integer([1]), keepdims=1)
    result = graph.add("Div", positive, total)
    return result
