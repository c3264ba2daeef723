"""Build a classifier from imported layers, a vocabulary and a tokenization rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig
from fastlstm.convert.tokenization import TokenizationRule, make_tokenizer
from fastlstm.convert.vocabulary import Vocabulary, assign_ids
from fastlstm.errors import DataError, OptionError
from fastlstm.serialization import weights
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.tokenizer import PADDING_ID

UNLIMITED_TOKENS = 1_000_000
"""Tokens read per text if neither the model nor the caller sets a number: texts are not truncated, as in Keras."""


@dataclass(frozen=True)
class LSTMWeights:
    """Weights of one LSTM layer in one direction: [4H, I], [4H, H] and [4H], gates in the order i, f, g, o."""

    input: FloatArray
    recurrent: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class DenseWeights:
    """Weights of one dense layer before the output layer: [D, I] and [D], and its activation."""

    weight: FloatArray
    bias: FloatArray
    activation: str


@dataclass(frozen=True)
class BuiltInTokenization:
    """Tokenization by a layer of the model itself, such as Keras' TextVectorization."""

    rule: TokenizationRule
    vocabulary: list[str]
    max_tokens: int | None


@dataclass(frozen=True)
class ImportedModel:
    """The layers of a classifier from another framework.

    Attributes:
        source: "Keras" or "PyTorch".
        embedding: [rows, embedding size].
        layers: Per LSTM layer, the weights of one direction, or of two, forward first.
        pooling: As in `ModelConfig`.
        dense: The dense layers between pooling and output layer.
        output: Weight [logits, features] and bias [logits].
        activation: "sigmoid" or "softmax".
        masks_padding: Whether the model skips padding instead of reading it.
        input_length: Number of tokens that the model takes; None if the file does not contain it.
        tokenization: None if the model takes token ids.
        notes: Sentences for the user about how the model was read.
    """

    source: str
    embedding: FloatArray
    layers: list[tuple[LSTMWeights, ...]]
    pooling: str
    output: tuple[FloatArray, FloatArray]
    activation: str
    masks_padding: bool
    dense: Sequence[DenseWeights] = ()
    input_length: int | None = None
    tokenization: BuiltInTokenization | None = None
    notes: tuple[str, ...] = ()


def make_classifier(
    imported: ImportedModel,
    vocabulary: Vocabulary,
    rule: TokenizationRule,
    *,
    padding: str,
    truncate: str = "end",
    max_tokens: int | None = None,
    labels: Sequence[str] | None = None,
) -> SavedModel:
    """Build the classifier.

    Args:
        imported: The layers.
        vocabulary: The word of each embedding row.
        rule: How texts are split into words.
        padding: The side on which shorter texts were padded, "front" or "back", or "none". The classifier reads the
            padding unless the model masks it.
        truncate: The part of longer texts that is kept, as in `ModelConfig`.
        max_tokens: Number of tokens read per text, if the model does not contain it.
        labels: Class names in the order of the outputs. Default: 0, 1, ...

    Raises:
        OptionError: The labels do not match the outputs, or `max_tokens` is missing or contradicts the model.
        DataError: The layers do not fit each other or are not supported.
    """
    if imported.input_length and max_tokens not in (None, imported.input_length):
        raise OptionError(
            f"`max_tokens` is {max_tokens}, but the model takes {imported.input_length} tokens; omit `max_tokens`",
            code="max-tokens-mismatch",
            max_tokens=max_tokens,
            input_length=imported.input_length,
        )
    length = max_tokens or imported.input_length
    padding_read = "none" if imported.masks_padding else padding
    if padding_read != "none" and length is None:
        raise OptionError(
            "the model reads padding, but its file does not contain the padded length; pass `max_tokens`, or "
            "`padding='none'` if texts were not padded",
            code="missing-max-tokens",
            padding=padding,
        )
    directions = {len(layer) for layer in imported.layers}
    reads_masked_steps = padding == "front" or (padding == "back" and 2 in directions)
    if imported.masks_padding and imported.pooling == "max" and reads_masked_steps:
        raise DataError(
            "GlobalMaxPooling1D after an Embedding with mask_zero=True also pools masked steps, which fastlstm "
            "skips; pass `padding='none'` if texts were not padded, or train without mask_zero",
            code="unsupported-masking",
            padding=padding,
        )
    if len(directions) > 1:
        imported = _make_bidirectional(imported)
    if imported.masks_padding:
        _check_masked_words(vocabulary)
    # Keras pads with id 0, even if that is the id of a word.
    words, rows = assign_ids(
        vocabulary, len(imported.embedding), rule, padding_row=None if padding_read == "none" else PADDING_ID
    )
    config = ModelConfig(
        vocabulary_size=len(words),
        max_tokens=length or UNLIMITED_TOKENS,
        truncate=truncate,  # type: ignore[arg-type]
        embedding_size=imported.embedding.shape[1],
        hidden_sizes=tuple(len(layer[0].recurrent[0]) for layer in imported.layers),
        bidirectional=len(imported.layers[0]) == 2,
        pooling=imported.pooling,  # type: ignore[arg-type]
        activation=imported.activation,  # type: ignore[arg-type]
        padding=padding_read,  # type: ignore[arg-type]
        dense_sizes=tuple(len(layer.bias) for layer in imported.dense),
        dense_activations=tuple(layer.activation for layer in imported.dense),  # type: ignore[misc]
        text_cleaning="standard" if rule.is_standard else "none",
        unknown_words="drop" if vocabulary.unknown is None else "keep",
        empty_text="zeros" if imported.source == "Keras" and padding_read == "none" else "unknown",
    )
    class_count = max(2, len(imported.output[1]))
    labels = [str(k) for k in range(class_count)] if labels is None else list(labels)
    if len(labels) != class_count or len(set(labels)) != class_count or not all(labels):
        raise OptionError(
            f"labels are {', '.join(labels)}; expected {class_count} different names, one per output",
            code="bad-labels",
            labels=labels,
            class_count=class_count,
        )
    arrays = _weights(imported, rows)
    _check_weights(arrays, config, class_count)
    return SavedModel(
        config=config,
        labels=tuple(labels),
        tokenizer=make_tokenizer(words, rule, add_start=vocabulary.start is not None),
        weights=arrays,
        training={"imported_from": imported.source},
    )


