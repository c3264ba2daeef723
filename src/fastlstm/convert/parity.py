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
from fastlstm.convert.onnx import rounded_model
from fastlstm.errors import CorruptModelError, FastLSTMError
from fastlstm.inference import Classifier
from fastlstm.inference.features import KernelFeatures, NumPyFeatures
from fastlstm.inference.golden import GOLDEN_TEXTS
from fastlstm.inference.network import Network
from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import supported_kernels
from fastlstm.serialization.classifier import GOLDEN, SavedModel, make_text_tokenizer

TOLERANCE = 1e-5
"""Largest accepted difference of a probability in float32, on any text."""
ROUNDED_QUANTILE = 0.9
"""Rounded runtimes are a slightly different model. A text at the threshold, where a probability is most sensitive, may
differ by any amount, so this quantile of the differences is judged instead of the largest one."""
MAX_EFFECT_FRACTION = 0.1
"""Largest accepted value of that quantile, as a fraction of the LSTM's effect: the same quantile of the differences
that appear if every text has the same LSTM features. Rounding stays below 0.02 of the effect; a wrong gate order or a
scale that is wrong by half exceeds 0.15."""
MIN_ROUNDED_TOLERANCE = 1e-3
"""The accepted value if the LSTM has almost no effect, because n-grams decide."""
MIN_MARGIN = 0.2
"""A label counts as clear if its probability is this much above that of the next one, or if the probability of the
second of two classes is half of this away from the threshold."""
MIN_AGREEMENT = 0.99
"""Smallest accepted fraction of clear labels that a rounded runtime keeps, on random texts and on golden texts."""
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
        difference: The largest absolute difference of a probability; of a rounded runtime, the quantile
            `ROUNDED_QUANTILE` of the texts' largest differences.
        tolerance: Largest accepted difference.
        agreement: Fraction of clear labels that a rounded runtime keeps, on random texts or on golden texts, whichever
            is lower; None for a runtime in float32.
        skipped: Why the runtime was not compared; "" if it was.
    """

    runtime: str
    difference: float = 0.0
    tolerance: float = TOLERANCE
    agreement: float | None = None
    skipped: str = ""

    @property
    def passes(self) -> bool:
        """Whether difference (not NaN) and agreement are accepted, or the runtime was skipped."""
        if self.skipped:
            return True
        return self.difference <= self.tolerance and (self.agreement is None or self.agreement >= MIN_AGREEMENT)

    def to_json(self) -> dict[str, Any]:
        """Return the fields and `passes` as a JSON object."""
        return {**dataclasses.asdict(self), "passes": self.passes}


Predict = Callable[[Sequence[TokenIds], Sequence[TokenIds]], FloatArray]
"""(ids before truncation, ids that the LSTM reads) of a batch -> probabilities [texts, classes]."""


@dataclass(frozen=True)
class _Runtime:
    """A runtime: its name, a function that loads the model, and how it is judged.

    Attributes:
        name: The name.
        load: Loads the model and returns its predictions.
        is_rounded: Whether weights or activations are rounded.
        rounded: The model whose probabilities it has exactly, if only its weights are rounded.
    """

    name: str
    load: Callable[[], Predict]
    is_rounded: bool = False
    rounded: SavedModel | None = None


def compare_runtimes(classifier: Classifier, folder: Path | None = None) -> Iterator[RuntimeComparison]:
    """Compare golden texts, if the folder has them, and random texts in every runtime.

    Runtimes in float32 are judged by their largest difference from NumPy. Runtimes that round are judged by a quantile
    of the differences and by the clear labels they keep; if they round weights only, also by their largest difference
    from NumPy with the same rounded weights.

    Args:
        classifier: The model.
        folder: The folder of the model, which may contain golden.json.

    Raises:
        CorruptModelError: golden.json cannot be read.
    """
    if folder is not None and (folder / GOLDEN).is_file():
        yield _compare_golden_texts(classifier, folder / GOLDEN)
    model = classifier.saved
    batches = _batches(model)
    reference = _numpy(model)
    expected = _predict_batches(_of_network(reference), batches)
    for runtime in _runtimes(model):
        try:
            predict = runtime.load()
        except (FastLSTMError, ImportError, ValueError) as error:
            yield RuntimeComparison(runtime.name, skipped=str(error))
            continue
        actual = _predict_batches(predict, batches)
        if not runtime.is_rounded:
            yield RuntimeComparison(runtime.name, _largest(actual, expected))
            continue
        comparison = _judge_rounded(
            classifier, runtime.name, actual, expected, _predict_batches(_without_lstm(reference), batches)
        )
        if runtime.rounded is not None and comparison.passes:
            exact = _largest(actual, _predict_batches(_of_network(_numpy(runtime.rounded)), batches))
            if not exact <= TOLERANCE:
                comparison = RuntimeComparison(f"{runtime.name}, exact", exact)
        yield comparison


def _largest(actual: Sequence[FloatArray], expected: Sequence[FloatArray]) -> float:
    differences = [np.abs(a - e).max() for a, e in zip(actual, expected, strict=True)]
    return float(np.max(differences))


def _judge_rounded(
    classifier: Classifier,
    name: str,
    actual: Sequence[FloatArray],
    expected: Sequence[FloatArray],
    without_lstm: Sequence[FloatArray],
) -> RuntimeComparison:
    """Judge a rounded runtime on golden texts, which are the first batch, and on random texts."""
    tolerance = max(MIN_ROUNDED_TOLERANCE, MAX_EFFECT_FRACTION * _quantile(without_lstm, expected))
    agreements = [
        _agreement(classifier, actual[0], expected[0]),
        _agreement(classifier, np.concatenate(actual[1:]), np.concatenate(expected[1:])),
    ]
    return RuntimeComparison(name, _quantile(actual, expected), tolerance, min(agreements))


def _quantile(actual: Sequence[FloatArray], expected: Sequence[FloatArray]) -> float:
    """Return the quantile `ROUNDED_QUANTILE` of the largest difference of each text."""
    differences = np.abs(np.concatenate(actual) - np.concatenate(expected)).max(axis=1)
    return float(np.quantile(differences, ROUNDED_QUANTILE))


def _agreement(classifier: Classifier, actual: FloatArray, expected: FloatArray) -> float:
    """Return the fraction of clear labels of `expected` that `actual` has too; 1 if no label is clear."""
    if len(classifier.labels) == 2:
        margin = 2 * np.abs(expected[:, 1] - classifier.saved.threshold)
    else:
        ascending = np.sort(expected, axis=1)
        margin = ascending[:, -1] - ascending[:, -2]
    is_clear = margin >= MIN_MARGIN
    if not is_clear.any():
        return 1.0
    return float((classifier.choose(actual) == classifier.choose(expected))[is_clear].mean())


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


def _batches(model: SavedModel) -> list[tuple[list[TokenIds], list[TokenIds]]]:
    """Return batches of ids before truncation and as the LSTM reads them.

    The first one has the golden texts, each of the others texts up to one of `MAX_LENGTHS`; batch sizes vary.
    """
    tokenizer = make_text_tokenizer(model.tokenizer, model.config, keep_untruncated=True)
    golden = tokenizer(GOLDEN_TEXTS)
    batches = [(golden.untruncated or [], golden.ids)]
    generator = np.random.default_rng(0)
    for index, max_length in enumerate(MAX_LENGTHS):
        lengths = generator.integers(1, max_length + 1, BATCH_SIZES[index % len(BATCH_SIZES)])
        lengths[0] = max_length
        # No token of a text has the id of padding.
        texts = [generator.integers(1, model.config.vocabulary_size, int(length), np.int32) for length in lengths]
        batches.append((texts, [tokenizer.truncate(ids) for ids in texts]))
    return batches


def _predict_batches(
    predict: Predict, batches: Sequence[tuple[list[TokenIds], list[TokenIds]]]
) -> list[FloatArray]:
    return [predict(untruncated, ids) for untruncated, ids in batches]


def _network(model: SavedModel) -> Network:
    return Network(
        model.config, len(model.labels), model.weights, model.temperature, "float32", model.integer_arrays
    )


def _numpy(model: SavedModel) -> Network:
    network = _network(model)
    network.features = NumPyFeatures(model.config, model.weights)
    return network


def _without_lstm(network: Network) -> Predict:
    """Return predictions in which every text of a batch has the mean features of the batch."""

    def predict(untruncated: Sequence[TokenIds], ids: Sequence[TokenIds]) -> FloatArray:
        features = network.features(ids)
        features[:] = features.mean(axis=0)
        ngram_logits = None if network.ngram_logits is None else network.ngram_logits(untruncated)
        return network.to_probabilities(network.output_layer(features, ngram_logits))

    return predict


def _of_network(network: Network) -> Predict:
    return lambda untruncated, ids: network.probabilities(ids, untruncated)


def _runtimes(model: SavedModel) -> Iterator[_Runtime]:
    kernel_info = find_kernel()
    if kernel_info.kernel is None or kernel_info.path is None:
        yield _Runtime("kernel", partial(_unavailable, kernel_info.reason or "no compiled kernel"))
    else:
        for kernel in supported_kernels(kernel_info.path):
            for precision in filter(kernel.supports, PRECISIONS):
                is_rounded = precision != "float32"
                name = f"kernel, {kernel.isa}" + (f", {precision}" if is_rounded else "")
                yield _Runtime(name, partial(_kernel, model, kernel, precision), is_rounded)
    yield _Runtime("PyTorch", partial(_pytorch, model))
    yield _Runtime("ONNX", partial(_onnx, model, "float32"))
    yield _Runtime("ONNX, int8", partial(_onnx, model, "int8"), True, rounded_model(model, "int8"))


def _unavailable(reason: str) -> Predict:
    raise ValueError(reason)


def _kernel(model: SavedModel, kernel: Kernel, precision: str) -> Predict:
    network = _network(model)
    network.features = KernelFeatures(model.config, model.weights, kernel, precision)
    return _of_network(network)


def _pad(batch: Sequence[TokenIds]) -> tuple[IndexArray, IndexArray]:
    """Return ids [batch, length], padded with 0, and lengths [batch]."""
    lengths = np.array([len(ids) for ids in batch])
    padded = np.zeros((len(batch), int(lengths.max()) + EXTRA_PADDING), np.int64)
    for row, ids in zip(padded, batch, strict=True):
        row[: len(ids)] = ids
    return padded, lengths


def _pytorch(model: SavedModel) -> Predict:
    if importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed: pip install torch")
    import torch

    from fastlstm.convert.pytorch_module import Classifier as Module
    from fastlstm.convert.to_pytorch import module_options, state_dict

    module = Module(module_options(model))
    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state_dict(model).items()})
    module.eval()

    def predict(untruncated: Sequence[TokenIds], _: Sequence[TokenIds]) -> FloatArray:
        with torch.inference_mode():
            probabilities: FloatArray = module(*map(torch.from_numpy, _pad(untruncated))).numpy()
        return probabilities

    return predict


def _onnx(model: SavedModel, storage: Any) -> Predict:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ValueError("onnxruntime is not installed: pip install onnxruntime")
    import onnxruntime

    from fastlstm.convert.onnx import to_onnx

    session = onnxruntime.InferenceSession(
        to_onnx(model, storage).SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def predict(untruncated: Sequence[TokenIds], _: Sequence[TokenIds]) -> FloatArray:
        ids, lengths = _pad(untruncated)
        probabilities: FloatArray = session.run(None, {"ids": ids, "lengths": lengths})[0]
        return probabilities

    return predict
