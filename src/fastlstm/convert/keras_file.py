"""Read the layers and weights in a .keras or .h5 file, without Keras, in a child process.

HDF5's reader may crash or never end on a damaged file. A child process reads it and writes one safetensors file to
standard output: the arrays, and the layers as JSON in its metadata.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from fastlstm._typing import FloatArray
from fastlstm.errors import DataError, MissingDependencyError

Arrays = list[FloatArray]
MODEL_KINDS = ("Sequential", "Functional", "Model")
"""Class names of models, which may be layers of other models."""
GROUP_ORDER = ("forward_layer", "backward_layer", "cell", "vars")
"""The groups inside a layer's group, in the order in which their arrays are read."""
LAYER_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Names of the group that contains the groups of all layers, now and in the first versions of the format."""
PARAMETER_ORDER = ("embeddings", "kernel", "recurrent_kernel", "bias")
"""Names of the arrays of a layer, in the order in which they are returned."""
KERAS_MODULES = ("keras", "tf_keras", "tensorflow")
MAX_COMPRESSION_RATIO = 200
"""A file that unpacks to more than this many times its size is rejected."""
READ_SECONDS = 60.0
"""Time to read a file, plus one second for each `BYTES_PER_SECOND`."""
BYTES_PER_SECOND = 10 << 20
CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from fastlstm.convert.keras_file import main; main()"
)
"""The child's program. It imports from the same places as its parent, and nothing from the current folder."""


