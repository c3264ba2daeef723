"""Gates, cells and hidden states of every layer, token and unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.errors import OptionError
from fastlstm.inference.explain.layers import Layers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GATE_NAMES = ("input", "forget", "output", "candidate", "cell", "hidden")
"""The arrays of `LayerGates`, in the order of plots."""


@dataclass(frozen=True)
class LayerGates:
    """One layer in one direction. All arrays are float32 [tokens, units], in the order of the text.

    cell = forget * (previous cell) + input * candidate, and hidden = output * tanh(cell).

    Attributes:
        layer: Index of the layer, from 0.
        direction: "forward" or "backward".
        input, forget, output: Gates, 0..1.
        candidate: -1..1.
        cell: The cell state.
        hidden: The hidden state, -1..1.
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
    """The gates of a text.

    Attributes:
        tokens: The tokens that the LSTM reads.
        layers: One entry per layer and direction, in computation order.
    """

    tokens: tuple[str, ...]
    layers: tuple[LayerGates, ...]

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"layer {layer.layer} {layer.direction}: {layer.hidden.shape[1]} units" for layer in self.layers
        )
        return f"Gates({len(self.tokens)} tokens; {sizes})"

    def plot(self, layer: int = -1, *, units: int = 24) -> Figure:
        """Plot heat maps of one entry of `layers`, for the `units` units with the largest hidden states.

        Raises:
            OptionError: `layer` is out of range.
            MissingDependencyError: The extra `plot` is not installed.
        """
        from fastlstm import plots

        if not -len(self.layers) <= layer < len(self.layers):
            raise OptionError(
                f"layer is {layer}; expected 0 to {len(self.layers) - 1}",
                code="bad-option-value",
                option="layer",
                value=layer,
                layers=len(self.layers),
            )
        chosen = self.layers[layer]
        shown = np.sort(np.argsort(-np.abs(chosen.hidden).max(axis=0), kind="stable")[:units])
        return plots.gates(
            self.tokens,
            {name: getattr(chosen, name)[:, shown] for name in GATE_NAMES},
            [int(unit) for unit in shown],
            f"layer {chosen.layer}, {chosen.direction}",
        )


def compute_gates(layers: Layers, ids: TokenIds, tokens: tuple[str, ...]) -> Gates:
    """Return the gates of one text, given its token ids and tokens."""
    vectors = layers.embed(ids)
    passes = layers.forward([direction.project(vectors) for direction in layers.first], 1)
    entries = []
    for layer_pass in (layer_pass for layer in passes for layer_pass in layer):
        spec, activations = layer_pass.spec, layer_pass.activations
        size = spec.hidden_size
        i, f, g, o = (np.ascontiguousarray(activations.gates[:, gate, :size], np.float32) for gate in range(4))
        cell = np.ascontiguousarray(activations.cells[:, :size], np.float32)
        direction = "backward" if spec.reverse else "forward"
        entries.append(LayerGates(spec.layer, direction, i, f, g, o, cell, layer_pass.outputs))
    return Gates(tokens, tuple(entries))
