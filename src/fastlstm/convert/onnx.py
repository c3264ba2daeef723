"""Export a classifier as an ONNX model with variable batch size and text length.

Inputs: `ids` int64 [batch, length], padded with any token id; `lengths` int64 [batch], at least 1; for a model with
n-grams also `ngram_logits` float32 [batch, logits], the logits of the n-grams, or zeros.
Output: `probabilities` float32 [batch, classes].

With `states`, each layer K has the inputs `h_K` and `c_K` [1, batch, units], its states before the first token, and
the outputs `h_K_after` and `c_K_after`, its states after the last token. A text can then be read in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastlstm import __version__
from fastlstm._typing import FloatArray
from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference.network import POOLINGS
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

OPSET = 18
"""The first version that has all operators used here; runtimes since 2023 support it."""
IR_VERSION = 9
ONNXStorage = Literal["float32", "int8"]


def to_onnx(model: SavedModel, storage: ONNXStorage = "float32", *, states: bool = False) -> ModelProto:
    """Return the ONNX model, checked by ONNX's checker.

    Args:
        model: The classifier.
        storage: "int8" stores weights as int8 with one scale per row, in a quarter of the space.
        states: Add the LSTM states as inputs and outputs.

    Raises:
        MissingDependencyError: onnx is not installed.
        OptionError: `states` for a bidirectional model, one that reads padding, or a pooling other than "last".
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("exporting", "onnx", "export") from None
    config = model.config
    if states and (config.bidirectional or config.pooling != "last" or config.padding != "none"):
        raise OptionError(
            f"cannot export the states of a model with bidirectional={config.bidirectional}, "
            f"pooling={config.pooling!r} and padding={config.padding!r}; expected False, 'last' and 'none': omit "
            "--states",
            code="unsupported-states",
            bidirectional=config.bidirectional,
            pooling=config.pooling,
            padding=config.padding,
        )
    graph = _Graph(storage)
    inputs, outputs = _build(graph, model, states)
    exported = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "fastlstm", inputs, outputs, graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastlstm",
        producer_version=__version__,
    )
    metadata = {
        "labels": "\n".join(model.labels),
        "max_tokens": str(config.max_tokens),
        "truncate": config.truncate,
        "padding": config.padding,
        "threshold": str(model.threshold),
        "tokenizer": model.tokenizer.to_str(pretty=False),
    }
    onnx.helper.set_model_props(exported, metadata)
    onnx.checker.check_model(exported, full_check=True)
    return exported


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, storage: ONNXStorage) -> None:
        self._storage = storage
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node and return the name of its output, or a list of names if there are several."""
        from onnx import helper

        names = [f"{operator.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def add_output(self, name: str, value: str) -> None:
        """Make `value` the output `name` of the graph."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, value: FloatArray) -> str:
        """Add a weight [..., columns] in the storage of the graph and return its name; int8 has a scale per row."""
        if self._storage == "float32":
            return self.constant(value)
        rows = value.reshape(-1, value.shape[-1])
        scale = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / np.float32(127)
        quantized = np.rint(rows / scale[:, None]).astype(np.int8)
        dequantized: str = self.add("DequantizeLinear", self.constant(quantized), self.constant(scale), axis=0)
        return dequantized if rows.shape == value.shape else self.reshape(dequantized, value.shape)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Reshape a value and return its new name; a size of 0 keeps that dimension."""
        name: str = self.add("Reshape", value, self.constant(np.array(shape, np.int64)))
        return name


def _build(graph: _Graph, model: SavedModel, states: bool) -> tuple[list[Any], list[Any]]:
    """Add the whole network to the graph, and return its inputs and outputs."""
    from onnx import TensorProto, helper

    config = model.config
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(model.labels)])]
    steps = graph.add(
        "Gather", graph.weight(model.weights["embedding.weight"]), graph.add("Transpose", "ids", perm=[1, 0])
    )
    int32_lengths = graph.add("Cast", "lengths", to=TensorProto.INT32)
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
    features = _pool(graph, steps, last, config.pooling)
    weight, bias = model.weights["output.weight"], model.weights["output.bias"]
    logits = graph.add("Gemm", features, graph.weight(weight), graph.constant(bias), transB=1)
    if config.ngrams:
        inputs.append(helper.make_tensor_value_info("ngram_logits", TensorProto.FLOAT, ["batch", len(bias)]))
        logits = graph.add("Add", logits, "ngram_logits")
    graph.add_output("probabilities", _probabilities(graph, logits, model))
    return inputs, outputs


def _lstm_weights(
    graph: _Graph, model: SavedModel, directions: Sequence[weights.LayerDirection]
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


def _pool(graph: _Graph, steps: str, last: str, pooling: str) -> str:
    """Pool the steps [length, batch, units] without padding into features [batch, features]; return their name."""
    from onnx import TensorProto

    pooled = {"last": last}
    if pooling != "last":
        first_axis, last_axis = graph.constant(np.array([0], np.int64)), graph.constant(np.array([2], np.int64))
        zero, one = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64))
        column = graph.constant(np.array([1], np.int64))
        length = graph.add("Gather", graph.add("Shape", steps), zero, axis=0)
        positions = graph.add("Unsqueeze", graph.add("Range", zero, length, one), column)
        mask = graph.add("Unsqueeze", graph.add("Less", positions, "lengths"), last_axis)
        for_max = graph.add("Where", mask, steps, graph.constant(np.array(-np.inf, np.float32)))
        pooled["max"] = graph.add("ReduceMax", for_max, first_axis, keepdims=0)
        for_sum = graph.add("Where", mask, steps, graph.constant(np.array(0, np.float32)))
        counts = graph.add("Unsqueeze", graph.add("Cast", "lengths", to=TensorProto.FLOAT), column)
        pooled["mean"] = graph.add("Div", graph.add("ReduceSum", for_sum, first_axis, keepdims=0), counts)
    parts = [pooled[name] for name in POOLINGS[pooling]]
    features: str = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return features


def _probabilities(graph: _Graph, logits: str, model: SavedModel) -> str:
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
    total = graph.add("ReduceSum", positive, graph.constant(np.array([1], np.int64)), keepdims=1)
    result = graph.add("Div", positive, total)
    return result
