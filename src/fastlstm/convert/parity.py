"""Compare the probabilities of one model in every installed runtime with those of the NumPy reference."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.errors import CorruptModelError, FastLSTMError
from fastlstm.inference import Classifier
from fastlstm.inference.network import KernelFeatures, Network, NumPyFeatures
from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import supported_kernels
from fastlstm.serialization.classifier import GOLDEN, SavedModel

Predict = Callable[[Sequence[TokenIds]], FloatArray]
"""Probabilities [texts, classes] of a batch of token ids."""

TOLERANCE = 1e-5
"""Largest accepted difference of a probability in float32."""
LOW_PRECISION_TOLERANCE = 0.05
"""The same for rounded weights or activations, which are a slightly different model."""
MAX_LENGTHS = (1, 2, 3, 7, 15, 16, 17, 31, 64, 100, 255, 400, 500)
"""Length of the longest text of each batch."""
BATCH_SIZES = (1, 2, 3, 7, 16, 33, 64)
EXTRA_PADDING = 2
"""Padding tokens after the longest text, which runtimes must ignore."""


@dataclass(frozen=True)
class RuntimeComparison:
    """The difference of one runtime from NumPy.

    Attributes:
        runtime: Name, such as "kernel, v3, bfloat16" or "ONNX".
        difference: Largest absolute difference of a probability.
        tolerance: Largest accepted difference.
        skipped: Why the runtime was not compared; "" if it was.
    """

    runtime: str
    difference: float = 0.0
    tolerance: float = TOLERANCE
    skipped: str = ""

    @property
    def passes(self) -> bool:
        """Whether the difference is within the tolerance (NaN is not), or the runtime was skipped."""
        return bool(self.skipped) or self.difference <= self.tolerance

    def to_json(self) -> dict[str, Any]:
        """Return the fields and `passes` as a JSON object."""
        return {**dataclasses.asdict(self), "passes": self.passes}


def compare_runtimes(classifier: Classifier, folder: Path | None = None) -> Iterator[RuntimeComparison]:
    """Compare golden texts, if the folder has them, and random texts in every runtime.

    Args:
        classifier: The model.
        folder: The folder of the model, which may contain golden.json.

    Raises:
        CorruptModelError: golden.json cannot be read.
    """
    if folder is not None and (folder / GOLDEN).is_file():
        yield _compare_golden_texts(classifier, folder / GOLDEN)
    model = classifier.saved
    batches = _random_batches(model)
    expected = list(map(_numpy(model), batches))
    for name, load, tolerance in _runtimes(model):
        try:
            predict = load()
        except (FastLSTMError, ImportError, ValueError) as error:
            yield RuntimeComparison(name, skipped=str(error))
            continue
        differences = [
            float(np.abs(predict(batch) - exact).max()) for batch, exact in zip(batches, expected, strict=True)
        ]
        yield RuntimeComparison(name, float(np.max(differences)), tolerance)


def _compare_golden_texts(classifier: Classifier, path: Path) -> RuntimeComparison:
    try:
        entries = json.loads(path.read_bytes())
        texts = [entry["text"] for entry in entries]
        expected = np.array([entry["probabilities"] for entry in entries], np.float32)
        difference = float(np.abs(classifier.predict_proba(texts) - expected).max())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptModelError(
            f"{path} cannot be read ({error}); expected texts with probabilities, save the model again", path=path
        ) from None
    return RuntimeComparison("golden texts", difference)


def _random_batches(model: SavedModel) -> list[list[TokenIds]]:
    """Return one batch per entry of `MAX_LENGTHS`, of texts up to that length; batch sizes vary."""
    generator = np.random.default_rng(0)
    batches = []
    for index, max_length in enumerate(MAX_LENGTHS):
        lengths = generator.integers(1, max_length + 1, BATCH_SIZES[index % len(BATCH_SIZES)])
        lengths[0] = max_length
        batches.append(
            [generator.integers(0, model.config.vocabulary_size, int(length), np.int32) for length in lengths]
        )
    return batches


def _network(model: SavedModel) -> Network:
    return Network(
        model.config, len(model.labels), model.weights, model.temperature, "float32", model.integer_arrays
    )


def _numpy(model: SavedModel) -> Predict:
    network = _network(model)
    network.features = NumPyFeatures(model.config, model.weights)
    return network.probabilities


def _runtimes(model: SavedModel) -> Iterator[tuple[str, Callable[[], Predict], float]]:
    """Yield the name of each runtime, a function that loads the model into it, and its tolerance."""
    kernel_info = find_kernel()
    if kernel_info.kernel is None or kernel_info.path is None:
        yield "kernel", partial(_unavailable, kernel_info.reason or "no compiled kernel"), TOLERANCE
    else:
        for kernel in supported_kernels(kernel_info.path):
            for precision in filter(kernel.supports, PRECISIONS):
                name = f"kernel, {kernel.isa}"
                load = partial(_kernel, model, kernel, precision)
                if precision == "float32":
                    yield name, load, TOLERANCE
                else:
                    yield f"{name}, {precision}", load, LOW_PRECISION_TOLERANCE
    yield "PyTorch", partial(_pytorch, model), TOLERANCE
    yield "ONNX", partial(_onnx, model, "float32"), TOLERANCE
    yield "ONNX, int8", partial(_onnx, model, "int8"), LOW_PRECISION_TOLERANCE


def _unavailable(reason: str) -> Predict:
    raise ValueError(reason)


def _kernel(model: SavedModel, kernel: Kernel, precision: str) -> Predict:
    network = _network(model)
    network.features = KernelFeatures(model.config, model.weights, kernel, precision)
    return network.probabilities


def _pad(batch: Sequence[TokenIds]) -> tuple[IndexArray, IndexArray]:
    """Return ids [batch, length], padded with 0, and lengths [batch]."""
    lengths = np.array([len(ids) for ids in batch])
    padded = np.zeros((len(batch), int(lengths.max()) + EXTRA_PADDING), np.int64)
    for row, ids in zip(padded, batch, strict=True):
        row[: len(ids)] = ids
    return padded, lengths


def _pytorch(model: SavedModel) -> Predict:
    if importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed")
    import torch

    from fastlstm.convert.pytorch_module import Classifier as Module
    from fastlstm.convert.to_pytorch import module_options, state_dict

    module = Module(module_options(model))
    module.load_state_dict(
        {name: torch.from_numpy(np.array(array, np.float32)) for name, array in state_dict(model).items()}
    )
    module.eval()
    ngram_logits = _network(model).ngram_logits

    def predict(batch: Sequence[TokenIds]) -> FloatArray:
        inputs = _pad(batch) if ngram_logits is None else (*_pad(batch), ngram_logits(batch))
        with torch.inference_mode():
            probabilities: FloatArray = module(*map(torch.from_numpy, inputs)).numpy()
        return probabilities

    return predict


def _onnx(model: SavedModel, storage: Any) -> Predict:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ValueError("onnxruntime is not installed")
    import onnxruntime

    from fastlstm.convert.onnx import to_onnx

    ngram_logits = _network(model).ngram_logits
    session = onnxruntime.InferenceSession(
        to_onnx(model, storage).SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def predict(batch: Sequence[TokenIds]) -> FloatArray:
        ids, lengths = _pad(batch)
        inputs: dict[str, Any] = {"ids": ids, "lengths": lengths}
        if ngram_logits is not None:
            inputs["ngram_logits"] = ngram_logits(batch)
        probabilities: FloatArray = session.run(None, inputs)[0]
        return probabilities

    return predict