def _check_masked_words(vocabulary: Vocabulary) -> None:
    """Reject a vocabulary in which id 0, which the model skips, is that of a word."""
    words = [word for word, row in vocabulary.words.items() if row == PADDING_ID and row != vocabulary.padding]
    if words or vocabulary.unknown == PADDING_ID:
        name = repr(words[0]) if words else "the unknown word"
        raise DataError(
            f"{name} has row 0, which the model skips as padding (mask_zero=True); expected words from row 1 on",
            code="masked-word",
            word=words[0] if words else None,
        )


def _make_bidirectional(imported: ImportedModel) -> ImportedModel:
    """Give every LSTM layer two directions: a backward one with weights of zero returns zeros."""
    layers: list[tuple[LSTMWeights, ...]] = []
    added = False
    for layer in imported.layers:
        directions = [replace(part, input=_add_columns(part.input, added)) for part in layer]
        added = len(layer) == 1
        if added:
            part = directions[0]
            directions.append(
                LSTMWeights(np.zeros_like(part.input), np.zeros_like(part.recurrent), np.zeros_like(part.bias))
            )
        layers.append(tuple(directions))
    if not imported.dense:
        weight, bias = imported.output
        return replace(imported, layers=layers, output=(_add_columns(weight, added), bias))
    first, *others = imported.dense
    return replace(
        imported, layers=layers, dense=[replace(first, weight=_add_columns(first.weight, added)), *others]
    )


def _add_columns(weight: FloatArray, added: bool) -> FloatArray:
    """Return the weights [N, 2 * I] of inputs [forward, zeros], given those [N, I] of the forward ones."""
    return np.concatenate([weight, np.zeros_like(weight)], axis=1) if added else weight


def _weights(imported: ImportedModel, rows: Sequence[int | None]) -> dict[str, FloatArray]:
    zeros = np.zeros(imported.embedding.shape[1], np.float32)
    arrays = {"embedding.weight": np.stack([zeros if row is None else imported.embedding[row] for row in rows])}
    for number, directions in enumerate(imported.layers):
        for name, direction in zip(("forward", "backward"), directions, strict=False):
            arrays[f"lstm.{number}.{name}.weight_ih"] = direction.input
            arrays[f"lstm.{number}.{name}.weight_hh"] = direction.recurrent
            arrays[f"lstm.{number}.{name}.bias"] = direction.bias
    for number, layer in enumerate(imported.dense):
        arrays[f"dense.{number}.weight"], arrays[f"dense.{number}.bias"] = layer.weight, layer.bias
    arrays["output.weight"], arrays["output.bias"] = imported.output
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}


def _check_weights(arrays: dict[str, FloatArray], config: ModelConfig, class_count: int) -> None:
    for name, shape in weights.shapes(config, class_count).items():
        actual = list(arrays[name].shape) if name in arrays else None
        if actual != list(shape):
            raise DataError(
                f"{name} is {'missing' if actual is None else actual}; expected {list(shape)}: the layers do not "
                "fit each other",
                code="shape-mismatch",
                name=name,
                expected=list(shape),
            )
        if not np.isfinite(arrays[name]).all():
            raise DataError(
                f"{name} contains NaN or infinity; the training of the model diverged, import another checkpoint",
                code="non-finite-weights",
                name=name,
            )
