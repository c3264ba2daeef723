"""One model through every runtime that is installed: how far each is from the definition in NumPy."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.errors import CorruptModelError, FastLSTMError
from fastlstm.inference import Classifier
from fastlstm.inference.network import KernelFeatures, Network, NumPyFeatures
from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS, load_library
from fastlstm.kernel.bindings import Kernel
from fastlstm.kernel.loader import ISAS
from fastlstm.serialization.classifier import GOLDEN, SavedModel

RuntimeRun = Callable[[Sequence[TokenIds]], FloatArray]

TOLERANCE = 1e-5
"""What a runtime in float32 may be off, in a probability."""
ROUNDED_TOLERANCE = 0.05
"""What one with rounded weights or states may be off: it is its own model, whose accuracy counts."""
LENGTHS = (1, 2, 3, 7, 15, 16, 17, 31, 64, 100, 255, 400, 500)
BATCHES = (1, 2, 3, 7, 16, 33, 64)


@dataclass(frozen=True)
class RuntimeComparison:
    """A runtime, and its largest difference from NumPy's probabilities; or why it was not tried."""

    runtime: str
    difference: float = 0.0
    tolerance: float = TOLERANCE
    why_not: str = ""

    @property
    def passes(self) -> bool:
        """Whether it is as near as it must be; a NaN is not. One that is not installed passes."""
        return bool(self.why_not) or self.difference <= self.tolerance


def compare_runtimes(classifier: Classifier, folder: Path | None = None) -> Iterator[RuntimeComparison]:
    """Compares golden texts where the model has a folder, and random ones of many lengths and sizes of batches.

    Args:
        classifier: a model.
        folder: where it lies, with its golden.json.
    """
    if folder is not None and (folder / GOLDEN).is_file():
        yield _golden(classifier, folder)
    batches = _batches(classifier.model)
    exact_of = _numpy(classifier.model)
    expected = [exact_of(batch) for batch in batches]
    for name, make, tolerance in _runtimes(classifier.model):
        try:
            run = make()
        except (FastLSTMError, ImportError, ValueError) as error:
            yield RuntimeComparison(name, why_not=str(error))
            continue
        differences = [
            float(np.abs(run(batch) - exact).max()) for batch, exact in zip(batches, expected, strict=True)
        ]
        yield RuntimeComparison(name, float(np.max(differences)), tolerance)


def _golden(classifier: Classifier, folder: Path) -> RuntimeComparison:
    try:
        golden = json.loads((folder / GOLDEN).read_bytes())
        texts = [entry["text"] for entry in golden]
        expected = np.array([entry["probabilities"] for entry in golden], np.float32)
        difference = float(np.abs(classifier.predict_proba(texts) - expected).max())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptModelError(f"{folder / GOLDEN} can't be read: {error}; write the model anew") from None
    return RuntimeComparison("golden texts", difference)


def _batches(model: SavedModel) -> list[list[TokenIds]]:
    """Random texts: every length at the front of a batch, every size of a batch."""
    generator = np.random.default_rng(0)
    words = model.config.vocabulary_size
    made = []
    for number, longest in enumerate(LENGTHS):
        lengths = generator.integers(1, longest + 1, BATCHES[number % len(BATCHES)])
        lengths[0] = longest
        made.append([generator.integers(0, words, int(n), np.int32) for n in lengths])
    return made


def _network(model: SavedModel) -> Network:
    return Network(model.config, len(model.labels), model.weights, model.temperature, "float32", model.numbers)


def _numpy(model: SavedModel) -> RuntimeRun:
    network = _network(model)
    network.features = NumPyFeatures(model.config, model.weights)
    return network.probabilities


def _runtimes(model: SavedModel) -> Iterator[tuple[str, Callable[[], RuntimeRun], float]]:
    found = find_kernel()
    if found.path is None:
        yield "kernel", partial(_missing, found.why_not or "there is none"), TOLERANCE
    else:
        for kernel in _kernels(found.path):
            for precision in filter(kernel.has, PRECISIONS):
                rounded = precision != "float32"
                name = f"kernel, {kernel.isa}, {precision}" if rounded else f"kernel, {kernel.isa}"
                yield name, partial(_kernel, model, kernel, precision), ROUNDED_TOLERANCE if rounded else TOLERANCE
    yield "PyTorch", lambda: _pytorch(model), TOLERANCE
    yield "ONNX", lambda: _onnx(model, "float32"), TOLERANCE
    yield "ONNX, int8", lambda: _onnx(model, "int8"), ROUNDED_TOLERANCE


def _missing(why: str) -> RuntimeRun:
    raise ValueError(why)


def _kernels(path: Path) -> Iterator[Kernel]:
    """One of each instruction set that the processor has."""
    library = load_library(path)
    for isa in ISAS:
        with contextlib.suppress(ValueError):
            yield Kernel(library, isa)


def _kernel(model: SavedModel, kernel: Kernel, precision: str) -> RuntimeRun:
    network = _network(model)
    network.features = KernelFeatures(model.config, model.weights, kernel, precision)
    return network.probabilities


def _padded(batch: Sequence[TokenIds]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    lengths = np.array([len(ids) for ids in batch])
    ids = np.zeros((len(batch), int(lengths.max()) + 2), np.int64)
    for row, of in zip(ids, batch, strict=True):
        row[: len(of)] = of
    return ids, lengths


def _pytorch(model: SavedModel) -> RuntimeRun:
    if importlib.util.find_spec("torch") is None:
        raise ValueError("PyTorch is not installed")
    import torch

    from fastlstm.convert.pytorch_module import Classifier as Plain
    from fastlstm.convert.to_pytorch import shape_of, state_of

    plain = Plain(dict(shape_of(model)))
    state = {name: torch.from_numpy(np.array(of, np.float32)) for name, of in state_of(model).items()}
    plain.load_state_dict(state)
    wide = _network(model).wide

    def run(batch: Sequence[TokenIds]) -> FloatArray:
        ids, lengths = _padded(batch)
        evidence = None if wide is None else wide(batch)
        with torch.inference_mode():
            result: FloatArray = plain.eval()(
                torch.from_numpy(ids),
                torch.from_numpy(lengths),
                None if evidence is None else torch.from_numpy(evidence),
            ).numpy()
        return result

    return run


def _onnx(model: SavedModel, storage: Any) -> RuntimeRun:
    if importlib.util.find_spec("onnxruntime") is None:
        raise ValueError("onnxruntime is not installed")
    import onnxruntime

    from fastlstm.convert.onnx import onnx_model

    wide = _network(model).wide
    session = onnxruntime.InferenceSession(
        onnx_model(model, storage).SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def run(batch: Sequence[TokenIds]) -> FloatArray:
        ids, lengths = _padded(batch)
        evidence = None if wide is None else wide(batch)
        fed = {"ids": ids, "lengths": lengths, **({} if evidence is None else {"evidence": evidence})}
        result: FloatArray = session.run(None, fed)[0]
        return result

    return run


def as_json(compared: RuntimeComparison) -> dict[str, Any]:
    """As JSON takes it."""
    return {**dataclasses.asdict(compared), "passes": compared.passes}
