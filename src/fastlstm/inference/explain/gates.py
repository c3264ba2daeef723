"""What every unit did at every token: gates, cells and states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray
from fastlstm.errors import OptionError
from fastlstm.inference.explain.layers import Layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class LayerGates:
    """One layer in one direction; every array float32 [tokens, units], token by token as they stand in the text.

    `layer` counts from 0; `direction` is "forward" or "backward". c = forget * (c before) + input * candidate,
    hidden = output * tanh(c): `input`, `forget` and `output` lie in 0..1, `candidate` and `hidden` in -1..1.
    """

    layer: int
    direction: str
    input: FloatArray
    forget: FloatArray
    candidate: FloatArray
    output: FloatArray
    cell: FloatArray
    hidden: FloatArray


@dataclass(frozen=True)
class Gates:
    """`tokens` that the LSTM reads, and what each layer and direction did at them, in reading order."""

    tokens: tuple[str, ...]
    layers: tuple[LayerGates, ...]

    def __repr__(self) -> str:
        sizes = ", ".join(f"layer {of.layer} {of.direction}: {of.hidden.shape[1]} units" for of in self.layers)
        return f"Gates({len(self.tokens)} tokens; {sizes})"

    def plot(self, layer: int = -1, *, units: int = 24) -> Figure:
        """Heat maps of one of `layers` over the tokens: gates, cells and states of the `units` most active units.

        Raises:
            OptionError: there is no such layer.
            MissingDependencyError: without the extra `plot`.
        """
        from fastlstm import plots

        if not -len(self.layers) <= layer < len(self.layers):
            raise OptionError(f"layer is {layer}; the model has {len(self.layers)}, counted from 0")
        of = self.layers[layer]
        shown = np.sort(np.argsort(-np.abs(of.hidden).max(axis=0), kind="stable")[:units])
        names = ("input", "forget", "output", "candidate", "cell", "hidden")
        return plots.gates(
            self.tokens,
            {name: getattr(of, name)[:, shown] for name in names},
            [int(unit) for unit in shown],
            f"layer {of.layer}, {of.direction}",
        )


def gates_of(layers: Layers, ids: npt.NDArray[np.int32], tokens: tuple[str, ...]) -> Gates:
    """Those of one text's tokens."""
    words = layers.words(ids)
    done = layers.forward([direction.project(words) for direction in layers.first], 1)
    found = []
    for one in (one for layer in done for one in layer):
        size = one.of.hidden_size
        i, f, g, o = (np.ascontiguousarray(one.kept.gates[:, gate, :size], np.float32) for gate in range(4))
        cell = np.ascontiguousarray(one.kept.cells[:, :size], np.float32)
        direction = "backward" if one.of.reverse else "forward"
        found.append(LayerGates(one.of.layer, direction, i, f, g, o, cell, one.outputs))
    return Gates(tokens, tuple(found))
