"""What an import brings along, wherever it is from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.importing.vocabulary import Words

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """One LSTM layer in one direction: [4H, I], [4H, H] and [4H], gates in the order i, f, g, o."""

    input: FloatArray
    recurrent: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class Cutting:
    """How a model's own layer cuts texts: into which words, of which vocabulary, and how many it keeps."""

    words: Words
    vocabulary: list[str]
    max_tokens: int | None


@dataclass(frozen=True)
class Imported:
    """A classifier's layers.

    Attributes:
        source: "Keras" or "PyTorch".
        embedding: [words, embedding size].
        layers: each of one direction, or of both, forward first.
        pooling: as `ModelConfig` spells it.
        output: [logits, features], and [logits].
        activation: "sigmoid" or "softmax".
        masks: whether padding is passed over, and not read.
        length: tokens that the model takes, where it says so.
        cutting: how the model cuts texts, where it does so itself.
    """

    source: str
    embedding: FloatArray
    layers: list[tuple[Weights, ...]]
    pooling: str
    output: tuple[FloatArray, FloatArray]
    activation: str
    masks: bool
    length: int | None = None
    cutting: Cutting | None = None
