"""A small builder of ONNX graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.serialization.quantization import MAX_INT8, MIN_COLUMNS

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

ONNXStorage = Literal["float32", "int8"]


class Graph:
    """Nodes and constants of a graph under construction.

    Attributes:
        nodes: The nodes, in the order of computation.
        constants: The constants.
    """

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

    def constant(self, value: npt.NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def integer(self, value: int | Sequence[int]) -> str:
        """Add an int64 constant, a scalar or a vector, and return its name."""
        return self.constant(np.array(value, np.int64))

    def weight(self, value: FloatArray) -> str:
        """Add a weight [..., columns] in the storage of the graph and return the name of its float32 value."""
        from onnx import TensorProto

        name: str
        if self._storage == "float32":
            return self.constant(value)
        if value.shape[-1] < MIN_COLUMNS:
            name = self.add("Cast", self.constant(_to_float16(value)), to=TensorProto.FLOAT)
            return name
        integers, scale = _to_int8(value.reshape(-1, value.shape[-1]))
        name = self.add("DequantizeLinear", self.constant(integers), self.constant(scale), axis=0)
        return name if integers.shape == value.shape else self.reshape(name, value.shape)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Reshape a value and return its new name; a size of 0 keeps that dimension."""
        name: str = self.add("Reshape", value, self.integer(shape))
        return name


def round_weight(value: FloatArray, storage: ONNXStorage) -> FloatArray:
    """Return a weight [..., columns] as a graph with this storage computes with it, float32.

    With int8, each row has integers and one float32 scale; arrays with few columns are float16, as in saved models.
    """
    if storage == "float32":
        return value
    if value.shape[-1] < MIN_COLUMNS:
        return _to_float16(value).astype(np.float32)
    integers, scale = _to_int8(value.reshape(-1, value.shape[-1]))
    return (integers * scale[:, None]).reshape(value.shape)


def _to_int8(rows: FloatArray) -> tuple[npt.NDArray[np.int8], FloatArray]:
    scale = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / np.float32(MAX_INT8)
    return np.rint(rows / scale[:, None]).astype(np.int8), scale


def _to_float16(value: FloatArray) -> npt.NDArray[np.float16]:
    limit = np.finfo(np.float16).max
    return np.clip(value, -limit, limit).astype(np.float16)