@dataclass(frozen=True)
class Layer:
    """One layer of a saved model.

    Attributes:
        kind: Class name, such as "LSTM".
        name: Name within the model.
        config: The layer's options.
        inputs: The layers that it reads, as (name, index of the output); None in a Sequential model.
        arguments: Other arguments of its call: numbers, strings, and the name of the layer that returns the mask.
        arrays: Weights in Keras' order.
        vocabulary: Words of a TextVectorization layer; None if the file has none.
        layers: The layers of a model that is a layer.
        outputs: The outputs of such a model, like `inputs`.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[tuple[str, int], ...] | None
    arguments: Mapping[str, Any]
    arrays: Arrays
    vocabulary: list[str] | None
    layers: tuple[Layer, ...] = ()
    outputs: tuple[tuple[str, int], ...] | None = None


@dataclass(frozen=True)
class KerasModel:
    """The whole model as a layer, and the loss that it was compiled with, as Keras serializes it."""

    model: Layer
    loss: Any


def read_model(path: Path, *, seconds: float = READ_SECONDS) -> KerasModel:
    """Return the layers of a Sequential or Functional model, read in a child process.

    Raises:
        DataError: The file is not a Keras model, refers to data outside of the file, or cannot be read in time.
        MissingDependencyError: h5py is not installed.
    """
    seconds += path.stat().st_size / BYTES_PER_SECOND
    command = [sys.executable, "-c", CHILD, json.dumps(sys.path), str(path)]
    try:
        process = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise DataError(
            f"reading {path} took more than {seconds:.0f} seconds; the file is probably damaged, save the model again",
            code="reading-timed-out",
            path=path,
            seconds=seconds,
        ) from None
    try:
        arrays = safetensors.numpy.load(process.stdout)
        size = int.from_bytes(process.stdout[:8], "little")
        content = json.loads(json.loads(process.stdout[8 : 8 + size])["__metadata__"]["content"])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError):
        raise _not_a_model(path, f"the reader ended with status {process.returncode}") from None
    if "missing_dependency" in content:
        raise MissingDependencyError("importing from Keras", "h5py", "keras")
    if "error" in content:
        error = content["error"]
        raise DataError(error["message"], code=error["code"], **{**error["values"], "path": path})
    return KerasModel(_from_json(content["model"], arrays), content["loss"])


def _not_a_model(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} cannot be read as a Keras model ({reason}); expected a file written by model.save('model.keras') or "
        "model.save('model.h5')",
        code="not-a-keras-model",
        path=path,
    )


def _from_json(fields: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> Layer:
    outputs = [None if value is None else tuple((name, index) for name, index in value)
               for value in (fields["inputs"], fields["outputs"])]  # fmt: skip
    return Layer(
        kind=fields["kind"],
        name=fields["name"],
        config=fields["config"],
        inputs=outputs[0],
        arguments=fields["arguments"],
        arrays=[arrays[name] for name in fields["arrays"]],
        vocabulary=fields["vocabulary"],
        layers=tuple(_from_json(layer, arrays) for layer in fields["layers"]),
        outputs=outputs[1],
    )


def main() -> None:
    """Read the file that the second argument names, in the child process."""
    path = Path(sys.argv[2])
    arrays: dict[str, FloatArray] = {}
    try:
        content = _content(path, arrays)
    except ImportError:
        content = {"missing_dependency": True}
    except DataError as error:
        content = {"error": _error_json(error)}
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, RecursionError, MemoryError,
            NotImplementedError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:  # fmt: skip
        content = {"error": _error_json(_not_a_model(path, repr(error)))}
    if "error" in content:
        arrays = {}
    sys.stdout.buffer.write(safetensors.numpy.save(arrays, metadata={"content": json.dumps(content)}))


def _error_json(error: DataError) -> dict[str, Any]:
    values = {name: value for name, value in error.values.items() if not isinstance(value, Path)}
    return {"message": str(error), "code": error.code, "values": values}


def _content(path: Path, arrays: dict[str, FloatArray]) -> dict[str, Any]:
    """Return the model and its loss as JSON, and put the weights into `arrays`."""
    import h5py

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_unpacked_sizes(archive)
            config = json.loads(archive.read("config.json"))
            with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as weights:
                reader = ArchiveReader(arrays, _vocabularies(archive))
                model = reader.model(config, weights, "")
        return {"model": model, "loss": (config.get("compile_config") or {}).get("loss")}
    with h5py.File(path, "r") as weights:
        if "model_config" not in weights.attrs:
            raise DataError(
                f"{path} contains weights but no layers; save the whole model: model.save('model.keras')",
                code="weights-only",
                path=path,
            )
        config = json.loads(weights.attrs["model_config"])
        compiled = json.loads(weights.attrs.get("training_config", "null")) or {}
        return {"model": H5Reader(arrays, weights).model(config), "loss": compiled.get("loss")}


def class_name(entry: Mapping[str, Any]) -> str:
    """Return the name of a serialized object's class, with its module as a prefix if it is not Keras' own."""
    registered = entry.get("registered_name") or ""
    module = str(entry.get("module") or "keras").split(".")[0]
    if module in KERAS_MODULES and (">" not in registered or registered.startswith("keras")):
        return str(entry["class_name"])
    return f"{registered or module}.{entry['class_name']}"


def _layer_json(entry: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """Return one layer as JSON."""
    nodes = entry.get("inbound_nodes")
    inputs, arguments = (None, {}) if nodes is None else _call(nodes)
    config = entry["config"]
    return {
        "kind": class_name(entry),
        "name": config["name"],
        "config": {} if "layers" in config else config,
        "inputs": inputs,
        "arguments": arguments,
        "arrays": [],
        "vocabulary": None,
        "layers": [],
        "outputs": None if "output_layers" not in config else list(_references(config["output_layers"])),
        **fields,
    }


def _call(nodes: Any) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Return the inputs of a layer in all its calls, and its other arguments; `mask` is the name of a layer."""
    arguments: dict[str, Any] = {"calls": len(nodes)} if isinstance(nodes, list) and len(nodes) > 1 else {}
    inputs = list(_references(nodes))
    for values in _keyword_arguments(nodes):
        arguments |= {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}
        mask = list(_references(values.get("mask"))) if isinstance(values.get("mask"), dict) else []
        if len(mask) == 1:
            inputs.remove(mask[0])
            arguments["mask"] = mask[0][0]
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict) and isinstance(node.get("args"), list):
            arguments |= {
                f"argument {n}": value for n, value in enumerate(node["args"]) if type(value) in (int, float)
            }
    return inputs, arguments


