"""All runtimes that compute the tutorial model, each in the precisions that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastlstm._typing import FloatArray, TokenIds
from opponents import onnx_tutorial, openvino_tutorial, pytorch_tutorial
from opponents.arrangements import Score, batched

EXACT = ("ONNX Runtime", "OpenVINO", "PyTorch")
"""The runtimes that compute in float32."""
PACKAGES = ("torch", "onnxruntime", "openvino")


def opponents(
    weights: Mapping[str, FloatArray], threads: int, texts: Sequence[TokenIds]
) -> dict[str, dict[str, Score]]:
    """Return the scoring functions of each runtime by the name of the arrangement of `texts`."""
    runtimes = {
        "ONNX Runtime": onnx_tutorial.Opponent(weights, threads).score,
        "ONNX Runtime int8": onnx_tutorial.Opponent(weights, threads, int8=True).score,
        "OpenVINO": openvino_tutorial.Opponent(weights, threads).score,
    }
    if openvino_tutorial.supports_bfloat16():
        runtimes["OpenVINO bfloat16"] = openvino_tutorial.Opponent(weights, threads, bfloat16=True).score
    arrangements = {name: batched("padded", score, texts) for name, score in runtimes.items()}
    for name, bfloat16 in (("PyTorch", False), ("PyTorch bfloat16", True)):
        opponent = pytorch_tutorial.Opponent(weights, threads, bfloat16=bfloat16)
        arrangements[name] = batched("padded", opponent.score, texts)
        if len(texts) > 1:
            arrangements[name]["packed"] = opponent.score_packed
    return arrangements
