"""A classifier as an ONNX model: token ids -> probabilities, with free batch and length.

Inputs: `ids` int64 [batch, length], padded with any id of the vocabulary; `lengths` int64 [batch], at least 1;
where the model has n-grams also `evidence` float32 [batch, logits], what they add (`fastlstm.ngrams`), or zeros.
Output: `probabilities` float32 [batch, classes].

With states, of a model that reads forward and is judged by its last state: `h_K` and `c_K` [1, batch, units] of
each layer K before the first token, `h_K_after` and `c_K_after` after the last. A text may then be read in pieces.
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
"""The first with what is used here; runtimes since 2023 know it."""
IR_VERSION = 9
Storage = Literal["float32", "int8"]


def onnx_model(model: SavedModel, storage: Storage = "float32", *, states: bool = False) -> ModelProto:
    """The model, checked.

    Args:
        model: a classifier.
        storage: "int8": weights as whole numbers times a scale a row, fixed, in a quarter of the space.
        states: take and give the layers' states.

    Raises:
        MissingDependencyError: onnx is not installed.
        OptionError: states of a model that reads backward too, reads padding, or pools more than its last state.
    """
    try:
        import onnx
    except ImportError:
        raise MissingDependencyError("exporting", "onnx", "export") from None
    config = model.config
    if states and (config.bidirectional or config.pooling != "last" or config.padding != "none"):
        raise OptionError(
            "states were asked for, and the model reads backward too, reads padding, or pools more than its last "
            "state, so that its answer does not follow from them; leave states out"
        )
    graph = _Graph(storage)
    inputs, outputs = _build(graph, model, states)
    made = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "fastlstm", inputs, outputs, graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastlstm",
        producer_version=__version__,
    )
    told = {
        "labels": "\n".join(model.labels),
        "max_tokens": str(config.max_tokens),
        "truncate": config.truncate,
        "padding": config.padding,
        "threshold": str(model.threshold),
        "tokenizer": model.tokenizer.to_str(pretty=False),
    }
    onnx.helper.set_model_props(made, told)
    onnx.checker.check_model(made, full_check=True)
    return made


class _Graph:
    """Nodes and constants, as they are added."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of a new node's output, or names of several."""
        from onnx import helper

        names = [f"{kind.lower()}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def give(self, name: str, value: str) -> None:
        """Names a value that the graph gives."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def constant(self, value: npt.NDArray[Any]) -> str:
        """The name of a constant."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, value: FloatArray) -> str:
        """A matrix [..., columns] as it is stored; of int8, every row has a scale."""
        if self._storage == "float32":
            return self.constant(value)
        rows = value.reshape(-1, value.shape[-1])
        scale = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / np.float32(127)
        whole = np.rint(rows / scale[:, None]).astype(np.int8)
        floats = self.add("DequantizeLinear", self.constant(whole), self.constant(scale), axis=0)
        return floats if rows.shape == value.shape else self.shaped(floats, value.shape)

    def shaped(self, value: str, shape: Sequence[int]) -> str:
        """A value in another shape; 0: as it was."""
        name: str = self.add("Reshape", value, self.constant(np.array(shape, np.int64)))
        return name


def _build(graph: _Graph, model: SavedModel, states: bool) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper

    config, classes = model.config, len(model.labels)
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"]),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", classes])]
    steps = graph.add(
        "Gather", graph.weight(model.weights["embedding.weight"]), graph.add("Transpose", "ids", perm=[1, 0])
    )
    short_lengths = graph.add("Cast", "lengths", to=TensorProto.INT32)
    last = ""
    for layer, size in enumerate(config.hidden_sizes):
        directions = [of for of in weights.directions(config) if of.layer == layer]
        before = ["", ""]
        if states:
            before = [f"h_{layer}", f"c_{layer}"]
            for name in (*before, *(f"{name}_after" for name in before)):
                info = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "batch", size])
                (outputs if name.endswith("_after") else inputs).append(info)
        whole, h, c = graph.add(
            "LSTM", steps, *_lstm_weights(graph, model, directions), short_lengths, *before, outputs=3,
            hidden_size=size, direction="bidirectional" if config.bidirectional else "forward",
        )  # fmt: skip
        width = size * len(directions)
        steps = graph.shaped(graph.add("Transpose", whole, perm=[0, 2, 1, 3]), [0, 0, width])
        last = graph.shaped(graph.add("Transpose", h, perm=[1, 0, 2]), [0, width])
        if states:
            graph.give(f"h_{layer}_after", h)
            graph.give(f"c_{layer}_after", c)
    features = _pooled(graph, steps, last, config.pooling)
    weight, bias = model.weights["output.weight"], model.weights["output.bias"]
    logits = graph.add("Gemm", features, graph.weight(weight), graph.constant(bias), transB=1)
    if config.ngrams:
        inputs.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["batch", len(bias)]))
        logits = graph.add("Add", logits, "evidence")
    graph.give("probabilities", _probabilities(graph, logits, model))
    return inputs, outputs


