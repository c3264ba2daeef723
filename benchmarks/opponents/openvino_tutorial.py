"""The tutorial model in OpenVINO: the same weights, padded batches, the output at each text's last token.

The graph is built with OpenVINO's operators, not read from ONNX: on a CPU, its LSTM ignores the lengths of the texts
and reads the padding too. Here the lengths only select the last step of each text, which padding cannot change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as operators

from fastlstm._typing import FloatArray, TokenIds


@cache
def supports_bfloat16() -> bool:
    """Return whether OpenVINO multiplies bfloat16 on this processor; elsewhere it emulates it, ten times slower."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Opponent:
    """Scores token ids with the weights of a saved tutorial model."""

    def __init__(self, weights: Mapping[str, FloatArray], threads: int, *, bfloat16: bool = False) -> None:
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core if another process uses it
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        }
        self.request = openvino.Core().compile_model(graph(weights), "CPU", options).create_infer_request()

    def score(self, texts: Sequence[TokenIds]) -> FloatArray:
        """Return the probabilities of the second class, [B, 1]."""
        lengths = np.array([len(text) for text in texts], np.int32)
        ids = np.zeros((len(texts), int(lengths.max())), np.int32)
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = text
        result: FloatArray = self.request.infer([ids, lengths], share_inputs=True)[0]
        return result


def graph(weights: Mapping[str, FloatArray]) -> openvino.Model:
    """Return the graph from ids [B, T] int32 and lengths [B] int32 to probabilities [B, 1]."""
    ids = operators.parameter([-1, -1], np.int32, name="ids")
    lengths = operators.parameter([-1], np.int32, name="lengths")
    zero, one = (operators.constant(np.array([value])) for value in (0, 1))
    shape = operators.shape_of(ids)
    batch, steps = (operators.gather(shape, index, operators.constant(0)) for index in (zero, one))
    whole = operators.broadcast(operators.convert(steps, "i32"), batch)
    outputs = operators.gather(operators.constant(weights["embedding.weight"]), ids, operators.constant(0))
    for layer in range(2):
        prefix = f"lstm.{layer}.forward"
        matrices = [reorder_gates(weights[f"{prefix}.{name}"])[None] for name in ("weight_ih", "weight_hh", "bias")]
        hidden_size = matrices[1].shape[2]
        state_shape = operators.concat([batch, operators.constant(np.array([1, hidden_size]))], 0)
        state = operators.broadcast(operators.constant(np.float32(0)), state_shape)
        arrays: list[Any] = [operators.constant(matrix) for matrix in matrices]
        sequence = operators.lstm_sequence(outputs, state, state, whole, *arrays, hidden_size, "forward")
        outputs = operators.squeeze(sequence.output(0), one)
    last = operators.unsqueeze(operators.subtract(lengths, operators.constant(np.int32(1))), operators.constant(1))
    features = operators.squeeze(operators.gather(outputs, last, operators.constant(1), batch_dims=1), one)
    product = operators.matmul(features, operators.constant(weights["output.weight"]), False, True)
    logits = operators.add(product, operators.constant(weights["output.bias"]))
    return openvino.Model([operators.sigmoid(logits)], [ids, lengths])


def reorder_gates(rows: FloatArray) -> FloatArray:
    """Reorder the gates from i, f, g, o to OpenVINO's f, i, g, o."""
    i, f, g, o = np.split(rows, 4)
    return np.concatenate([f, i, g, o])
