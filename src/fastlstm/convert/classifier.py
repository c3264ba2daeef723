"""What was imported, and the words behind it -> a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.convert.vocabulary import TokenizationRule, Vocabulary, make_tokenizer, ordered_words
from fastlstm.errors import DataError, OptionError
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import PADDING_ID


@dataclass(frozen=True)
class Weights:
    """One LSTM layer in one direction: [4H, I], [4H, H] and [4H], gates in the order i, f, g, o."""

    input: FloatArray
    recurrent: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class InputOptions:
    """How a model's own layer cuts texts: into which words, of which vocabulary, and how many it keeps."""

    words: TokenizationRule
    vocabulary: list[str]
    max_tokens: int | None


@dataclass(frozen=True)
class ImportedModel:
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
    cutting: InputOptions | None = None


MAX_TOKENS = 500
"""Where neither the model nor the user says."""


def make_classifier(
    found: ImportedModel,
    vocabulary: Vocabulary,
    words: TokenizationRule,
    *,
    padding: str,
    truncate: str = "end",
    max_tokens: int | None = None,
    labels: Sequence[str] | None = None,
) -> SavedModel:
    """The classifier.

    Args:
        found: its layers.
        vocabulary: the words of the embedding's rows.
        words: what a word is.
        padding: where shorter texts were padded, "front" or "back", which is read unless the model masks it; or
            "none".
        truncate: which part of longer texts was kept, as `ModelConfig` spells it.
        max_tokens: tokens that were read of a text, if the model doesn't say.
        labels: the classes' names, in the order of the outputs. [0, 1, ...]

    Raises `OptionError` for labels that are too many or few, for a length that is needed and not given, or another
    than the model's; `DataError` where sizes don't fit.
    """
    if found.length and max_tokens not in (None, found.length):
        raise OptionError(f"max-tokens is {max_tokens}, and the model takes {found.length} tokens; leave it out")
    length = max_tokens or found.length
    reads = padding if not found.masks else "none"
    if reads != "none" and length is None:
        raise OptionError(
            "the model reads padding, and does not say up to how many tokens texts were padded; give --max-tokens, "
            "or --padding none if they were not"
        )
    directions = {len(layer) for layer in found.layers}
    if found.masks and found.pooling == "max" and (padding == "front" or (padding == "back" and 2 in directions)):
        raise DataError(
            "GlobalMaxPooling1D takes the highest output over masked steps too, where it is zero, and here padding "
            "is not read; pass --padding none if texts were not padded, or train the model without mask_zero"
        )
    if len(directions) > 1:
        raise DataError("some LSTM layers read in both directions and others in one; expected all alike")
    # Keras pads with 0, whatever word that is.
    names, rows = ordered_words(vocabulary, len(found.embedding), padding=None if reads == "none" else PADDING_ID)
    config = ModelConfig(
        vocabulary_size=len(names),
        max_tokens=length or MAX_TOKENS,
        truncate=truncate,  # type: ignore[arg-type]
        embedding_size=found.embedding.shape[1],
        hidden_sizes=tuple(len(layer[0].recurrent[0]) for layer in found.layers),
        bidirectional=len(found.layers[0]) == 2,
        pooling=found.pooling,  # type: ignore[arg-type]  # one of its values, as was checked
        activation=found.activation,  # type: ignore[arg-type]
        padding=reads,  # type: ignore[arg-type]
    )
    logits = len(found.output[1])
    classes = max(2, logits)
    labels = [str(k) for k in range(classes)] if labels is None else list(labels)
    if len(labels) != classes or len(set(labels)) != classes or not all(labels):
        raise OptionError(f"labels are {', '.join(labels)}; expected {classes} different names")
    return SavedModel(
        config=config,
        labels=tuple(labels),
        tokenizer=make_tokenizer(names, words, start=vocabulary.start is not None),
        weights=_checked(_weights(found, rows), config, classes),
        training={"imported_from": found.source},
    )


def _weights(found: ImportedModel, rows: Sequence[int | None]) -> dict[str, FloatArray]:
    nothing = np.zeros(found.embedding.shape[1], np.float32)
    arrays = {"embedding.weight": np.stack([nothing if row is None else found.embedding[row] for row in rows])}
    for layer, directions in enumerate(found.layers):
        for name, of in zip(("forward", "backward"), directions, strict=False):
            arrays[f"lstm.{layer}.{name}.weight_ih"] = of.input
            arrays[f"lstm.{layer}.{name}.weight_hh"] = of.recurrent
            arrays[f"lstm.{layer}.{name}.bias"] = of.bias
    arrays["output.weight"], arrays["output.bias"] = found.output
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _checked(arrays: dict[str, FloatArray], config: ModelConfig, classes: int) -> dict[str, FloatArray]:
    for name, shape in weights.shapes(config, classes).items():
        if name not in arrays or arrays[name].shape != shape:
            came = list(arrays[name].shape) if name in arrays else "missing"
            raise DataError(f"{name} is {came}; expected {list(shape)}: the layers don't fit each other")
        if not np.isfinite(arrays[name]).all():
            raise DataError(f"{name} has numbers that are not finite; the training of the model went astray")
    return arrays
