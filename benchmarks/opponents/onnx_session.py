"""Sessions of ONNX Runtime, and its dynamic quantization."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from re import Pattern

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

PROVIDERS = ["CPUExecutionProvider"]


def session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session with that number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, PROVIDERS)


def quantized(model: bytes, *, per_channel: bool = False, float_nodes: Pattern[str] | None = None) -> bytes:
    """Return the model with int8 weights and inputs that are quantized in every call.

    LSTM becomes DynamicQuantizeLSTM. Signed weights with one scale per tensor are ONNX Runtime's fastest choice.

    Args:
        model: The model in ONNX.
        per_channel: Use one scale per output channel.
        float_nodes: Matrix products whose names contain a match are not quantized.
    """
    excluded = []
    if float_nodes is not None:
        products = (node.name for node in onnx.load_from_string(model).graph.node if node.op_type == "MatMul")
        excluded = [name for name in products if float_nodes.search(name)]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model)
        logging.disable(logging.WARNING)  # advice for other kinds of models
        try:
            quantize_dynamic(
                source, target, weight_type=QuantType.QInt8, per_channel=per_channel, nodes_to_exclude=excluded
            )
        finally:
            logging.disable(logging.NOTSET)
        return target.read_bytes()
