"""Read PyTorch state dicts of an embedding, LSTM layers and a linear layer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import ImportedModel, LSTMWeights
from fastlstm.errors import DataError, MissingDependencyError

MIN_TORCH_VERSION = 2, 6
"""Earlier versions may run code of a file in spite of `weights_only` (CVE-2025-32434)."""
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")
"""Keys of checkpoints under which training loops save the state dict."""
EXPECTED = "expected the state dict of one nn.Embedding, nn.LSTM layers and one nn.Linear with bias"
LSTM_PARAMETER = re.compile(r"(.*?)(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
MAX_NAMES_SHOWN = 8

StateDict = dict[str, FloatArray]


def from_pytorch(path: Path, pooling: str) -> ImportedModel:
    """Return the classifier in a file of `torch.save(model.state_dict(), ...)`, or in a safetensors file.

    Several LSTM modules are stacked in the order of the state dict, which is the order of the module's attributes.

    Args:
        path: The file; no code in it is run.
        pooling: How the outputs of all steps are pooled, as in `ModelConfig`; a state dict does not contain it.

    Raises:
        DataError: The file is not a state dict, or has layers that fastlstm does not support.
        MissingDependencyError: The file was written by `torch.save`, and PyTorch is not installed.
    """
    state = _read(path)
    _check_arrays(state)
    parameters: dict[tuple[str, int], StateDict] = {}
    others: StateDict = {}
    for name, array in state.items():
        if match := LSTM_PARAMETER.fullmatch(name):
            prefix, parameter, layer, reverse = match.groups()
            parameters.setdefault((prefix, int(layer)), {})[parameter + (reverse or "")] = array
        else:
            others[name] = array
    if not parameters:
        raise _unsupported_layers(f"{path} has no LSTM; it has {_names(state)}", state)
    modules = list(dict.fromkeys(prefix for prefix, _ in parameters))
    if len(modules) > 1 and path.suffix == ".safetensors":
        raise DataError(
            f"{path} has {len(modules)} LSTM modules, whose order safetensors does not keep; save the state "
            "dict with torch.save",
            code="unordered-layers",
            path=path,
            modules=modules,
        )
    keys = sorted(parameters, key=lambda key: (modules.index(key[0]), key[1]))
    layers = [_lstm_layer(parameters[key]) for key in keys]
    feature_count = sum(len(direction.recurrent[0]) for direction in layers[-1]) * (3 if pooling == "concat" else 1)
    embedding, output = _embedding_and_output(others, len(layers[0][0].input[0]), feature_count, pooling)
    return ImportedModel(
        source="PyTorch",
        embedding=embedding,
        layers=layers,
        pooling=pooling,
        output=output,
        activation="sigmoid" if len(output[1]) == 1 else "softmax",
        masks_padding=False,
    )


def _read(path: Path) -> StateDict:
    if path.suffix == ".safetensors":
        try:
            return dict(safetensors.numpy.load_file(path))
        except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read as a safetensors file of float32 or float16 ({error}); {EXPECTED}",
                code="not-a-state-dict",
                path=path,
            ) from None
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("importing a file of torch.save", "PyTorch", "train") from None
    if tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) < MIN_TORCH_VERSION:
        raise DataError(
            f"PyTorch {torch.__version__} may run code of a file (CVE-2025-32434); install PyTorch 2.6 or later, "
            "or save the state dict with safetensors",
            code="unsafe-pytorch",
            version=torch.__version__,
        )
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 -- a damaged file can raise anything in PyTorch's reader
        raise DataError(
            f"{path} contains more than tensors, or is damaged ({type(error).__name__}); save it with "
            "torch.save(model.state_dict(), path)",
            code="not-a-state-dict",
            path=path,
        ) from None
    for key in STATE_DICT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise DataError(
            f"{path} contains a {type(content).__name__}; {EXPECTED}", code="not-a-state-dict", path=path
        )
    tensors = {str(name): tensor for name, tensor in content.items() if isinstance(tensor, torch.Tensor)}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
            raise DataError(
                f"{name} is a {tensor.layout} tensor of {tensor.dtype}; expected dense floating-point numbers",
                code="bad-weights",
                name=name,
            )
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def _check_arrays(state: StateDict) -> None:
    """Check types and dimensions, and convert to float32 in place."""
    for name, array in state.items():
        dimensions = 1 if re.search(r"bias(_[ih]h_l\d+(_reverse)?)?$", name) else 2
        if array.dtype.kind != "f" or array.ndim != dimensions or not array.size:
            raise DataError(
                f"{name} is {array.dtype} {list(array.shape)}; expected floating-point numbers in {dimensions} "
                f"dimension{'s' if dimensions > 1 else ''}",
                code="bad-weights",
                name=name,
            )
        state[name] = np.array(array, np.float32)


def _lstm_layer(parameters: StateDict) -> tuple[LSTMWeights, ...]:
    """Return the weights of each direction."""
    if any(name.startswith("weight_hr") for name in parameters):
        raise _unsupported_layers("an LSTM has projections (proj_size)", parameters)
    suffixes = ("", "_reverse") if "weight_ih_reverse" in parameters else ("",)
    weights = []
    for suffix in suffixes:
        try:
            matrix, recurrent = parameters["weight_ih" + suffix], parameters["weight_hh" + suffix]
        except KeyError as error:
            raise DataError(
                f"an LSTM has no {error.args[0]}; {EXPECTED}", code="missing-weights", name=error.args[0]
            ) from None
        units = recurrent.shape[1]
        biases = [parameters[name + suffix] for name in ("bias_ih", "bias_hh") if name + suffix in parameters]
        if any(len(array) != 4 * units for array in (matrix, recurrent, *biases)):
            gru = " (3 are a GRU, which is not supported)" if len(recurrent) == 3 * units else ""
            raise DataError(
                f"an LSTM of {units} units has weights{suffix} of {len(recurrent)} rows; expected 4 per unit{gru}",
                code="shape-mismatch",
                name="weight_hh" + suffix,
                expected=4 * units,
            )
        weights.append(LSTMWeights(matrix, recurrent, sum(biases, np.zeros(4 * units, np.float32))))
    return tuple(weights)


def _embedding_and_output(
    others: StateDict, input_size: int, feature_count: int, pooling: str
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Return the embedding and the linear layer: of the two remaining matrices, the linear layer has a bias."""
    matrices = {name: array for name, array in others.items() if array.ndim == 2}
    linear = [name for name in matrices if re.sub(r"weight$", "bias", name) in others]
    embeddings = [name for name in matrices if name not in linear]
    if len(linear) != 1 or len(embeddings) != 1 or len(others) != 3:
        raise _unsupported_layers(f"in addition to LSTM layers, the state dict has {_names(others)}", others)
    embedding, weight = matrices[embeddings[0]], matrices[linear[0]]
    if embedding.shape[1] != input_size:
        raise DataError(
            f"{embeddings[0]} has {embedding.shape[1]} columns, but the first LSTM reads {input_size}; {EXPECTED}",
            code="shape-mismatch",
            name=embeddings[0],
            expected=input_size,
        )
    if weight.shape[1] != feature_count:
        raise DataError(
            f"{linear[0]} reads {weight.shape[1]} features, but pooling {pooling!r} gives {feature_count}; pass "
            "another --pooling",
            code="pooling-mismatch",
            name=linear[0],
            pooling=pooling,
            expected=feature_count,
        )
    return embedding, (weight, others[re.sub(r"weight$", "bias", linear[0])])


def _unsupported_layers(problem: str, state: StateDict) -> DataError:
    return DataError(f"{problem}; {EXPECTED}", code="unsupported-layers", names=list(state))


def _names(state: StateDict) -> str:
    names = ", ".join(list(state)[:MAX_NAMES_SHOWN])
    return f"{names}, ..." if len(state) > MAX_NAMES_SHOWN else names or "nothing"