def _lstm_weights(
    graph: _Graph, model: SavedModel, directions: Sequence[weights.LayerDirection]
) -> tuple[str, str, str]:
    """W, R and B of the operator LSTM, whose gates stand in the order i, o, f, g."""

    def ordered(name: str) -> list[FloatArray]:
        parts = [np.split(model.weights[f"{of.prefix}.{name}"], 4) for of in directions]
        return [np.concatenate([i, o, f, g]) for i, f, g, o in parts]

    bias = np.stack([np.concatenate([of, np.zeros_like(of)]) for of in ordered("bias")])
    return (
        graph.weight(np.stack(ordered("weight_ih"))),
        graph.weight(np.stack(ordered("weight_hh"))),
        graph.constant(bias),
    )


def _pooled(graph: _Graph, steps: str, last: str, pooling: str) -> str:
    """[batch, F]: padding is neither the highest nor counted."""
    from onnx import TensorProto

    pooled = {"last": last}
    if pooling != "last":
        time = graph.add("Gather", graph.add("Shape", steps), graph.constant(np.int64(0)[()].reshape(())), axis=0)
        zero, one = graph.constant(np.array(0, np.int64)), graph.constant(np.array(1, np.int64))
        at = graph.add("Unsqueeze", graph.add("Range", zero, time, one), graph.constant(np.array([1], np.int64)))
        there = graph.add("Unsqueeze", graph.add("Less", at, "lengths"), graph.constant(np.array([2], np.int64)))
        axis = graph.constant(np.array([0], np.int64))
        low = graph.add("Where", there, steps, graph.constant(np.array(-np.inf, np.float32)))
        pooled["highest"] = graph.add("ReduceMax", low, axis, keepdims=0)
        counted = graph.add("Where", there, steps, graph.constant(np.array(0, np.float32)))
        number = graph.add("Unsqueeze", graph.add("Cast", "lengths", to=TensorProto.FLOAT), one)
        pooled["mean"] = graph.add("Div", graph.add("ReduceSum", counted, axis, keepdims=0), number)
    parts = [pooled[name] for name in POOLINGS[pooling]]
    result: str = parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)
    return result


def _probabilities(graph: _Graph, logits: str, model: SavedModel) -> str:
    scaled = graph.add("Div", logits, graph.constant(np.array(model.temperature, np.float32)))
    result: str
    if not weights.uses_sigmoid(model.config, len(model.labels)):
        result = graph.add("Softmax", scaled, axis=1)
        return result
    likely = graph.add("Sigmoid", scaled)
    if len(model.labels) == 2:
        result = graph.add(
            "Concat", graph.add("Sub", graph.constant(np.array(1, np.float32)), likely), likely, axis=1
        )
        return result
    likely = graph.add("Max", likely, graph.constant(np.array(np.finfo(np.float32).tiny)))
    total = graph.add("ReduceSum", likely, graph.constant(np.array([1], np.int64)), keepdims=1)
    result = graph.add("Div", likely, total)
    return result
