"""A PyTorch state dict of an Embedding, LSTMs and a Linear -> what fastlstm makes a classifier of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import ImportedModel, Weights
from fastlstm.errors import DataError, MissingDependencyError

SAFE = 2, 6
"""The first version of PyTorch whose `weights_only` keeps its promise."""
NESTED = ("state_dict", "model_state_dict", "model")
"""Where training loops put the state dict."""
EXPECTED = "expected the state dict of one nn.Embedding, nn.LSTM layers and one nn.Linear"
LSTM = re.compile(r"(.*?)(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
State = dict[str, FloatArray]


def from_pytorch(path: Path, pooling: str) -> ImportedModel:
    """The classifier in a file of `torch.save(model.state_dict(), ...)`, or of safetensors.

    Args:
        path: the file; read without running any code of it.
        pooling: what the model keeps of all steps, which a state dict doesn't say.

    Several LSTMs are read one after another in the order of the state dict, which is that of the module.

    Raises `DataError` for a file that is none, and for layers that have no like here; `MissingDependencyError` for
    a file of `torch.save` without PyTorch.
    """
    state = _checked(_read(path))
    found: dict[tuple[str, int], dict[str, FloatArray]] = {}
    rest: State = {}
    for name, array in state.items():
        if match := LSTM.fullmatch(name):
            prefix, what, layer, reverse = match.groups()
            found.setdefault((prefix, int(layer)), {})[what + (reverse or "")] = array
        else:
            rest[name] = array
    if not found:
        raise DataError(f"{path} has no LSTM among {_some(state)}; {EXPECTED}")
    modules = list(dict.fromkeys(prefix for prefix, _ in found))
    if len(modules) > 1 and path.suffix == ".safetensors":
        raise DataError(
            f"{path} has {len(modules)} LSTMs, and safetensors does not keep their order; save the state dict with "
            "torch.save"
        )
    layers = [_layer(found[key]) for key in sorted(found, key=lambda key: (modules.index(key[0]), key[1]))]
    features = sum(len(one.recurrent[0]) for one in layers[-1]) * (3 if pooling == "concat" else 1)
    embedding, output = _others(rest, len(layers[0][0].input[0]), features, pooling)
    return ImportedModel(
        source="PyTorch",
        embedding=embedding,
        layers=layers,
        pooling=pooling,
        output=output,
        activation="sigmoid" if len(output[1]) == 1 else "softmax",
        masks=False,
    )


def _read(path: Path) -> State:
    if path.suffix == ".safetensors":
        try:
            loaded: Any = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} can't be read as safetensors of float32 or float16 ({error}); {EXPECTED}"
            ) from None
        return dict(loaded)
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("importing a file of torch.save", "PyTorch", "train") from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < SAFE:
        raise DataError(
            f"PyTorch {torch.__version__} may run code of a file (CVE-2025-32434); install 2.6 or later, or save "
            "the state dict with safetensors"
        )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- whatever a damaged file makes of PyTorch's reader
        raise DataError(
            f"{path} is no file of tensors alone ({type(error).__name__}); save it with "
            "torch.save(model.state_dict(), path)"
        ) from None
    for name in NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        raise DataError(f"{path} holds a {type(loaded).__name__}; {EXPECTED}")
    tensors = {str(name): tensor for name, tensor in loaded.items() if isinstance(tensor, torch.Tensor)}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
            raise DataError(f"{name} is {tensor.dtype}, {tensor.layout}; expected plain floating-point numbers")
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def _checked(state: State) -> State:
    for name, array in state.items():
        expected = 1 if re.search(r"bias(_[ih]h_l\d+(_reverse)?)?$", name) else 2
        if array.dtype.kind != "f" or array.ndim != expected or not array.size:
            kind = "a matrix" if expected == 2 else "a vector"
            raise DataError(
                f"{name} is {array.dtype} {list(array.shape)}; expected {kind} of floating-point numbers"
            )
    return {name: np.array(array, np.float32) for name, array in state.items()}


def _layer(of: dict[str, FloatArray]) -> tuple[Weights, ...]:
    if any(name.startswith("weight_hr") for name in of):
        raise DataError(f"an LSTM has projections (proj_size), which have no like here; {EXPECTED}")
    ends = ("", "_reverse") if "weight_ih_reverse" in of else ("",)
    weights = []
    for end in ends:
        try:
            matrix, recurrent = of["weight_ih" + end], of["weight_hh" + end]
        except KeyError as missing:
            raise DataError(f"an LSTM has no {missing.args[0]}; {EXPECTED}") from None
        units = recurrent.shape[1]
        biases = [of[name + end] for name in ("bias_ih", "bias_hh") if name + end in of]
        if any(len(array) != 4 * units for array in (matrix, recurrent, *biases)):
            gru = " (a GRU has 3)" if len(recurrent) == 3 * units else ""
            raise DataError(
                f"an LSTM of {units} units has weights{end} of {len(recurrent)} rows; expected 4 each{gru}"
            )
        weights.append(Weights(matrix, recurrent, sum(biases, np.zeros(4 * units, np.float32))))
    return tuple(weights)


def _others(
    rest: State, inputs: int, features: int, pooling: str
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """The embedding and the output layer: the two other matrices, told apart by what stands beside a bias."""
    matrices = {name: array for name, array in rest.items() if array.ndim == 2}
    linear = [name for name in matrices if re.sub(r"weight$", "bias", name) in rest]
    others = [name for name in matrices if name not in linear]
    if len(linear) != 1 or len(others) != 1 or len(rest) != 3:
        raise DataError(f"besides LSTMs there are {_some(rest)}; {EXPECTED}")
    embedding, weight = matrices[others[0]], matrices[linear[0]]
    if embedding.shape[1] != inputs:
        raise DataError(
            f"{others[0]} has {embedding.shape[1]} columns, and the first LSTM reads {inputs}; {EXPECTED}"
        )
    if weight.shape[1] != features:
        raise DataError(
            f"{linear[0]} reads {weight.shape[1]} features, and pooling {pooling!r} gives {features}; choose "
            "another --pooling"
        )
    return embedding, (weight, rest[re.sub(r"weight$", "bias", linear[0])])


def _some(state: State) -> str:
    names = ", ".join(list(state)[:8])
    return f"{names}, ..." if len(state) > 8 else names or "none"
