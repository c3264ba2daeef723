"""Read PyTorch state dicts of an embedding, LSTM layers and a linear layer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from fastlstm._typing import FloatArray
from fastlstm.convert.classifier import DenseWeights, ImportedModel, LSTMWeights
from fastlstm.errors import DataError, MissingDependencyError, OptionError, suggest

MIN_TORCH_VERSION = 2, 6
"""Earlier versions may run code of a file in spite of `weights_only` (CVE-2025-32434)."""
MAX_DEPTH = 8
"""How deep inside a checkpoint its state dict is searched."""
EXPECTED = "expected the state dict of one nn.Embedding, nn.LSTM layers and nn.Linear layers with bias"
LSTM_PARAMETER = re.compile(r"(.*?)(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?")
MAX_NAMES_SHOWN = 8
MAX_LINEAR_LAYERS = 6
"""Maximum number of linear layers in a safetensors file, whose order is found by their shapes."""

StateDict = dict[str, FloatArray]


def from_pytorch(
    path: Path, pooling: str, *, activation: str | None = None, state_dict: str | None = None
) -> ImportedModel:
    """Return the classifier in a file of `torch.save(model.state_dict(), ...)`, or in a safetensors file.

    Several LSTM modules are stacked in the order of the state dict, which is the order of the module's attributes.

    Args:
        path: The file; no code in it is run.
        pooling: How the outputs of all steps are pooled, as in `ModelConfig`; a state dict does not contain it.
        activation: Activation between linear layers, as in `ModelConfig`; needed if there are several.
        state_dict: Key of the state dict in a checkpoint, such as "ema.model"; needed if there are several.

    Raises:
        DataError: The file is not a state dict, or has layers that fastlstm does not support.
        OptionError: There are several linear layers and no `activation`.
        MissingDependencyError: The file was written by `torch.save`, and PyTorch is not installed.
    """
    state = _read(path, state_dict)
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
    is_ordered = path.suffix != ".safetensors"
    embedding, linear = _embedding_and_linear(
        others, len(layers[0][0].input[0]), feature_count, pooling, is_ordered
    )
    *dense, output = linear
    if dense and activation is None:
        raise OptionError(
            f"the state dict has {len(linear)} linear layers, but does not contain the activation between them; pass "
            "--activation, such as relu",
            code="missing-activation",
            layers=len(linear),
        )
    return ImportedModel(
        source="PyTorch",
        embedding=embedding,
        layers=layers,
        pooling="last" if len(layers[-1]) == 1 and pooling == "last-step" else pooling,
        dense=[DenseWeights(weight, bias, activation or "linear") for weight, bias in dense],
        output=output,
        activation="sigmoid" if len(output[1]) == 1 else "softmax",
        masks_padding=False,
    )


def _read(path: Path, key: str | None) -> StateDict:
    if path.suffix == ".safetensors":
        try:
            arrays = safetensors.numpy.load_file(path)
            return {name: array for name, array in arrays.items() if array.dtype.kind not in "iub"}
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
    tensors = _find_state_dict(path, content, key, torch.Tensor)
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta:
            raise DataError(
                f"{name} is a {tensor.layout} tensor of {tensor.dtype}; expected dense floating-point numbers",
                code="bad-weights",
                name=name,
            )
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}


def _find_state_dict(path: Path, content: Any, key: str | None, tensor_type: type) -> dict[str, Any]:
    """Return the tensors of a state dict in a checkpoint, without buffers of integers.

    It is the one at `key`, or the only one with an LSTM, at any depth; if there is none, the outermost one.
    """
    candidates = dict(_tensor_mappings(content, "", tensor_type))
    if key is not None:
        if key not in candidates:
            raise DataError(
                f"{path} has no state dict {key!r}; {suggest(key, candidates)}",
                code="unknown-state-dict",
                path=path,
                keys=list(candidates),
            )
        candidates = {key: candidates[key]}
    lstms = {name: value for name, value in candidates.items() if any(map(LSTM_PARAMETER.fullmatch, value))}
    if len(lstms) > 1:
        raise DataError(
            f"{path} has several state dicts with an LSTM: {', '.join(lstms)}; pass `state_dict` with one of them",
            code="ambiguous-state-dict",
            path=path,
            keys=list(lstms),
        )
    if not candidates:
        raise DataError(
            f"{path} contains a {type(content).__name__} without tensors; {EXPECTED}",
            code="not-a-state-dict",
            path=path,
        )
    chosen = next(iter((lstms or candidates).values()))
    return {name: tensor for name, tensor in chosen.items() if tensor.is_floating_point() or tensor.is_complex()}


def _tensor_mappings(
    content: Any, key: str, tensor_type: type, depth: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield all mappings of names to tensors inside a checkpoint, outermost first, with their keys."""
    if not isinstance(content, Mapping) or depth > MAX_DEPTH:
        return
    tensors = {str(name): value for name, value in content.items() if isinstance(value, tensor_type)}
    if tensors:
        yield key, tensors
    for name, value in content.items():
        yield from _tensor_mappings(value, f"{key}.{name}" if key else str(name), tensor_type, depth + 1)


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