def _keyword_arguments(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the keyword arguments of the calls: `kwargs` in Keras 3, the fourth part of a reference in Keras 2."""
    if isinstance(value, dict):
        if isinstance(value.get("kwargs"), dict):
            yield value["kwargs"]
    elif isinstance(value, list):
        if _is_reference(value) and len(value) > 3 and isinstance(value[3], dict):
            yield value[3]
        else:
            for part in value:
                yield from _keyword_arguments(part)


def _references(value: Any) -> Iterator[tuple[str, int]]:
    """Yield the tensors in `inbound_nodes` or `output_layers`: (layer, index of its output)."""
    if isinstance(value, dict):
        if "keras_history" in value:
            name, _, index = value["keras_history"]
            yield str(name), int(index)
        else:
            for part in value.values():
                yield from _references(part)
    elif isinstance(value, list):
        if _is_reference(value):
            yield value[0], value[2]
            value = value[3:]
        for part in value:
            yield from _references(part)


def _is_reference(value: list[Any]) -> bool:
    return len(value) > 2 and isinstance(value[0], str) and type(value[1]) is int and type(value[2]) is int


def _snake_case(kind: str) -> str:
    """Convert a class name as Keras does for group names: global_max_pooling1d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


class ArchiveReader:
    """Reads .keras archives: groups are named by kind and number; newer versions add the layer's name."""

    def __init__(self, arrays: dict[str, FloatArray], vocabularies: Mapping[str, list[str]]) -> None:
        self._arrays, self._vocabularies = arrays, vocabularies

    def model(self, entry: Mapping[str, Any], group: Any, path: str) -> dict[str, Any]:
        """Return a model with its layers, whose weights are in the HDF5 `group`, at `path` in the archive."""
        counts = Counter[str]()
        container, groups, by_name = self._groups(group)
        layers = []
        for layer in entry["config"]["layers"]:
            kind = _snake_case(layer["class_name"])
            group_name = f"{kind}_{counts[kind]}" if counts[kind] else kind
            counts[kind] += 1
            group_name = by_name.get(layer["config"]["name"], group_name)
            layer_group = None if groups is None else groups.get(group_name)
            layer_path = f"{path}{container}/{group_name}"
            if layer["class_name"] in MODEL_KINDS:
                layers.append(self.model(layer, layer_group, f"{layer_path}/"))
            else:
                names = [] if layer_group is None else self._collect(layer_group, layer_path)
                vocabulary = self._vocabularies.get(layer_path)
                layers.append(_layer_json(layer, arrays=names, vocabulary=vocabulary))
        return _layer_json(entry, layers=layers)

    def _groups(self, group: Any) -> tuple[str, Any, dict[str, str]]:
        """Return name and content of the group of the layers' groups, and the names of these by layer name."""
        container = next((name for name in LAYER_CONTAINERS if group is not None and name in group), None)
        if container is None:
            return LAYER_CONTAINERS[0], None, {}
        groups = group[container]
        named = {
            name: part["vars"].attrs["name"]
            for name, part in groups.items()
            if "vars" in part and "name" in part["vars"].attrs
        }
        return container, groups, {layer_name: name for name, layer_name in named.items()}

    def _collect(self, group: Any, path: str) -> list[str]:
        names: list[str] = []
        for part in GROUP_ORDER:
            if part == "vars" and part in group:
                for number in sorted(group[part], key=int):
                    name = f"{path}/{part}/{number}"
                    self._arrays[name] = _array(group, f"{part}/{number}")
                    names.append(name)
            elif part in group:
                names += self._collect(group[part], f"{path}/{part}")
        return names


class H5Reader:
    """Reads .h5 files of Keras 2 and 3, in which each layer of the outer model lists its arrays."""

    def __init__(self, arrays: dict[str, FloatArray], weights: Any) -> None:
        self._arrays, self._groups = arrays, weights["model_weights"]

    def model(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outer model."""
        layers = []
        for layer in entry["config"]["layers"]:
            group = self._groups.get(layer["config"]["name"])
            paths = [] if group is None else [_text(path) for path in group.attrs["weight_names"]]
            layers.append(self._layer(layer, group, paths))
        return _layer_json(entry, layers=layers)

    def _layer(self, entry: Mapping[str, Any], group: Any, paths: list[str]) -> dict[str, Any]:
        """Return a layer, or a model, whose arrays are at `paths` of `group`."""
        if entry["class_name"] in MODEL_KINDS:
            inner = entry["config"]["layers"]
            parts = self._divide(entry["config"]["name"], [set(_names(layer)) for layer in inner], paths)
            layers = [self._layer(layer, group, part) for layer, part in zip(inner, parts, strict=True)]
            return _layer_json(entry, layers=layers)
        names = []
        for path in sorted(paths, key=_parameter_rank):
            name = f"{group.name}/{path}"
            self._arrays[name] = _array(group, path)
            names.append(name)
        return _layer_json(entry, arrays=names)

    def _divide(self, model: str, layers: list[set[str]], paths: list[str]) -> list[list[str]]:
        """Divide the arrays of an inner model among its layers: the arrays' names contain a name of their layer."""
        parts: list[list[str]] = [[] for _ in layers]
        for path in paths:
            matches = [number for number, names in enumerate(layers) if names & set(path.split("/"))]
            if len(matches) != 1:
                raise DataError(
                    f"{model} has the array {path}, which does not name one of its layers; save the model as .keras",
                    code="missing-weights",
                    layer=model,
                    name=path,
                )
            parts[matches[0]].append(path)
        return parts


def _names(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of a layer, and those of the layers in it."""
    yield entry["config"]["name"]
    for layer in entry["config"].get("layers", ()):
        yield from _names(layer)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _parameter_rank(path: str) -> tuple[bool, int]:
    """Return the place of an array within its layer: arrays of frozen parts are listed last in the file."""
    *parents, name = path.split("/")
    name = name.split(":")[0]
    rank = PARAMETER_ORDER.index(name) if name in PARAMETER_ORDER else len(PARAMETER_ORDER)
    directions = [parent for parent in parents if parent.startswith(("forward_", "backward_"))]
    return bool(directions) and directions[-1].startswith("backward_"), rank


def _array(group: Any, path: str) -> FloatArray:
    """Return the array at `path`; reject links and storage outside of the file, which HDF5 would follow."""
    import h5py

    node = group
    for step in path.split("/"):
        if not isinstance(node.get(step, getlink=True), h5py.HardLink):
            raise DataError(
                f"{path} is a link to data elsewhere; expected a file that contains its weights",
                code="external-weights",
                name=path,
            )
        node = node[step]
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual or node.dtype.kind != "f":
        raise DataError(
            f"{path} is not an array of floating-point numbers stored in the file; expected the weights of a layer",
            code="bad-weights",
            name=path,
        )
    if node.nbytes > max(MAX_COMPRESSION_RATIO * node.id.get_storage_size(), 1024):
        raise DataError(
            f"{path} declares {node.nbytes} bytes, but the file stores too few; save the model again",
            code="too-large-unpacked",
            name=path,
            bytes=node.nbytes,
        )
    return np.array(node, np.float32)


def _check_unpacked_sizes(archive: zipfile.ZipFile) -> None:
    for entry in archive.infolist():
        if entry.file_size > max(MAX_COMPRESSION_RATIO * entry.compress_size, 1 << 20):
            raise DataError(
                f"{entry.filename} unpacks to {entry.file_size} bytes from {entry.compress_size}; expected at most "
                f"{MAX_COMPRESSION_RATIO} times as many, save the model again",
                code="too-large-unpacked",
                name=entry.filename,
                bytes=entry.file_size,
            )


def _vocabularies(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Return the words of each TextVectorization by the path of its layer. Windows writes CR LF."""
    vocabularies = {}
    for file in archive.namelist():
        if match := re.fullmatch(r"assets/(.+)/vocabulary\.txt", file):
            try:
                content = archive.read(file).decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{file} is not UTF-8 ({error}); save the model again on a system whose encoding is UTF-8",
                    code="unreadable-file",
                    source=file,
                ) from None
            vocabularies[match[1]] = content.replace("\r\n", "\n").split("\n")
    return vocabularies
