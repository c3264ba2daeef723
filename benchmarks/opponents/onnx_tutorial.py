"""The tutorial model in ONNX Runtime: the same weights, padded batches, text lengths as an input of the LSTM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fastlstm._typing import FloatArray, TokenIds
from opponents import onnx_session


class Opponent:
    """Scores token ids with the weights of a saved tutorial model."""

    def __init__(self, weights: Mapping[str, FloatArray], threads: int, *, int8: bool = False) -> None:
        model = graph(weights)
        self.session = onnx_session.session(onnx_session.quantized(model) if int8 else model, threads)

    def score(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the probabilities of the second class, [B, 1]."""
        lengths = np.array([len(text) for text in texts], np.int32)
        ids = np.zeros((int(lengths.max()), len(texts)), np.int64)
        for column, text in enumerate(texts):
            ids[: len(text), column] = text
        result: FloatArray = self.session.run(["probabilities"], {"ids": ids, "lengths": lengths})[0]
        return result


def graph(weights: Mapping[str, FloatArray]) -> bytes:
    """Return the graph from ids [T, B] int64 and lengths [B] int32 to probabilities [B, 1]."""
    tensors = {"embedding": weights["embedding.weight"]}
    nodes = [helper.make_node("Gather", ["embedding", "ids"], ["outputs"])]
    inputs = "outputs"
    for layer in range(2):
        prefix = f"lstm.{layer}.forward"
        hidden_size = weights[f"{prefix}.weight_hh"].shape[1]
        tensors[f"W{layer}"] = reorder_gates(weights[f"{prefix}.weight_ih"])[None]
        tensors[f"R{layer}"] = reorder_gates(weights[f"{prefix}.weight_hh"])[None]
        bias = reorder_gates(weights[f"{prefix}.bias"])
        tensors[f"B{layer}"] = np.concatenate([bias, np.zeros_like(bias)])[None]
        nodes += [
            helper.make_node(
                "LSTM",
                [inputs, f"W{layer}", f"R{layer}", f"B{layer}", "lengths"],
                [f"steps{layer}", f"last{layer}"],
                hidden_size=hidden_size,
            ),
            helper.make_node("Squeeze", [f"steps{layer}", "one"], [f"outputs{layer}"]),
        ]
        inputs = f"outputs{layer}"
    tensors |= {"weight": weights["output.weight"], "bias": weights["output.bias"]}
    nodes += [
        helper.make_node("Squeeze", ["last1", "zero"], ["features"]),
        helper.make_node("Gemm", ["features", "weight", "bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    constants = {"one": np.array([1]), "zero": np.array([0])}
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "tutorial",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["T", "B"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
            ],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", 1])],
            [numpy_helper.from_array(array, name) for name, array in {**tensors, **constants}.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def reorder_gates(rows: FloatArray) -> FloatArray:
    """Reorder the gates from i, f, g, o to ONNX's i, o, f, g."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([i, o, f, g])