def _embedding_and_linear(
    others: StateDict, input_size: int, feature_count: int, pooling: str, is_ordered: bool
) -> tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]:
    """Return the embedding and the linear layers, in their order: of the remaining matrices, these have a bias."""
    matrices = {name: array for name, array in others.items() if array.ndim == 2}
    linear = [name for name in matrices if _bias_name(name) in others]
    embeddings = [name for name in matrices if name not in linear]
    if not linear or len(embeddings) != 1 or len(others) != 1 + 2 * len(linear):
        raise _unsupported_layers(f"in addition to LSTM layers, the state dict has {_names(others)}", others)
    embedding = matrices[embeddings[0]]
    if embedding.shape[1] != input_size:
        raise DataError(
            f"{embeddings[0]} has {embedding.shape[1]} columns, but the first LSTM reads {input_size}; {EXPECTED}",
            code="shape-mismatch",
            name=embeddings[0],
            expected=input_size,
        )
    chain = linear if is_ordered else _by_shape(linear, matrices, feature_count)
    size = feature_count
    for number, name in enumerate(chain):
        if matrices[name].shape[1] != size and number == 0:
            raise DataError(
                f"{name} reads {matrices[name].shape[1]} features, but pooling {pooling!r} gives {size}; pass another "
                "--pooling",
                code="pooling-mismatch",
                name=name,
                pooling=pooling,
                expected=size,
            )
        if matrices[name].shape[1] != size:
            raise DataError(
                f"{name} reads {matrices[name].shape[1]} values, but the linear layer before it returns {size}; "
                "expected linear layers in the order in which they are called",
                code="shape-mismatch",
                name=name,
                expected=size,
            )
        size = len(matrices[name])
    return embedding, [(matrices[name], others[_bias_name(name)]) for name in chain]


def _bias_name(weight: str) -> str:
    return re.sub(r"weight$", "bias", weight)


def _by_shape(names: list[str], matrices: StateDict, feature_count: int) -> list[str]:
    """Return linear layers in the only order in which each reads what the one before it returns."""
    orders = [
        order
        for order in itertools.permutations(names[:MAX_LINEAR_LAYERS])
        if all(
            matrices[name].shape[1] == size
            for name, size in zip(order, [feature_count, *(len(matrices[name]) for name in order)], strict=False)
        )
    ]
    if len(names) > MAX_LINEAR_LAYERS or len(orders) > 1:
        raise DataError(
            f"the file has {len(names)} linear layers, whose order safetensors does not keep; save the state dict with "
            "torch.save",
            code="unordered-layers",
            modules=names,
        )
    return list(orders[0]) if orders else names


def _unsupported_layers(problem: str, state: StateDict) -> DataError:
    return DataError(f"{problem}; {EXPECTED}", code="unsupported-layers", names=list(state))


def _names(state: StateDict) -> str:
    names = ", ".join(list(state)[:MAX_NAMES_SHOWN])
    return f"{names}, ..." if len(state) > MAX_NAMES_SHOWN else names or "nothing"
