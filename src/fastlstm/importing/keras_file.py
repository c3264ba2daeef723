"""A Keras model's file, `.keras` or `.h5`: its layers' configurations, their arrays, and vocabularies."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError, MissingDependencyError

Arrays = list[npt.NDArray[np.float32]]
PARTS = ("forward_layer", "backward_layer", "cell", "vars")
"""In the order in which a layer's arrays are wanted."""
MOST_TIMES = 200
"""How many times what comes out may be larger than what is packed."""


@dataclass(frozen=True)
class Layer:
    """One layer: what it is, what it was told, the layers it reads from (None: the one before), and its arrays."""

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: frozenset[str] | None
    arrays: Arrays
    vocabulary: list[str] | None


def read_layers(path: Path) -> list[Layer]:
    """The layers of a Sequential or Functional model, in their order.

    Raises `DataError` for a file that is none, `MissingDependencyError` without h5py.
    """
    try:
        import h5py
    except ImportError:
        raise MissingDependencyError("importing from Keras", "h5py", "keras") from None
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as folder:
                _check_sizes(folder)
                config = json.loads(folder.read("config.json"))
                with h5py.File(io.BytesIO(folder.read("model.weights.h5")), "r") as weights:
                    return _layers(config, _of_archive(weights), _vocabularies(folder))
        with h5py.File(path, "r") as weights:
            if "model_config" not in weights.attrs:
                raise DataError(f"{path} holds weights alone; save the whole model: model.save('model.keras')")
            return _layers(json.loads(weights.attrs["model_config"]), _of_legacy(weights), {})
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} can't be read as a Keras model ({error!r}); expected what model.save('model.keras') or "
            "model.save('model.h5') writes"
        ) from None


def _layers(config: Any, arrays: Any, vocabularies: Mapping[str, list[str]]) -> list[Layer]:
    layers = []
    counts = Counter[str]()
    for entry in config["config"]["layers"]:
        kind, told = entry["class_name"], entry["config"]
        name = told["name"]
        plain = _snake(kind)
        counted = f"{plain}_{counts[plain]}" if counts[plain] else plain
        counts[plain] += 1
        nodes = entry.get("inbound_nodes")
        layers.append(Layer(kind, name, told, _inputs(nodes), arrays(name, counted), vocabularies.get(counted)))
    names = {layer.name for layer in layers}
    return [
        layer if layer.inputs is None else Layer(**{**vars(layer), "inputs": layer.inputs & names})
        for layer in layers
    ]


def _snake(kind: str) -> str:
    """As Keras names what it keeps of a layer: global_max_pooling1d."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


def _inputs(nodes: object) -> frozenset[str] | None:
    """All strings there are in it, layers' names among them."""
    if nodes is None:
        return None
    if isinstance(nodes, str):
        return frozenset((nodes,))
    parts = nodes.values() if isinstance(nodes, dict) else nodes if isinstance(nodes, list) else ()
    return frozenset().union(*(_inputs(part) or () for part in parts))


def _of_archive(weights: Any) -> Any:
    """Keras 3: groups named by kind and number, in which newer versions note the layer's name."""
    groups = weights["layers"] if "layers" in weights else weights["_layer_checkpoint_dependencies"]
    noted = {group["vars"].attrs["name"]: group for group in groups.values() if "name" in group["vars"].attrs}

    def arrays(name: str, counted: str) -> Arrays:
        group = noted.get(name, groups.get(counted))
        return [] if group is None else _collected(group)

    return arrays


def _collected(group: Any) -> Arrays:
    found: Arrays = []
    for part in PARTS:
        if part == "vars" and part in group:
            found += [_array(group, f"{part}/{number}") for number in sorted(group[part], key=int)]
        elif part in group:
            found += _collected(group[part])
    return found


def _array(group: Any, path: str) -> npt.NDArray[np.float32]:
    """The array there. A file may name others as the place of its numbers: such a one is refused."""
    import h5py

    within = group
    for step in path.split("/"):
        if not isinstance(within.get(step, getlink=True), h5py.HardLink):
            raise DataError(f"{path} lies in another file; expected a model that holds its weights itself")
        within = within[step]
    if not isinstance(within, h5py.Dataset) or within.external or within.is_virtual or within.dtype.kind != "f":
        raise DataError(f"{path} is no array of numbers that lies in the file; expected a layer's weights")
    if within.nbytes > max(MOST_TIMES * within.id.get_storage_size(), 1024):
        raise DataError(f"{path} would be {within.nbytes} bytes, of which the file holds too few; it is damaged")
    return np.array(within, np.float32)


def _check_sizes(folder: zipfile.ZipFile) -> None:
    for entry in folder.infolist():
        if entry.file_size > max(MOST_TIMES * entry.compress_size, 1 << 20):
            raise DataError(f"{entry.filename} would be {entry.file_size} bytes, and is packed into too few")


def _of_legacy(weights: Any) -> Any:
    """`.h5` of Keras 2 and 3: each layer lists its arrays."""

    def arrays(name: str, counted: str) -> Arrays:  # noqa: ARG001 -- layers are found by name here
        group = weights["model_weights"].get(name)
        names = [] if group is None else group.attrs["weight_names"]
        return [_array(group, of.decode() if isinstance(of, bytes) else str(of)) for of in names]

    return arrays


def _vocabularies(folder: zipfile.ZipFile) -> dict[str, list[str]]:
    found = {}
    for file in folder.namelist():
        if match := re.fullmatch(r"assets/layers/([^/]+)/vocabulary\.txt", file):
            found[match[1]] = folder.read(file).decode().split("\n")
    return found
